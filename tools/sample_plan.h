/* SPDX-License-Identifier: Apache-2.0
 *
 * sample_plan.h - how the draws of a run are laid out over steps. Every rank works out the same
 * steps from the same input, so that nobody has to be told.
 */
#ifndef RZ_TOOLS_SAMPLE_PLAN_H
#define RZ_TOOLS_SAMPLE_PLAN_H

#include "tools/sample_input.h"

/* Draws `first` .. `first + count - 1` of a row, in one step. */
struct rz_piece {
    uint32_t row;
    uint32_t count;
    uint64_t first;
};

/* Where the next step begins; zeros at the start. */
struct rz_sample_cursor {
    uint32_t row;
    uint64_t first;
};

/* rz_sample_step_size - ids, and rows of logits, of the largest step: enough to make the price of a
 * step small, and no more shared memory than a container has (32 MiB, or one row). */
uint32_t rz_sample_step_size(const struct rz_sample_input *input);

/* rz_sample_step_next - the pieces of the next step, of at most `capacity` ids and as many pieces;
 * their rows follow one another. Returns the number of pieces, 0 at the end. */
uint32_t rz_sample_step_next(const struct rz_sample_input *input, struct rz_sample_cursor *cursor,
                             uint32_t capacity, struct rz_piece *pieces);

#endif
