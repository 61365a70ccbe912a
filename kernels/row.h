/* SPDX-License-Identifier: Apache-2.0
 *
 * row.h - read logits of a row from the shards that hold them, as fp32.
 */
#ifndef RZ_KERNELS_ROW_H
#define RZ_KERNELS_ROW_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "kernels/sampler.h"

static inline float rz_float_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t rz_float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* An unsigned integer in the order of the floats, and back; -0 and +0 are the same. */
static inline uint32_t rz_float_key(float value)
{
    const uint32_t bits = rz_float_bits(value + 0.0f); /* -0 + 0 is +0 */
    return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

static inline float rz_float_of_key(uint32_t key)
{
    return rz_float_from_bits((key & 0x80000000u) != 0 ? key & 0x7FFFFFFFu : ~key);
}

static inline float rz_float_from_bfloat16(uint16_t bits)
{
    return rz_float_from_bits((uint32_t)bits << 16);
}

/* Exact: every fp16 value, subnormal, inf and NaN, is an fp32 value. */
static inline float rz_float_from_float16(uint16_t bits)
{
    const uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
    const uint32_t rest = bits & 0x7FFFu;
    if (rest >= 0x7C00u)
        return rz_float_from_bits(sign | 0x7F800000u | (rest & 0x3FFu) << 13);
    if (rest >= 0x0400u)
        return rz_float_from_bits(sign | ((rest << 13) + 0x38000000u));
    const float magnitude = (float)rest * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
}

static inline float rz_float_from_16_bits(uint16_t bits, enum rz_dtype dtype)
{
    return dtype == RZ_F16 ? rz_float_from_float16(bits) : rz_float_from_bfloat16(bits);
}

/* Element `index` of an array of logits. */
static inline float rz_logit_at(const void *logits, enum rz_dtype dtype, size_t index)
{
    if (dtype == RZ_F32)
        return ((const float *)logits)[index];
    return rz_float_from_16_bits(((const uint16_t *)logits)[index], dtype);
}

/* Number of tiles of a vocabulary. */
static inline uint32_t rz_tile_count(uint32_t vocab_size)
{
    return (vocab_size + RZ_TILE - 1) / RZ_TILE;
}

/* rz_row_shard - the shard that holds an id. */
const struct rz_shard_view *rz_row_shard(const struct rz_logits_view *view, uint32_t id);

/* rz_row_logit - the logit of an id as it came. */
float rz_row_logit(const struct rz_logits_view *view, uint32_t row, uint32_t id);

/* rz_row_read - logits of ids first .. first+count-1 as they came, all below vocab_size. */
void rz_row_read(const struct rz_logits_view *view, uint32_t row, uint32_t first, uint32_t count,
                 float *out);

/* rz_row_read_tile - the 16 logits of a tile: NaN as -inf, and -inf past the vocabulary. */
void rz_row_read_tile(const struct rz_logits_view *view, uint32_t row, uint32_t tile,
                      float out[RZ_TILE]);

#endif
