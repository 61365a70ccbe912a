/* SPDX-License-Identifier: Apache-2.0
 *
 * lanes_scalar.h - sixteen lanes as arrays, for any machine; compilers make of the loops what they
 * can. See lanes.h.
 */
#ifndef RZ_KERNELS_LANES_SCALAR_H
#define RZ_KERNELS_LANES_SCALAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/numerics.h"
#include "kernels/row.h"

typedef struct {
    float lane[16];
} f32x16;

typedef struct {
    uint32_t lane[16];
} u32x16;

typedef struct {
    double lane[8];
} f64x8;

typedef struct {
    uint64_t lane[8];
} u64x8;

/* A function of one value a lane, or one bit. */
#define EACH(type, count, value)      \
    type result;                      \
    for (int i = 0; i < (count); i++) \
        result.lane[i] = (value);     \
    return result

#define EACH_BIT(condition)                  \
    uint32_t lanes = 0;                      \
    for (int i = 0; i < 16; i++)             \
        lanes |= (uint32_t)(condition) << i; \
    return lanes

/* ------------------------------------------------------------------------------------------------
 * fp32
 */

static inline f32x16 f32_set(float value)
{
    EACH(f32x16, 16, value);
}

static inline f32x16 f32_load(const float *from)
{
    EACH(f32x16, 16, from[i]);
}

static inline f32x16 f32_load_bf16(const uint16_t *from)
{
    EACH(f32x16, 16, rz_float_from_bfloat16(from[i]));
}

/* 32 of them, in any order. */
static inline void f32_load_32_bf16(const uint16_t *from, f32x16 to[2])
{
    to[0] = f32_load_bf16(from);
    to[1] = f32_load_bf16(from + 16);
}

static inline f32x16 f32_load_f16(const uint16_t *from)
{
    EACH(f32x16, 16, rz_float_from_float16(from[i]));
}

static inline void f32_store(float *to, f32x16 a)
{
    memcpy(to, a.lane, sizeof a.lane);
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
    EACH(f32x16, 16, a.lane[i] + b.lane[i]);
}

static inline f32x16 f32_sub(f32x16 a, f32x16 b)
{
    EACH(f32x16, 16, a.lane[i] - b.lane[i]);
}

static inline f32x16 f32_mul(f32x16 a, f32x16 b)
{
    EACH(f32x16, 16, a.lane[i] * b.lane[i]);
}

static inline f32x16 f32_mul_add(f32x16 a, f32x16 b, f32x16 c)
{
    EACH(f32x16, 16, a.lane[i] * b.lane[i] + c.lane[i]);
}

static inline f32x16 f32_min(f32x16 a, f32x16 b)
{
    EACH(f32x16, 16, a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]);
}

static inline f32x16 f32_max(f32x16 a, f32x16 b)
{
    EACH(f32x16, 16, a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]);
}

static inline uint32_t f32_ge(f32x16 a, f32x16 b)
{
    EACH_BIT(a.lane[i] >= b.lane[i]);
}

static inline uint32_t f32_gt(f32x16 a, f32x16 b)
{
    EACH_BIT(a.lane[i] > b.lane[i]);
}

static inline f32x16 f32_select(uint32_t lanes, f32x16 yes, f32x16 no)
{
    EACH(f32x16, 16, (lanes >> i & 1) != 0 ? yes.lane[i] : no.lane[i]);
}

/* a, plus b in these lanes. */
static inline f32x16 f32_add_where(uint32_t lanes, f32x16 a, f32x16 b)
{
    EACH(f32x16, 16, (lanes >> i & 1) != 0 ? a.lane[i] + b.lane[i] : a.lane[i]);
}

/* a, plus b where x >= least. */
static inline f32x16 f32_add_where_ge(f32x16 a, f32x16 b, f32x16 x, f32x16 least)
{
    EACH(f32x16, 16, a.lane[i] + (x.lane[i] >= least.lane[i] ? b.lane[i] : 0.0f));
}

/* x where it is >= least, otherwise `other`. */
static inline f32x16 f32_keep_ge(f32x16 x, f32x16 least, f32x16 other)
{
    EACH(f32x16, 16, x.lane[i] >= least.lane[i] ? x.lane[i] : other.lane[i]);
}

static inline f32x16 f32_from_bits(u32x16 bits)
{
    f32x16 a;
    memcpy(&a, &bits, sizeof a);
    return a;
}

static inline u32x16 f32_bits(f32x16 a)
{
    u32x16 bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}

static inline u32x16 f32_to_i32(f32x16 a)
{
    EACH(u32x16, 16,
         a.lane[i] >= -0x1p31f && a.lane[i] < 0x1p31f ? (uint32_t)(int32_t)a.lane[i] : 0x80000000u);
}

static inline f32x16 f32_from_i32(u32x16 a)
{
    EACH(f32x16, 16, (float)(int32_t)a.lane[i]);
}

