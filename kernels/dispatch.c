/* SPDX-License-Identifier: Apache-2.0
 *
 * dispatch.c - which back end draws.
 */
#include "kernels/sampler.h"

const struct rz_sampler_ops *rz_sampler_find(uint32_t backend)
{
    switch (backend) {
    case RZ_BACKEND_AUTO:
    case RZ_BACKEND_CPU: return &rz_sampler_cpu;
    case RZ_BACKEND_REFERENCE: return &rz_sampler_reference;
    default: return NULL;
    }
}
