/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_sampler.c - bytes that libFuzzer makes up stand for a row and a request; every back end that
 * runs here must return what the reference does, in every field.
 *
 * A row is written in few bytes: a palette of up to 16 values, raw bits of the row's dtype, so that
 * NaN, infinities, subnormal and huge numbers occur; a pattern that says which id has which; and
 * single ids that have another. Small changes of the bytes then are small changes of the row: one
 * more tie, another boundary. Bytes that are missing read as 0, for which there is a plain row and
 * a plain request.
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/row.h"
#include "tests/kernels/cases.h"

enum {
    MOST_IDS = 2000,
    MOST_VALUES = 16,
    MOST_PATCHES = 15,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ------------------------------------------------------------------------------------------------
 * Bytes
 */

struct bytes {
    const uint8_t *next;
    size_t left;
};

static uint32_t take_8(struct bytes *bytes)
{
    if (bytes->left == 0)
        return 0;
    bytes->left--;
    return *bytes->next++;
}

static uint32_t take_16(struct bytes *bytes)
{
    const uint32_t low = take_8(bytes);
    return low | take_8(bytes) << 8;
}

static uint32_t take_32(struct bytes *bytes)
{
    const uint32_t low = take_16(bytes);
    return low | take_16(bytes) << 16;
}

#define TAKE_ONE_OF(bytes, array) ((array)[take_8(bytes) % (sizeof(array) / sizeof(array)[0])])

/* ------------------------------------------------------------------------------------------------
 * The row
 */

static float value_of_bits(uint32_t bits, enum rz_dtype dtype)
{
    return dtype == RZ_F32 ? rz_float_from_bits(bits)
                           : rz_float_from_16_bits((uint16_t)bits, dtype);
}

/* A value as raw bits, half of the time of two bytes only: exponent and leading digits. */
static float take_value(struct bytes *bytes, enum rz_dtype dtype)
{
    if (dtype != RZ_F32)
        return value_of_bits(take_16(bytes), dtype);
    return rz_float_from_bits(take_8(bytes) % 2 == 0 ? take_16(bytes) << 16 : take_32(bytes));
}

/* `steps` values of the dtype further up or down, as integers have it. */
static float neighbour(float value, uint32_t steps, enum rz_dtype dtype)
{
    const uint32_t shift = dtype == RZ_F32 ? 0 : dtype == RZ_F16 ? 13 : 16;
    return rz_float_from_bits(rz_float_bits(value) + (steps << shift));
}

static void fill_row(struct bytes *bytes, float *logits, uint32_t vocab, enum rz_dtype dtype)
{
    float palette[MOST_VALUES];
    const uint32_t values = 1 + take_8(bytes) % MOST_VALUES;
    for (uint32_t i = 0; i < values; i++)
        palette[i] = take_value(bytes, dtype);
    const uint32_t pattern = take_8(bytes) % 7, number = 1 + take_16(bytes);
    uint64_t state = number;
    for (uint32_t id = 0; id < vocab; id++) {
        const uint32_t drawn = random_below(&state, values);
        switch (pattern) {
        case 0: logits[id] = palette[drawn]; break;
        case 1: logits[id] = palette[id * values / vocab]; break;
        case 2: logits[id] = palette[id / number % values]; break;
        case 3: logits[id] = palette[id % number == 0 ? drawn : 0]; break;
        case 4: logits[id] = neighbour(palette[drawn], id % number, dtype); break;
        case 5: logits[id] = palette[0] - (float)id * palette[values - 1]; break;
        default: logits[id] = palette[0] + palette[values - 1] * (float)random_unit(&state); break;
        }
    }
    const uint32_t patches = take_8(bytes) % (MOST_PATCHES + 1);
    for (uint32_t i = 0; i < patches; i++) {
        const uint32_t id = take_16(bytes) % vocab;
        logits[id] = palette[take_8(bytes) % values];
    }
}

static uint32_t split_row(struct bytes *bytes, uint32_t columns, uint32_t sizes[CASE_MAX_SHARDS])
{
    const uint32_t shards = 1 + take_8(bytes) % CASE_MAX_SHARDS;
    for (uint32_t s = 0; s + 1 < shards; s++) {
        sizes[s] = take_16(bytes) % (columns + 1);
        columns -= sizes[s];
    }
    sizes[shards - 1] = columns;
    return shards;
}

/* ------------------------------------------------------------------------------------------------
 * The request
 */

/* 10^-5 to 10^6, or a value that may matter. */
static float take_temperature(struct bytes *bytes)
{
    static const float values[] = {1.0f,  0.0f, 9e-6f,     1e-5f,      1e6f,
                                   1e30f, 0.7f, 1.442695f, 0.7213475f, 3.4028235e38f};
    const uint32_t way = take_8(bytes);
    if (way >= 128)
        return (float)pow(10.0, (double)take_16(bytes) * (11.0 / 65536.0) - 5.0);
    return values[way % (sizeof values / sizeof values[0])];
}

static uint32_t take_top_k(struct bytes *bytes, uint32_t vocab)
{
    const uint32_t way = take_8(bytes) % 5, number = way == 0 ? 0 : take_16(bytes);
    switch (way) {
    case 0: return 0;
    case 1: return number % 64;
    case 2: return vocab + number % 4 - 2;
    case 3: return number % (vocab + 1);
    default: return UINT32_MAX - number;
    }
}

/* top_p in (0, 1], min_p in [0, 1): a part of 2^16, or as near to an end as a float gets. */
static float take_share(struct bytes *bytes, float plain)
{
    const uint32_t way = take_8(bytes) % 5, number = way == 0 ? 0 : take_16(bytes);
    switch (way) {
    case 0: return plain;
    case 1: return (float)(number + 1) * (0x1p-16f - 0x1p-40f);
    case 2: return 1.0f - (float)(number % 64 + 1) * 0x1p-24f;
    case 3: return ldexpf(1.0f, -1 - (int)(number % 140));
    default: return nextafterf((float)(number % 255 + 1) * 0x1p-8f, (float)(number >> 15));
    }
}

static uint32_t take_ids(struct bytes *bytes, uint32_t vocab, uint32_t most, int32_t *ids)
{
    const uint32_t count = take_8(bytes) % (most + 1);
    for (uint32_t i = 0; i < count; i++)
        ids[i] = (int32_t)(take_16(bytes) % vocab);
    return count;
}

static void take_lists(struct bytes *bytes, struct test_case *c)
{
    struct rz_sampling *p = &c->sampling;
    const uint32_t vocab = c->view.vocab_size;
    p->allowed_count = take_ids(bytes, vocab, CASE_MAX_LIST, c->allowed);
    p->banned_count = take_ids(bytes, vocab, 16, c->banned);
    p->stop_count = take_ids(bytes, vocab, 4, c->stop);
    p->min_tokens = take_8(bytes) % 2;
    p->bias_count = take_ids(bytes, vocab, 16, c->prompt);
    for (uint32_t i = 0; i < p->bias_count; i++) {
        const float bias = take_value(bytes, RZ_F32);
        c->bias[i] = (struct rz_bias){c->prompt[i], isfinite(bias) ? bias : 0.0f};
    }
    c->task.prompt_count = take_ids(bytes, vocab, 16, c->prompt);
    c->task.output_count = take_ids(bytes, vocab, 16, c->output);
    const uint32_t entries = take_8(bytes) % 17; /* each id once */
    const uint32_t first = take_16(bytes) % vocab;
    for (uint32_t i = 0; i < entries && first + i < vocab; i++) {
        const uint32_t counts = take_8(bytes);
        c->history[c->task.history_count++] = (struct rz_history_entry){
            (int32_t)(first + i), counts >> 1, (counts & 1) != 0 || counts >> 1 == 0};
    }
}

static void take_bitmask(struct bytes *bytes, struct test_case *c)
{
    const uint32_t way = take_8(bytes) % 4;
    if (way == 0)
        return;
    const uint32_t words[] = {take_16(bytes) * 0x10001, take_32(bytes)};
    case_set_bitmask(c, false);
    for (uint32_t w = 0; w < (c->view.vocab_size + 31) / 32; w++)
        c->bitmask[w] = way == 1 ? words[w % 2] : way == 2 ? ~words[w % 2] : w == words[0] % 64;
}

static void take_request(struct bytes *bytes, struct test_case *c)
{
    static const float repetitions[] = {1.0f, 1.3f, 0.5f, 100.0f, 1e-30f, 1e-45f};
    static const float additives[] = {0.0f, 0.3f, -0.7f, 100.0f, -100.0f};
    struct rz_sampling *p = &c->sampling;
    p->temperature = take_temperature(bytes);
    p->top_k = take_top_k(bytes, c->view.vocab_size);
    p->top_p = take_share(bytes, 1.0f);
    p->min_p = take_share(bytes, 0.0f);
    const uint32_t logprobs = take_8(bytes);
    if (logprobs != 0) {
        p->flags |= RZ_SAMPLING_LOGPROBS;
        p->logprobs_mode = logprobs % 2;
        p->top_logprobs = logprobs / 2 % (RZ_MAX_TOP_LOGPROBS + 1);
    }
    c->task.draws = 1 + take_8(bytes) % CASE_MAX_DRAWS;
    c->task.seed = take_32(bytes);
    c->task.position = take_16(bytes);
    if (take_8(bytes) % 2 != 0)
        c->task.position = UINT64_MAX - c->task.position;
    p->repetition_penalty = TAKE_ONE_OF(bytes, repetitions);
    p->frequency_penalty = TAKE_ONE_OF(bytes, additives);
    p->presence_penalty = TAKE_ONE_OF(bytes, additives);
    take_lists(bytes, c);
    take_bitmask(bytes, c);
}

/* ------------------------------------------------------------------------------------------------
 */

static void take_case(struct bytes *bytes, struct test_case *c)
{
    static const enum rz_dtype dtypes[] = {RZ_F32, RZ_F16, RZ_BF16};
    float logits[MOST_IDS];
    uint32_t sizes[CASE_MAX_SHARDS];
    const enum rz_dtype dtype = TAKE_ONE_OF(bytes, dtypes);
    const uint32_t vocab = 1 + take_16(bytes) % MOST_IDS, padding = take_8(bytes) % 40;
    fill_row(bytes, logits, vocab, dtype);
    const uint32_t shards = split_row(bytes, vocab + padding, sizes);
    case_begin_split(c, logits, vocab, dtype, padding, sizes, shards);
    c->kind = "fuzzed";
    take_request(bytes, c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes bytes = {data, size};
    struct test_case c;
    struct rz_result got[CASE_MAX_DRAWS], expected[CASE_MAX_DRAWS];
    take_case(&bytes, &c);
    struct rz_error error;
    assert(rz_sampling_check(&c.sampling, c.view.vocab_size, &error) == RZ_OK);
    memset(expected, 0x77, sizeof expected);
    case_draw(&c, &rz_sampler_reference, expected);
    for (uint32_t backend = RZ_BACKEND_SCALAR; backend <= RZ_BACKEND_AVX512; backend++) {
        const struct rz_sampler_ops *ops = rz_sampler_find(backend);
        if (ops == NULL)
            continue;
        memset(got, 0x55, sizeof got);
        case_draw(&c, ops, got);
        for (uint32_t i = 0; i < c.task.draws; i++)
            if (!case_same_result(&got[i], &expected[i])) {
                fprintf(stderr, "%s: %s\n", ops->name, case_difference(&c, &got[i], &expected[i]));
                abort();
            }
    }
    case_end(&c);
    return 0;
}
