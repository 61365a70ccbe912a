/* SPDX-License-Identifier: Apache-2.0
 *
 * cuda.h - what nvcc declares without being asked, for a host's C++ compiler: enough of CUDA C++ to
 * compile the kernels and run them on a CPU (tests/emulation/block.h).
 *
 * Included before the first line of a kernel's source. Memory of a GPU is memory of the process, so
 * sanitizers see what is read and written. Variables in shared memory are static ones: a block runs
 * at a time, and its threads are fibers of one thread of the system.
 */
#ifndef RZ_TESTS_EMULATION_CUDA_H
#define RZ_TESTS_EMULATION_CUDA_H

#include <cmath>
#include <cstdint>
#include <cstring>

#include "tests/emulation/block.h"

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(...)

#define threadIdx (emulation::this_thread().index)
#define blockIdx (emulation::this_block().index)
#define blockDim (emulation::this_block().size)
#define gridDim (emulation::this_block().grid)

/* The kernels are written for C's names. */
#undef isnan
using std::fabs;

struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};

struct alignas(8) uint2 {
    uint32_t x, y;
};

inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w)
{
    return {x, y, z, w};
}

template <typename T>
T __ldg(const T *at)
{
    return *at;
}

/* ------------------------------------------------------------------------------------------------
 * Barriers and what warps exchange
 */

inline void __syncthreads()
{
    emulation::wait_for_block(false);
}

/* Blocks run one after the other, and a thread sees what another has written. */
inline void __threadfence() {}

inline int __syncthreads_or(int predicate)
{
    return emulation::wait_for_block(predicate != 0) ? 1 : 0;
}

/* As CUDA has it: a source that is in no lane of its part of the warp is the lane itself. */
template <typename T>
T emulated_exchange(uint32_t mask, T value, int source, bool exists)
{
    static_assert(sizeof(T) <= sizeof(uint64_t), "a warp exchanges 4 or 8 bytes a lane");
    const int own = static_cast<int>(threadIdx.x % emulation::kWarp);
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    bits = emulation::exchange_in_warp(mask, bits, exists ? source : own);
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

template <typename T>
T __shfl_xor_sync(uint32_t mask, T value, int lanes)
{
    const int own = static_cast<int>(threadIdx.x % emulation::kWarp);
    return emulated_exchange(mask, value, own ^ lanes, true);
}

template <typename T>
T __shfl_sync(uint32_t mask, T value, int source)
{
    return emulated_exchange(mask, value, source, true);
}

template <typename T>
T __shfl_up_sync(uint32_t mask, T value, uint32_t by, int width)
{
    const int own = static_cast<int>(threadIdx.x % emulation::kWarp), source = own - int(by);
    return emulated_exchange(mask, value, source, source >= own / width * width);
}

inline uint32_t __ballot_sync(uint32_t mask, bool predicate)
{
    return emulation::vote_in_warp(mask, predicate);
}

inline int __ffs(int value)
{
    return __builtin_ffs(value);
}

/* ------------------------------------------------------------------------------------------------
 * Atomics: other threads may run before one
 */

template <typename T, typename F>
T emulated_atomic(T *at, F changed)
{
    emulation::let_others_run();
    const T old = *at;
    *at = changed(old);
    return old;
}

template <typename T>
T atomicAdd(T *at, T value)
{
    return emulated_atomic(at, [value](T old) { return T(old + value); });
}

template <typename T>
T atomicOr(T *at, T value)
{
    return emulated_atomic(at, [value](T old) { return T(old | value); });
}

template <typename T>
T atomicMin(T *at, T value)
{
    return emulated_atomic(at, [value](T old) { return value < old ? value : old; });
}

template <typename T>
T atomicCAS(T *at, T expected, T value)
{
    return emulated_atomic(at, [expected, value](T old) { return old == expected ? value : old; });
}

#endif
