/* SPDX-License-Identifier: Apache-2.0
 *
 * numerics.h - exp2, log, log2 and log1p that give the same bits on every machine.
 *
 * Everything that decides which id is drawn goes through these. They use double and the operations
 * that IEEE 754 rounds correctly (+ - * /), in the order that is written here, and nothing else: no
 * libm, no intrinsic, no fused multiply-add. What includes this is compiled with -ffp-contract=off
 * (-fmad=false in CUDA).
 *
 * Accuracy: at most 1 ulp, checked against mpmath by tests/kernels/numerics_oracle.py. Hashes of the
 * results are held by tests/kernels/test_numerics.c: they never change.
 *
 * Coefficients are those of the Taylor series: on these short intervals two or three terms more than
 * a minimax polynomial needs make them exact to beyond 2^-60, and anyone can derive them.
 */
#ifndef RZ_KERNELS_NUMERICS_H
#define RZ_KERNELS_NUMERICS_H

#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define RZ_HD static __host__ __device__ __forceinline__
#else
#define RZ_HD static inline
#endif

RZ_HD uint64_t rz_double_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

RZ_HD double rz_double_from_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* 2^n for -1022 <= n <= 1023. */
RZ_HD double rz_power_of_two(int n)
{
    return rz_double_from_bits((uint64_t)(n + 1023) << 52);
}

/* x * 2^n, rounded once, for -2000 < n < 2000 and finite x. */
RZ_HD double rz_scale(double x, int n)
{
    if (n < -1022) { /* the first factor is exact for every x that does not vanish by the second */
        x *= 0x1p-900;
        n += 900;
        if (n < -1022)
            return x * 0x1p-1022;
    }
    if (n > 1023) {
        x *= 0x1p+900;
        n -= 900;
        if (n > 1023)
            return x * 0x1p+1023;
    }
    return x * rz_power_of_two(n);
}

/* 2^x. Exact for integers; at most 1 for x <= 0; 0 from -1076 down, inf from 1024 up, NaN for NaN. */
RZ_HD double rz_exp2(double x)
{
    if (!(x > -1076.0))
        return x != x ? x : 0.0;
    if (x >= 1024.0)
        return rz_double_from_bits(UINT64_C(0x7FF0000000000000));

    const int n = (int)(x < 0.0 ? x - 0.5 : x + 0.5); /* nearest; ties away from 0 */
    const double f = x - (double)n;                   /* exact, |f| <= 1/2 */
    /* sum of (f ln 2)^k / k! for k = 1 .. 13; the next term is below 2^-59. */
    double p = 0x1.816193166d0f9p-40;
    p = p * f + 0x1.c3bd650fc2986p-36;
    p = p * f + 0x1.e8cac7351bb25p-32;
    p = p * f + 0x1.e4cf5158b8ecap-28;
    p = p * f + 0x1.b5253d395e7c4p-24;
    p = p * f + 0x1.62c0223a5c824p-20;
    p = p * f + 0x1.ffcbfc588b0c7p-17;
    p = p * f + 0x1.430912f86c787p-13;
    p = p * f + 0x1.5d87fe78a6731p-10;
    p = p * f + 0x1.3b2ab6fba4e77p-7;
    p = p * f + 0x1.c6b08d704a0c0p-5;
    p = p * f + 0x1.ebfbdff82c58fp-3;
    p = p * f + 0x1.62e42fefa39efp-1;
    return rz_scale(1.0 + p * f, n);
}

/* For 1 + f in [sqrt(1/2), sqrt(2)]: with s = f / (2 + f),
 *     log(1 + f) = 2 atanh(s) = f - (f^2/2 - s (f^2/2 + R)),   R = s^2 (2/3 + 2/5 s^2 + ...)
 * which keeps f, the large part, free of rounding (the identity of Ng's fdlibm). This is
 * s * (f^2/2 + R). */
RZ_HD double rz_log_tail(double f)
{
    const double s = f / (2.0 + f);
    const double z = s * s;
    double r = 0x1.47ae147ae147bp-4; /* 2 / (2 k + 1) for k = 12 down to 1; |s| < 0.1716 */
    r = r * z + 0x1.642c8590b2164p-4;
    r = r * z + 0x1.8618618618618p-4;
    r = r * z + 0x1.af286bca1af28p-4;
    r = r * z + 0x1.e1e1e1e1e1e1ep-4;
    r = r * z + 0x1.1111111111111p-3;
    r = r * z + 0x1.3b13b13b13b14p-3;
    r = r * z + 0x1.745d1745d1746p-3;
    r = r * z + 0x1.c71c71c71c71cp-3;
    r = r * z + 0x1.2492492492492p-2;
    r = r * z + 0x1.999999999999ap-2;
    r = r * z + 0x1.5555555555555p-1;
    return s * (0.5 * f * f + z * r);
}

