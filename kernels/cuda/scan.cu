/* SPDX-License-Identifier: Apache-2.0
 *
 * scan.cu - the kernels that scan rows and do no more.
 */
#define RZ_CUDA_SOURCE
#include "kernels/cuda/scan.cuh"

extern "C" __global__ void __launch_bounds__(RZ_CUDA_MOST_THREADS, 2)
    rz_cuda_scan_f32(const rz_cuda_step step)
{
    scan<f32>(step);
}

extern "C" __global__ void __launch_bounds__(RZ_CUDA_MOST_THREADS, 2)
    rz_cuda_scan_f16(const rz_cuda_step step)
{
    scan<f16>(step);
}

extern "C" __global__ void __launch_bounds__(RZ_CUDA_MOST_THREADS, 2)
    rz_cuda_scan_bf16(const rz_cuda_step step)
{
    scan<bf16>(step);
}
