/* SPDX-License-Identifier: Apache-2.0
 *
 * system.cuh - words that other processes and the host read and write too, and the clock.
 */
#ifndef RZ_KERNELS_CUDA_SYSTEM_CUH
#define RZ_KERNELS_CUDA_SYSTEM_CUH

#include <stdint.h>

#ifndef __CUDA_ARCH__
#include <time.h>
#endif

namespace {

__device__ inline uint32_t load_acquire(const uint32_t *at)
{
#ifdef __CUDA_ARCH__
    uint32_t value;
    asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(value) : "l"(at) : "memory");
    return value;
#else
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
#endif
}

__device__ inline uint64_t load_acquire(const uint64_t *at)
{
#ifdef __CUDA_ARCH__
    uint64_t value;
    asm volatile("ld.acquire.sys.global.u64 %0, [%1];" : "=l"(value) : "l"(at) : "memory");
    return value;
#else
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
#endif
}

__device__ inline void store_release(uint32_t *at, uint32_t value)
{
#ifdef __CUDA_ARCH__
    asm volatile("st.release.sys.global.u32 [%0], %1;" ::"l"(at), "r"(value) : "memory");
#else
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
#endif
}

__device__ inline void store_release(uint64_t *at, uint64_t value)
{
#ifdef __CUDA_ARCH__
    asm volatile("st.release.sys.global.u64 [%0], %1;" ::"l"(at), "l"(value) : "memory");
#else
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
#endif
}

/* Loads and stores that are made as written, 8 bytes at once, in no order of their own. */
__device__ inline uint64_t load_relaxed(const uint64_t *at)
{
#ifdef __CUDA_ARCH__
    uint64_t value;
    asm volatile("ld.relaxed.sys.global.u64 %0, [%1];" : "=l"(value) : "l"(at) : "memory");
    return value;
#else
    return __atomic_load_n(at, __ATOMIC_RELAXED);
#endif
}

__device__ inline void store_relaxed(uint64_t *at, uint64_t value)
{
#ifdef __CUDA_ARCH__
    asm volatile("st.relaxed.sys.global.u64 [%0], %1;" ::"l"(at), "l"(value) : "memory");
#else
    __atomic_store_n(at, value, __ATOMIC_RELAXED);
#endif
}

__device__ inline void fence_system()
{
#ifdef __CUDA_ARCH__
    __threadfence_system();
#else
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

__device__ inline uint64_t clock_ns()
{
#ifdef __CUDA_ARCH__
    uint64_t now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    return now;
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
#endif
}

/* Let others have the machine for a moment. */
__device__ inline void wait_a_moment()
{
#ifdef __CUDA_ARCH__
    __nanosleep(200);
#else
    const struct timespec moment = {0, 20000};
    nanosleep(&moment, nullptr);
#endif
}

} // namespace

#endif
