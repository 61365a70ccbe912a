/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/kernels/hard_rows.h"

#include <assert.h>
#include <float.h>
#include <math.h>

#include "kernels/row.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

const struct filters every_filter[EVERY_FILTER] = {
    {1.0f, 0, 1.0f, 0.0f},          {0.0f, 3, 0.5f, 0.1f},        {1.0f, 1, 1.0f, 0.0f},
    {1.0f, 2, 1.0f, 0.0f},          {1.0f, 50, 1.0f, 0.0f},       {1.0f, 1000, 1.0f, 0.0f},
    {1.0f, UINT32_MAX, 1.0f, 0.0f}, {1.0f, 0, 1e-6f, 0.0f},       {1.0f, 0, 0.1f, 0.0f},
    {1.0f, 0, 0.5f, 0.0f},          {1.0f, 0, 0.75f, 0.0f},       {1.0f, 0, 0.95f, 0.0f},
    {1.0f, 0, 0.999999f, 0.0f},     {1.0f, 0, 0.99999994f, 0.0f}, {1.0f, 0, 1.0f, 0.05f},
    {1.0f, 0, 1.0f, 0.5f},          {1.0f, 0, 1.0f, 0.99999994f}, {1.0f, 0, 1.0f, 1e-38f},
    {1.0f, 40, 0.9f, 0.0f},         {1.0f, 700, 0.5f, 0.01f},     {1.0f, 0, 0.9f, 0.02f},
    {1e-5f, 0, 0.9f, 0.0f},         {0.01f, 20, 1.0f, 0.0f},      {30.0f, 0, 0.9f, 0.0f},
    {1e6f, 0, 0.5f, 0.0f},          {1e6f, 100, 0.99f, 0.9f},     {1e30f, 0, 0.5f, 0.0f},
    {FLT_MAX, 100, 0.9f, 0.0f},
};

void set_filters(struct test_case *c, const struct filters *filters)
{
    c->sampling.temperature = filters->temperature;
    c->sampling.top_k = filters->top_k;
    c->sampling.top_p = filters->top_p;
    c->sampling.min_p = filters->min_p;
}

/* Logits of HARD_IDS ids. `part` is another number for another row of the kind. */
typedef float (*hard_function)(uint32_t id, uint32_t part, uint64_t *random);

/* Levels of equal mass: 2^l ids of y = -l. Every top-p of n / levels ends exactly at a tie. */
static float levels(uint32_t id, uint32_t part, uint64_t *random)
{
    (void)part;
    (void)random;
    uint32_t level = 0;
    while (id + 1 >= 2u << level)
        level++;
    return -(float)level;
}

/* The same levels, over all tiles. */
static float scattered_levels(uint32_t id, uint32_t part, uint64_t *random)
{
    return levels(id * 1009 % HARD_IDS, part, random);
}

static float all_equal(uint32_t id, uint32_t part, uint64_t *random)
{
    static const float values[] = {0.0f, -0.0f, -0x1p-44f, 1.0f, 0x1p-149f, -1e30f, FLT_MAX};
    (void)random;
    return id % 2 == 0 || part % 2 == 0 ? values[part % COUNT(values)] : values[part / 2 % 2];
}

/* Two values, from next to one another to farther apart than masses reach. */
static float two_values(uint32_t id, uint32_t part, uint64_t *random)
{
    static const float gaps[] = {0x1p-23f, 0x1p-10f, 1.0f,  10.0f, 24.0f, 30.0f,
                                 43.0f,    44.0f,    44.5f, 46.0f, 200.0f};
    (void)id;
    return random_below(random, part % 2 == 0 ? 2 : 1000) == 0 ? 0.0f : -gaps[part % COUNT(gaps)];
}

/* One tile has all that counts; the others little, or so much less that they have nothing. */
static float one_tile(uint32_t id, uint32_t part, uint64_t *random)
{
    static const float below[] = {10.0f, 25.0f, 31.0f, 43.0f, 50.0f, 1e10f};
    const float y = (float)random_unit(random);
    return id / RZ_TILE == HARD_IDS / RZ_TILE / 2 ? y : y - below[part % COUNT(below)];
}

/* Masses that differ by the least that they can: 1 of 2^44. */
static float one_unit_apart(uint32_t id, uint32_t part, uint64_t *random)
{
    (void)id;
    return -(float)random_below(random, 2 + part % 6) * 0x1p-44f;
}

/* Ids with masses of a few units, some with none. */
static float few_units(uint32_t id, uint32_t part, uint64_t *random)
{
    const float y = -40.0f - 5.0f * (float)random_unit(random);
    return id == part % HARD_IDS ? 0.0f : y;
}

