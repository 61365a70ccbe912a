/* SPDX-License-Identifier: Apache-2.0
 *
 * threshold.cuh - the smallest y that min-p, top-k and top-p keep, exactly.
 *
 * All three keep the ids of some y and above. Where top-k and top-p end is searched for among the
 * 2^32 keys of floats, eight parts at a time: what weighs more than each of seven pivots is summed
 * by all threads in registers, counts for top-k and masses for top-p. Eleven passes find any key. A
 * pass reads only tiles whose maximum is above the part that is left. Sums are of integers, so
 * their order does not matter.
 */
#ifndef RZ_KERNELS_CUDA_THRESHOLD_CUH
#define RZ_KERNELS_CUDA_THRESHOLD_CUH

#include "kernels/contract.h"
#include "kernels/cuda/row.cuh"

namespace {

constexpr uint32_t kParts = 8;

struct scaled_row {
    edited_row edited;
    float scale;
    float largest; /* y, finite */
};

__device__ inline uint32_t max_key(const scaled_row &row, uint32_t tile)
{
    return rz_float_key(rz_scaled(row.edited.tile_max[tile], row.scale));
}

/* y of this lane's id of a tile. */
__device__ inline float tile_y(const scaled_row &row, uint32_t tile)
{
    return rz_scaled(tile_logit(row.edited, tile), row.scale);
}

/* ------------------------------------------------------------------------------------------------
 * What a search goes through: visit(key, y) is called for each that has a key above `below`, by
 * whichever thread
 */

struct tile_maxima {
    const scaled_row *row;
    template <typename Visit>
    __device__ void each(uint32_t below, Visit visit) const
    {
        for (uint32_t tile = threadIdx.x; tile < row->edited.tiles; tile += blockDim.x) {
            const uint32_t key = max_key(*row, tile);
            if (key > below)
                visit(key, 0.0f);
        }
    }
};

struct row_ids {
    const scaled_row *row;
    template <typename Visit>
    __device__ void each(uint32_t below, Visit visit) const
    {
        for (uint32_t tile = half_of_block(); tile < row->edited.tiles; tile += halves_of_block()) {
            if (max_key(*row, tile) <= below)
                continue;
            const float y = tile_y(*row, tile);
            const uint32_t key = rz_float_key(y);
            if (key > below)
                visit(key, y);
        }
    }
};

/* ------------------------------------------------------------------------------------------------
 * Weights, and which of them an id of the answer may have above it
 */

struct count_limit {
    uint32_t k;
    __device__ uint64_t weight(float) const
    {
        return 1;
    }
    __device__ bool stays(uint64_t above, uint64_t) const
    {
        return above < k;
    }
};

struct mass_limit {
    float top_p;
    double exponent;
    __device__ uint64_t weight(float y) const
    {
        return rz_mass(y, exponent);
    }
    __device__ bool stays(uint64_t above, uint64_t all) const
    {
        return rz_in_nucleus(above, top_p, all);
    }
};

/* The smallest key in below+1 .. high of which what weighs above it lets an id stay. `high` is such
 * a key, with nothing above it; `all` is what is above `below`. */
template <typename Items, typename Limit>
__device__ uint32_t search(const Items &items, const Limit &limit, uint32_t below, uint32_t high)
{
    uint32_t low = below; /* not in the answer */
    uint64_t above_high = 0, all = 0;
    for (bool first = true; high - low > 1; first = false) {
        uint32_t pivots[kParts];
        uint64_t above[kParts] = {};
        for (uint32_t i = 0; i < kParts; i++)
            pivots[i] = low + static_cast<uint32_t>(static_cast<uint64_t>(high - low) * i / kParts);
        items.each(low, [&](uint32_t key, float y) {
            if (key > high)
                return;
            const uint64_t weight = limit.weight(y);
            for (uint32_t i = 0; i < kParts; i++)
                above[i] += key > pivots[i] ? weight : 0;
        });
        sum_block(above);
        if (first)
            all = above[0];
        const uint64_t above_all = above_high;
        for (uint32_t i = kParts - 1; i > 0; i--) {
            const uint64_t above_pivot = above_all + above[i];
            if (pivots[i] == low || !limit.stays(above_pivot, all)) {
                low = pivots[i];
                break;
            }
            high = pivots[i];
            above_high = above_pivot;
        }
    }
    return high;
}

/* ------------------------------------------------------------------------------------------------
 */

/* The key of the k-th largest y, or `least` if fewer reach that. k tiles, and those that tie, have
 * all that is as large: first the k-th largest maximum is found. */
__device__ inline uint32_t top_k_key(const scaled_row &row, uint32_t k, uint32_t least,
                                     uint32_t largest)
{
    const count_limit limit = {k};
    if (k <= row.edited.tiles)
        least = search(tile_maxima{&row}, limit, least - 1, largest);
    return search(row_ids{&row}, limit, least - 1, largest);
}

/* Ids that are this far below the row's exponent have no mass, so top-p keeps none of them. */
__device__ inline uint32_t top_p_key(const scaled_row &row, float top_p, uint32_t least,
                                     uint32_t largest)
{
    const double exponent = rz_mass_exponent(row.largest);
    const double massless = exponent - 64.0;
    if (massless > -static_cast<double>(FLT_MAX))
        least = larger()(least, rz_float_key(static_cast<float>(massless)));
    return search(row_ids{&row}, mass_limit{top_p, exponent}, least - 1, largest);
}

/* The smallest y that is kept; -inf is not. */
__device__ inline float kept_threshold(const scaled_row &row)
{
    const rz_cuda_row &p = *row.edited.row;
    const uint32_t largest = rz_float_key(row.largest);
    uint32_t least = rz_float_key(-FLT_MAX);
    if (p.min_p > 0.0f)
        least = larger()(least, rz_float_key(rz_min_p_threshold(row.largest, p.min_p)));
    if (p.top_k > 0 && p.top_k < row.edited.logits->vocab_size)
        least = top_k_key(row, p.top_k, least, largest);
    if (p.top_p < 1.0f)
        least = top_p_key(row, p.top_p, least, largest);
    return rz_float_of_key(least);
}

} // namespace

#endif
