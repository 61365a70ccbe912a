/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_gpu_run.h - `rankzero bench sample --backend cuda`: run the grid that the options name, and
 * print what came of it.
 */
#ifndef RZ_TOOLS_BENCH_GPU_RUN_H
#define RZ_TOOLS_BENCH_GPU_RUN_H

#include "tools/bench_gpu.h"
#include "tools/bench_gpu_set.h"
#include "tools/bench_peer.h"
#include "tools/bench_run.h"

/* Of a batch, by one of those who draw. */
struct rz_bench_gpu_result {
    char backend[24];
    const struct rz_bench_filter *filter;
    const char *stage; /* of a step; "kernels": all that draw, which is not one of several */
    uint32_t kind;     /* enum rz_bench_kind */
    uint32_t dtype;
    uint32_t vocab;
    uint32_t batch;
    uint32_t repeats;
    bool ours; /* not a peer's */
    struct rz_bench_gpu_mode mode;
    double bytes;                    /* of logits */
    struct rz_bench_spread batch_ns; /* of a batch */
    struct rz_bench_spread read_ns;  /* of the plain read of the same bytes; all 0: was not timed */
    struct rz_bench_spread of_read;  /* read_ns over batch_ns, in the same repeat */
    double times_ours;               /* its time over ours; negative: ours was not timed */
};

struct rz_bench_gpu_results {
    const struct rz_bench_options *options;
    char device[192]; /* in words */
    char peer_versions[RZ_BENCH_PEERS][64];
    unsigned peer_count;
    struct rz_bench_gpu_result *list;
    size_t count;
    size_t room;
};

int rz_bench_gpu_run(const struct rz_bench_options *options, struct rz_complaint *complaint);

/* rz_bench_gpu_add - a result to the list; NULL: out of memory. */
struct rz_bench_gpu_result *rz_bench_gpu_add(struct rz_bench_gpu_results *results,
                                             struct rz_complaint *complaint);

/* rz_bench_gpu_time_set - time all batches and filters on a set of rows. */
int rz_bench_gpu_time_set(const struct rz_bench_gpu_set *set, const struct rz_bench_extras *extras,
                          struct rz_bench_peer *peers, struct rz_bench_gpu_results *results,
                          struct rz_complaint *complaint);

/* rz_bench_gpu_time_stages - the parts of a step, and of the host's calls. */
int rz_bench_gpu_time_stages(const struct rz_bench_gpu_set *set,
                             const struct rz_bench_extras *extras,
                             struct rz_bench_gpu_results *results, struct rz_complaint *complaint);

/* rz_bench_gpu_report - bench_gpu_report.c */
int rz_bench_gpu_report(const struct rz_bench_gpu_results *results, struct rz_complaint *complaint);

#endif
