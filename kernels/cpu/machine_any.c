/* SPDX-License-Identifier: Apache-2.0
 *
 * machine_any.c - a processor for which only the portable passes are written.
 */
#include "kernels/cpu/sampler.h"

const struct rz_sampler_ops *rz_sampler_of_machine(uint32_t backend)
{
    (void)backend;
    return NULL;
}
