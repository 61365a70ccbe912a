/* SPDX-License-Identifier: Apache-2.0
 *
 * lanes_avx512.h - sixteen lanes in registers of AVX-512 (F, BW, DQ, VL). See lanes.h.
 */
#ifndef RZ_KERNELS_LANES_AVX512_H
#define RZ_KERNELS_LANES_AVX512_H

#include <immintrin.h>
#include <stdint.h>

#include "kernels/numerics.h"

typedef __m512 f32x16;
typedef __m512i u32x16;
typedef __m512d f64x8;
typedef __m512i u64x8;

/* ------------------------------------------------------------------------------------------------
 * fp32
 */

static inline f32x16 f32_set(float value)
{
    return _mm512_set1_ps(value);
}

static inline f32x16 f32_load(const float *from)
{
    return _mm512_loadu_ps(from);
}

static inline f32x16 f32_load_bf16(const uint16_t *from)
{
    const __m256i half = _mm256_loadu_si256((const __m256i *)(const void *)from);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

/* 32 of them, in any order. */
static inline void f32_load_32_bf16(const uint16_t *from, f32x16 to[2])
{
    const __m512i pairs = _mm512_loadu_si512(from);
    to[0] = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
    to[1] = _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32((int)0xFFFF0000)));
}

static inline f32x16 f32_load_f16(const uint16_t *from)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)from));
}

static inline void f32_store(float *to, f32x16 a)
{
    _mm512_storeu_ps(to, a);
}

/* These lanes, one after the other, and anything in the rest of 16; returns how many. */
static inline uint32_t f32_store_some(float *to, uint32_t lanes, f32x16 a)
{
    _mm512_storeu_ps(to, _mm512_maskz_compress_ps((__mmask16)lanes, a));
    return (uint32_t)__builtin_popcount(lanes);
}

static inline f32x16 f32_add(f32x16 a, f32x16 b)
{
    return _mm512_add_ps(a, b);
}

static inline f32x16 f32_sub(f32x16 a, f32x16 b)
{
    return _mm512_sub_ps(a, b);
}

static inline f32x16 f32_mul(f32x16 a, f32x16 b)
{
    return _mm512_mul_ps(a, b);
}

static inline f32x16 f32_mul_add(f32x16 a, f32x16 b, f32x16 c)
{
    return _mm512_fmadd_ps(a, b, c);
}

static inline f32x16 f32_min(f32x16 a, f32x16 b)
{
    return _mm512_min_ps(a, b);
}

static inline f32x16 f32_max(f32x16 a, f32x16 b)
{
    return _mm512_max_ps(a, b);
}

static inline uint32_t f32_ge(f32x16 a, f32x16 b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ);
}

static inline uint32_t f32_gt(f32x16 a, f32x16 b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}

static inline f32x16 f32_select(uint32_t lanes, f32x16 yes, f32x16 no)
{
    return _mm512_mask_blend_ps((__mmask16)lanes, no, yes);
}

/* a, plus b in these lanes. */
static inline f32x16 f32_add_where(uint32_t lanes, f32x16 a, f32x16 b)
{
    return _mm512_mask_add_ps(a, (__mmask16)lanes, a, b);
}

/* a, plus b where x >= least. */
static inline f32x16 f32_add_where_ge(f32x16 a, f32x16 b, f32x16 x, f32x16 least)
{
    return f32_add_where(f32_ge(x, least), a, b);
}

/* x where it is >= least, otherwise `other`. */
static inline f32x16 f32_keep_ge(f32x16 x, f32x16 least, f32x16 other)
{
    return f32_select(f32_ge(x, least), x, other);
}

static inline f32x16 f32_from_bits(u32x16 bits)
{
    return _mm512_castsi512_ps(bits);
}

static inline u32x16 f32_bits(f32x16 a)
{
    return _mm512_castps_si512(a);
}

static inline u32x16 f32_to_i32(f32x16 a)
{
    return _mm512_cvttps_epi32(a);
}

static inline f32x16 f32_from_i32(u32x16 a)
{
    return _mm512_cvtepi32_ps(a);
}

/* ------------------------------------------------------------------------------------------------
 * uint32
 */

static inline u32x16 u32_load(const uint32_t *from)
{
    return _mm512_loadu_si512(from);
}

static inline u32x16 u32_add(u32x16 a, u32x16 b)
{
    return _mm512_add_epi32(a, b);
}

static inline u32x16 u32_shift_left(u32x16 a, int bits)
{
    return _mm512_slli_epi32(a, (unsigned)bits);
}

static inline u32x16 u32_shift_right(u32x16 a, int bits)
{
    return _mm512_srli_epi32(a, (unsigned)bits);
}

static inline uint32_t u32_le(u32x16 a, u32x16 b)
{
    return _mm512_cmple_epu32_mask(a, b);
}

/* ------------------------------------------------------------------------------------------------
 * fp64 and uint64
 */

