/* SPDX-License-Identifier: Apache-2.0
 *
 * logprobs.cuh - logprob and rank of the ids that are drawn, and the most likely ids.
 */
#ifndef RZ_KERNELS_CUDA_LOGPROBS_CUH
#define RZ_KERNELS_CUDA_LOGPROBS_CUH

#include "kernels/cuda/threshold.cuh"

namespace {

/* A distribution over the ids of a row. */
struct shares {
    scaled_row row;
    uint32_t least;  /* the key from which on ids have a share */
    bool infinite;   /* logits of +inf have all, in equal parts */
    double exponent; /* of masses */
    uint64_t all;    /* their sum */
};

/* The key of a logit; 0 if it has no share. +inf has the largest. */
__device__ inline uint32_t share_key(const shares &s, float logit)
{
    const uint32_t key = s.infinite ? rz_float_key(logit) : key_of(s.row, logit);
    return key >= s.least ? key : 0;
}

__device__ inline float share_y(const shares &s, uint32_t key)
{
    return s.infinite ? 0.0f : rz_float_of_key(key);
}

/* visit(id, key) for the ids with a key above `below`. */
template <typename Visit>
__device__ void each_share(const shares &s, uint32_t below, Visit visit)
{
    each_id(
        s.row.edited, [&](float max) { return share_key(s, max) > below; },
        [&](uint32_t id, float x) {
            const uint32_t key = share_key(s, x);
            if (key > below)
                visit(id, key);
        });
}

__device__ inline uint64_t sum_one(uint64_t value)
{
    uint64_t values[8] = {value};
    sum_block(values);
    return values[0];
}

/* `s` is shared by the block; `largest` is the largest logit, not -inf; `threshold` the smallest y
 * that is kept. */
__device__ inline void find_shares(shares *s, const edited_row &row, float scale, float largest,
                                   float threshold)
{
    if (threadIdx.x == 0) {
        s->infinite = largest == INFINITY;
        s->row = {row, scale, s->infinite ? 0.0f : rz_scaled(largest, scale)};
        s->least = rz_float_key(s->infinite ? INFINITY : threshold);
        s->exponent = rz_mass_exponent(s->row.largest);
    }
    __syncthreads();
    uint64_t mass = 0;
    each_share(*s, 0,
               [&](uint32_t, uint32_t key) { mass += rz_mass(share_y(*s, key), s->exponent); });
    mass = sum_one(mass);
    if (threadIdx.x == 0)
        s->all = mass;
    __syncthreads();
}

__device__ inline float logprob_of(const shares &s, uint32_t key)
{
    return key == 0 ? -INFINITY : rz_logprob(share_y(s, key), s.exponent, s.all);
}

/* 1 + the number of ids that are more likely. */
__device__ inline uint32_t rank_of(const shares &s, uint32_t key)
{
    uint64_t above = 0;
    each_share(s, key, [&](uint32_t, uint32_t) { above++; });
    return 1 + static_cast<uint32_t>(sum_one(above));
}

/* ------------------------------------------------------------------------------------------------
 * The most likely ids
 */

constexpr uint32_t kMostRanked = 512; /* ids that are put in order at once */

/* In the order of likelihood, the lower of two ids first; 0: none. */
__device__ inline uint64_t order_of(uint32_t id, uint32_t key)
{
    return static_cast<uint64_t>(key) << 32 | (0xFFFFFFFFu - id);
}

__device__ inline void set_top(const shares &s, uint64_t order, uint32_t place, rz_result *result)
{
    result->top_ids[place] = static_cast<int32_t>(0xFFFFFFFFu - static_cast<uint32_t>(order));
    result->top_logprobs[place] = logprob_of(s, static_cast<uint32_t>(order >> 32));
}

/* Ids from the key `bound` on in any order, while there is room; returns how many there are. */
__device__ inline uint32_t list_orders(const shares &s, uint32_t bound, uint64_t *orders)
{
    __shared__ uint32_t count;
    if (threadIdx.x == 0)
        count = 0;
    __syncthreads();
    each_share(s, bound - 1, [&](uint32_t id, uint32_t key) {
        const uint32_t at = count <= kMostRanked ? atomicAdd(&count, 1u) : kMostRanked;
        if (at < kMostRanked)
            orders[at] = order_of(id, key);
    });
    __syncthreads();
    return count;
}

/* Each to the place that the number of those before it says. */
__device__ inline void rank_listed(const shares &s, const uint64_t *orders, uint32_t count,
                                   uint32_t most, rz_result *result)
{
    for (uint32_t i = threadIdx.x; i < count; i += blockDim.x) {
        uint32_t place = 0;
        for (uint32_t j = 0; j < count; j++)
            place += orders[j] > orders[i] ? 1 : 0;
        if (place < most)
            set_top(s, orders[i], place, result);
    }
}

/* One after the other, where so many tie that they are not listed. */
__device__ inline uint32_t rank_one_by_one(const shares &s, uint32_t bound, uint32_t most,
                                           rz_result *result)
{
    uint64_t last = ~static_cast<uint64_t>(0);
    for (uint32_t place = 0; place < most; place++) {
        uint64_t next = 0;
        each_share(s, bound - 1, [&](uint32_t id, uint32_t key) {
            const uint64_t order = order_of(id, key);
            if (order < last)
                next = larger()(next, order);
        });
        last = combine_block(next, larger());
        if (last == 0)
            return place;
        if (threadIdx.x == 0)
            set_top(s, last, place, result);
    }
    return most;
}

/* Fill in the most likely ids. `result` is shared by the block, which has a barrier before it is
 * read. */
__device__ inline void fill_top(const shares &s, uint32_t most, rz_result *result)
{
    __shared__ uint64_t orders[kMostRanked];
    if (most == 0)
        return;
    uint32_t bound = s.least;
    if (!s.infinite)
        bound = reached_by_tiles(s.row, most, s.least);
    const uint32_t count = list_orders(s, bound, orders);
    uint32_t filled = smaller()(count, most);
    if (count <= kMostRanked)
        rank_listed(s, orders, count, most, result);
    else
        filled = rank_one_by_one(s, bound, most, result);
    if (threadIdx.x == 0)
        result->top_count = filled;
}

} // namespace

#endif
