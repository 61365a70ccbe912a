/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_peer.h - samplers of others, timed in turn with ours: a script of bench/ as a process that
 * does one thing a line that it is told.
 *
 *     we: "hello"                          ->  it: its name and version
 *     we: "rows 0 bf16 128256 128256 16"   ->  it: "names TAB name TAB name ..."
 *     we: "time 0 NAME"                    ->  it: nanoseconds
 *
 * The first number is one of ours for those rows; then type, vocabulary, elements from one row to
 * the next, rows. For a GPU the line goes on with a batch, which the rows are repeated to fill, the
 * number of inputs of so many rows that are to be used in turn, and "stream" or "graph". The logits
 * lie in a memory file that both have open, until it has answered. bench/peer.py is the other side.
 */
#ifndef RZ_TOOLS_BENCH_PEER_H
#define RZ_TOOLS_BENCH_PEER_H

#include <limits.h>
#include <stdio.h>
#include <sys/types.h>

#include "tools/bench_filters.h"
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

/* rz_bench_find_root - the source tree, which `script` is in: a folder above this program, or the
 * working directory. */
bool rz_bench_find_root(const char *script, char root[PATH_MAX]);

/* rz_bench_peers_start - those that `options` asks for, in a list by enum rz_bench_peer_kind: find
 * the script and a Python, and start it. One that is missing is said on stderr, left out, and not
 * running: without it there is still something to measure. Returns how many run, and says their
 * versions. */
unsigned rz_bench_peers_start(const struct rz_bench_options *options,
                              struct rz_bench_peer peers[RZ_BENCH_PEERS],
                              char versions[RZ_BENCH_PEERS][64]);

/* rz_bench_peers_end - stop them; also those that were never started. */
void rz_bench_peers_end(struct rz_bench_peer peers[RZ_BENCH_PEERS]);

/* rz_bench_peer_rows - hand over the first rows of a set under a number, let everything warm up,
 * and learn what can be timed on it: `names`, until the next call. */
int rz_bench_peer_rows(struct rz_bench_peer *peer, unsigned number, const struct rz_bench_rows *set,
                       struct rz_complaint *complaint);

/* rz_bench_peer_gpu_rows - the same for a GPU. */
int rz_bench_peer_gpu_rows(struct rz_bench_peer *peer, unsigned number,
                           const struct rz_bench_rows *set, uint32_t batch, uint32_t inputs,
                           bool graph, struct rz_complaint *complaint);

/* rz_bench_peer_filter - the filter of ours that "BACKEND/FILTER" names, and the length of BACKEND;
 * NULL: none is like it. */
const struct rz_bench_filter *rz_bench_peer_filter(const char *name, int *backend_length);

/* rz_bench_peer_time - how long `name` takes for all rows of a number, once. */
int rz_bench_peer_time(struct rz_bench_peer *peer, unsigned number, const char *name, uint64_t *ns,
                       struct rz_complaint *complaint);

static inline uint32_t rz_bench_peer_row_count(const struct rz_bench_rows *set)
{
    return set->rows < RZ_BENCH_PEER_ROWS ? set->rows : RZ_BENCH_PEER_ROWS;
}

#endif
