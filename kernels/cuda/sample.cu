/* SPDX-License-Identifier: Apache-2.0
 *
 * sample.cu - the kernels that do all in one launch: the last block of a row to have scanned its
 * part goes on with the row.
 *
 * Nobody waits: other blocks end, and rows that are drawn from and rows that are read from memory
 * overlap.
 */
#define RZ_CUDA_SOURCE
#include "kernels/cuda/edit.cuh"
#include "kernels/cuda/resolve.cuh"
#include "kernels/cuda/scan.cuh"

namespace {

template <typename type>
__device__ void sample(const rz_cuda_step &step)
{
    const uint32_t scanned = scan<type>(step);
    if (scanned % RZ_CUDA_SAW_NAN != gridDim.x)
        return;
    edit_row(step, blockIdx.y);
    resolve_row(step, blockIdx.y, scanned);
}

} // namespace

extern "C" __global__ void __launch_bounds__(RZ_CUDA_MOST_THREADS, 1)
    rz_cuda_sample_f32(const rz_cuda_step step)
{
    sample<f32>(step);
}

extern "C" __global__ void __launch_bounds__(RZ_CUDA_MOST_THREADS, 1)
    rz_cuda_sample_f16(const rz_cuda_step step)
{
    sample<f16>(step);
}

extern "C" __global__ void __launch_bounds__(RZ_CUDA_MOST_THREADS, 1)
    rz_cuda_sample_bf16(const rz_cuda_step step)
{
    sample<bf16>(step);
}
