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
__device__ T combine_warp(T value, Combine combine)
{
    for (uint32_t step = kWarp / 2; step > 0; step /= 2)
        value = combine(value, __shfl_xor_sync(kAllLanes, value, static_cast<int>(step)));
    return value;
}

/* For a maximum or a minimum, which may count what a warp has more than once. */
template <typename T, typename Combine>
__device__ T combine_block(T value, Combine combine)
{
    __shared__ T of_warps[kMostWarps];
    value = combine_warp(value, combine);
    __syncthreads(); /* some may still read what the last call left */
    if (lane_of_warp() == 0)
        of_warps[warp_of_block()] = value;
    __syncthreads();
    return combine_warp(of_warps[lane_of_warp() % (blockDim.x / kWarp)], combine);
}

/* One of eight sums: of values[lane / 4], over all lanes of the warp. */
template <typename T>
__device__ T sum_of_lanes(T (&values)[8])
{
#pragma unroll
    for (uint32_t half = 4; half > 0; half /= 2) {
        const uint32_t step = 4 * half;
        const bool upper = (lane_of_warp() & step) != 0;
#pragma unroll
        for (uint32_t i = 0; i < half; i++) {
            const T given = upper ? values[i] : values[i + half];
            const T kept = upper ? values[i + half] : values[i];
            values[i] = kept + __shfl_xor_sync(kAllLanes, given, static_cast<int>(step));
        }
    }
    values[0] += __shfl_xor_sync(kAllLanes, values[0], 2);
    return values[0] + __shfl_xor_sync(kAllLanes, values[0], 1);
}

/* Eight sums at once. */
template <typename T>
__device__ void sum_block(T (&values)[8])
{
    __shared__ T of_warps[kMostWarps][8];
    T own = sum_of_lanes(values);
    __syncthreads();
    if (lane_of_warp() % 4 == 0)
        of_warps[warp_of_block()][lane_of_warp() / 4] = own;
    __syncthreads();
    own = 0;
    for (uint32_t warp = lane_of_warp() / 8; warp < blockDim.x / kWarp; warp += 4)
        own += of_warps[warp][lane_of_warp() % 8];
    own += __shfl_xor_sync(kAllLanes, own, 8);
    own += __shfl_xor_sync(kAllLanes, own, 16);
#pragma unroll
    for (int i = 0; i < 8; i++)
        values[i] = __shfl_sync(kAllLanes, own, i);
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
