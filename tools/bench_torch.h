/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_torch.h - PyTorch's samplers, timed in turn with ours: bench/seed_sampler.py as a process
 * that does one thing a line that it is told.
 *
 *     we: "rows 0 bf16 128256 128256 16"   ->  it: "names TAB name TAB name ..."
 *     we: "time 0 NAME"                    ->  it: nanoseconds
 *
 * The first number is one of ours for those rows. The logits lie in a memory file that both have
 * open, until it has answered.
 */
#ifndef RZ_TOOLS_BENCH_TORCH_H
#define RZ_TOOLS_BENCH_TORCH_H

#include <stdio.h>
#include <sys/types.h>

#include "tools/bench_rows.h"

enum {
    RZ_BENCH_TORCH_ROWS = 16, /* of a set that PyTorch sees: what takes a second with it */
    RZ_BENCH_MAX_TORCH_NAMES = 16,
};

struct rz_bench_torch {
    pid_t pid; /* 0: not running */
    int logits_fd;
    FILE *to;
    FILE *from;
    char line[1024]; /* what it said last */
    unsigned name_count;
    const char
        *names[RZ_BENCH_MAX_TORCH_NAMES]; /* "BACKEND/FILTER", what can be timed; in `line` */
};

/* rz_bench_torch_start - find the script and a Python, and start it. On failure nothing runs, and
 * the complaint says what is missing. */
int rz_bench_torch_start(struct rz_bench_torch *torch, struct rz_complaint *complaint);

/* rz_bench_torch_rows - hand over the first rows of a set under a number, let everything warm up,
 * and learn what can be timed on it: `names`, until the next call. */
int rz_bench_torch_rows(struct rz_bench_torch *torch, unsigned number,
                        const struct rz_bench_rows *set, struct rz_complaint *complaint);

/* rz_bench_torch_time - how long `name` takes for all rows of a number, once. */
int rz_bench_torch_time(struct rz_bench_torch *torch, unsigned number, const char *name,
                        uint64_t *ns, struct rz_complaint *complaint);

static inline uint32_t rz_bench_torch_row_count(const struct rz_bench_rows *set)
{
    return set->rows < RZ_BENCH_TORCH_ROWS ? set->rows : RZ_BENCH_TORCH_ROWS;
}

/* rz_bench_torch_end - stop it; also one that was never started. */
void rz_bench_torch_end(struct rz_bench_torch *torch);

#endif
