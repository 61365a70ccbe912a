/* SPDX-License-Identifier: Apache-2.0
 *
 * edit.cu - the kernel that edits rows that have been scanned.
 */
#define RZ_CUDA_SOURCE
#include "kernels/cuda/edit.cuh"

extern "C" __global__ void __launch_bounds__(RZ_CUDA_MOST_THREADS, 1)
    rz_cuda_edit_rows(const rz_cuda_step step)
{
    edit_row(step, blockIdx.x);
}