/* ------------------------------------------------------------------------------------------------
 * uint32
 */

static inline u32x16 u32_load(const uint32_t *from)
{
    EACH(u32x16, 16, from[i]);
}

static inline u32x16 u32_add(u32x16 a, u32x16 b)
{
    EACH(u32x16, 16, a.lane[i] + b.lane[i]);
}

static inline u32x16 u32_shift_left(u32x16 a, int bits)
{
    EACH(u32x16, 16, a.lane[i] << bits);
}

static inline u32x16 u32_shift_right(u32x16 a, int bits)
{
    EACH(u32x16, 16, a.lane[i] >> bits);
}

static inline uint32_t u32_le(u32x16 a, u32x16 b)
{
    EACH_BIT(a.lane[i] <= b.lane[i]);
}

/* ------------------------------------------------------------------------------------------------
 * fp64 and uint64
 */

static inline f64x8 f64_set(double value)
{
    EACH(f64x8, 8, value);
}

static inline f64x8 f64_from_low(f32x16 a)
{
    EACH(f64x8, 8, (double)a.lane[i]);
}

static inline f64x8 f64_from_high(f32x16 a)
{
    EACH(f64x8, 8, (double)a.lane[8 + i]);
}

static inline f64x8 f64_add(f64x8 a, f64x8 b)
{
    EACH(f64x8, 8, a.lane[i] + b.lane[i]);
}

static inline f64x8 f64_sub(f64x8 a, f64x8 b)
{
    EACH(f64x8, 8, a.lane[i] - b.lane[i]);
}

static inline f64x8 f64_mul(f64x8 a, f64x8 b)
{
    EACH(f64x8, 8, a.lane[i] * b.lane[i]);
}

static inline double f64_sum(f64x8 a)
{
    double sum = 0.0;
    for (int i = 0; i < 8; i++)
        sum += a.lane[i];
    return sum;
}

static inline u64x8 f64_bits(f64x8 a)
{
    EACH(u64x8, 8, rz_double_bits(a.lane[i]));
}

/* Rounded twice. */
static inline f64x8 f64_mul_add(f64x8 a, f64x8 b, f64x8 c)
{
    EACH(f64x8, 8, a.lane[i] * b.lane[i] + c.lane[i]);
}

/* table[index % 16] */
static inline f64x8 f64_lookup16(const double table[16], u64x8 index)
{
    EACH(f64x8, 8, table[index.lane[i] % 16]);
}

/* table[index % 32] */
static inline f64x8 f64_lookup32(const double table[32], u64x8 index)
{
    EACH(f64x8, 8, table[index.lane[i] % 32]);
}

/* a * 2^floor(exponent); normal a and result. */
static inline f64x8 f64_times_exp2_floor(f64x8 a, f64x8 exponent)
{
    /* Next to 1.5 * 2^52 the low bits of a sum are an integer, in two's complement. */
    EACH(f64x8, 8,
         rz_double_from_bits(rz_double_bits(a.lane[i]) +
                             (rz_double_bits(floor(exponent.lane[i]) + 0x1.8p52) << 52)));
}

/* The whole part; 0 of what is no mass, NaN also, so that any lane may be given. */
static inline u64x8 f64_to_u64(f64x8 a)
{
    EACH(u64x8, 8, a.lane[i] >= 0.0 && a.lane[i] < 0x1p63 ? (uint64_t)(int64_t)a.lane[i] : 0);
}

static inline u64x8 u64_set(uint64_t value)
{
    EACH(u64x8, 8, value);
}

static inline u64x8 u64_add(u64x8 a, u64x8 b)
{
    EACH(u64x8, 8, a.lane[i] + b.lane[i]);
}

static inline u64x8 u64_shift_right(u64x8 a, int bits)
{
    EACH(u64x8, 8, a.lane[i] >> bits);
}

static inline u64x8 u64_shift_left(u64x8 a, int bits)
{
    EACH(u64x8, 8, a.lane[i] << bits);
}

static inline f64x8 f64_from_bits(u64x8 bits)
{
    f64x8 result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

static inline u64x8 u64_xor3(u64x8 a, u64x8 b, u64x8 c)
{
    EACH(u64x8, 8, a.lane[i] ^ b.lane[i] ^ c.lane[i]);
}

/* The low halves multiplied. */
static inline u64x8 u64_mul_low(u64x8 a, u64x8 b)
{
    EACH(u64x8, 8, (a.lane[i] & UINT32_MAX) * (b.lane[i] & UINT32_MAX));
}

static inline u64x8 u64_keep(uint32_t lanes, u64x8 a)
{
    EACH(u64x8, 8, (lanes >> i & 1) != 0 ? a.lane[i] : 0);
}

static inline uint64_t u64_sum(u64x8 a)
{
    uint64_t sum = 0;
    for (int i = 0; i < 8; i++)
        sum += a.lane[i];
    return sum;
}

static inline void u64_store(uint64_t *to, u64x8 a)
{
    memcpy(to, a.lane, sizeof a.lane);
}

/* The low halves, as eight uint32. */
static inline void u64_store_low(uint32_t *to, u64x8 a)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint32_t)a.lane[i];
}

