/* SPDX-License-Identifier: Apache-2.0
 *
 * lanes_avx2.h - sixteen lanes in pairs of registers of AVX2 (and FMA, F16C). See lanes.h.
 */
#ifndef RZ_KERNELS_LANES_AVX2_H
#define RZ_KERNELS_LANES_AVX2_H

#include <immintrin.h>
#include <stdint.h>

#include "kernels/numerics.h"

typedef struct {
    __m256 low, high;
} f32x16;

typedef struct {
    __m256i low, high;
} u32x16;

typedef struct {
    __m256d low, high;
} f64x8;

typedef u32x16 u64x8;

/* The same instruction on both halves. */
#define BOTH1(type, call, a) ((type){call((a).low), call((a).high)})
#define BOTH2(type, call, a, b) ((type){call((a).low, (b).low), call((a).high, (b).high)})

/* ------------------------------------------------------------------------------------------------
 * fp32
 */

static inline f32x16 f32_set(float value)
{
    return (f32x16){_mm256_set1_ps(value), _mm256_set1_ps(value)};
}

static inline f32x16 f32_load(const float *from)
{
    return (f32x16){_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
}

static inline __m128i load_8_halves(const uint16_t *from)
{
    return _mm_loadu_si128((const __m128i *)(const void *)from);
}

static inline __m256 bf16_to_f32(__m128i halves)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

static inline f32x16 f32_load_bf16(const uint16_t *from)
{
    return (f32x16){bf16_to_f32(load_8_halves(from)), bf16_to_f32(load_8_halves(from + 8))};
}

/* 32 of them, in any order. */
static inline void f32_load_32_bf16(const uint16_t *from, f32x16 to[2])
{
    const __m256i upper = _mm256_set1_epi32((int)0xFFFF0000);
    for (int i = 0; i < 2; i++) {
        const __m256i pairs = _mm256_loadu_si256((const __m256i *)(const void *)(from + 16 * i));
        to[i].low = _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
        to[i].high = _mm256_castsi256_ps(_mm256_and_si256(pairs, upper));
    }
}

static inline f32x16 f32_load_f16(const uint16_t *from)
{
    return (f32x16){_mm256_cvtph_ps(load_8_halves(from)), _mm256_cvtph_ps(load_8_halves(from + 8))};
}

static inline void f32_store(float *to, f32x16 a)
{
    _mm256_storeu_ps(to, a.low);
    _mm256_storeu_ps(to + 8, a.high);
}

/* These lanes, one after the other, and anything in the rest of 16; returns how many. */
static inline uint32_t f32_store_some(float *to, uint32_t lanes, f32x16 a)
{
    float all[16];
    f32_store(all, a);
    uint32_t count = 0;
    for (; lanes != 0; lanes &= lanes - 1)
        to[count++] = all[__builtin_ctz(lanes)];
    return count;
}

static inline f32x16 f32_add(f32x16 a, f32x16 b)
{
    return BOTH2(f32x16, _mm256_add_ps, a, b);
}

static inline f32x16 f32_sub(f32x16 a, f32x16 b)
{
    return BOTH2(f32x16, _mm256_sub_ps, a, b);
}

static inline f32x16 f32_mul(f32x16 a, f32x16 b)
{
    return BOTH2(f32x16, _mm256_mul_ps, a, b);
}

static inline f32x16 f32_mul_add(f32x16 a, f32x16 b, f32x16 c)
{
    return (f32x16){_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}

static inline f32x16 f32_min(f32x16 a, f32x16 b)
{
    return BOTH2(f32x16, _mm256_min_ps, a, b);
}

static inline f32x16 f32_max(f32x16 a, f32x16 b)
{
    return BOTH2(f32x16, _mm256_max_ps, a, b);
}

static inline uint32_t lanes_of_ps(__m256 low, __m256 high)
{
    return (uint32_t)_mm256_movemask_ps(low) | (uint32_t)_mm256_movemask_ps(high) << 8;
}

static inline uint32_t f32_ge(f32x16 a, f32x16 b)
{
    return lanes_of_ps(_mm256_cmp_ps(a.low, b.low, _CMP_GE_OQ),
                       _mm256_cmp_ps(a.high, b.high, _CMP_GE_OQ));
}

static inline uint32_t f32_gt(f32x16 a, f32x16 b)
{
    return lanes_of_ps(_mm256_cmp_ps(a.low, b.low, _CMP_GT_OQ),
                       _mm256_cmp_ps(a.high, b.high, _CMP_GT_OQ));
}

/* Lanes as a mask of whole elements. */
static inline __m256i spread_32(uint32_t lanes)
{
    const __m256i bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)lanes), bits), bits);
}

