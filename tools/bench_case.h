/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_case.h - one thing to time: a back end of ours, or a peer's, with a filter on some rows.
 */
#ifndef RZ_TOOLS_BENCH_CASE_H
#define RZ_TOOLS_BENCH_CASE_H

#include "kernels/sampler.h"
#include "tools/bench_peer.h"
#include "tools/bench_rows.h"
#include "tools/bench_task.h"

struct rz_bench_case {
    const struct rz_bench_rows *set;
    const struct rz_bench_filter *filter;
    const struct rz_sampler_ops *ops; /* NULL: a peer's */
    struct rz_sampler *sampler;
    struct rz_bench_tasks tasks;
    struct rz_bench_peer *peer;
    unsigned peer_number;
    char peer_name[48];
    char backend[24];
    uint32_t rows;      /* in a pass */
    uint32_t first_row; /* of the next pass, where not all rows fit in one */
    uint32_t passes;    /* in a repeat */
    uint64_t position;  /* of the next draw */
    uint64_t drawn;     /* rows, since the counters began */
};

/* rz_bench_case_begin - of ours. On success the caller ends it with rz_bench_case_end(). */
int rz_bench_case_begin(const struct rz_bench_rows *set, const struct rz_bench_filter *filter,
                        const struct rz_sampler_ops *ops, const struct rz_bench_extras *extras,
                        struct rz_bench_case *c, struct rz_complaint *complaint);

/* rz_bench_case_begin_peer - `name` is one of those of `peer` for the rows that it has under a
 * number. False: no filter of ours is like it. */
bool rz_bench_case_begin_peer(const struct rz_bench_rows *set, struct rz_bench_peer *peer,
                              unsigned number, const char *name, struct rz_bench_case *c);

void rz_bench_case_end(struct rz_bench_case *c);

/* rz_bench_case_warm_up - run it for the first time, and choose how many rows and passes a repeat
 * has: neither too short for the clock nor too long to wait for. */
int rz_bench_case_warm_up(struct rz_bench_case *c, struct rz_complaint *complaint);

/* rz_bench_case_time - one repeat; *row_ns is the time of a row. */
int rz_bench_case_time(struct rz_bench_case *c, double *row_ns, struct rz_complaint *complaint);

#endif
