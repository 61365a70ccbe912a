/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_ring.h - `rankzero bench ring`: how long a record takes from one process to others, through
 * the ring and by other ways.
 */
#ifndef RZ_TOOLS_BENCH_RING_H
#define RZ_TOOLS_BENCH_RING_H

#include <stddef.h>

#include "tools/bench_link.h"
#include "tools/bench_run.h"
#include "tools/option_values.h"

enum { RZ_RING_MAX_SIZES = 16, RZ_RING_MAX_ROUNDS = 10000000, RZ_RING_MAX_REPEATS = 1000 };

/* What is measured. */
enum rz_ring_measure { RZ_RING_ROUND_TRIP, RZ_RING_ONE_WAY, RZ_RING_THROUGHPUT };

enum { RZ_RING_MEASURES = 3 };

extern const char *const rz_ring_measures[RZ_RING_MEASURES + 1]; /* NULL at the end */

/* By what way. The first are links of bench_link.h. */
enum rz_ring_way_kind {
    RZ_RING_LINE,
    RZ_RING_SPIN,
    RZ_RING_SLEEP,
    RZ_RING_PIPE,
    RZ_RING_MQUEUE,
    RZ_RING_NANO,
    RZ_RING_MPI,
};

#define RZ_RING_LINKS RZ_RING_NANO /* so many ways are links */
#define RZ_RING_WAYS (RZ_RING_MPI + 1)

extern const char *const rz_ring_ways[RZ_RING_WAYS + 1];                 /* NULL at the end */
extern const struct rz_link_way *const rz_ring_link_ways[RZ_RING_LINKS]; /* by the same */

struct rz_ring_options {
    bool help;
    unsigned measures, ways; /* sets: bit i for the i-th name */
    uint32_t size_count, sizes[RZ_RING_MAX_SIZES];
    uint32_t consumers_count, consumers[RZ_LINK_MAX_RECEIVERS];
    uint32_t rounds, repeats;
    bool under_mpi; /* not from the command line: mpirun started us, and we are rank 0 */
    struct rz_bench_sinks sinks;
};

/* rz_ring_options_parse - read `argv`, whose first entry is "ring". */
int rz_ring_options_parse(int argc, char **argv, struct rz_ring_options *options,
                          struct rz_complaint *complaint);

extern const char rz_bench_ring_help[];

/* Thousandths; the last is the largest of all. */
enum { RZ_RING_QUANTILES = 11 };

extern const uint32_t rz_ring_quantiles[RZ_RING_QUANTILES];

struct rz_ring_result {
    enum rz_ring_measure measure;
    enum rz_ring_way_kind way;
    uint32_t bytes, consumers, repeats;
    uint64_t samples;             /* of all repeats */
    double ns[RZ_RING_QUANTILES]; /* of all samples; negative: none */
    double one_way_ns;            /* median of the repeats'; negative: none */
    struct rz_bench_spread
        ratio; /* to one way of the bare line, measured just before; or negative */
    struct rz_bench_spread per_s; /* records */
};

struct rz_ring_results {
    struct rz_ring_result *list; /* [count], by measure, consumers, bytes, way */
    size_t count;
    uint32_t processors;
    uint32_t clock_ns; /* what reading the clock takes, which is taken off every sample */
};

/* rz_ring_run - measure all. What cannot be measured here is said on stderr and left out. */
int rz_ring_run(const struct rz_ring_options *options, struct rz_ring_results *results,
                struct rz_complaint *complaint);

void rz_ring_results_free(struct rz_ring_results *results);

int rz_ring_report(const struct rz_ring_options *options, const struct rz_ring_results *results,
                   struct rz_complaint *complaint);

#endif
