/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_run.h - run the grid that the options name, and what came of it.
 */
#ifndef RZ_TOOLS_BENCH_RUN_H
#define RZ_TOOLS_BENCH_RUN_H

#include "tools/bench_filters.h"
#include "tools/bench_options.h"

/* The median of all repeats, and their least and most. */
struct rz_bench_spread {
    double median, least, most;
};

struct rz_bench_result {
    char backend[24];
    const struct rz_bench_filter *filter;
    uint32_t kind; /* enum rz_bench_kind */
    uint32_t dtype;
    uint32_t vocab;
    uint32_t rows; /* in a repeat */
    uint32_t repeats;
    bool ours;                    /* not a peer's */
    struct rz_bench_spread row;   /* ns */
    struct rz_bench_spread ratio; /* to the plain maximum of the same repeat */
    double plain_ns;              /* of a row of the plain maximum: the median for the set */
    double read_ns;               /* of a row that is read and no more */
    double tiles_exact;           /* a row; negative: not known */
    double extra_passes;
    double times_fastest; /* its time over that of our fastest with this filter on these rows, or
                             negative where ours was not timed */
};

struct rz_bench_results {
    const char *plain_name;                 /* registers of the plain maximum */
    const char *logits_path;                /* that of the options; NULL: no file */
    char peer_versions[RZ_BENCH_PEERS][64]; /* of those that were timed, in order */
    unsigned peer_count;
    struct rz_bench_result *list;
    size_t count;
    size_t room;
    uint64_t checksum; /* of the plain maxima, so that no compiler leaves them out */
};

/* rz_bench_run - time everything. A peer that is missing is said on stderr and left out. The caller
 * frees `results` with rz_bench_results_free(), also after a failure. */
int rz_bench_run(const struct rz_bench_options *options, struct rz_bench_results *results,
                 struct rz_complaint *complaint);

void rz_bench_results_free(struct rz_bench_results *results);

/* rz_bench_spread - sorts `values`, [count]. */
struct rz_bench_spread rz_bench_spread(double *values, size_t count);

#endif
