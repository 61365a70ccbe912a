/* SPDX-License-Identifier: Apache-2.0
 *
 * filters.h - min-p, top-k and top-p as one number: an id is kept iff its y is at least a
 * threshold.
 */
#ifndef RZ_KERNELS_FILTERS_H
#define RZ_KERNELS_FILTERS_H

#include "kernels/edit.h"
#include "kernels/sampler.h"

/* What the filters look at: the edited logits, and of each tile the largest y. */
struct rz_filter_row {
    const struct rz_edits *edits;
    const float *tile_y; /* [tiles] */
    uint32_t tiles;
    float scale;   /* y = logit * scale */
    float largest; /* y, finite */
};

struct rz_filter_scratch {
    float *values;    /* [vocab_size] */
    uint64_t *masses; /* [vocab_size] */
};

bool rz_filter_scratch_create(struct rz_filter_scratch *scratch, uint32_t vocab_size);
void rz_filter_scratch_destroy(struct rz_filter_scratch *scratch);

/* rz_filter_threshold - the smallest y that is kept. Finite. *mass_passes is raised if the row's
 * mass had to be summed. */
float rz_filter_threshold(const struct rz_filter_row *row, const struct rz_sampling *p,
                          struct rz_filter_scratch *scratch, uint64_t *mass_passes);

#endif
