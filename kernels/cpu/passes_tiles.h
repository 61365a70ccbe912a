/* SPDX-License-Identifier: Apache-2.0
 *
 * passes_tiles.h - passes over what is known of tiles.
 */
#ifndef RZ_KERNELS_PASSES_TILES_H
#define RZ_KERNELS_PASSES_TILES_H

#include "kernels/cpu/lanes.h"

static uint32_t count(const float *values, uint32_t padded, float least)
{
    uint32_t reaching = 0;
    for (uint32_t t = 0; t < padded; t += LANES)
        reaching += (uint32_t)__builtin_popcount(f32_ge(f32_load(values + t), f32_set(least)));
    return reaching;
}

static float largest(const float *values, uint32_t padded)
{
    f32x16 most = f32_set(-INFINITY);
    for (uint32_t t = 0; t < padded; t += LANES)
        most = f32_max(most, f32_load(values + t));
    return lane_max(most);
}

static inline float lane_min(f32x16 a)
{
    return -lane_max(f32_sub(f32_set(0.0f), a));
}

/* By bisection, until no more than k + spare values reach `low`: the least of those is the one. */
static float kth_largest(const float *values, uint32_t count, uint32_t k, uint32_t spare)
{
    f32x16 most = f32_set(-INFINITY), least = f32_set(INFINITY);
    for (uint32_t i = 0; i < count; i += LANES) {
        most = f32_max(most, f32_load(values + i));
        least = f32_min(least, f32_load(values + i));
    }
    uint32_t high = rz_float_key(lane_max(most));
    uint32_t low = rz_float_key(lane_min(least));
    while (low < high) { /* k values reach `low`; fewer reach what is above `high` */
        const uint32_t middle = low + (high - low + 1) / 2;
        const f32x16 wanted = f32_set(rz_float_of_key(middle));
        uint32_t reach_it = 0;
        for (uint32_t i = 0; i < count; i += LANES)
            reach_it += (uint32_t)__builtin_popcount(f32_ge(f32_load(values + i), wanted));
        if (reach_it >= k)
            low = middle;
        else
            high = middle - 1;
        if (reach_it >= k && reach_it <= k + spare)
            break;
    }
    const f32x16 wanted = f32_set(rz_float_of_key(low));
    least = f32_set(INFINITY);
    for (uint32_t i = 0; i < count; i += LANES) {
        const f32x16 x = f32_load(values + i);
        least = f32_min(least, f32_select(f32_ge(x, wanted), x, f32_set(INFINITY)));
    }
    return lane_min(least);
}

static uint32_t bands(const float *values, uint32_t padded, float *largest)
{
    uint32_t count = 0;
    for (uint32_t t = 0; t < padded; t += LANES * LANES, count += LANES) {
        f32x16 most = f32_load(values + t);
        for (uint32_t i = t + LANES; i < t + LANES * LANES && i < padded; i += LANES) {
            most = f32_max(most, f32_load(values + i));
        }
        f32_store(largest + count, most);
    }
    return count;
}

/* Append the numbers of the lanes. */
static inline uint32_t append(uint32_t lanes, uint32_t first, uint32_t *list, uint32_t count)
{
    for (; lanes != 0; lanes &= lanes - 1)
        list[count++] = first + (uint32_t)__builtin_ctz(lanes);
    return count;
}

static uint32_t at_least(const float *values, uint32_t padded, float least, uint32_t most,
                         uint32_t *tiles)
{
    uint32_t count = 0;
    for (uint32_t t = 0; t < padded && count <= most; t += LANES)
        count = append(f32_ge(f32_load(values + t), f32_set(least)), t, tiles, count);
    return count;
}

static double maxima(const struct rz_tiles *tiles, float least, float below)
{
    f32x16 some = f32_set(0.0f); /* 1,024 terms a lane at most: 2^-14 of it may be lost */
    for (uint32_t t = 0; t < tiles->padded; t += LANES) {
        const f32x16 max = f32_load(tiles->max + t);
        const f32x16 x = f32_sub(f32_mul(max, f32_set(tiles->scale)), f32_set(tiles->exponent));
        const uint32_t lanes = f32_ge(max, f32_set(least)) & ~f32_ge(max, f32_set(below));
        some = f32_add_where(lanes, some, chord_exp2(x));
    }
    return f64_sum(f64_from_both(some));
}

static float best(const float *base, float least, const float *scores, uint32_t padded)
{
    f32x16 most = f32_set(-INFINITY);
    for (uint32_t t = 0; t < padded; t += LANES) {
        const uint32_t live = f32_ge(f32_load(base + t), f32_set(least));
        most = f32_max(most, f32_select(live, f32_load(scores + t), f32_set(-INFINITY)));
    }
    return lane_max(most);
}

static uint32_t reach(const float *base, float least, const float *scores, uint32_t padded,
                      float score, uint32_t *list)
{
    uint32_t count = 0;
    for (uint32_t t = 0; t < padded; t += LANES) {
        const uint32_t live = f32_ge(f32_load(base + t), f32_set(least));
        count = append(f32_ge(f32_load(scores + t), f32_set(score)) & live, t, list, count);
    }
    return count;
}

static uint32_t reach_by_band(const float *band_scores, const float *scores, uint32_t padded,
                              float score, uint32_t *list)
{
    uint32_t count = 0;
    for (uint32_t first = 0; first < padded; first += LANES * LANES) {
        uint32_t lanes = f32_ge(f32_load(band_scores + first / LANES), f32_set(score));
        for (; lanes != 0; lanes &= lanes - 1)
            for (uint32_t i = 0; i < LANES; i++) {
                const uint32_t t = first + i * LANES + (uint32_t)__builtin_ctz(lanes);
                if (t >= padded)
                    break;
                list[count] = t;
                count += scores[t] >= score; /* without a branch that nobody can foretell */
            }
    }
    return count;
}

#endif
