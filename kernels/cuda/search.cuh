/* SPDX-License-Identifier: Apache-2.0
 *
 * search.cuh - where among the 2^32 keys of floats what weighs more than a limit ends.
 *
 * Eight parts at a time: what weighs more than each of seven pivots is summed by all threads in
 * registers, and by the block in integers, whose order does not matter. Parts are even in y as long
 * as that is how masses differ, and then in keys, of which eleven passes find any.
 */
#ifndef RZ_KERNELS_CUDA_SEARCH_CUH
#define RZ_KERNELS_CUDA_SEARCH_CUH

#include "kernels/contract.h"
#include "kernels/cuda/ids.cuh"

namespace {

constexpr uint32_t kParts = 8;
constexpr uint32_t kListed = 2048; /* keys that a list in shared memory has room for */

struct scaled_row {
    edited_row edited;
    float scale;
    float largest; /* y, finite */
};

__device__ inline uint32_t key_of(const scaled_row &row, float logit)
{
    return rz_float_key(rz_scaled(logit, row.scale));
}

/* The keys low < part <= high that a search goes through; nothing is known of those between. */
struct key_range {
    uint32_t low, high;
};

/* The first key of a part; rising, from `low` to less than `high`. */
__device__ inline uint32_t pivot_of(const key_range &range, uint32_t part)
{
    const uint32_t apart = range.high - range.low;
    const float from = larger()(rz_float_of_key(range.low), -FLT_MAX);
    const float width = rz_float_of_key(range.high) - from;
    if (!(width > 0x1p-10f && width < 0x1p7f))
        return range.low + static_cast<uint32_t>(static_cast<uint64_t>(apart) * part / kParts);
    const float y = from + width * (static_cast<float>(part) / kParts);
    const uint32_t key = rz_float_key(y);
    if (part == 0 || key < range.low)
        return range.low;
    return smaller()(key, range.high - 1);
}

/* ------------------------------------------------------------------------------------------------
 * What a search goes through: visit(key) is called for each that has a key above `below`, by
 * whichever thread
 */

struct tile_maxima {
    const scaled_row *row;
    template <typename Visit>
    __device__ void each(uint32_t below, Visit visit) const
    {
        for (uint32_t tile = threadIdx.x; tile < row->edited.tiles; tile += blockDim.x) {
            const uint32_t key = key_of(*row, row->edited.tile_max[tile]);
            if (key > below)
                visit(key);
        }
    }
};

struct row_ids {
    const scaled_row *row;
    uint32_t left_out = 0; /* tiles with a maximum up to this key */
    template <typename Visit>
    __device__ void each(uint32_t below, Visit visit) const
    {
        each_id(
            row->edited, [&](float max) { return key_of(*row, max) > larger()(below, left_out); },
            [&](uint32_t, float x) {
                const uint32_t key = key_of(*row, x);
                if (key > below)
                    visit(key);
            });
    }
};

struct key_list {
    const uint32_t *keys; /* shared */
    uint32_t count;
    template <typename Visit>
    __device__ void each(uint32_t below, Visit visit) const
    {
        for (uint32_t i = threadIdx.x; i < count; i += blockDim.x)
            if (keys[i] > below)
                visit(keys[i]);
    }
};

/* The largest that a thread comes by: one of the block's, at most, for each thread. */
struct own_key {
    uint32_t key;
    template <typename Visit>
    __device__ void each(uint32_t below, Visit visit) const
    {
        if (key > below)
            visit(key);
    }
};

/* ------------------------------------------------------------------------------------------------
 * Weights, and which of them an id of the answer may have above it
 */

struct count_limit {
    using weight_type = uint32_t;
    uint32_t k;
    __device__ uint32_t weight(uint32_t) const
    {
        return 1;
    }
    __device__ bool stays(uint32_t above) const
    {
        return above < k;
    }
};

struct mass_limit {
    using weight_type = uint64_t;
    float top_p;
    double exponent;
    uint64_t all;
    __device__ uint64_t weight(uint32_t key) const
    {
        return rz_mass(rz_float_of_key(key), exponent);
    }
    __device__ bool stays(uint64_t above) const
    {
        return rz_in_nucleus(above, top_p, all);
    }
};

/* The smallest key in low+1 .. high of which what weighs above it lets an id stay. `high` is such a
 * key, and what weighs `above` is above it. */
template <typename Items, typename Limit>
__device__ uint32_t search(const Items &items, const Limit &limit, key_range range,
                           typename Limit::weight_type above_high)
{
    using weight_type = typename Limit::weight_type;
    while (range.high - range.low > 1) {
        uint32_t pivots[kParts];
        weight_type above[kParts] = {};
#pragma unroll
        for (uint32_t i = 0; i < kParts; i++)
            pivots[i] = pivot_of(range, i);
        items.each(range.low, [&](uint32_t key) {
            if (key > range.high)
                return;
            const weight_type weight = limit.weight(key);
#pragma unroll
            for (uint32_t i = 0; i < kParts; i++)
                above[i] += key > pivots[i] ? weight : 0;
        });
        sum_block(above);
        const weight_type above_all = above_high;
        bool stays = true; /* pivots from some on do */
#pragma unroll
        for (uint32_t i = kParts - 1; i > 0; i--) {
            stays = stays && pivots[i] > range.low && limit.stays(above_all + above[i]);
            if (stays) {
                range.high = pivots[i];
                above_high = above_all + above[i];
            } else {
                range.low = larger()(range.low, pivots[i]);
            }
        }
    }
    return range.high;
}

} // namespace

#endif