static inline u64x8 u64_load(const uint64_t *from)
{
    EACH(u64x8, 8, from[i]);
}

/* ------------------------------------------------------------------------------------------------
 * Maxima of sixteen tiles
 */

/* The largest bits of a logit, its sign apart: more than infinity's is NaN. By place in the tile,
 * so that nothing goes from lane to lane. */
typedef struct {
    int32_t lane[16];
} watch;

static inline watch watch_none(void)
{
    EACH(watch, 16, 0);
}

static inline uint32_t watch_most_32(watch w)
{
    int32_t most = 0;
    for (int i = 0; i < 16; i++)
        most = w.lane[i] > most ? w.lane[i] : most;
    return (uint32_t)most;
}

static inline uint32_t watch_most_16(watch w)
{
    return watch_most_32(w);
}

static inline uint32_t allowed_of(const uint32_t *allowed, int tile)
{
    return allowed != NULL ? allowed[tile / 2] >> (16 * (tile % 2)) & 0xFFFFu : 0xFFFFu;
}

/* The bits of a 16-bit float as an integer in the order of the floats, and back. */
static inline int16_t order_16(int16_t bits)
{
    return (int16_t)(bits ^ ((bits >> 15) & 0x7FFF));
}

/* The largest of the allowed logits of a tile, in the order; `none` if none is. Maxima of integers
 * are what compilers make vectors of. */
static inline int16_t max_of_tile_16(const uint16_t *from, uint32_t allowed, int16_t none,
                                     int16_t magnitude[16])
{
    int16_t order[16], most = none;
    memcpy(order, from, sizeof order);
    for (int i = 0; i < 16; i++) {
        const int16_t size = (int16_t)(order[i] & 0x7FFF);
        magnitude[i] = size > magnitude[i] ? size : magnitude[i];
    }
    for (int i = 0; i < 16; i++)
        order[i] = order_16(order[i]);
    for (int i = 0; allowed != 0xFFFF && i < 16; i++)
        order[i] = (allowed >> i & 1) != 0 ? order[i] : none;
    for (int i = 0; i < 16; i++)
        most = order[i] > most ? order[i] : most;
    return most;
}

/* The orders of the maxima of 16 tiles. */
static inline void max_of_tiles_16(const uint16_t *from, const uint32_t *allowed, int16_t none,
                                   watch *w, int16_t most[16])
{
    int16_t magnitude[16] = {0};
    for (int t = 0; t < 16; t++)
        most[t] = max_of_tile_16(from + 16 * t, allowed_of(allowed, t), none, magnitude);
    for (int i = 0; i < 16; i++)
        w->lane[i] = magnitude[i] > w->lane[i] ? magnitude[i] : w->lane[i];
}

static inline f32x16 f32_tiles_bf16(const uint16_t *from, const uint32_t *allowed, watch *w)
{
    int16_t most[16];
    max_of_tiles_16(from, allowed, (int16_t)~0x7F80, w, most);
    EACH(f32x16, 16, rz_float_from_bfloat16((uint16_t)order_16(most[i])));
}

static inline f32x16 f32_tiles_f16(const uint16_t *from, const uint32_t *allowed, watch *w)
{
    int16_t most[16];
    max_of_tiles_16(from, allowed, (int16_t)~0x7C00, w, most);
    EACH(f32x16, 16, rz_float_from_float16((uint16_t)order_16(most[i])));
}

static inline float max_of_tile_32(const float *from, uint32_t allowed, watch *w)
{
    int32_t order[16], most = ~0x7F800000; /* -inf in the order */
    memcpy(order, from, sizeof order);
    for (int i = 0; i < 16; i++) {
        const int32_t size = order[i] & 0x7FFFFFFF;
        w->lane[i] = size > w->lane[i] ? size : w->lane[i];
    }
    for (int i = 0; i < 16; i++)
        order[i] = order[i] ^ ((order[i] >> 31) & 0x7FFFFFFF);
    for (int i = 0; allowed != 0xFFFF && i < 16; i++)
        order[i] = (allowed >> i & 1) != 0 ? order[i] : ~0x7F800000;
    for (int i = 0; i < 16; i++)
        most = order[i] > most ? order[i] : most;
    return rz_float_from_bits((uint32_t)(most ^ ((most >> 31) & 0x7FFFFFFF)));
}

static inline f32x16 f32_tiles_f32(const float *from, const uint32_t *allowed, watch *w)
{
    EACH(f32x16, 16, max_of_tile_32(from + 16 * i, allowed_of(allowed, i), w));
}

#endif
