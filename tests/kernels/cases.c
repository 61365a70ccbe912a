/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/kernels/cases.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/row.h"

/* ------------------------------------------------------------------------------------------------
 * Random numbers and the environment
 */

uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

uint32_t random_below(uint64_t *state, uint32_t limit)
{
    assert(limit > 0);
    return (uint32_t)(random_next(state) % limit);
}

double random_unit(uint64_t *state)
{
    return (double)(random_next(state) >> 11) * 0x1p-53;
}

double random_normal(uint64_t *state)
{
    const double radius = sqrt(-2.0 * log(1.0 - random_unit(state)));
    return radius * cos(6.283185307179586 * random_unit(state));
}

uint64_t test_seed(void)
{
    const char *text = getenv("RZ_TEST_SEED");
    const uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : 1;
    printf("RZ_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

uint64_t test_scaled(uint64_t count)
{
    const char *text = getenv("RZ_TEST_SCALE");
    const double scaled = (double)count * (text != NULL ? strtod(text, NULL) : 1.0);
    return scaled < 1.0 ? 1 : (uint64_t)scaled;
}

/* ------------------------------------------------------------------------------------------------
 * Logits in shards
 */

/* Both towards zero; NaN stays NaN, and keeps its sign and what fits of its payload. */
static uint16_t bfloat16_bits(float value)
{
    const uint16_t bits = (uint16_t)(rz_float_bits(value) >> 16);
    return isnan(value) && (bits & 0x7F) == 0 ? bits | 0x40 : bits;
}

static uint16_t float16_bits(float value)
{
    const uint16_t sign = signbit(value) ? 0x8000 : 0;
    const float magnitude = fabsf(value);
    if (isnan(value)) {
        const uint16_t payload = rz_float_bits(value) >> 13 & 0x3FF;
        return sign | 0x7C00 | (payload != 0 ? payload : 0x200);
    }
    if (isinf(value))
        return sign | 0x7C00;
    if (magnitude >= 65504.0f)
        return sign | 0x7BFF;
    if (magnitude < 0x1p-14f)
        return (uint16_t)(sign | (uint16_t)(magnitude * 0x1p24f));
    return (uint16_t)(sign | (uint16_t)((rz_float_bits(magnitude) - 0x38000000u) >> 13));
}

static void store(void *buffer, enum rz_dtype dtype, size_t index, float value)
{
    switch (dtype) {
    case RZ_F32: ((float *)buffer)[index] = value; break;
    case RZ_F16: ((uint16_t *)buffer)[index] = float16_bits(value); break;
    case RZ_BF16: ((uint16_t *)buffer)[index] = bfloat16_bits(value); break;
    }
}

/* Logits of columns first .. first+count-1 in row 1 of 2. */
static void fill_shard(struct test_case *c, uint32_t shard, const float *logits, uint32_t vocab,
                       uint32_t first, uint32_t count)
{
    const size_t stride = (size_t)count + shard; /* rows need not touch */
    const size_t size = c->view.dtype == RZ_F32 ? 4 : 2;
    c->buffers[shard] = malloc((stride + count) * size + (count == 0));
    assert(c->buffers[shard] != NULL);
    for (size_t i = 0; i < stride; i++)
        store(c->buffers[shard], c->view.dtype, i, i % 2 == 0 ? NAN : INFINITY);
    for (uint32_t i = 0; i < count; i++)
        store(c->buffers[shard], c->view.dtype, stride + i,
              first + i < vocab      ? logits[first + i]
              : (first + i) % 2 == 0 ? NAN
                                     : INFINITY);
    c->shards[shard] = (struct rz_shard_view){
        .logits = c->buffers[shard], .row_stride = stride, .first = first, .count = count};
}

void case_begin_split(struct test_case *c, const float *logits, uint32_t count, enum rz_dtype dtype,
                      uint32_t padding, const uint32_t *sizes, uint32_t shard_count)
{
    memset(c, 0, sizeof *c);
    rz_sampling_init(&c->sampling);
    c->view = (struct rz_logits_view){
        .dtype = dtype, .vocab_size = count, .shard_count = shard_count, .shards = c->shards};
    c->task = (struct rz_row_task){.logits_row = 1, .draws = 1, .sampling = &c->sampling};
    c->sampling.allowed_ids = c->allowed;
    c->sampling.banned_ids = c->banned;
    c->sampling.stop_ids = c->stop;
    c->sampling.bias = c->bias;
    c->task.prompt_ids = c->prompt;
    c->task.output_ids = c->output;
    c->task.history = c->history;
    c->kind = "given";
    uint32_t first = 0;
    for (uint32_t s = 0; s < shard_count; s++) {
        fill_shard(c, s, logits, count, first, sizes[s]);
        first += sizes[s];
    }
    assert(first == count + padding);
}

void case_begin(struct test_case *c, const float *logits, uint32_t count)
{
    case_begin_split(c, logits, count, RZ_F32, 0, &count, 1);
}

void case_set_bitmask(struct test_case *c, bool allowed)
{
    const size_t words = (c->view.vocab_size + 31) / 32;
    assert(words > 0);
    free(c->bitmask);
    c->bitmask = malloc(words * sizeof *c->bitmask);
    assert(c->bitmask != NULL);
    memset(c->bitmask, allowed ? 0xFF : 0, words * sizeof *c->bitmask);
    c->task.bitmask = c->bitmask;
}

void case_end(struct test_case *c)
{
    for (uint32_t s = 0; s < CASE_MAX_SHARDS; s++)
        free(c->buffers[s]);
    free(c->bitmask);
    memset(c, 0, sizeof *c);
}

void case_draw(const struct test_case *c, const struct rz_sampler_ops *ops,
               struct rz_result *results)
{
    struct rz_sampler *sampler = ops->create(c->view.vocab_size);
    assert(sampler != NULL);
    ops->draw(sampler, &c->view, &c->task, results);
    ops->destroy(sampler);
}

/* ------------------------------------------------------------------------------------------------
 * Random cases
 */

typedef float (*value_function)(uint64_t *state, uint32_t id);

static float flat(uint64_t *state, uint32_t id)
{
    (void)id;
    return (float)random_unit(state);
}

static float normal(uint64_t *state, uint32_t id)
{
    (void)id;
    return (float)(3.0 * random_normal(state));
}

static float peaked(uint64_t *state, uint32_t id)
{
    (void)id;
    const double x = random_normal(state);
    return (float)(x * x * x * 8.0 - 20.0);
}

static float zipf(uint64_t *state, uint32_t id)
{
    return (float)(12.0 - 1.1 * log(1.0 + id) + 0.01 * random_normal(state));
}

static float tied(uint64_t *state, uint32_t id)
{
    (void)id;
    return (float)random_below(state, 6) - 3.0f;
}

static float equal(uint64_t *state, uint32_t id)
{
    (void)state;
    (void)id;
    return -0.75f;
}

static float mostly_masked(uint64_t *state, uint32_t id)
{
    return random_below(state, 20) == 0 ? normal(state, id) : -INFINITY;
}

static float all_masked(uint64_t *state, uint32_t id)
{
    (void)id;
    return random_below(state, 50) == 0 ? NAN : -INFINITY;
}

static float with_infinity(uint64_t *state, uint32_t id)
{
    return random_below(state, 200) == 0 ? INFINITY : normal(state, id);
}

static float with_nan(uint64_t *state, uint32_t id)
{
    const float x = random_below(state, 9) == 0 ? NAN : normal(state, id);
    return isnan(x) && random_below(state, 2) == 0 ? -x : x;
}

static float huge(uint64_t *state, uint32_t id)
{
    (void)id;
    return (float)((2.0 * random_unit(state) - 1.0) * (double)FLT_MAX);
}

static float denormal(uint64_t *state, uint32_t id)
{
    (void)id;
    return (random_below(state, 2) == 0 ? -1.0f : 1.0f) * (float)random_unit(state) * FLT_MIN;
}

/* Anything at all that 32 bits can be. */
static float any_bits(uint64_t *state, uint32_t id)
{
    (void)id;
    return rz_float_from_bits((uint32_t)random_next(state));
}

static float one_above(uint64_t *state, uint32_t id)
{
    return id == 13 ? 30.0f : flat(state, id);
}

static float neighbours(uint64_t *state, uint32_t id)
{
    (void)id;
    return rz_float_from_bits(rz_float_bits(5.0f) + random_below(state, 4));
}

static const struct {
    const char *name;
    value_function value;
} kinds[] = {
    {"flat", flat},
    {"normal", normal},
    {"peaked", peaked},
    {"zipf", zipf},
    {"tied", tied},
    {"equal", equal},
    {"mostly masked", mostly_masked},
    {"all masked", all_masked},
    {"with infinity", with_infinity},
    {"with NaN", with_nan},
    {"huge", huge},
    {"denormal", denormal},
    {"any bits", any_bits},
    {"one above", one_above},
    {"neighbours", neighbours},
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

#define PICK(state, array) ((array)[random_below((state), sizeof(array) / sizeof(array)[0])])

static uint32_t random_vocab(uint64_t *state)
{
    static const uint32_t sizes[] = {1,  2,  15, 16,  17,   31,   32,  33,
                                     63, 64, 65, 111, 1023, 1024, 1025};
    switch (random_below(state, 4)) {
    case 0: return PICK(state, sizes);
    case 1: return 1 + random_below(state, CASE_MAX_VOCAB);
    default: return 1 + random_below(state, 300);
    }
}

uint32_t random_split(uint64_t *state, uint32_t columns, uint32_t sizes[CASE_MAX_SHARDS])
{
    const uint32_t shards = 1 + random_below(state, CASE_MAX_SHARDS);
    for (uint32_t s = 0; s + 1 < shards; s++) {
        const uint32_t most = random_below(state, 2) == 0 ? columns : 2 * columns / (shards - s);
        sizes[s] = random_below(state, (most < columns ? most : columns) + 1);
        columns -= sizes[s];
    }
    sizes[shards - 1] = columns;
    return shards;
}

/* Up to `most` ids, some of them more than once; usually none. */
static uint32_t random_ids(uint64_t *state, uint32_t vocab, int32_t *ids, uint32_t most)
{
    if (random_below(state, 3) != 0)
        return 0;
    const uint32_t count = random_below(state, most + 1);
    for (uint32_t i = 0; i < count; i++)
        ids[i] = (int32_t)random_below(state, vocab);
    return count;
}

/* A history names each id once: a stretch of consecutive ones does. */
static uint32_t random_history(uint64_t *state, uint32_t vocab, struct rz_history_entry *history)
{
    if (random_below(state, 3) != 0)
        return 0;
    const uint32_t count = random_below(state, (vocab < CASE_MAX_LIST ? vocab : CASE_MAX_LIST) + 1);
    const uint32_t first = random_below(state, vocab - count + 1);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t output_count = random_below(state, 4);
        history[i] = (struct rz_history_entry){
            .id = (int32_t)(first + i),
            .output_count = output_count,
            .in_prompt = output_count == 0 || random_below(state, 2) == 0,
        };
    }
    return count;
}

static void random_lists(uint64_t *state, struct test_case *c)
{
    struct rz_sampling *p = &c->sampling;
    const uint32_t vocab = c->view.vocab_size;
    p->allowed_count =
        random_below(state, 3) == 0 ? random_ids(state, vocab, c->allowed, CASE_MAX_LIST) : 0;
    p->banned_count = random_ids(state, vocab, c->banned, 20);
    p->stop_count = random_ids(state, vocab, c->stop, 5);
    p->min_tokens = random_below(state, 3);
    c->task.output_length = random_below(state, 3);
    p->bias_count = random_ids(state, vocab, c->prompt, 20);
    for (uint32_t i = 0; i < p->bias_count; i++)
        c->bias[i] =
            (struct rz_bias){.id = c->prompt[i], .bias = (float)(5 * random_normal(state))};
    c->task.history_count = random_history(state, vocab, c->history);
    c->task.prompt_count = random_ids(state, vocab, c->prompt, CASE_MAX_LIST);
    c->task.output_count = random_ids(state, vocab, c->output, CASE_MAX_LIST);
    if (random_below(state, 5) == 0) {
        const uint32_t style = random_below(state, 3);
        case_set_bitmask(c, style != 0);
        for (uint32_t w = 0; style != 1 && w < (vocab + 31) / 32; w++) {
            const uint32_t a = (uint32_t)random_next(state), b = (uint32_t)random_next(state);
            c->bitmask[w] = style == 2 ? a | b : a & b;
        }
    }
}

static void random_parameters(uint64_t *state, struct test_case *c)
{
    static const float temperatures[] = {0.0f, 9e-6f, 1e-5f, 0.01f, 0.3f,  0.7f,   1.0f,
                                         1.0f, 1.5f,  5.0f,  1e4f,  1e30f, FLT_MAX};
    static const float top_ps[] = {1.0f, 1.0f, 0.99999994f, 0.999f, 0.95f, 0.9f, 0.5f, 0.1f, 1e-6f};
    static const float min_ps[] = {0.0f,  0.0f, 0.0f,  1e-30f,     0.01f,
                                   0.05f, 0.5f, 0.99f, 0.99999994f};
    static const float repetitions[] = {1.0f, 1.0f, 1.2f, 0.5f, 100.0f, 1e-30f};
    static const float additives[] = {0.0f, 0.0f, 0.3f, -0.7f, 100.0f, -100.0f};
    struct rz_sampling *p = &c->sampling;
    const uint32_t top_ks[] = {
        0, 0, 0, 1, 2, 5, 16, 17, 40, c->view.vocab_size, c->view.vocab_size + 1};
    p->temperature = PICK(state, temperatures);
    p->top_k = PICK(state, top_ks);
    p->top_p = PICK(state, top_ps);
    p->min_p = PICK(state, min_ps);
    p->repetition_penalty = PICK(state, repetitions);
    p->frequency_penalty = PICK(state, additives);
    p->presence_penalty = PICK(state, additives);
    if (random_below(state, 2) == 0) {
        p->flags |= RZ_SAMPLING_LOGPROBS;
        p->logprobs_mode = random_below(state, 2);
        p->top_logprobs = random_below(state, 2) * random_below(state, RZ_MAX_TOP_LOGPROBS + 1);
    }
    c->task.seed = random_next(state) >> random_below(state, 64);
    c->task.position = random_next(state) >> random_below(state, 64);
    c->task.draws = random_below(state, 4) == 0 ? 1 + random_below(state, CASE_MAX_DRAWS) : 1;
}

/* The case of a state, with a vocabulary that was drawn from it or is given. */
static void random_case(struct test_case *c, uint64_t *state, uint32_t vocab)
{
    const uint32_t padding = random_below(state, 2) * random_below(state, 40);
    const uint32_t kind = random_below(state, KINDS);
    const double factor = random_below(state, 4) == 0 ? exp(3.0 * random_normal(state)) : 1.0;
    float *logits = malloc(vocab * sizeof *logits);
    assert(logits != NULL);
    for (uint32_t id = 0; id < vocab; id++)
        logits[id] = (float)(factor * (double)kinds[kind].value(state, id));
    uint32_t sizes[CASE_MAX_SHARDS];
    const uint32_t shards = random_split(state, vocab + padding, sizes);
    case_begin_split(c, logits, vocab, (enum rz_dtype)random_below(state, 3), padding, sizes,
                     shards);
    free(logits);
    c->kind = kinds[kind].name;
    random_lists(state, c);
    random_parameters(state, c);
}

static uint64_t state_of(uint64_t seed, uint64_t index)
{
    uint64_t state = seed * 0x100000001B3 ^ index * 0x9E3779B97F4A7C15;
    random_next(&state);
    return state;
}

void case_random(struct test_case *c, uint64_t seed, uint64_t index)
{
    uint64_t state = state_of(seed, index);
    const uint32_t vocab = random_vocab(&state);
    random_case(c, &state, vocab);
}

void case_random_of(struct test_case *c, uint64_t seed, uint64_t index, uint32_t vocab)
{
    uint64_t state = state_of(seed, index);
    random_case(c, &state, vocab);
}

const char *case_text(const struct test_case *c)
{
    static char text[512];
    const struct rz_sampling *p = &c->sampling;
    snprintf(text, sizeof text,
             "%s, vocab %u, dtype %d, %u shards, T %g, top-k %u, top-p %.9g, min-p %g, penalties "
             "%g %g %g, %u allowed, %u banned, %u stop, %u bias, %s bitmask, history %u + %u + %u, "
             "logprobs %u mode %u top %u, %u draws",
             c->kind, c->view.vocab_size, (int)c->view.dtype, c->view.shard_count,
             (double)p->temperature, p->top_k, (double)p->top_p, (double)p->min_p,
             (double)p->repetition_penalty, (double)p->frequency_penalty,
             (double)p->presence_penalty, p->allowed_count, p->banned_count, p->stop_count,
             p->bias_count, c->bitmask != NULL ? "a" : "no", c->task.history_count,
             c->task.prompt_count, c->task.output_count, p->flags & RZ_SAMPLING_LOGPROBS,
             p->logprobs_mode, p->top_logprobs, c->task.draws);
    return text;
}

bool case_same_result(const struct rz_result *a, const struct rz_result *b)
{
    bool same = a->id == b->id && a->status == b->status && a->rank == b->rank &&
                a->seed == b->seed && a->position == b->position && a->top_count == b->top_count &&
                rz_float_bits(a->logprob) == rz_float_bits(b->logprob);
    for (uint32_t i = 0; i < RZ_MAX_TOP_LOGPROBS; i++)
        same = same && a->top_ids[i] == b->top_ids[i] &&
               rz_float_bits(a->top_logprobs[i]) == rz_float_bits(b->top_logprobs[i]);
    return same;
}

const char *case_difference(const struct test_case *c, const struct rz_result *got,
                            const struct rz_result *expected)
{
    static char text[1024];
    snprintf(text, sizeof text,
             "id %d status %u rank %u logprob %.9g top %u\n"
             "    instead of %d status %u rank %u logprob %.9g top %u\n    position %llu, %s",
             got->id, got->status, got->rank, (double)got->logprob, got->top_count, expected->id,
             expected->status, expected->rank, (double)expected->logprob, expected->top_count,
             (unsigned long long)expected->position, case_text(c));
    return text;
}
