/* SPDX-License-Identifier: Apache-2.0
 *
 * numerics.h - exponentials and logarithms with the same bits on every machine.
 *
 * Double, IEEE + - * / and nothing else: no libm, no fma. Needs rounding to nearest, subnormals,
 * and a compiler that neither contracts nor reorders: -ffp-contract=off for C, -fmad=false for
 * nvcc.
 *
 * Errors are the largest that tests/kernels/numerics_oracle.py may find, in units in the last place
 * of the exact result. The same file computes every constant here (`numerics_oracle.py constants`).
 */
#ifndef RZ_KERNELS_NUMERICS_H
#define RZ_KERNELS_NUMERICS_H

#include <float.h>
#include <stdint.h>
#include <string.h>

#if defined(__FAST_MATH__) || FLT_EVAL_METHOD != 0
#error "numerics.h needs plain IEEE double arithmetic: no -ffast-math, no x87"
#endif

/* RZ_HD: a function of the host and of the device; nvcc's sources have no host code that calls one.
 * RZ_TABLE: a table that such a function reads. */
#ifdef __CUDACC__
#define RZ_HD static __device__ __forceinline__
#define RZ_TABLE static __device__ const
#else
#define RZ_HD static inline
#define RZ_TABLE static const
#endif

#define RZ_INFINITY ((double)__builtin_inff())
#define RZ_NAN ((double)__builtin_nanf(""))

RZ_HD uint64_t rz_double_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

RZ_HD double rz_double_from_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* 2^exponent, a normal number: -1022 <= exponent <= 1023. */
RZ_HD double rz_power_of_two(int exponent)
{
    return rz_double_from_bits((uint64_t)(exponent + 1023) << 52);
}

/* ------------------------------------------------------------------------------------------------
 * 2^x
 *
 * P. T. P. Tang: "Table-driven implementation of the exponential function in IEEE floating-point
 * arithmetic", ACM TOMS 15 (1989), for base 2:
 *
 *     x = exponent + j/32 + r,  |r| <= 1/64      2^x = 2^exponent * 2^(j/32) * (1 + (2^r - 1))
 *
 * 2^(j/32) is the sum of two doubles, so that its rounding does not count.
 */

/* 2^(j/32) = rz_exp2_high[j] + rz_exp2_low[j] */
RZ_TABLE double rz_exp2_high[32] = {
    0x1.0000000000000p+0, 0x1.059b0d3158574p+0, 0x1.0b5586cf9890fp+0, 0x1.11301d0125b51p+0,
    0x1.172b83c7d517bp+0, 0x1.1d4873168b9aap+0, 0x1.2387a6e756238p+0, 0x1.29e9df51fdee1p+0,
    0x1.306fe0a31b715p+0, 0x1.371a7373aa9cbp+0, 0x1.3dea64c123422p+0, 0x1.44e086061892dp+0,
    0x1.4bfdad5362a27p+0, 0x1.5342b569d4f82p+0, 0x1.5ab07dd485429p+0, 0x1.6247eb03a5585p+0,
    0x1.6a09e667f3bcdp+0, 0x1.71f75e8ec5f74p+0, 0x1.7a11473eb0187p+0, 0x1.82589994cce13p+0,
    0x1.8ace5422aa0dbp+0, 0x1.93737b0cdc5e5p+0, 0x1.9c49182a3f090p+0, 0x1.a5503b23e255dp+0,
    0x1.ae89f995ad3adp+0, 0x1.b7f76f2fb5e47p+0, 0x1.c199bdd85529cp+0, 0x1.cb720dcef9069p+0,
    0x1.d5818dcfba487p+0, 0x1.dfc97337b9b5fp+0, 0x1.ea4afa2a490dap+0, 0x1.f50765b6e4540p+0};
