/* SPDX-License-Identifier: Apache-2.0
 *
 * block.cuh - what the threads of a block find out together.
 *
 * All threads of a block call these, and all get the result. Results don't depend on the number of
 * threads: what is combined here is a maximum, a minimum, or a sum of integers.
 */
#ifndef RZ_KERNELS_CUDA_BLOCK_CUH
#define RZ_KERNELS_CUDA_BLOCK_CUH

#include <stdint.h>

#include "kernels/cuda/kernels.h"

namespace {

constexpr uint32_t kWarp = RZ_CUDA_WARP;
constexpr uint32_t kMostWarps = RZ_CUDA_MOST_THREADS / RZ_CUDA_WARP;
constexpr uint32_t kAllLanes = 0xFFFFFFFFu;

__device__ inline uint32_t warp_of_block()
{
    return threadIdx.x / kWarp;
}

__device__ inline uint32_t lane_of_warp()
{
    return threadIdx.x % kWarp;
}

struct larger {
    template <typename T>
    __device__ T operator()(T a, T b) const
    {
        return a > b ? a : b;
    }
};

struct smaller {
    template <typename T>
    __device__ T operator()(T a, T b) const
    {
        return a < b ? a : b;
    }
};

struct sum {
    template <typename T>
    __device__ T operator()(T a, T b) const
    {
        return a + b;
    }
};

template <typename T, typename Combine>
__device__ T combine_block(T value, Combine combine)
{
    __shared__ T of_warps[kMostWarps];
    for (uint32_t step = kWarp / 2; step > 0; step /= 2)
        value = combine(value, __shfl_xor_sync(kAllLanes, value, static_cast<int>(step)));
    __syncthreads(); /* some may still read what the last call left */
    if (lane_of_warp() == 0)
        of_warps[warp_of_block()] = value;
    __syncthreads();
    T all = of_warps[0];
    for (uint32_t warp = 1; warp < blockDim.x / kWarp; warp++)
        all = combine(all, of_warps[warp]);
    return all;
}

/* Sums of `count` numbers at once. */
template <uint32_t count>
__device__ void sum_block(uint64_t (&values)[count])
{
    __shared__ uint64_t of_warps[kMostWarps][count];
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t step = kWarp / 2; step > 0; step /= 2)
            values[i] += __shfl_xor_sync(kAllLanes, values[i], static_cast<int>(step));
    __syncthreads();
    for (uint32_t i = 0; i < count; i++)
        if (lane_of_warp() == 0)
            of_warps[warp_of_block()][i] = values[i];
    __syncthreads();
    for (uint32_t i = 0; i < count; i++) {
        values[i] = of_warps[0][i];
        for (uint32_t warp = 1; warp < blockDim.x / kWarp; warp++)
            values[i] += of_warps[warp][i];
    }
}

/* ------------------------------------------------------------------------------------------------
 * Half a warp has a lane for each id of a tile.
 */

__device__ inline uint32_t half_of_block()
{
    return threadIdx.x / RZ_TILE;
}

__device__ inline uint32_t halves_of_block()
{
    return blockDim.x / RZ_TILE;
}

__device__ inline uint32_t lane_of_half()
{
    return threadIdx.x % RZ_TILE;
}

/* The lanes of this thread's half. */
__device__ inline uint32_t lanes_of_half()
{
    return 0xFFFFu << (threadIdx.x & RZ_TILE);
}

template <typename T, typename Combine>
__device__ T combine_half(T value, Combine combine)
{
    for (uint32_t step = RZ_TILE / 2; step > 0; step /= 2)
        value = combine(value, __shfl_xor_sync(lanes_of_half(), value, static_cast<int>(step)));
    return value;
}

} // namespace

#endif
