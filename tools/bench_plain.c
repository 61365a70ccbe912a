/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_plain.c - the plain maximum in C that compilers turn into whatever SIMD they may use.
 */
#include "tools/bench_plain.h"

#include <math.h>
#include <string.h>

enum { LANES = 64 };

static int16_t max16(const void *numbers, size_t count)
{
    const uint16_t *x = numbers;
    int16_t most[LANES];
    for (size_t j = 0; j < LANES; j++)
        most[j] = INT16_MIN;
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            const int16_t key = rz_bench_key16(x[i + j]);
            most[j] = key > most[j] ? key : most[j];
        }
    }
    for (; i < count; i++) {
        const int16_t key = rz_bench_key16(x[i]);
        most[0] = key > most[0] ? key : most[0];
    }
    for (size_t j = 1; j < LANES; j++)
        most[0] = most[j] > most[0] ? most[j] : most[0];
    return most[0];
}

static float max32(const void *numbers, size_t count)
{
    const float *x = numbers;
    float most[LANES];
    for (size_t j = 0; j < LANES; j++)
        most[j] = -INFINITY;
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            most[j] = x[i + j] > most[j] ? x[i + j] : most[j];
    for (; i < count; i++)
        most[0] = x[i] > most[0] ? x[i] : most[0];
    for (size_t j = 1; j < LANES; j++)
        most[0] = most[j] > most[0] ? most[j] : most[0];
    return most[0];
}

static uint64_t read_all(const void *bytes, size_t count)
{
    const char *at = bytes;
    uint64_t all[8] = {0};
    for (size_t i = 0; i + sizeof all <= count; i += sizeof all) {
        uint64_t words[8];
        memcpy(words, at + i, sizeof words);
        for (size_t j = 0; j < 8; j++)
            all[j] |= words[j];
    }
    for (size_t j = 1; j < 8; j++)
        all[0] |= all[j];
    return all[0];
}

const struct rz_bench_plain rz_bench_plain_any = {
    .name = "portable", .max16 = max16, .max32 = max32, .read = read_all};