RZ_TABLE double rz_exp2_low[32] = {0x0.0p+0,
                                   0x1.d73e2a475b465p-55,
                                   0x1.8a62e4adc610bp-54,
                                   -0x1.6c51039449b3ap-54,
                                   -0x1.19041b9d78a76p-55,
                                   0x1.e016e00a2643cp-54,
                                   0x1.9b07eb6c70573p-54,
                                   0x1.612e8afad1255p-55,
                                   0x1.6f46ad23182e4p-55,
                                   -0x1.63aeabf42eae2p-54,
                                   0x1.ada0911f09ebcp-55,
                                   0x1.89b7a04ef80d0p-59,
                                   0x1.d4397afec42e2p-56,
                                   -0x1.07abe1db13cadp-55,
                                   0x1.6324c054647adp-54,
                                   -0x1.383c17e40b497p-54,
                                   -0x1.bdd3413b26456p-54,
                                   -0x1.16e4786887a99p-55,
                                   -0x1.41577ee04992fp-55,
                                   -0x1.d4c1dd41532d8p-54,
                                   0x1.6e9f156864b27p-54,
                                   -0x1.75fc781b57ebcp-57,
                                   0x1.c7c46b071f2bep-56,
                                   -0x1.d2f6edb8d41e1p-54,
                                   0x1.7a1cd345dcc81p-54,
                                   -0x1.5584f7e54ac3bp-56,
                                   0x1.11065895048ddp-55,
                                   0x1.503cbd1e949dbp-56,
                                   0x1.2ed02d75b3707p-55,
                                   -0x1.1a5cd4f184b5cp-54,
                                   -0x1.e9c23179c2893p-54,
                                   0x1.9d3e12dd8a18bp-54};

/* 2^r - 1 = C1 r + C2 r^2 + ..., |r| <= 1/64 */
#define RZ_EXP2_C1 0x1.62e42fefa39efp-1
#define RZ_EXP2_C2 0x1.ebfbdff82c58fp-3
#define RZ_EXP2_C3 0x1.c6b08d70380ddp-5
#define RZ_EXP2_C4 0x1.3b2ab6fb9eab1p-7
#define RZ_EXP2_C5 0x1.5d885e6ef14a6p-10
#define RZ_EXP2_C6 0x1.4309557c7947ap-13

/* The spacing of doubles around this is 1/32: adding it rounds x to 32nds, whose number is then in
 * the low bits, in two's complement. */
#define RZ_EXP2_SHIFT 0x1.8p+47

/* rz_exp2 - any x. Error <= 0.55, <= 0.8 where the result is subnormal. Exact for integers, at most
 * 1 for x <= 0, 0 from -1075 down, +inf from 1024 up. NaN gives NaN. */
RZ_HD double rz_exp2(double x)
{
    if (!(x < 1024.0))
        return x != x ? x : RZ_INFINITY;
    if (x <= -1075.0)
        return 0.0;

    const double shifted = x + RZ_EXP2_SHIFT;
    const double r = x - (shifted - RZ_EXP2_SHIFT); /* the subtractions are exact */
    const uint32_t n = (uint32_t)rz_double_bits(shifted);
    const uint32_t j = n & 31u;
    const int exponent = (int32_t)(n - j) / 32;

    const double r2 = r * r;
    const double low = RZ_EXP2_C1 + r * RZ_EXP2_C2;
    const double mid = RZ_EXP2_C3 + r * RZ_EXP2_C4;
    const double top = RZ_EXP2_C5 + r * RZ_EXP2_C6;
    const double expm1 = r * (low + r2 * (mid + r2 * top));
    const double power = rz_exp2_high[j] + (rz_exp2_low[j] + rz_exp2_high[j] * expm1);

    if (exponent >= -1022 && exponent <= 1023)
        return power * rz_power_of_two(exponent);
    /* Subnormal, rounded here for the second time; or x rounded up to 1024, with power below 1. */
    const int half = exponent / 2;
    return power * rz_power_of_two(half) * rz_power_of_two(exponent - half);
}

/* ------------------------------------------------------------------------------------------------
 * Logarithms
 *
 * The method of fdlibm (Sun Microsystems, e_log.c and s_log1p.c), and of FreeBSD's e_log2.c:
 *
 *     x = 2^k * (1 + f),  sqrt(1/2) <= 1 + f < sqrt(2)
 *     log(1 + f) = f - f^2/2 + s * (f^2/2 + z * P(z)),  s = f / (2 + f),  z = s^2
 */

struct rz_log_argument {
    double k; /* an integer */
    double f;
};

/* k and f of a positive finite x, exactly. */
RZ_HD struct rz_log_argument rz_log_reduce(double x)
{
    const uint64_t one = 0x3FF0000000000000;
    const uint64_t sqrt_half = 0x3FE6A09E667F3BCD; /* rounded up: belongs to k = 0 */
    int k = -1023;
    if (x < DBL_MIN) {
        x *= 0x1p+54;
        k -= 54;
    }
    const uint64_t bits = rz_double_bits(x) + (one - sqrt_half);
    k += (int)(bits >> 52);

    struct rz_log_argument argument;
    argument.k = k;
    argument.f = rz_double_from_bits((bits & 0x000FFFFFFFFFFFFF) + sqrt_half) - 1.0;
    return argument;
}

