/* SPDX-License-Identifier: Apache-2.0
 *
 * sample_options.h - the command line of `rankzero sample`.
 */
#ifndef RZ_TOOLS_SAMPLE_OPTIONS_H
#define RZ_TOOLS_SAMPLE_OPTIONS_H

#include "tools/row_params.h"

struct rz_sample_options {
    bool help;
    bool json;
    bool has_dtype;
    bool has_logprobs;
    enum rz_dtype dtype;
    enum rz_mode mode;
    enum rz_backend backend;
    enum rz_comm_kind comm;
    uint32_t vocab_size; /* 0: all columns */
    uint32_t ranks;      /* 0: not given */
    uint32_t threads;    /* 0: not given */
    uint32_t device;     /* 1 + the number of a GPU; 0: not given */
    uint32_t split_count;
    uint32_t *split; /* [split_count] in the arena; NULL: not given */
    const char *logits_path;
    const char *params_path; /* NULL: none; so the three below */
    const char *bitmask_path;
    const char *output_path;
    const char *job_name;
    struct rz_row_params row; /* of every row that has no other */
    struct rz_arena arena;    /* all lists, those of --params too */
};

/* rz_sample_options_parse - read `argv`, whose first entry is the subcommand's name. Paths and
 * names point into argv. On success the caller ends `options` with rz_sample_options_free(); on
 * failure there is nothing to free. */
int rz_sample_options_parse(int argc, char **argv, struct rz_sample_options *options,
                            struct rz_complaint *complaint);

void rz_sample_options_free(struct rz_sample_options *options);

/* What `rankzero sample --help` prints. */
extern const char *const rz_sample_help[2];

#endif
