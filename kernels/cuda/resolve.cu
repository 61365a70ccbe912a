/* SPDX-License-Identifier: Apache-2.0
 *
 * resolve.cu - from the maxima of a row's tiles to the ids that are drawn.
 *
 *   work     one block a row; a row with several draws takes them one after the other
 *   traffic  the maxima, V/16 floats, a few times; the logits of some 24 tiles a draw; with top-k,
 * of k tiles eleven times; with top-p, of all tiles that have mass, up to eleven times bound
 * without top-p latency; with it exponentials in double, one an id that has mass order    sums are
 * of integers, and ties are broken by ids, so no order matters
 */
#define RZ_CUDA_SOURCE
#include "kernels/cuda/race.cuh"

namespace {

__device__ float largest_logit(const edited_row &row)
{
    float most = -INFINITY;
    for (uint32_t tile = threadIdx.x; tile < row.tiles; tile += blockDim.x)
        most = larger()(most, row.tile_max[tile]);
    return combine_block(most, larger());
}

__device__ bool saw_nan(const rz_cuda_step &step, uint32_t row)
{
    int seen = 0;
    for (uint32_t i = threadIdx.x; i < step.scan_blocks; i += blockDim.x)
        seen |= step.nan_seen[row * step.scan_blocks + i] != 0;
    return __syncthreads_or(seen) != 0;
}

/* The lowest id with this logit. */
__device__ uint32_t lowest_of(const edited_row &row, float logit)
{
    uint32_t first = kNoTile;
    for (uint32_t tile = threadIdx.x; tile < row.tiles; tile += blockDim.x)
        if (row.tile_max[tile] == logit)
            first = smaller()(first, tile);
    first = combine_block(first, smaller());
    const bool is_it = tile_logit(row, first) == logit;
    return combine_block(is_it ? first * RZ_TILE + lane_of_half() : kNoTile, smaller());
}

__device__ void draw(const scaled_row &scaled, int32_t *ids)
{
    const rz_cuda_row &row = *scaled.edited.row;
    race r = {scaled, kept_threshold(scaled), row.seed, row.position};
    for (uint32_t i = 0; i < row.draws; i++, r.position++) {
        const contender best = winner(r);
        if (half_of_block() == 0) {
            const uint32_t id = pick(r, best);
            if (threadIdx.x == 0)
                ids[i] = static_cast<int32_t>(id);
        }
    }
}

} // namespace

extern "C" __global__ void __launch_bounds__(RZ_CUDA_MOST_THREADS, 1)
    rz_cuda_resolve(const rz_cuda_step step)
{
    const rz_cuda_row &row = step.rows[blockIdx.x];
    const edited_row edited = row_of_step(step, blockIdx.x);
    int32_t *ids = step.ids + row.first_id;
    const bool nan = saw_nan(step, blockIdx.x);
    const float most = largest_logit(edited);
    const bool none = most == -INFINITY;
    if (threadIdx.x == 0)
        step.status[blockIdx.x] = (nan ? RZ_ROW_NAN : 0) | (none ? RZ_ROW_NO_TOKEN : 0);

    if (none || row.temperature < RZ_GREEDY_BELOW || most == INFINITY) {
        const int32_t id = none ? -1 : static_cast<int32_t>(lowest_of(edited, most));
        for (uint32_t i = threadIdx.x; i < row.draws; i += blockDim.x)
            ids[i] = id;
        return;
    }
    const float scale = rz_temperature_scale(row.temperature);
    draw({edited, scale, rz_scaled(most, scale)}, ids);
}
