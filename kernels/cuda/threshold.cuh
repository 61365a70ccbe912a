/* SPDX-License-Identifier: Apache-2.0
 *
 * threshold.cuh - the smallest y that min-p, top-k and top-p keep, exactly: all three keep the ids
 * of some y and above.
 */
#ifndef RZ_KERNELS_CUDA_THRESHOLD_CUH
#define RZ_KERNELS_CUDA_THRESHOLD_CUH

#include "kernels/cuda/nucleus.cuh"

namespace {

/* A key, at least `least`, that as many tiles reach with their maxima, if so many reach `least`:
 * the k-th largest of the maxima of k threads or more, which is soon found; or of all, for a large
 * k. */
__device__ inline uint32_t reached_by_tiles(const scaled_row &row, uint32_t k, uint32_t least)
{
    const key_range range = {least - 1, rz_float_key(row.largest)};
    const tile_maxima maxima = {&row};
    if (k > row.edited.tiles)
        return least;
    if (k > blockDim.x)
        return search(maxima, count_limit{k}, range, 0);
    uint32_t own = 0;
    maxima.each(range.low, [&](uint32_t key) { own = larger()(own, key); });
    return search(own_key{own}, count_limit{k}, range, 0);
}

/* The key of the k-th largest y, or `least` if fewer reach that. */
__device__ inline uint32_t top_k_key(const scaled_row &row, uint32_t k, uint32_t least)
{
    least = reached_by_tiles(row, k, least);
    const key_range range = {least - 1, rz_float_key(row.largest)};
    const key_list list = list_ids(row, range);
    return list.count <= kListed ? search(list, count_limit{k}, range, 0)
                                 : search(row_ids{&row}, count_limit{k}, range, 0);
}

/* The smallest y that is kept; -inf is not. */
__device__ inline float kept_threshold(const scaled_row &row)
{
    const rz_cuda_row &p = *row.edited.row;
    const bool limits_k = p.top_k > 0 && p.top_k < row.edited.logits.vocab_size;
    uint32_t least = rz_float_key(-FLT_MAX);
    if (p.min_p > 0.0f)
        least = larger()(least, rz_float_key(rz_min_p_threshold(row.largest, p.min_p)));
    if (limits_k)
        least = top_k_key(row, p.top_k, least);
    if (p.top_p < 1.0f)
        least = top_p_key(row, p.top_p, least, limits_k && p.top_k <= kListed / 2);
    return rz_float_of_key(least);
}

} // namespace

#endif
