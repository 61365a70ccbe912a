/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_ring_case.h - one measurement, once.
 */
#ifndef RZ_TOOLS_BENCH_RING_CASE_H
#define RZ_TOOLS_BENCH_RING_CASE_H

#include "tools/bench_ring.h"

struct rz_ring_case {
    enum rz_ring_measure measure;
    enum rz_ring_way_kind way;
    uint32_t bytes, consumers;
    uint32_t rounds; /* in a repeat */
    bool missing;    /* has been said to be */

    /* Of all repeats. */
    uint32_t *samples; /* [repeats * rounds * consumers] ns */
    size_t count;
    uint32_t repeats;
    double *ns;    /* [repeats] as rz_ring_time_link() says */
    double *ratio; /* [repeats] one way over that of the bare line */
};

/* What reading the clock takes. */
uint32_t rz_ring_clock_ns(void);

/* rz_ring_time_link - by processes of ours: `samples` of a latency, [rounds * consumers], and *ns:
 * of a throughput, all of it; of a latency the median, but of round trips of what spins that of
 * batches in which nobody looks at the clock. RZ_EXIT_FAILED also where the way does not exist
 * here. */
int rz_ring_time_link(const struct rz_ring_case *c, uint32_t clock_ns, uint32_t *samples,
                      double *ns, struct rz_complaint *complaint);

/* rz_ring_median - sorts `samples`, [count]. */
double rz_ring_median(uint32_t *samples, size_t count);

/* rz_ring_time_nano - round trips by bench/nano_shm.py. */
int rz_ring_time_nano(const struct rz_ring_case *c, uint32_t *samples,
                      struct rz_complaint *complaint);

#endif