static inline __m256i spread_64(uint32_t lanes)
{
    const __m256i bits = _mm256_setr_epi64x(1, 2, 4, 8);
    return _mm256_cmpeq_epi64(_mm256_and_si256(_mm256_set1_epi64x((int)lanes), bits), bits);
}

static inline f32x16 f32_select(uint32_t lanes, f32x16 yes, f32x16 no)
{
    return (f32x16){
        _mm256_blendv_ps(no.low, yes.low, _mm256_castsi256_ps(spread_32(lanes))),
        _mm256_blendv_ps(no.high, yes.high, _mm256_castsi256_ps(spread_32(lanes >> 8)))};
}

/* a, plus b in these lanes. */
static inline f32x16 f32_add_where(uint32_t lanes, f32x16 a, f32x16 b)
{
    return f32_add(a, f32_select(lanes, b, f32_set(0.0f)));
}

static inline __m256 add_where_ge(__m256 a, __m256 b, __m256 x, __m256 least)
{
    return _mm256_add_ps(a, _mm256_and_ps(b, _mm256_cmp_ps(x, least, _CMP_GE_OQ)));
}

/* a, plus b where x >= least: without a mask of bits, which takes longer to make and to use. */
static inline f32x16 f32_add_where_ge(f32x16 a, f32x16 b, f32x16 x, f32x16 least)
{
    return (f32x16){add_where_ge(a.low, b.low, x.low, least.low),
                    add_where_ge(a.high, b.high, x.high, least.high)};
}

static inline __m256 keep_ge(__m256 x, __m256 least, __m256 other)
{
    return _mm256_blendv_ps(other, x, _mm256_cmp_ps(x, least, _CMP_GE_OQ));
}

/* x where it is >= least, otherwise `other`. */
static inline f32x16 f32_keep_ge(f32x16 x, f32x16 least, f32x16 other)
{
    return (f32x16){keep_ge(x.low, least.low, other.low), keep_ge(x.high, least.high, other.high)};
}

static inline f32x16 f32_from_bits(u32x16 bits)
{
    return BOTH1(f32x16, _mm256_castsi256_ps, bits);
}

static inline u32x16 f32_bits(f32x16 a)
{
    return BOTH1(u32x16, _mm256_castps_si256, a);
}

static inline u32x16 f32_to_i32(f32x16 a)
{
    return BOTH1(u32x16, _mm256_cvttps_epi32, a);
}

static inline f32x16 f32_from_i32(u32x16 a)
{
    return BOTH1(f32x16, _mm256_cvtepi32_ps, a);
}

/* ------------------------------------------------------------------------------------------------
 * uint32
 */

static inline __m256i load_256(const void *from)
{
    return _mm256_loadu_si256((const __m256i *)from);
}

static inline u32x16 u32_load(const uint32_t *from)
{
    return (u32x16){load_256(from), load_256(from + 8)};
}

static inline u32x16 u32_add(u32x16 a, u32x16 b)
{
    return BOTH2(u32x16, _mm256_add_epi32, a, b);
}

static inline u32x16 u32_shift_left(u32x16 a, int bits)
{
    return (u32x16){_mm256_slli_epi32(a.low, bits), _mm256_slli_epi32(a.high, bits)};
}

static inline u32x16 u32_shift_right(u32x16 a, int bits)
{
    return (u32x16){_mm256_srli_epi32(a.low, bits), _mm256_srli_epi32(a.high, bits)};
}

static inline __m256i le_epu32(__m256i a, __m256i b)
{
    return _mm256_cmpeq_epi32(_mm256_max_epu32(a, b), b);
}

static inline uint32_t u32_le(u32x16 a, u32x16 b)
{
    return lanes_of_ps(_mm256_castsi256_ps(le_epu32(a.low, b.low)),
                       _mm256_castsi256_ps(le_epu32(a.high, b.high)));
}

/* ------------------------------------------------------------------------------------------------
 * fp64 and uint64
 */

static inline f64x8 f64_set(double value)
{
    return (f64x8){_mm256_set1_pd(value), _mm256_set1_pd(value)};
}

static inline f64x8 f64_from_8(__m256 a)
{
    return (f64x8){_mm256_cvtps_pd(_mm256_castps256_ps128(a)),
                   _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1))};
}

