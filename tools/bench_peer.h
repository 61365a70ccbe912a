/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_peer.h - samplers of others, timed in turn with ours: a script of bench/ as a process that
 * does one thing a line that it is told.
 *
 *     we: "hello"                          ->  it: its name and version
 *     we: "rows 0 bf16 128256 128256 16"   ->  it: "names TAB name TAB name ..."
 *     we: "time 0 NAME"                    ->  it: nanoseconds
 *
 * The first number is one of ours for those rows. The logits lie in a memory file that both have
 * open, until it has answered. bench/peer.py is the other side.
 */
#ifndef RZ_TOOLS_BENCH_PEER_H
#define RZ_TOOLS_BENCH_PEER_H

#include <stdio.h>
#include <sys/types.h>

#include "tools/bench_rows.h"

enum {
    RZ_BENCH_PEER_ROWS = 16, /* of a set that a peer sees: what takes a second with PyTorch */
    RZ_BENCH_MAX_PEER_NAMES = 16,
};

struct rz_bench_peer {
    pid_t pid; /* 0: not running */
    int logits_fd;
    FILE *to;
    FILE *from;
    const char *script;
    char version[64]; /* its name and version, as it says */
    char line[1024];  /* what it said last */
    unsigned name_count;
    /* "BACKEND/FILTER", what can be timed; in `line` */
    const char *names[RZ_BENCH_MAX_PEER_NAMES];
};

/* rz_bench_peer_start - find the script of `kind` and a Python, and start it. On failure nothing
 * runs, and the complaint says what is missing. */
int rz_bench_peer_start(enum rz_bench_peer_kind kind, struct rz_bench_peer *peer,
                        struct rz_complaint *complaint);

/* rz_bench_peer_rows - hand over the first rows of a set under a number, let everything warm up,
 * and learn what can be timed on it: `names`, until the next call. */
int rz_bench_peer_rows(struct rz_bench_peer *peer, unsigned number, const struct rz_bench_rows *set,
                       struct rz_complaint *complaint);

/* rz_bench_peer_time - how long `name` takes for all rows of a number, once. */
int rz_bench_peer_time(struct rz_bench_peer *peer, unsigned number, const char *name, uint64_t *ns,
                       struct rz_complaint *complaint);

static inline uint32_t rz_bench_peer_row_count(const struct rz_bench_rows *set)
{
    return set->rows < RZ_BENCH_PEER_ROWS ? set->rows : RZ_BENCH_PEER_ROWS;
}

/* rz_bench_peer_end - stop it; also one that was never started. */
void rz_bench_peer_end(struct rz_bench_peer *peer);

#endif
