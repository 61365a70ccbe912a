/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench_task.h"

#include <stdlib.h>

#include "tools/bench_rows.h"

enum {
    MASK_WORDS = RZ_MAX_VOCAB / 32,
    PROMPT_ROOM = RZ_BENCH_DISTINCT + RZ_BENCH_PROMPT_IDS,
};

int rz_bench_extras_make(struct rz_bench_extras *extras, struct rz_complaint *complaint)
{
    const size_t words = (size_t)RZ_BENCH_DISTINCT * MASK_WORDS;
    extras->masks = malloc(words * sizeof *extras->masks);
    extras->ids = malloc(PROMPT_ROOM * sizeof *extras->ids);
    if (extras->masks == NULL || extras->ids == NULL) {
        rz_bench_extras_free(extras);
        return rz_complain_memory(complaint);
    }
    uint64_t state = 0x6d61736b;
    for (size_t i = 0; i < words; i++)
        extras->masks[i] = (uint32_t)rz_bench_random(&state);
    for (size_t i = 0; i < PROMPT_ROOM; i++)
        extras->ids[i] = (uint32_t)(rz_bench_random(&state) >> 33);
    return RZ_EXIT_OK;
}

void rz_bench_extras_free(struct rz_bench_extras *extras)
{
    free(extras->masks);
    free(extras->ids);
    *extras = (struct rz_bench_extras){0};
}

int rz_bench_tasks_make(const struct rz_bench_filter *filter, const struct rz_bench_extras *extras,
                        uint32_t vocab, struct rz_bench_tasks *tasks,
                        struct rz_complaint *complaint)
{
    struct rz_bench_tasks made = {.extras = extras, .filter = filter};
    rz_bench_filter_sampling(filter, &made.sampling);
    if (filter->has_prompt) {
        made.prompt_ids = malloc(PROMPT_ROOM * sizeof *made.prompt_ids);
        if (made.prompt_ids == NULL)
            return rz_complain_memory(complaint);
        for (size_t i = 0; i < PROMPT_ROOM; i++)
            made.prompt_ids[i] = (int32_t)(extras->ids[i] % vocab);
    }
    *tasks = made;
    return RZ_EXIT_OK;
}

void rz_bench_tasks_free(struct rz_bench_tasks *tasks)
{
    free(tasks->prompt_ids);
    *tasks = (struct rz_bench_tasks){0};
}

struct rz_row_task rz_bench_tasks_row(const struct rz_bench_tasks *tasks, uint32_t row,
                                      uint64_t position)
{
    const uint32_t distinct = row % RZ_BENCH_DISTINCT;
    struct rz_row_task task = {.logits_row = row,
                               .draws = 1,
                               .sampling = &tasks->sampling,
                               .seed = row + 1,
                               .position = position};
    if (tasks->filter->has_bitmask)
        task.bitmask = tasks->extras->masks + (size_t)distinct * MASK_WORDS;
    if (tasks->filter->has_prompt) {
        task.prompt_ids = tasks->prompt_ids + distinct;
        task.prompt_count = RZ_BENCH_PROMPT_IDS;
    }
    return task;
}