static inline f64x8 f64_set(double value)
{
    return _mm512_set1_pd(value);
}

static inline f64x8 f64_from_low(f32x16 a)
{
    return _mm512_cvtps_pd(_mm512_castps512_ps256(a));
}

static inline f64x8 f64_from_high(f32x16 a)
{
    return _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1));
}

static inline f64x8 f64_add(f64x8 a, f64x8 b)
{
    return _mm512_add_pd(a, b);
}

static inline f64x8 f64_sub(f64x8 a, f64x8 b)
{
    return _mm512_sub_pd(a, b);
}

static inline f64x8 f64_mul(f64x8 a, f64x8 b)
{
    return _mm512_mul_pd(a, b);
}

static inline double f64_sum(f64x8 a)
{
    return _mm512_reduce_add_pd(a);
}

static inline u64x8 f64_bits(f64x8 a)
{
    return _mm512_castpd_si512(a);
}

/* table[index % 32], 16 entries a lookup of two registers. */
static inline f64x8 f64_lookup32(const double table[32], u64x8 index)
{
    const f64x8 low =
        _mm512_permutex2var_pd(_mm512_loadu_pd(table), index, _mm512_loadu_pd(table + 8));
    const f64x8 high =
        _mm512_permutex2var_pd(_mm512_loadu_pd(table + 16), index, _mm512_loadu_pd(table + 24));
    return _mm512_mask_blend_pd(_mm512_test_epi64_mask(index, _mm512_set1_epi64(16)), low, high);
}

static inline f64x8 f64_mul_add(f64x8 a, f64x8 b, f64x8 c)
{
    return _mm512_fmadd_pd(a, b, c);
}

/* table[index % 16] */
static inline f64x8 f64_lookup16(const double table[16], u64x8 index)
{
    return _mm512_permutex2var_pd(_mm512_loadu_pd(table), index, _mm512_loadu_pd(table + 8));
}

/* a * 2^floor(exponent); normal a and result. */
static inline f64x8 f64_times_exp2_floor(f64x8 a, f64x8 exponent)
{
    return _mm512_scalef_pd(a, exponent);
}

static inline u64x8 f64_to_u64(f64x8 a)
{
    return _mm512_cvttpd_epu64(a);
}

static inline u64x8 u64_set(uint64_t value)
{
    return _mm512_set1_epi64((long long)value);
}

static inline u64x8 u64_add(u64x8 a, u64x8 b)
{
    return _mm512_add_epi64(a, b);
}

static inline u64x8 u64_shift_right(u64x8 a, int bits)
{
    return _mm512_srli_epi64(a, (unsigned)bits);
}

static inline u64x8 u64_shift_left(u64x8 a, int bits)
{
    return _mm512_slli_epi64(a, (unsigned)bits);
}

static inline f64x8 f64_from_bits(u64x8 bits)
{
    return _mm512_castsi512_pd(bits);
}

static inline u64x8 u64_xor3(u64x8 a, u64x8 b, u64x8 c)
{
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

/* The low halves multiplied. */
static inline u64x8 u64_mul_low(u64x8 a, u64x8 b)
{
    return _mm512_mul_epu32(a, b);
}

static inline u64x8 u64_keep(uint32_t lanes, u64x8 a)
{
    return _mm512_maskz_mov_epi64((__mmask8)lanes, a);
}

static inline uint64_t u64_sum(u64x8 a)
{
    return (uint64_t)_mm512_reduce_add_epi64(a);
}

static inline void u64_store(uint64_t *to, u64x8 a)
{
    _mm512_storeu_si512(to, a);
}

/* The low halves, as eight uint32. */
static inline void u64_store_low(uint32_t *to, u64x8 a)
{
    _mm256_storeu_si256((__m256i *)(void *)to, _mm512_cvtepi64_epi32(a));
}

static inline u64x8 u64_load(const uint64_t *from)
{
    return _mm512_loadu_si512(from);
}

/* ------------------------------------------------------------------------------------------------
 * Maxima of sixteen tiles
 *
 * Registers are halved pairwise until each tile has one lane left: the lane of tile 4j + k is then
 * 4k + j.
 */

typedef __m512i
    watch; /* the largest bits of a logit, its sign apart: more than infinity's is NaN */

static inline watch watch_none(void)
{
    return _mm512_setzero_si512();
}

static inline uint32_t watch_most_16(watch w)
{
    const __m512i halves = _mm512_max_epu16(_mm512_srli_epi32(w, 16), w);
    return _mm512_reduce_max_epu32(_mm512_and_si512(halves, _mm512_set1_epi32(0xFFFF)));
}

static inline uint32_t watch_most_32(watch w)
{
    return _mm512_reduce_max_epu32(w);
}

static inline __m512i in_order_of_tiles(__m512i a)
{
    return _mm512_permutexvar_epi32(
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), a);
}

