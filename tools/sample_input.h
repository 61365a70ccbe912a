/* SPDX-License-Identifier: Apache-2.0
 *
 * sample_input.h - what a run of `rankzero sample` draws from: files that are open, every row's
 * parameters, all of it checked against one another. Every rank has the same.
 */
#ifndef RZ_TOOLS_SAMPLE_INPUT_H
#define RZ_TOOLS_SAMPLE_INPUT_H

#include "tools/npy.h"
#include "tools/sample_options.h"

struct rz_sample_input {
    struct rz_npy logits;
    struct rz_npy bitmask; /* fd -1: none */
    enum rz_dtype dtype;
    uint32_t columns;           /* of the logits */
    uint32_t vocab_size;        /* <= columns */
    uint32_t row_count;         /* 1 .. RZ_MAX_ROWS */
    struct rz_row_params *rows; /* [row_count], seed and position filled in */
    uint64_t draws;             /* of all rows */
};

/* rz_sample_input_open - open and check everything that `options` names, for `world` ranks. The
 * lists of --params go to the arena of `options`. */
int rz_sample_input_open(struct rz_sample_options *options, uint32_t world,
                         struct rz_sample_input *input, struct rz_complaint *complaint);

void rz_sample_input_close(struct rz_sample_input *input);

#endif