/* The maximum is far above the first block, by about what a scan can follow, or more. */
static float late_maximum(uint32_t id, uint32_t part, uint64_t *random)
{
    static const float above[] = {30.0f, 59.0f, 60.0f, 61.0f, 99.0f, 128.0f, 1000.0f, 1e10f};
    const float y = (float)random_unit(random);
    return id < HARD_IDS - 20 ? y : y + above[part % COUNT(above)];
}

static float early_maximum(uint32_t id, uint32_t part, uint64_t *random)
{
    return late_maximum(HARD_IDS - 1 - id, part, random);
}

/* Ever larger by far. */
static float staircase(uint32_t id, uint32_t part, uint64_t *random)
{
    (void)random;
    const uint32_t step = id / 64;
    return (float)step * (part % 2 == 0 ? 20.0f : 61.0f) - 700.0f;
}

static float large(uint32_t id, uint32_t part, uint64_t *random)
{
    static const float sizes[] = {4095.0f, 4097.0f, 0x1p24f, 0x1p99f, 0x1p101f, 0x1p126f, FLT_MAX};
    const float size = sizes[part % COUNT(sizes)];
    const float x = size * (1.0f - (float)random_unit(random) * 0x1p-9f);
    return part % 3 == 0 ? x : id % 3 == 0 ? -x : part % 3 == 1 ? x : -size;
}

/* As many different values as there are floats between: nothing ties, all is near. */
static float crowded(uint32_t id, uint32_t part, uint64_t *random)
{
    (void)random;
    const uint32_t first = rz_float_bits(part % 2 == 0 ? 7.0f : -7.0f);
    return rz_float_from_bits(first + id * 1009 % HARD_IDS);
}

static float nan_at_the_end(uint32_t id, uint32_t part, uint64_t *random)
{
    const float y = (float)random_normal(random);
    return id >= HARD_IDS - 1 - part % 40 ? NAN : y;
}

static float negative_nan(uint32_t id, uint32_t part, uint64_t *random)
{
    const float y = (float)random_normal(random);
    return id % (1 + part) == 0 ? rz_float_from_bits(0xFFC00001u) : y;
}

static float infinite(uint32_t id, uint32_t part, uint64_t *random)
{
    const float y = (float)random_normal(random);
    return id % 1000 == part ? INFINITY : y;
}

static float one_left(uint32_t id, uint32_t part, uint64_t *random)
{
    (void)random;
    return id == part * 71 % HARD_IDS ? -3.0f : -INFINITY;
}

static const struct {
    const char *name;
    hard_function value;
} hard_rows[] = {
    {"levels", levels},
    {"scattered levels", scattered_levels},
    {"all equal", all_equal},
    {"two values", two_values},
    {"one tile", one_tile},
    {"one unit apart", one_unit_apart},
    {"few units", few_units},
    {"late maximum", late_maximum},
    {"early maximum", early_maximum},
    {"staircase", staircase},
    {"large", large},
    {"crowded", crowded},
    {"NaN at the end", nan_at_the_end},
    {"negative NaN", negative_nan},
    {"infinite", infinite},
    {"one left", one_left},
};

static_assert(COUNT(hard_rows) == HARD_ROWS, "hard_rows.h says how many there are");

void hard_row_begin(struct test_case *c, uint32_t kind, uint32_t part, uint64_t *random)
{
    float logits[HARD_IDS];
    uint32_t sizes[CASE_MAX_SHARDS];
    for (uint32_t id = 0; id < HARD_IDS; id++)
        logits[id] = hard_rows[kind].value(id, part, random);
    const uint32_t shards = random_split(random, HARD_IDS, sizes);
    case_begin_split(c, logits, HARD_IDS, (enum rz_dtype)(part % 3), 0, sizes, shards);
    c->kind = hard_rows[kind].name;
}

/* A nucleus that ends exactly where a level does, or one float before or after that. */
void hard_nucleus_begin(struct test_case *c, uint32_t level, uint32_t n, uint64_t *random)
{
    enum { IDS = (1 << HARD_LEVELS) - 1 };
    float logits[HARD_IDS];
    const uint32_t vocab = n / 3 % 2 == 0 ? IDS : HARD_IDS;
    for (uint32_t id = 0; id < vocab; id++)
        logits[id] = -INFINITY;
    for (uint32_t i = 0; i < IDS; i++)
        logits[vocab == IDS ? i : i * 1009 % HARD_IDS] = levels(i, 0, NULL);
    uint32_t sizes[CASE_MAX_SHARDS];
    const uint32_t shards = random_split(random, vocab, sizes);
    case_begin_split(c, logits, vocab, (enum rz_dtype)(n / 6), 0, sizes, shards);
    c->kind = "levels";
    c->sampling.temperature = NO_SCALE;
    const float top_p = (float)level / (float)HARD_LEVELS;
    c->sampling.top_p = n % 3 == 0   ? top_p
                        : n % 3 == 1 ? nextafterf(top_p, 0.0f)
                                     : fminf(nextafterf(top_p, 1.0f), 1.0f);
}
