/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_read.cu - read every byte once.
 *
 *   work     loads of 16 bytes go round the threads of the grid, of any size
 *   traffic  the bytes; writes 4 bytes a block
 *   bound    memory: 4 additions for 16 bytes
 */
#define RZ_CUDA_SOURCE
#include "tools/bench_read.h"

#include "kernels/cuda/block.cuh"

namespace {

constexpr uint32_t kLoads = 4; /* that a thread has in flight: with 6 blocks on a multiprocessor
                                  96 KiB of it, more than latency times bandwidth */

__device__ inline uint32_t sum_of_words(uint4 v)
{
    return v.x + v.y + v.z + v.w;
}

} // namespace

extern "C" __global__ void __launch_bounds__(RZ_BENCH_READ_THREADS, 6)
    rz_bench_read(const rz_bench_read_args args)
{
    __shared__ uint32_t of_warps[RZ_BENCH_READ_THREADS / kWarp];
    const uint64_t threads = static_cast<uint64_t>(gridDim.x) * blockDim.x;
    const uint4 *from = static_cast<const uint4 *>(args.from);
    uint64_t load = static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    uint32_t words = 0;
    for (; load + (kLoads - 1) * threads < args.loads; load += kLoads * threads) {
        uint4 v[kLoads];
#pragma unroll
        for (uint32_t i = 0; i < kLoads; i++)
            v[i] = __ldg(from + load + i * threads);
#pragma unroll
        for (uint32_t i = 0; i < kLoads; i++)
            words += sum_of_words(v[i]);
    }
    for (; load < args.loads; load += threads)
        words += sum_of_words(__ldg(from + load));
    words = combine_warp(words, sum());
    if (lane_of_warp() == 0)
        of_warps[warp_of_block()] = words;
    __syncthreads();
    if (threadIdx.x == 0) {
        words = 0;
        for (uint32_t warp = 0; warp < blockDim.x / kWarp; warp++)
            words += of_warps[warp];
        args.sums[blockIdx.x] = words;
    }
}
