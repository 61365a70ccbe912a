/* SPDX-License-Identifier: Apache-2.0
 *
 * reference.h - the definition of which id is drawn.
 */
#ifndef RZ_KERNELS_REFERENCE_H
#define RZ_KERNELS_REFERENCE_H

#include "kernels/sampler.h"

/* Room for one row; every array has vocab_size entries. */
struct rz_reference_scratch {
    float *logits;          /* as they came, NaN as -inf */
    float *edited;          /* after edits */
    float *y;               /* edited logits in powers of two */
    bool *kept;             /* by the filters */
    bool *in_prompt;        /* ids of the prompt */
    uint32_t *output_count; /* times an id is in the output */
    uint32_t *order;        /* ids, sorted by a y */
};

bool rz_reference_scratch_create(struct rz_reference_scratch *scratch, uint32_t vocab_size);
void rz_reference_scratch_destroy(struct rz_reference_scratch *scratch);

/* rz_reference_draw - draw ids from a row, slowly. `logits` are the row's vocab_size logits in
 * fp32, as they came. Fills results[0 .. task->draws-1], all fields but `row`. */
void rz_reference_draw(const float *logits, uint32_t vocab_size, const struct rz_row_task *task,
                       struct rz_reference_scratch *scratch, struct rz_result *results);

#endif
