/* SPDX-License-Identifier: Apache-2.0
 *
 * sampler.h - the CPU back ends: one sampler, with the passes of each kind of registers.
 */
#ifndef RZ_KERNELS_CPU_SAMPLER_H
#define RZ_KERNELS_CPU_SAMPLER_H

#include "kernels/cpu/passes.h"

struct rz_sampler *rz_cpu_sampler_create(const struct rz_passes *passes, uint32_t vocab_size);
void rz_cpu_sampler_destroy(struct rz_sampler *sampler);
void rz_cpu_sampler_draw(struct rz_sampler *sampler, const struct rz_logits_view *view,
                         const struct rz_row_task *task, struct rz_result *results);
const struct rz_sampler_counters *rz_cpu_sampler_counters(const struct rz_sampler *sampler);

/* The table of the back end with the passes rz_passes_KIND, rz_sampler_KIND. */
#define RZ_CPU_SAMPLER(kind)                                         \
    static struct rz_sampler *create_##kind(uint32_t vocab_size)     \
    {                                                                \
        return rz_cpu_sampler_create(&rz_passes_##kind, vocab_size); \
    }                                                                \
    const struct rz_sampler_ops rz_sampler_##kind = {                \
        .name = #kind,                                               \
        .create = create_##kind,                                     \
        .destroy = rz_cpu_sampler_destroy,                           \
        .draw = rz_cpu_sampler_draw,                                 \
        .counters = rz_cpu_sampler_counters,                         \
    }

extern const struct rz_sampler_ops rz_sampler_scalar;

/* rz_sampler_of_machine - the back end of these registers, or, for RZ_BACKEND_AUTO, with the
 * widest; NULL if this processor does not have them. machine_x86.c or machine_any.c. */
const struct rz_sampler_ops *rz_sampler_of_machine(uint32_t backend);

#endif
