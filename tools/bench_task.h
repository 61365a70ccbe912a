/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_task.h - what rows bring beside their logits, by a filter of bench_filters.h.
 */
#ifndef RZ_TOOLS_BENCH_TASK_H
#define RZ_TOOLS_BENCH_TASK_H

#include "kernels/sampler.h"
#include "tools/bench_filters.h"
#include "tools/complaint.h"

/* Masks and ids shared by all filters: enough for as many rows as differ. */
struct rz_bench_extras {
    uint32_t *masks; /* [RZ_BENCH_DISTINCT][ceil(RZ_MAX_VOCAB / 32)] */
    uint32_t *ids;   /* [RZ_BENCH_DISTINCT + RZ_BENCH_PROMPT_IDS] any number, to be made an id */
};

int rz_bench_extras_make(struct rz_bench_extras *extras, struct rz_complaint *complaint);
void rz_bench_extras_free(struct rz_bench_extras *extras);

/* A filter on rows of a vocabulary. */
struct rz_bench_tasks {
    const struct rz_bench_extras *extras;
    const struct rz_bench_filter *filter;
    struct rz_sampling sampling;
    int32_t *prompt_ids; /* [RZ_BENCH_DISTINCT + RZ_BENCH_PROMPT_IDS] or NULL */
};

/* rz_bench_tasks_make - `extras` is needed until rz_bench_tasks_free(), which is due on success. */
int rz_bench_tasks_make(const struct rz_bench_filter *filter, const struct rz_bench_extras *extras,
                        uint32_t vocab, struct rz_bench_tasks *tasks,
                        struct rz_complaint *complaint);
void rz_bench_tasks_free(struct rz_bench_tasks *tasks);

/* rz_bench_tasks_row - one draw from the row of that number, at a position. */
struct rz_row_task rz_bench_tasks_row(const struct rz_bench_tasks *tasks, uint32_t row,
                                      uint64_t position);

#endif
