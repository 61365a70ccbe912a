/* SPDX-License-Identifier: Apache-2.0
 *
 * floats.h - bits of floats, their order as integers, and logits of any dtype as fp32, on host and
 * device.
 */
#ifndef RZ_KERNELS_FLOATS_H
#define RZ_KERNELS_FLOATS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/numerics.h"
#include "kernels/sampler.h"

RZ_HD float rz_float_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

RZ_HD uint32_t rz_float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* An unsigned integer in the order of the floats, and back; -0 and +0 are the same. */
RZ_HD uint32_t rz_float_key(float value)
{
    const uint32_t bits = rz_float_bits(value + 0.0f); /* -0 + 0 is +0 */
    return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

RZ_HD float rz_float_of_key(uint32_t key)
{
    return rz_float_from_bits((key & 0x80000000u) != 0 ? key & 0x7FFFFFFFu : ~key);
}

RZ_HD float rz_float_from_bfloat16(uint16_t bits)
{
    return rz_float_from_bits((uint32_t)bits << 16);
}

/* Exact: every fp16 value, subnormal, inf and NaN, is an fp32 value. */
RZ_HD float rz_float_from_float16(uint16_t bits)
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

RZ_HD float rz_float_from_16_bits(uint16_t bits, enum rz_dtype dtype)
{
    return dtype == RZ_F16 ? rz_float_from_float16(bits) : rz_float_from_bfloat16(bits);
}

/* Element `index` of an array of logits. */
RZ_HD float rz_logit_at(const void *logits, enum rz_dtype dtype, size_t index)
{
    if (dtype == RZ_F32)
        return ((const float *)logits)[index];
    return rz_float_from_16_bits(((const uint16_t *)logits)[index], dtype);
}

/* Number of tiles of a vocabulary. */
RZ_HD uint32_t rz_tile_count(uint32_t vocab_size)
{
    return (vocab_size + RZ_TILE - 1) / RZ_TILE;
}

#endif
