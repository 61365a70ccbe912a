/* SPDX-License-Identifier: Apache-2.0
 *
 * rows.h - logits for tests: any process can make any rank's columns of the same rows.
 */
#ifndef RZ_TESTS_ROWS_H
#define RZ_TESTS_ROWS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "rankzero/rankzero.h"

/* splitmix64 (Steele, Lea, Flood 2014): a hash of (row, id) to 64 bits. */
static inline uint64_t row_bits(uint64_t seed, uint64_t row, uint64_t id)
{
    uint64_t z = seed + row * UINT64_C(0x9E3779B97F4A7C15) + id * UINT64_C(0xD1B54A32D192ED03);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* A logit in steps of 1/8 between -8 and 8: exact in every dtype, with ties. */
static inline float row_logit(uint64_t seed, uint64_t row, uint32_t id)
{
    return (float)(row_bits(seed, row, id) % 129) / 8.0f - 8.0f;
}

static inline uint16_t row_to_half(float value)
{
    if (value == 0.0f)
        return 0;
    int exponent;
    const float mantissa = frexpf(fabsf(value), &exponent); /* [0.5, 1) */
    const uint32_t bits =
        (uint32_t)(exponent + 14) << 10 | ((uint32_t)(mantissa * 2048.0f) & 0x3FFu);
    return (uint16_t)(bits | (value < 0.0f ? 0x8000u : 0));
}

static inline uint16_t row_to_bfloat(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)(bits >> 16);
}

/* Write columns first .. first+count-1 of `rows` rows, rows being numbered from `row`. */
static inline void rows_write(void *to, size_t row_stride, uint32_t dtype, uint64_t seed,
                              uint64_t row, uint32_t rows, uint32_t first, uint32_t count)
{
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < count; c++) {
            const float value = row_logit(seed, row + r, first + c);
            const size_t at = r * row_stride + c;
            if (dtype == RZ_F32)
                ((float *)to)[at] = value;
            else
                ((uint16_t *)to)[at] = dtype == RZ_F16 ? row_to_half(value) : row_to_bfloat(value);
        }
}

/* Write this rank's columns into the job's own buffer. */
static inline void rows_write_shard(rz_job *job, uint32_t dtype, uint64_t seed, uint64_t row,
                                    uint32_t rows)
{
    size_t row_stride;
    uint32_t first, count;
    void *logits = rz_logits(job, &row_stride);
    rz_shard(job, &first, &count);
    rows_write(logits, row_stride, dtype, seed, row, rows, first, count);
}

#endif