/* Two tiles, ordered as integers; the lanes that are not allowed have the order of -inf. */
static inline __m512i load_two_tiles_16(const uint16_t *from, uint32_t allowed, int16_t none,
                                        watch *w)
{
    const __m512i magnitude = _mm512_set1_epi16(0x7FFF);
    const __m512i x = _mm512_loadu_si512(from);
    *w = _mm512_max_epu16(*w, _mm512_and_si512(x, magnitude));
    /* x ^ (sign & magnitude) */
    const __m512i order = _mm512_ternarylogic_epi64(x, _mm512_srai_epi16(x, 15), magnitude, 0x78);
    return _mm512_mask_blend_epi16((__mmask32)allowed, _mm512_set1_epi16(none), order);
}

/* The order of the maxima of 16 tiles, in the upper halves of the lanes. */
static inline __m512i max_of_tiles_16(const uint16_t *from, const uint32_t *allowed, int16_t none,
                                      watch *w)
{
    __m512i a[8];
    for (int i = 0; i < 8; i++)
        a[i] = load_two_tiles_16(from + 32 * i, allowed != NULL ? allowed[i] : UINT32_MAX, none, w);
    for (int i = 0; i < 4; i++)
        a[i] = _mm512_max_epi16(_mm512_shuffle_i64x2(a[2 * i], a[2 * i + 1], 0x88),
                                _mm512_shuffle_i64x2(a[2 * i], a[2 * i + 1], 0xDD));
    for (int i = 0; i < 2; i++)
        a[i] = _mm512_max_epi16(_mm512_unpacklo_epi64(a[2 * i], a[2 * i + 1]),
                                _mm512_unpackhi_epi64(a[2 * i], a[2 * i + 1]));
    const __m512 p = _mm512_castsi512_ps(a[0]), q = _mm512_castsi512_ps(a[1]);
    const __m512i pairs = _mm512_max_epi16(_mm512_castps_si512(_mm512_shuffle_ps(p, q, 0x88)),
                                           _mm512_castps_si512(_mm512_shuffle_ps(p, q, 0xDD)));
    return in_order_of_tiles(_mm512_max_epi16(pairs, _mm512_slli_epi32(pairs, 16)));
}

static inline f32x16 f32_tiles_bf16(const uint16_t *from, const uint32_t *allowed, watch *w)
{
    const __m512i order = _mm512_and_si512(max_of_tiles_16(from, allowed, (int16_t)~0x7F80, w),
                                           _mm512_set1_epi32((int)0xFFFF0000));
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi64(order, _mm512_srai_epi32(order, 31),
                                                         _mm512_set1_epi32(0x7FFF0000), 0x78));
}

static inline f32x16 f32_tiles_f16(const uint16_t *from, const uint32_t *allowed, watch *w)
{
    const __m512i order =
        _mm512_srai_epi32(max_of_tiles_16(from, allowed, (int16_t)~0x7C00, w), 16);
    const __m512i bits = _mm512_ternarylogic_epi64(order, _mm512_srai_epi32(order, 31),
                                                   _mm512_set1_epi32(0x7FFF), 0x78);
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(bits));
}

/* One tile. Values are compared as floats: what NaN makes of that is made good by who watches. */
static inline __m512 load_tile_f32(const float *from, uint32_t allowed, watch *w)
{
    const __m512 x = _mm512_loadu_ps(from);
    *w = _mm512_max_epu32(*w,
                          _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7FFFFFFF)));
    return _mm512_mask_blend_ps((__mmask16)allowed, _mm512_set1_ps(-__builtin_inff()), x);
}

static inline f32x16 f32_tiles_f32(const float *from, const uint32_t *allowed, watch *w)
{
    __m512 a[16];
    for (int i = 0; i < 16; i++)
        a[i] = load_tile_f32(from + 16 * i,
                             allowed != NULL ? allowed[i / 2] >> (16 * (i % 2)) & 0xFFFFu : 0xFFFFu,
                             w);
    for (int n = 8; n >= 4; n /= 2)
        for (int i = 0; i < n; i++)
            a[i] = _mm512_max_ps(_mm512_shuffle_f32x4(a[2 * i], a[2 * i + 1], 0x88),
                                 _mm512_shuffle_f32x4(a[2 * i], a[2 * i + 1], 0xDD));
    for (int i = 0; i < 2; i++)
        a[i] = _mm512_max_ps(_mm512_shuffle_ps(a[2 * i], a[2 * i + 1], 0x44),
                             _mm512_shuffle_ps(a[2 * i], a[2 * i + 1], 0xEE));
    const __m512 most =
        _mm512_max_ps(_mm512_shuffle_ps(a[0], a[1], 0x88), _mm512_shuffle_ps(a[0], a[1], 0xDD));
    return _mm512_castsi512_ps(in_order_of_tiles(_mm512_castps_si512(most)));
}

#endif
