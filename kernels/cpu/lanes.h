/* SPDX-License-Identifier: Apache-2.0
 *
 * lanes.h - sixteen lanes, of whichever lanes_*.h was included before, and arithmetic on them.
 *
 * Comments in what is built on it give the cost in instructions of AVX-512 for 16 ids or tiles
 * where it matters.
 */
#ifndef RZ_KERNELS_LANES_H
#define RZ_KERNELS_LANES_H

#include <float.h>
#include <math.h>

#include "kernels/contract.h"
#include "kernels/cpu/passes.h"

enum { LANES = 16 };

/* For functions whose arguments are to become constants where they are called. */
#define INLINED static inline __attribute__((always_inline))

static inline size_t bytes_of(enum rz_dtype dtype)
{
    return dtype == RZ_F32 ? 4 : 2;
}

static inline f32x16 load_16(const char *at, enum rz_dtype dtype)
{
    switch (dtype) {
    case RZ_F32: return f32_load((const float *)(const void *)at);
    case RZ_F16: return f32_load_f16((const uint16_t *)(const void *)at);
    default: return f32_load_bf16((const uint16_t *)(const void *)at);
    }
}

/* rz_scaled(). */
static inline f32x16 scaled(f32x16 x, f32x16 scale)
{
    const f32x16 y = f32_min(f32_mul(x, scale), f32_set(FLT_MAX));
    return f32_select(f32_ge(x, f32_set(-FLT_MAX)), f32_max(y, f32_set(-FLT_MAX)), y);
}

/* RZ_MASS_ONE * rz_exp2(y - exponent), operation by operation, for y from exponent - 64 to
 * exponent; anything else gives anything. */
static inline f64x8 exact_mass(f64x8 y, f64x8 exponent)
{
    const f64x8 shift = f64_set(RZ_EXP2_SHIFT);
    const f64x8 x = f64_sub(y, exponent);
    const f64x8 shifted = f64_add(x, shift);
    const f64x8 rounded = f64_sub(shifted, shift);
    const f64x8 r = f64_sub(x, rounded);

    const f64x8 r2 = f64_mul(r, r);
    const f64x8 low = f64_add(f64_set(RZ_EXP2_C1), f64_mul(r, f64_set(RZ_EXP2_C2)));
    const f64x8 mid = f64_add(f64_set(RZ_EXP2_C3), f64_mul(r, f64_set(RZ_EXP2_C4)));
    const f64x8 top = f64_add(f64_set(RZ_EXP2_C5), f64_mul(r, f64_set(RZ_EXP2_C6)));
    const f64x8 expm1 = f64_mul(r, f64_add(low, f64_mul(r2, f64_add(mid, f64_mul(r2, top)))));
    const u64x8 n = f64_bits(shifted);
    const f64x8 high = f64_lookup32(rz_exp2_high, n);
    const f64x8 power = f64_add(high, f64_add(f64_lookup32(rz_exp2_low, n), f64_mul(high, expm1)));
    return f64_times_exp2_floor(power, f64_add(rounded, f64_set(44.0)));
}

/* factor * 2^(y - one) within a factor of 1 + 2^-34, for y of fp32,
 * integers `one`, and results from 2^-1000 to 2^1000: a table of 2^(i/16), from whose exponents
 * i/16 is taken off as y puts it on, and for |r| <= 1/32 the series of e^(r ln 2), of which (ln(2)
 * / 32)^5 / 120 < 2^-34.5 is left out.
 *
 * In two halves, each four at a time and step by step: a processor looks ahead no further than one
 * of them is long, and every step waits for the last. With the second half of some ids beside the
 * first of the next it has twice as much that it can do (1.3 times as fast). */
struct near_exp2 {
    f64x8 shifted[4], r[4];
};

INLINED struct near_exp2 begin_near_exp2(const f64x8 *y, int count, double one)
{
    const f64x8 shift = f64_set(0x1.8p+48 - one);
    struct near_exp2 begun;
    for (int i = 0; i < count; i++)
        begun.shifted[i] = f64_add(y[i], shift);
    for (int i = 0; i < count; i++)
        begun.r[i] = f64_sub(y[i], f64_sub(begun.shifted[i], shift));
    return begun;
}