/* log(2) in two parts; the first has 21 bits, so that its product with an exponent is exact. */
#define RZ_LN2_HIGH 0x1.62e42p-1
#define RZ_LN2_LOW 0x1.fdf473de6af28p-22

/* x = 2^*n * (the result), the result in [sqrt(1/2), sqrt(2)); x > 0 and finite. */
RZ_HD double rz_split_exponent(double x, int *n)
{
    int exponent = 0;
    if (x < 0x1p-1022) { /* subnormal */
        x *= 0x1p+54;
        exponent = -54;
    }
    uint64_t bits = rz_double_bits(x);
    exponent += (int)(bits >> 52) - 1023;
    bits = (bits & UINT64_C(0x000FFFFFFFFFFFFF)) | UINT64_C(0x3FF0000000000000);
    double m = rz_double_from_bits(bits);
    if (m >= 0x1.6a09e667f3bcdp+0) { /* sqrt(2) */
        m *= 0.5;
        exponent++;
    }
    *n = exponent;
    return m;
}

/* n log(2) + log(1 + f) + c, where |c| is a rounding error of 1 + f. */
RZ_HD double rz_log_sum(int n, double f, double c)
{
    const double half_square = 0.5 * f * f;
    const double tail = rz_log_tail(f);
    if (n == 0)
        return f - (half_square - (tail + c));
    const double k = (double)n;
    return k * RZ_LN2_HIGH - ((half_square - (tail + (k * RZ_LN2_LOW + c))) - f);
}

/* log(x) for 0 < x < inf; -inf for 0. */
RZ_HD double rz_log(double x)
{
    if (x == 0.0)
        return -rz_double_from_bits(UINT64_C(0x7FF0000000000000));
    int n;
    const double m = rz_split_exponent(x, &n);
    return rz_log_sum(n, m - 1.0, 0.0);
}

/* log(1 + x) for -1 < x < inf. */
RZ_HD double rz_log1p(double x)
{
    if (x > -0.2928 && x < 0.4142) /* 1 + x is in [sqrt(1/2), sqrt(2)] already */
        return rz_log_sum(0, x, 0.0);
    const double u = 1.0 + x;
    const double lost = x >= 1.0 ? 1.0 - (u - x) : x - (u - 1.0); /* what 1 + x was rounded by */
    int n;
    const double m = rz_split_exponent(u, &n);
    return rz_log_sum(n, m - 1.0, lost / u);
}

/* log2(x) for 0 < x < inf. The logarithm of the fraction is taken in two parts and multiplied by
 * 1 / log(2) in two parts, so that only the last addition rounds noticeably. */
RZ_HD double rz_log2(double x)
{
    int n;
    const double f = rz_split_exponent(x, &n) - 1.0;
    const double half_square = 0.5 * f * f;
    const double high = rz_double_from_bits(rz_double_bits(f - half_square) &
                                            UINT64_C(0xFFFFFFFF00000000));
    const double low = (f - high) - half_square + rz_log_tail(f);
    const double inverse_high = 0x1.71547p+0; /* 21 bits: its product with `high` is exact */
    const double inverse_low = 0x1.94ae0bf85ddf4p-22;
    const double product = high * inverse_high;
    const double rest = (low + high) * inverse_low + low * inverse_high;
    const double k = (double)n;
    const double sum = k + product;
    return sum + (rest + (k - sum + product));
}

/* An exponential variate of 64 random bits: E = -log(1 - v), v = (bits + 1/2) / 2^64.
 *
 * The smallest E wins a race, so E must be right to the last bit where v is near 0, and it is near 1
 * too: each half is taken from the side where its argument is small. Both arguments are converted
 * to double with one rounding (of bits + 1/2, which is exact below 2^52 and then has no half to
 * lose). Between 2^-65 and 46; never 0, never inf. */
RZ_HD double rz_exponential(uint64_t bits)
{
    if (bits < UINT64_C(1) << 63)
        return -rz_log1p(-(((double)bits + 0.5) * 0x1p-64));
    return -rz_log(((double)~bits + 0.5) * 0x1p-64);
}

#endif
