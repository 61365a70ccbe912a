/* SPDX-License-Identifier: Apache-2.0
 *
 * test_differential.c - every CPU back end returns what the reference does, in every field: for
 * rows and requests of every kind, for vocabularies of every small size and of real ones, and for
 * rows that are made to be hard for the bounds of kernels/cpu/.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/contract.h"
#include "kernels/row.h"
#include "tests/kernels/cases.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum {
    BACKENDS = RZ_BACKEND_AVX512 - RZ_BACKEND_SCALAR + 1,
    MANY_DRAWS = 20, /* that the CPU back ends prepare for */
    HARD_IDS = 3000,
};

/* ------------------------------------------------------------------------------------------------
 * Comparing
 */

/* One sampler for many rows, as in a job: what is left of a row must not reach the next. */
struct bench {
    struct rz_sampler *reference;
    const struct rz_sampler_ops *ops[BACKENDS];
    struct rz_sampler *samplers[BACKENDS];
    uint64_t rows;
};

static void bench_begin(struct bench *bench, uint32_t vocab_size)
{
    *bench = (struct bench){.reference = rz_sampler_reference.create(vocab_size)};
    assert_non_null(bench->reference);
    for (uint32_t b = 0; b < BACKENDS; b++) {
        bench->ops[b] = rz_sampler_find(RZ_BACKEND_SCALAR + b);
        if (bench->ops[b] == NULL) {
            printf("[  SKIPPED ] back end %u: this machine has none such\n", RZ_BACKEND_SCALAR + b);
            continue;
        }
        bench->samplers[b] = bench->ops[b]->create(vocab_size);
        assert_non_null(bench->samplers[b]);
    }
}

static void bench_end(struct bench *bench)
{
    printf("%llu rows\n", (unsigned long long)bench->rows);
    for (uint32_t b = 0; b < BACKENDS; b++)
        if (bench->ops[b] != NULL)
            bench->ops[b]->destroy(bench->samplers[b]);
    rz_sampler_reference.destroy(bench->reference);
}

static void compare(struct bench *bench, const struct test_case *c)
{
    struct rz_result got[CASE_MAX_DRAWS], expected[CASE_MAX_DRAWS];
    memset(expected, 0x77, sizeof expected);
    rz_sampler_reference.draw(bench->reference, &c->view, &c->task, expected);
    for (uint32_t b = 0; b < BACKENDS; b++) {
        if (bench->ops[b] == NULL)
            continue;
        memset(got, 0x55, sizeof got);
        bench->ops[b]->draw(bench->samplers[b], &c->view, &c->task, got);
        for (uint32_t i = 0; i < c->task.draws; i++)
            if (!case_same_result(&got[i], &expected[i]))
                fail_msg("%s, row %llu: %s", bench->ops[b]->name, (unsigned long long)bench->rows,
                         case_difference(c, &got[i], &expected[i]));
    }
    bench->rows++;
}

/* ------------------------------------------------------------------------------------------------
 * Random rows
 */

static void every_back_end_is_the_reference_on_random_rows(void **state)
{
    (void)state;
    const uint64_t seed = test_seed(), count = test_scaled(20000);
    struct bench bench;
    bench_begin(&bench, CASE_MAX_VOCAB);
    for (uint64_t index = 0; index < count; index++) {
        struct test_case c;
        case_random(&c, seed, index);
        compare(&bench, &c);
        case_end(&c);
    }
    bench_end(&bench);
}

static void on_random_rows_of_real_vocabularies(void **state)
{
    (void)state;
    static const uint32_t vocabs[] = {32000, 128256, 151936, RZ_MAX_VOCAB};
    const uint64_t seed = test_seed(), count = test_scaled(72);
    struct bench bench;
    bench_begin(&bench, RZ_MAX_VOCAB);
    for (uint64_t index = 0; index < count; index++) {
        struct test_case c;
        case_random_of(&c, seed, index, vocabs[index % COUNT(vocabs)]);
        if (c.task.draws > 1) /* the reference takes 30 ms for each */
            c.task.draws = index % 12 == 0 ? MANY_DRAWS : 2;
        compare(&bench, &c);
        case_end(&c);
    }
    bench_end(&bench);
}