/* s * (f^2/2 + z * P(z)): what log(1 + f) is more than f - f^2/2. */
RZ_HD double rz_log_tail(double f)
{
    const double s = f / (2.0 + f);
    const double z = s * s;
    const double polynomial =
        0x1.5555555555558p-1 +
        z * (0x1.99999999952e2p-2 +
             z * (0x1.2492492df148dp-2 +
                  z * (0x1.c71c62e5800a1p-3 +
                       z * (0x1.7462b4ab2ef6bp-3 +
                            z * (0x1.39fe606542ddep-3 + z * 0x1.2b584aae78a57p-3)))));
    return s * (0.5 * f * f + z * polynomial);
}

/* k * log(2) + log(1 + f) + correction, where the correction is tiny. */
RZ_HD double rz_log_sum(double k, double f, double correction)
{
    const double ln_2_high = 0x1.62e42fefa0000p-1; /* 38 bits: k times it is exact */
    const double ln_2_low = 0x1.cf79abc9e3b3ap-40;
    const double high = k * ln_2_high;
    const double sum = high + f;
    const double rest = (high - sum) + f; /* what rounding took from the sum */
    const double small = rest + (k * ln_2_low + correction);
    return sum + (small - (0.5 * f * f - rz_log_tail(f)));
}

/* What a logarithm gives where it is not a finite number: x is 0, negative, +inf or NaN. */
RZ_HD double rz_log_special(double x)
{
    if (x == 0.0)
        return -RZ_INFINITY;
    return x > 0.0 ? x : RZ_NAN;
}

/* rz_log - natural logarithm, subnormal x too. Error <= 1. 0 gives -inf, x < 0 NaN. */
RZ_HD double rz_log(double x)
{
    if (!(x > 0.0 && x <= DBL_MAX))
        return rz_log_special(x);
    const struct rz_log_argument argument = rz_log_reduce(x);
    return rz_log_sum(argument.k, argument.f, 0.0);
}

/* rz_log1p - log(1 + x). Error <= 1. -1 gives -inf, x < -1 NaN, -0 gives 0. */
RZ_HD double rz_log1p(double x)
{
    if (!(x > -1.0 && x <= DBL_MAX))
        return x == -1.0 ? -RZ_INFINITY : rz_log_special(x);
    if (x > -0.29 && x < 0.41)
        return rz_log_sum(0.0, x, 0.0);

    /* log(1 + x) = log(sum) + log(1 + lost/sum), where `lost` is what rounding took, exactly. */
    const double sum = 1.0 + x;
    const double lost = x < 1.0 ? x - (sum - 1.0) : 1.0 - (sum - x);
    const struct rz_log_argument argument = rz_log_reduce(sum);
    return rz_log_sum(argument.k, argument.f, lost / sum);
}

/* rz_log2 - base 2, subnormal x too. Error <= 1. Exact for powers of two. 0 gives -inf, x < 0
 * NaN. */
RZ_HD double rz_log2(double x)
{
    if (!(x > 0.0 && x <= DBL_MAX))
        return rz_log_special(x);
    const struct rz_log_argument argument = rz_log_reduce(x);
    const double f = argument.f;

    /* log(1 + f) = high + low, high of 21 bits; 1/log(2) = inverse_high + inverse_low, the first of
     * 32 bits: the product of the high parts is exact. */
    const double inverse_high = 0x1.7154765200000p+0;
    const double inverse_low = 0x1.705fc2eefa200p-33;
    const double half_square = 0.5 * f * f;
    const double high = rz_double_from_bits(rz_double_bits(f - half_square) & 0xFFFFFFFF00000000);
    const double low = ((f - high) - half_square) + rz_log_tail(f);
    const double product = high * inverse_high;
    const double small = (low + high) * inverse_low + low * inverse_high;

    const double sum = argument.k + product;
    const double rest = (argument.k - sum) + product; /* what rounding took from the sum */
    return sum + (rest + small);
}

/* rz_exponential - an exponential variate of mean 1 from 64 uniform bits: -log(1 - v) where
 * v = (bits + 1/2) / 2^64. From 2^-65 to 45.06; error <= 1.75.
 *
 * Whichever of v and 1 - v is smaller is computed, so that neither end loses digits. It is exact
 * below 2^-12; above, (double) rounds bits and + 0.5 rounds again: together by at most 1.5 * 2^-53
 * of it. */
RZ_HD double rz_exponential(uint64_t bits)
{
    if (bits >> 63 == 0)
        return -rz_log1p(-(((double)bits + 0.5) * 0x1p-64));
    return -rz_log(((double)(UINT64_MAX - bits) + 0.5) * 0x1p-64);
}

#endif
