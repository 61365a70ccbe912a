/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_options.h - the command line of `rankzero bench sample`.
 */
#ifndef RZ_TOOLS_BENCH_OPTIONS_H
#define RZ_TOOLS_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/option_values.h"

enum { RZ_BENCH_MAX_VOCABS = 16, RZ_BENCH_MAX_BATCHES = 16, RZ_BENCH_MAX_REPEATS = 1000 };

/* How the logits of a row are spread; RZ_BENCH_FILE: those of a file. */
enum rz_bench_kind { RZ_BENCH_FLAT, RZ_BENCH_PEAKED, RZ_BENCH_ZIPF, RZ_BENCH_FILE };

enum { RZ_BENCH_KINDS = 4 };

extern const char *const rz_bench_kinds[RZ_BENCH_KINDS + 1]; /* by enum rz_bench_kind, NULL */

/* Whose samplers may be timed beside ours. */
enum rz_bench_peer_kind { RZ_BENCH_TORCH, RZ_BENCH_LLAMA, RZ_BENCH_FLASHINFER, RZ_BENCH_VLLM };

enum { RZ_BENCH_PEERS = 4 };

extern const char *const rz_bench_peers[RZ_BENCH_PEERS + 1]; /* by enum rz_bench_peer_kind, NULL */

struct rz_bench_options {
    bool help;
    bool every_backend; /* all that run here, but for the reference */
    unsigned kinds;     /* sets: bit i for the i-th name of a list */
    unsigned filters;
    unsigned dtypes;
    unsigned backends;
    unsigned peers;
    uint32_t vocab_count;
    uint32_t vocabs[RZ_BENCH_MAX_VOCABS];
    uint32_t rows; /* 0: as many as fill far more than a cache */
    uint32_t repeats;
    bool on_gpu;     /* --backend cuda; the rest of this part is for it alone */
    bool stages;     /* parts of a step, in place of all of its kernels */
    uint32_t device; /* 1 + its number; 0: not given */
    uint32_t batch_count;
    uint32_t batches[RZ_BENCH_MAX_BATCHES];
    const char *logits_path; /* NULL: no file */
    struct rz_bench_sinks sinks;
};

/* rz_bench_options_parse - read `argv`, whose first entry is the subcommand's name. Paths point
 * into argv. */
int rz_bench_options_parse(int argc, char **argv, struct rz_bench_options *options,
                           struct rz_complaint *complaint);

/* What `rankzero bench sample --help` prints. */
extern const char rz_bench_sample_help[];

#endif
