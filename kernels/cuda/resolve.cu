/* SPDX-License-Identifier: Apache-2.0
 *
 * resolve.cu - the kernel that draws from rows that have been scanned and edited.
 */
#define RZ_CUDA_SOURCE
#include "kernels/cuda/resolve.cuh"

extern "C" __global__ void __launch_bounds__(RZ_CUDA_MOST_THREADS, 1)
    rz_cuda_resolve(const rz_cuda_step step)
{
    const uint32_t scanned = step.scanned[blockIdx.x];
    __syncthreads(); /* before it is set to zero */
    resolve_row(step, blockIdx.x, scanned);
}