/* ------------------------------------------------------------------------------------------------
 * Filters, alone and together
 */

struct filters {
    float temperature;
    uint32_t top_k;
    float top_p;
    float min_p;
};

static const struct filters every_filter[] = {
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

static void set_filters(struct test_case *c, const struct filters *filters)
{
    c->sampling.temperature = filters->temperature;
    c->sampling.top_k = filters->top_k;
    c->sampling.top_p = filters->top_p;
    c->sampling.min_p = filters->min_p;
}

/* Everything that is not the row or the filters, in turn. */
static void vary(struct test_case *c, uint64_t turn)
{
    c->task.seed = turn;
    c->task.position = turn * 7;
    c->task.draws = turn % 7 == 0 ? MANY_DRAWS : 2;
    c->sampling.flags = turn % 5 < 2 ? RZ_SAMPLING_LOGPROBS : 0;
    c->sampling.logprobs_mode = turn % 2 == 0 ? RZ_LOGPROBS_RAW : RZ_LOGPROBS_PROCESSED;
    c->sampling.top_logprobs = turn % 4 < 2 ? RZ_MAX_TOP_LOGPROBS : 0;
}

static void on_every_vocabulary_up_to_40(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    struct bench bench;
    bench_begin(&bench, 40);
    for (uint32_t vocab = 1; vocab <= 40; vocab++) {
        const uint32_t ks[] = {1, 2, vocab / 2 + 1, vocab - 1, vocab, vocab + 1, UINT32_MAX};
        for (uint32_t f = 0; f < COUNT(every_filter) + COUNT(ks); f++)
            for (uint32_t way = 0; way < 9; way++) {
                struct test_case c;
                float logits[40];
                uint32_t sizes[CASE_MAX_SHARDS];
                for (uint32_t id = 0; id < vocab; id++)
                    logits[id] = way % 3 == 0   ? (float)random_normal(&random)
                                 : way % 3 == 1 ? (float)random_below(&random, 3)
                                                : -2.5f;
                const uint32_t padding = random_below(&random, 4);
                const uint32_t shards = random_split(&random, vocab + padding, sizes);
                case_begin_split(&c, logits, vocab, (enum rz_dtype)(way / 3), padding, sizes,
                                 shards);
                if (f < COUNT(every_filter))
                    set_filters(&c, &every_filter[f]);
                else
                    c.sampling.top_k = ks[f - COUNT(every_filter)];
                vary(&c, bench.rows);
                compare(&bench, &c);
                case_end(&c);
            }
    }
    bench_end(&bench);
}

/* ------------------------------------------------------------------------------------------------
 * Hard rows
 */

/* With this temperature y is the logit: masses are exact powers of two where logits are integers.
 */
#define NO_SCALE 1.44269502f

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

static void begin_hard_row(struct test_case *c, uint32_t kind, uint32_t part, uint64_t *random)
{
    float logits[HARD_IDS];
    uint32_t sizes[CASE_MAX_SHARDS];
    for (uint32_t id = 0; id < HARD_IDS; id++)
        logits[id] = hard_rows[kind].value(id, part, random);
    const uint32_t shards = random_split(random, HARD_IDS, sizes);
    case_begin_split(c, logits, HARD_IDS, (enum rz_dtype)(part % 3), 0, sizes, shards);
    c->kind = hard_rows[kind].name;
}

static void on_hard_rows_with_every_filter(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    struct bench bench;
    bench_begin(&bench, HARD_IDS);
    for (uint32_t kind = 0; kind < COUNT(hard_rows); kind++)
        for (uint32_t f = 0; f < COUNT(every_filter); f++)
            for (uint32_t n = 0; n < 4; n++) {
                struct test_case c;
                begin_hard_row(&c, kind, f * 4 + n, &random);
                set_filters(&c, &every_filter[f]);
                if (c.sampling.temperature == 1.0f && n % 2 == 0)
                    c.sampling.temperature = NO_SCALE;
                vary(&c, bench.rows);
                compare(&bench, &c);
                case_end(&c);
            }
    bench_end(&bench);
}

/* A nucleus that ends exactly where a level does, or one float before or after that. */
static void on_nuclei_that_end_at_a_tie(void **state)
{
    (void)state;
    assert_true(rz_temperature_scale(NO_SCALE) == 1.0f);
    uint64_t random = test_seed();
    struct bench bench;
    bench_begin(&bench, HARD_IDS);
    enum { LEVELS = 8, IDS = (1 << LEVELS) - 1 };
    for (uint32_t level = 1; level <= LEVELS; level++)
        for (uint32_t n = 0; n < 18; n++) {
            struct test_case c;
            float logits[HARD_IDS];
            const uint32_t vocab = n / 3 % 2 == 0 ? IDS : HARD_IDS;
            for (uint32_t id = 0; id < vocab; id++)
                logits[id] = -INFINITY;
            for (uint32_t i = 0; i < IDS; i++)
                logits[vocab == IDS ? i : i * 1009 % HARD_IDS] = levels(i, 0, NULL);
            uint32_t sizes[CASE_MAX_SHARDS];
            const uint32_t shards = random_split(&random, vocab, sizes);
            case_begin_split(&c, logits, vocab, (enum rz_dtype)(n / 6), 0, sizes, shards);
            c.kind = "levels";
            c.sampling.temperature = NO_SCALE;
            const float top_p = (float)level / (float)LEVELS;
            c.sampling.top_p = n % 3 == 0   ? top_p
                               : n % 3 == 1 ? nextafterf(top_p, 0.0f)
                                            : fminf(nextafterf(top_p, 1.0f), 1.0f);
            for (uint32_t turn = 0; turn < 6; turn++) {
                vary(&c, turn);
                compare(&bench, &c);
            }
            case_end(&c);
        }
    bench_end(&bench);
}

/* Levels of 1, 2, 3, ... equal ids, and every k. */
static void on_every_k_among_ties(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    struct bench bench;
    enum { IDS = 330 };
    bench_begin(&bench, IDS);
    float logits[IDS];
    for (uint32_t id = 0, level = 1, left = 1; id < IDS; id++) {
        logits[id * 7 % IDS] = 3.0f - (float)level / 4.0f;
        if (--left == 0)
            left = ++level;
    }
    for (uint32_t k = 1; k <= IDS + 2; k++) {
        struct test_case c;
        uint32_t sizes[CASE_MAX_SHARDS];
        const uint32_t shards = random_split(&random, IDS, sizes);
        case_begin_split(&c, logits, IDS, (enum rz_dtype)(k % 3), 0, sizes, shards);
        c.kind = "ties";
        const uint32_t step = k / 30; /* min-p just below that of a level */
        c.sampling.top_k = k;
        c.sampling.flags = RZ_SAMPLING_LOGPROBS;
        c.sampling.logprobs_mode = RZ_LOGPROBS_PROCESSED;
        c.sampling.top_logprobs = RZ_MAX_TOP_LOGPROBS;
        for (uint32_t n = 0; n < 3; n++) {
            c.sampling.top_p = n == 1 ? 0.7f : 1.0f;
            c.sampling.min_p = n == 2 ? (float)exp(-(double)step / 4.0) * 0.9999f : 0.0f;
            c.task.seed = k;
            c.task.draws = k % 7 == 0 ? MANY_DRAWS : 1;
            compare(&bench, &c);
        }
        case_end(&c);
    }
    bench_end(&bench);
}

static void on_temperatures_from_1e_5_to_1e6(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    struct bench bench;
    bench_begin(&bench, HARD_IDS);
    for (uint32_t n = 0; n < 220; n++) {
        struct test_case c;
        float logits[HARD_IDS];
        uint32_t sizes[CASE_MAX_SHARDS];
        const double size = n % 4 == 0 ? 1e30 : n % 4 == 1 ? 1e-30 : 3.0;
        for (uint32_t id = 0; id < HARD_IDS; id++)
            logits[id] = (float)(size * random_normal(&random));
        const uint32_t shards = random_split(&random, HARD_IDS, sizes);
        case_begin_split(&c, logits, HARD_IDS, (enum rz_dtype)(n % 3), 0, sizes, shards);
        c.kind = "normal";
        set_filters(&c, &every_filter[n % COUNT(every_filter)]);
        vary(&c, n);
        c.sampling.temperature = fmaxf(1e-5f, (float)pow(10.0, -5.0 + 0.05 * n));
        compare(&bench, &c);
        case_end(&c);
    }
    bench_end(&bench);
}

/* ------------------------------------------------------------------------------------------------
 * Edits that leave little or nothing, or make logits that no model would
 */

/* Tiles of so large y that their score is lost in it, and unequal masses that it is all about. */
static void on_equal_huge_logits_drawn_many_times(void **state)
{
    (void)state;
    static const int exponents[] = {24, 41, 52, 56, 75, 98};
    enum { VOCAB = 2 * RZ_TILE, SEEDS = 60 };
    struct bench bench;
    bench_begin(&bench, VOCAB);
    for (uint32_t e = 0; e < 2 * COUNT(exponents); e++)
        for (uint32_t others = 1; others < RZ_TILE; others += 4) {
            const float huge = ldexpf(e % 2 == 0 ? 1.0f : -1.0f, exponents[e / 2]);
            float logits[VOCAB];
            for (uint32_t i = 0; i < VOCAB; i++)
                logits[i] = i < RZ_TILE + others ? huge : -INFINITY;
            struct test_case c;
            case_begin(&c, logits, VOCAB);
            c.sampling.temperature = 1.44269502f; /* y is the logit */
            c.task.draws = CASE_MAX_DRAWS;
            for (c.task.seed = 0; c.task.seed < SEEDS; c.task.seed++)
                compare(&bench, &c);
            case_end(&c);
        }
    bench_end(&bench);
}

/* The edited tiles have half of the mass below the likeliest id, and the next one is dropped: if
 * they were counted twice it would not be. */
static void on_edited_tiles_just_outside_the_nucleus(void **state)
{
    (void)state;
    enum { TILES = 400, VOCAB = TILES * RZ_TILE, OTHERS = 250, SEEDS = 400 };
    static float logits[VOCAB];
    static struct rz_bias bias[OTHERS];
    for (uint32_t i = 0; i < VOCAB; i++)
        logits[i] = -40.0f;
    logits[0] = 0.0f;
    logits[RZ_TILE] = logf(0.02f);
    for (uint32_t i = 0; i < OTHERS; i++) {
        const uint32_t id = (i + 100) * RZ_TILE + i % RZ_TILE;
        logits[id] = logf(0.02f / OTHERS);
        bias[i] = (struct rz_bias){.id = (int32_t)id, .bias = 1e-4f};
    }
    struct bench bench;
    bench_begin(&bench, VOCAB);
    struct test_case c;
    case_begin(&c, logits, VOCAB);
    c.sampling.top_p = 0.95f;
    c.sampling.bias = bias;
    c.sampling.bias_count = OTHERS;
    for (c.task.seed = 0; c.task.seed < SEEDS; c.task.seed++)
        compare(&bench, &c);
    case_end(&c);
    bench_end(&bench);
}

static void ban_everything(struct test_case *c)
{
    for (uint32_t id = 0; id < c->view.vocab_size; id++)
        c->banned[c->sampling.banned_count++] = (int32_t)id;
}

static void allow_what_is_banned(struct test_case *c)
{
    c->allowed[0] = c->allowed[1] = c->banned[0] = 7;
    c->sampling.allowed_count = 2;
    c->sampling.banned_count = 1;
}

static void allow_what_the_bitmask_does_not(struct test_case *c)
{
    case_set_bitmask(c, false);
    c->bitmask[0] = ~(UINT32_C(1) << 5);
    c->allowed[0] = 5;
    c->sampling.allowed_count = 1;
}

static void empty_bitmask(struct test_case *c)
{
    case_set_bitmask(c, false);
}

static void bias_down(struct test_case *c)
{
    for (uint32_t id = 0; id < c->view.vocab_size; id++)
        c->bias[c->sampling.bias_count++] = (struct rz_bias){(int32_t)id, -FLT_MAX};
}

/* Twice: the second makes it -inf. */
static void bias_down_to_nothing(struct test_case *c)
{
    for (uint32_t n = 0; n < 2; n++)
        for (uint32_t id = 0; id < c->view.vocab_size; id++)
            c->bias[c->sampling.bias_count++] = (struct rz_bias){(int32_t)id, -FLT_MAX};
}

static void bias_one_up(struct test_case *c)
{
    c->bias[0] = (struct rz_bias){3, FLT_MAX};
    c->bias[1] = (struct rz_bias){4, -FLT_MAX};
    c->sampling.bias_count = 2;
}

static void bias_one_to_infinity(struct test_case *c)
{
    c->bias[0] = c->bias[1] = (struct rz_bias){3, FLT_MAX};
    c->sampling.bias_count = 2;
}

static void penalize_to_nothing(struct test_case *c)
{
    bias_down(c);
    c->sampling.repetition_penalty = 100.0f;
    for (uint32_t id = 0; id < c->view.vocab_size; id++)
        c->output[c->task.output_count++] = (int32_t)id;
}

static void stop_ids_only(struct test_case *c)
{
    allow_what_is_banned(c);
    c->sampling.banned_count = 0;
    c->stop[0] = 7;
    c->sampling.stop_count = 1;
    c->sampling.min_tokens = 1;
}

static void on_edits_that_leave_little_or_nothing(void **state)
{
    (void)state;
    static void (*const edits[])(struct test_case *) = {
        ban_everything,
        allow_what_is_banned,
        allow_what_the_bitmask_does_not,
        empty_bitmask,
        bias_down,
        bias_down_to_nothing,
        bias_one_up,
        bias_one_to_infinity,
        penalize_to_nothing,
        stop_ids_only,
    };
    uint64_t random = test_seed();
    struct bench bench;
    bench_begin(&bench, CASE_MAX_LIST);
    for (uint32_t e = 0; e < COUNT(edits); e++)
        for (uint32_t f = 0; f < COUNT(every_filter); f++)
            for (uint32_t n = 0; n < 6; n++) {
                struct test_case c;
                float logits[CASE_MAX_LIST / 2];
                const uint32_t vocab = 8 + (f + n) % (CASE_MAX_LIST / 2 - 7);
                for (uint32_t id = 0; id < vocab; id++)
                    logits[id] = n == 5 ? -INFINITY : (float)random_normal(&random);
                uint32_t sizes[CASE_MAX_SHARDS];
                const uint32_t shards = random_split(&random, vocab, sizes);
                case_begin_split(&c, logits, vocab, (enum rz_dtype)(n % 3), 0, sizes, shards);
                c.kind = "edited";
                set_filters(&c, &every_filter[f]);
                vary(&c, bench.rows);
                edits[e](&c);
                compare(&bench, &c);
                case_end(&c);
            }
    bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_back_end_is_the_reference_on_random_rows),
        cmocka_unit_test(on_random_rows_of_real_vocabularies),
        cmocka_unit_test(on_every_vocabulary_up_to_40),
        cmocka_unit_test(on_hard_rows_with_every_filter),
        cmocka_unit_test(on_nuclei_that_end_at_a_tie),
        cmocka_unit_test(on_every_k_among_ties),
        cmocka_unit_test(on_temperatures_from_1e_5_to_1e6),
        cmocka_unit_test(on_edited_tiles_just_outside_the_nucleus),
        cmocka_unit_test(on_equal_huge_logits_drawn_many_times),
        cmocka_unit_test(on_edits_that_leave_little_or_nothing),
    };
    return cmocka_run_group_tests_name("differential", tests, NULL, NULL);
}
