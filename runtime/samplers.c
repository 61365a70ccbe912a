/* SPDX-License-Identifier: Apache-2.0
 *
 * samplers.c - draw the rows of a step, several at once where that is asked for.
 */
#include "runtime/samplers.h"

#include <stdlib.h>

#include "runtime/workers.h"

int rz_samplers_open(struct rz_samplers *samplers, const struct rz_plan *plan, uint32_t threads,
                     struct rz_error *err)
{
    *samplers = (struct rz_samplers){.ops = rz_sampler_find(plan->backend)};
    if (samplers->ops == NULL)
        return rz_fail(err, RZ_E_UNSUPPORTED, RZ_NO_RANK, 0,
                       "backend %u: this build or machine has none such", plan->backend);
    samplers->results = malloc(plan->max_rows * sizeof *samplers->results);
    if (threads > plan->max_rows)
        threads = plan->max_rows; /* more would have nothing to do */
    samplers->each = calloc(threads, sizeof *samplers->each);
    bool ok = samplers->results != NULL && samplers->each != NULL;
    while (ok && samplers->count < threads) {
        struct rz_sampler *sampler = samplers->ops->create(plan->vocab_size);
        ok = sampler != NULL;
        if (ok)
            samplers->each[samplers->count++] = sampler;
    }
    if (!ok)
        return rz_fail(err, RZ_E_NOMEM, RZ_NO_RANK, 0,
                       "no memory to sample from %u ids and %u rows by %u threads",
                       plan->vocab_size, plan->max_rows, threads);
    return rz_workers_start(threads, err);
}

void rz_samplers_close(struct rz_samplers *samplers)
{
    while (samplers->count > 0)
        samplers->ops->destroy(samplers->each[--samplers->count]);
    free(samplers->each);
    free(samplers->results);
    *samplers = (struct rz_samplers){0};
}

/* A step, as those see it who draw its rows. */
struct drawing {
    struct rz_samplers *samplers;
    const struct rz_logits_view *view;
    const struct rz_request *request;
};

static void draw_row(void *context, uint32_t worker, uint32_t row)
{
    const struct drawing *drawing = context;
    const struct rz_request *request = drawing->request;
    struct rz_samplers *samplers = drawing->samplers;
    samplers->ops->draw(samplers->each[worker], drawing->view, &request->tasks[row],
                        &samplers->results[request->first_draws[row]]);
}

void rz_samplers_draw(struct rz_samplers *samplers, const struct rz_logits_view *view,
                      const struct rz_request *request)
{
    struct drawing drawing = {samplers, view, request};
    rz_workers_run(samplers->count, request->row_count, draw_row, &drawing);
}

struct rz_sampler_counters rz_samplers_counters(const struct rz_samplers *samplers)
{
    struct rz_sampler_counters sum = {0};
    for (uint32_t i = 0; i < samplers->count; i++) {
        const struct rz_sampler_counters *one = samplers->ops->counters(samplers->each[i]);
        sum.tiles_scanned += one->tiles_scanned;
        sum.tiles_exact += one->tiles_exact;
        sum.mass_passes += one->mass_passes;
    }
    return sum;
}
