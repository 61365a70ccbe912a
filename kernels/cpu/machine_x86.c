/* SPDX-License-Identifier: Apache-2.0
 *
 * machine_x86.c - which registers this processor has, and the operating system saves.
 */
#include <cpuid.h>

#include "kernels/cpu/sampler.h"

RZ_CPU_SAMPLER(avx2);
RZ_CPU_SAMPLER(avx512);

static bool has_avx2(void)
{
    unsigned a, b, c, d; /* not every compiler knows the name of f16c */
    const bool f16c = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
    return f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

const struct rz_sampler_ops *rz_sampler_of_machine(uint32_t backend)
{
    const bool any = backend == RZ_BACKEND_AUTO;
    if ((any || backend == RZ_BACKEND_AVX512) && has_avx512())
        return &rz_sampler_avx512;
    if ((any || backend == RZ_BACKEND_AVX2) && has_avx2())
        return &rz_sampler_avx2;
    return NULL;
}
