/* SPDX-License-Identifier: Apache-2.0
 *
 * samplers.h - what draws a step's rows on rank 0: a sampler for each thread, and room for what
 * they draw.
 *
 * No row looks at what another one draws, so that threads take them in any order. Row r's results
 * are where its ids will be among those of the step, whichever thread drew them.
 */
#ifndef RZ_RUNTIME_SAMPLERS_H
#define RZ_RUNTIME_SAMPLERS_H

#include "internal/error.h"
#include "kernels/sampler.h"
#include "runtime/options.h"
#include "runtime/request.h"

struct rz_samplers {
    const struct rz_sampler_ops *ops;
    uint32_t count;            /* threads that draw, the calling one included */
    struct rz_sampler **each;  /* [count] */
    struct rz_result *results; /* [max_rows] of a step, in the order of its ids; not their `row` */
};

/* rz_samplers_open - RZ_E_UNSUPPORTED: the back end does not run here, or nothing starts threads;
 * RZ_E_NOMEM. On failure `samplers` is for rz_samplers_close() too. */
int rz_samplers_open(struct rz_samplers *samplers, const struct rz_plan *plan, uint32_t threads,
                     struct rz_error *err);

/* All zero is allowed. */
void rz_samplers_close(struct rz_samplers *samplers);

/* rz_samplers_draw - fill results[0 .. request->draw_count-1] from the logits in `view`. */
void rz_samplers_draw(struct rz_samplers *samplers, const struct rz_logits_view *view,
                      const struct rz_request *request);

/* What the work of all samplers has cost so far. */
struct rz_sampler_counters rz_samplers_counters(const struct rz_samplers *samplers);

#endif