INLINED void end_near_exp2(const struct near_exp2 *begun, int count, double factor, f64x8 *result)
{
    static const double sixteenths[16] = {
        0x1.0000000000000p+0, 0x1.fb5586cf9890fp-1, 0x1.f72b83c7d517bp-1, 0x1.f387a6e756238p-1,
        0x1.f06fe0a31b715p-1, 0x1.edea64c123422p-1, 0x1.ebfdad5362a27p-1, 0x1.eab07dd485429p-1,
        0x1.ea09e667f3bcdp-1, 0x1.ea11473eb0187p-1, 0x1.eace5422aa0dbp-1, 0x1.ec49182a3f090p-1,
        0x1.ee89f995ad3adp-1, 0x1.f199bdd85529cp-1, 0x1.f5818dcfba487p-1, 0x1.fa4afa2a490dap-1,
    };
    static const double series[5] = {0x1.3b2ab6fba4e77p-7, 0x1.c6b08d704a0bfp-5,
                                     0x1.ebfbdff82c58ep-3, 0x1.62e42fefa39efp-1, 1.0};
    f64x8 p[4];
    for (int i = 0; i < count; i++)
        p[i] = f64_mul_add(f64_set(series[0] * factor), begun->r[i], f64_set(series[1] * factor));
    for (int term = 2; term < 5; term++)
        for (int i = 0; i < count; i++)
            p[i] = f64_mul_add(p[i], begun->r[i], f64_set(series[term] * factor));
    for (int i = 0; i < count; i++) {
        const u64x8 n = f64_bits(begun->shifted[i]);
        const u64x8 power = u64_add(f64_bits(f64_lookup16(sixteenths, n)), u64_shift_left(n, 48));
        result[i] = f64_mul(f64_from_bits(power), p[i]);
    }
}

/* 2^x within a factor of 1 + 2^-21, for -126 <= x <= 100; what is below counts as -126. The
 * polynomial is minimax on |r| <= 1/2 (2^-22.6), four roundings come on top. */
static inline f32x16 about_exp2(f32x16 x)
{
    const f32x16 shift = f32_set(0x1.8p+23f);
    const f32x16 clamped = f32_max(x, f32_set(-126.0f));
    const f32x16 shifted = f32_add(clamped, shift);
    const f32x16 r = f32_sub(clamped, f32_sub(shifted, shift));
    f32x16 p = f32_set(0x1.5c08e6p-10f);
    p = f32_mul_add(p, r, f32_set(0x1.3d0c52p-7f));
    p = f32_mul_add(p, r, f32_set(0x1.c6b6e4p-5f));
    p = f32_mul_add(p, r, f32_set(0x1.ebf918p-3f));
    p = f32_mul_add(p, r, f32_set(0x1.62e428p-1f));
    p = f32_mul_add(p, r, f32_set(0x1.000002p+0f));
    return f32_from_bits(u32_add(f32_bits(p), u32_shift_left(f32_bits(shifted), 23)));
}

/* From 1 to 1.0615 times 2^x: for x = n + f it is 2^n (1 + f), the chord, whose bits are those of
 * (x + 127) 2^23 as an integer. 0 or less below -126. Rounding makes that a factor of 1 + 2^-16
 * more, or less. */
static inline f32x16 chord_exp2(f32x16 x)
{
    const f32x16 bits = f32_mul_add(x, f32_set(0x1p+23f), f32_set(127.0f * 0x1p+23f));
    return f32_from_bits(f32_to_i32(f32_max(bits, f32_set(0.0f))));
}

static inline float lane_max(f32x16 a)
{
    float lanes[LANES], most = -INFINITY;
    f32_store(lanes, a);
    for (int i = 0; i < LANES; i++)
        most = lanes[i] > most ? lanes[i] : most;
    return most;
}

static inline f64x8 f64_from_both(f32x16 a)
{
    return f64_add(f64_from_low(a), f64_from_high(a));
}

#endif
