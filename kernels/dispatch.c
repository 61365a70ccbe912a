/* SPDX-License-Identifier: Apache-2.0
 *
 * dispatch.c - which back end draws.
 */
#include "kernels/cpu/sampler.h"

const struct rz_sampler_ops *rz_sampler_find(uint32_t backend)
{
    if (backend == RZ_BACKEND_REFERENCE)
        return &rz_sampler_reference;
    const struct rz_sampler_ops *ops = rz_sampler_of_machine(backend);
    const bool portable = backend == RZ_BACKEND_AUTO || backend == RZ_BACKEND_SCALAR;
    return ops == NULL && portable ? &rz_sampler_scalar : ops;
}
