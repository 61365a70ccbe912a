/* SPDX-License-Identifier: Apache-2.0
 *
 * probe.cu - kernels that show what rz_cuda_resolve keeps to itself.
 */
#define RZ_CUDA_SOURCE
#include "kernels/cuda/threshold.cuh"

extern "C" __global__ void rz_probe_threshold(const rz_cuda_step step);
extern "C" __global__ void rz_probe_exp2_near(const rz_cuda_step step);

/* The bits of the smallest y that is kept, in place of the row's first id. In place
 * of rz_cuda_resolve, for rows that are not greedy. */
extern "C" __global__ void rz_probe_threshold(const rz_cuda_step step)
{
    const edited_row edited = row_of_step(step, blockIdx.x);
    float most = -INFINITY;
    for (uint32_t tile = threadIdx.x; tile < edited.tiles; tile += blockDim.x)
        most = larger()(most, edited.tile_max[tile]);
    most = combine_block(most, larger());
    const float scale = rz_temperature_scale(edited.row->temperature);
    const float threshold = kept_threshold({edited, scale, rz_scaled(most, scale)});
    if (threadIdx.x == 0)
        step.ids[edited.row->first_id] = static_cast<int32_t>(rz_float_bits(threshold));
}

/* step.raw_max[tile] = 2^step.tile_max[tile], by one block. */
extern "C" __global__ void rz_probe_exp2_near(const rz_cuda_step step)
{
    for (uint32_t i = threadIdx.x; i < rz_tile_count(step.logits.vocab_size); i += blockDim.x)
        step.raw_max[i] = exp2_near(step.tile_max[i]);
}