static inline f64x8 f64_from_low(f32x16 a)
{
    return f64_from_8(a.low);
}

static inline f64x8 f64_from_high(f32x16 a)
{
    return f64_from_8(a.high);
}

static inline f64x8 f64_add(f64x8 a, f64x8 b)
{
    return BOTH2(f64x8, _mm256_add_pd, a, b);
}

static inline f64x8 f64_sub(f64x8 a, f64x8 b)
{
    return BOTH2(f64x8, _mm256_sub_pd, a, b);
}

static inline f64x8 f64_mul(f64x8 a, f64x8 b)
{
    return BOTH2(f64x8, _mm256_mul_pd, a, b);
}

static inline double f64_sum(f64x8 a)
{
    double lanes[4];
    _mm256_storeu_pd(lanes, _mm256_add_pd(a.low, a.high));
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

static inline u64x8 f64_bits(f64x8 a)
{
    return BOTH1(u64x8, _mm256_castpd_si256, a);
}

/* table[index % 32] */
static inline f64x8 f64_lookup32(const double table[32], u64x8 index)
{
    const __m256i low_bits = _mm256_set1_epi64x(31);
    return (f64x8){_mm256_i64gather_pd(table, _mm256_and_si256(index.low, low_bits), 8),
                   _mm256_i64gather_pd(table, _mm256_and_si256(index.high, low_bits), 8)};
}

static inline f64x8 f64_mul_add(f64x8 a, f64x8 b, f64x8 c)
{
    return (f64x8){_mm256_fmadd_pd(a.low, b.low, c.low), _mm256_fmadd_pd(a.high, b.high, c.high)};
}

/* table[index % 16] */
static inline f64x8 f64_lookup16(const double table[16], u64x8 index)
{
    const __m256i low_bits = _mm256_set1_epi64x(15);
    return (f64x8){_mm256_i64gather_pd(table, _mm256_and_si256(index.low, low_bits), 8),
                   _mm256_i64gather_pd(table, _mm256_and_si256(index.high, low_bits), 8)};
}

/* a * 2^floor(exponent); normal a and result. */
static inline __m256d times_exp2_floor(__m256d a, __m256d exponent)
{
    /* Next to 1.5 * 2^52 the low bits of a sum are an integer, in two's complement. */
    const __m256i whole =
        _mm256_castpd_si256(_mm256_add_pd(_mm256_floor_pd(exponent), _mm256_set1_pd(0x1.8p52)));
    return _mm256_castsi256_pd(
        _mm256_add_epi64(_mm256_castpd_si256(a), _mm256_slli_epi64(whole, 52)));
}

static inline f64x8 f64_times_exp2_floor(f64x8 a, f64x8 exponent)
{
    return BOTH2(f64x8, times_exp2_floor, a, exponent);
}

/* The whole part: next to 2^52 it is the low bits of the sum. */
static inline __m256i floor_to_u64(__m256d a)
{
    const __m256d shift = _mm256_set1_pd(0x1p52);
    return _mm256_xor_si256(_mm256_castpd_si256(_mm256_add_pd(_mm256_floor_pd(a), shift)),
                            _mm256_castpd_si256(shift));
}

static inline u64x8 f64_to_u64(f64x8 a)
{
    return BOTH1(u64x8, floor_to_u64, a);
}

static inline u64x8 u64_set(uint64_t value)
{
    return (u64x8){_mm256_set1_epi64x((long long)value), _mm256_set1_epi64x((long long)value)};
}

static inline u64x8 u64_add(u64x8 a, u64x8 b)
{
    return BOTH2(u64x8, _mm256_add_epi64, a, b);
}

static inline u64x8 u64_shift_right(u64x8 a, int bits)
{
    return (u64x8){_mm256_srli_epi64(a.low, bits), _mm256_srli_epi64(a.high, bits)};
}

static inline u64x8 u64_shift_left(u64x8 a, int bits)
{
    return (u64x8){_mm256_slli_epi64(a.low, bits), _mm256_slli_epi64(a.high, bits)};
}

static inline f64x8 f64_from_bits(u64x8 bits)
{
    return BOTH1(f64x8, _mm256_castsi256_pd, bits);
}

static inline u64x8 u64_xor3(u64x8 a, u64x8 b, u64x8 c)
{
    const u64x8 ab = BOTH2(u64x8, _mm256_xor_si256, a, b);
    return BOTH2(u64x8, _mm256_xor_si256, ab, c);
}

/* The low halves multiplied. */
static inline u64x8 u64_mul_low(u64x8 a, u64x8 b)
{
    return BOTH2(u64x8, _mm256_mul_epu32, a, b);
}

static inline u64x8 u64_keep(uint32_t lanes, u64x8 a)
{
    return (u64x8){_mm256_and_si256(a.low, spread_64(lanes)),
                   _mm256_and_si256(a.high, spread_64(lanes >> 4))};
}

static inline void u64_store(uint64_t *to, u64x8 a)
{
    _mm256_storeu_si256((__m256i *)(void *)to, a.low);
    _mm256_storeu_si256((__m256i *)(void *)(to + 4), a.high);
}

static inline uint64_t u64_sum(u64x8 a)
{
    uint64_t lanes[8];
    u64_store(lanes, a);
    return lanes[0] + lanes[1] + lanes[2] + lanes[3] + lanes[4] + lanes[5] + lanes[6] + lanes[7];
}

/* The low halves, as eight uint32. */
static inline void u64_store_low(uint32_t *to, u64x8 a)
{
    const __m256 pairs = _mm256_shuffle_ps(_mm256_castsi256_ps(a.low), _mm256_castsi256_ps(a.high),
                                           0x88); /* 0 1 4 5 | 2 3 6 7 */
    _mm256_storeu_si256((__m256i *)(void *)to,
                        _mm256_permute4x64_epi64(_mm256_castps_si256(pairs), 0xD8));
}

static inline u64x8 u64_load(const uint64_t *from)
{
    return (u64x8){load_256(from), load_256(from + 4)};
}

/* ------------------------------------------------------------------------------------------------
 * Maxima of sixteen tiles, eight at a time
 *
 * Registers are halved pairwise until each tile has one lane left: even tiles come to lie in the
 * lower half of the register, odd ones in the upper.
 */

typedef __m256i
    watch; /* the largest bits of a logit, its sign apart: more than infinity's is NaN */

static inline watch watch_none(void)
{
    return _mm256_setzero_si256();
}

static inline uint32_t watch_most_32(watch w)
{
    uint32_t lanes[8], most = 0;
    _mm256_storeu_si256((__m256i *)(void *)lanes, w);
    for (int i = 0; i < 8; i++)
        most = lanes[i] > most ? lanes[i] : most;
    return most;
}

static inline uint32_t watch_most_16(watch w)
{
    const __m256i halves = _mm256_max_epu16(_mm256_srli_epi32(w, 16), w);
    return watch_most_32(_mm256_and_si256(halves, _mm256_set1_epi32(0xFFFF)));
}

static inline __m256i in_order_of_tiles(__m256i a)
{
    return _mm256_permutevar8x32_epi32(a, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/* x ^ (sign of x & magnitude): bits of floats as integers in the order of the floats, and back. */
static inline __m256i order_16(__m256i x)
{
    return _mm256_xor_si256(x,
                            _mm256_and_si256(_mm256_srai_epi16(x, 15), _mm256_set1_epi16(0x7FFF)));
}

/* One tile, ordered as integers; the lanes that are not allowed have the order of -inf. */
static inline __m256i load_tile_16(const uint16_t *from, uint32_t allowed, int16_t none, watch *w)
{
    const __m256i x = load_256(from);
    *w = _mm256_max_epu16(*w, _mm256_and_si256(x, _mm256_set1_epi16(0x7FFF)));
    if (allowed == 0xFFFF)
        return order_16(x);
    const __m256i bits = _mm256_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096,
                                           8192, 16384, (short)-32768);
    const __m256i kept =
        _mm256_cmpeq_epi16(_mm256_and_si256(_mm256_set1_epi16((short)allowed), bits), bits);
    return _mm256_blendv_epi8(_mm256_set1_epi16(none), order_16(x), kept);
}

static inline uint32_t allowed_of(const uint32_t *allowed, int tile)
{
    return allowed != NULL ? allowed[tile / 2] >> (16 * (tile % 2)) & 0xFFFFu : 0xFFFFu;
}

/* The order of the maxima of 8 tiles, in the upper halves of the lanes. */
static inline __m256i max_of_tiles_16(const uint16_t *from, const uint32_t *allowed, int16_t none,
                                      watch *w)
{
    __m256i a[8];
    for (int i = 0; i < 8; i++)
        a[i] = load_tile_16(from + 16 * i, allowed_of(allowed, i), none, w);
    for (int i = 0; i < 4; i++)
        a[i] = _mm256_max_epi16(_mm256_permute2x128_si256(a[2 * i], a[2 * i + 1], 0x20),
                                _mm256_permute2x128_si256(a[2 * i], a[2 * i + 1], 0x31));
    for (int i = 0; i < 2; i++)
        a[i] = _mm256_max_epi16(_mm256_unpacklo_epi64(a[2 * i], a[2 * i + 1]),
                                _mm256_unpackhi_epi64(a[2 * i], a[2 * i + 1]));
    const __m256 p = _mm256_castsi256_ps(a[0]), q = _mm256_castsi256_ps(a[1]);
    const __m256i pairs = _mm256_max_epi16(_mm256_castps_si256(_mm256_shuffle_ps(p, q, 0x88)),
                                           _mm256_castps_si256(_mm256_shuffle_ps(p, q, 0xDD)));
    return in_order_of_tiles(_mm256_max_epi16(pairs, _mm256_slli_epi32(pairs, 16)));
}

static inline __m256 tiles_bf16(const uint16_t *from, const uint32_t *allowed, watch *w)
{
    const __m256i order = max_of_tiles_16(from, allowed, (int16_t)~0x7F80, w);
    return _mm256_castsi256_ps(
        _mm256_and_si256(order_16(order), _mm256_set1_epi32((int)0xFFFF0000)));
}

static inline __m256 tiles_f16(const uint16_t *from, const uint32_t *allowed, watch *w)
{
    const __m256i order = max_of_tiles_16(from, allowed, (int16_t)~0x7C00, w);
    const __m256i bits = _mm256_srli_epi32(order_16(order), 16);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(bits, bits), 0x08);
    return _mm256_cvtph_ps(_mm256_castsi256_si128(packed));
}

/* One tile, halved once. Values are compared as floats: what NaN makes of that is made good by who
 * watches. */
static inline __m256 load_tile_f32(const float *from, uint32_t allowed, watch *w)
{
    const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
    f32x16 x = f32_load(from);
    *w = _mm256_max_epu32(*w, _mm256_and_si256(_mm256_castps_si256(x.low), magnitude));
    *w = _mm256_max_epu32(*w, _mm256_and_si256(_mm256_castps_si256(x.high), magnitude));
    if (allowed != 0xFFFF)
        x = f32_select(allowed, x, f32_set(-__builtin_inff()));
    return _mm256_max_ps(x.low, x.high);
}

static inline __m256 tiles_f32(const float *from, const uint32_t *allowed, watch *w)
{
    __m256 a[8];
    for (int i = 0; i < 8; i++)
        a[i] = load_tile_f32(from + 16 * i, allowed_of(allowed, i), w);
    for (int i = 0; i < 4; i++)
        a[i] = _mm256_max_ps(_mm256_permute2f128_ps(a[2 * i], a[2 * i + 1], 0x20),
                             _mm256_permute2f128_ps(a[2 * i], a[2 * i + 1], 0x31));
    for (int i = 0; i < 2; i++)
        a[i] = _mm256_max_ps(_mm256_shuffle_ps(a[2 * i], a[2 * i + 1], 0x44),
                             _mm256_shuffle_ps(a[2 * i], a[2 * i + 1], 0xEE));
    const __m256 most =
        _mm256_max_ps(_mm256_shuffle_ps(a[0], a[1], 0x88), _mm256_shuffle_ps(a[0], a[1], 0xDD));
    return _mm256_castsi256_ps(in_order_of_tiles(_mm256_castps_si256(most)));
}

static inline const uint32_t *next_words(const uint32_t *allowed)
{
    return allowed != NULL ? allowed + 4 : NULL;
}

static inline f32x16 f32_tiles_bf16(const uint16_t *from, const uint32_t *allowed, watch *w)
{
    const __m256 low = tiles_bf16(from, allowed, w);
    return (f32x16){low, tiles_bf16(from + 128, next_words(allowed), w)};
}

static inline f32x16 f32_tiles_f16(const uint16_t *from, const uint32_t *allowed, watch *w)
{
    const __m256 low = tiles_f16(from, allowed, w);
    return (f32x16){low, tiles_f16(from + 128, next_words(allowed), w)};
}

static inline f32x16 f32_tiles_f32(const float *from, const uint32_t *allowed, watch *w)
{
    const __m256 low = tiles_f32(from, allowed, w);
    return (f32x16){low, tiles_f32(from + 128, next_words(allowed), w)};
}

#endif
