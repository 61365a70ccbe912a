/* SPDX-License-Identifier: Apache-2.0
 *
 * filters.h - min-p and top-k as one threshold on y: both keep the largest, however many that are.
 * (So does top-p; it has cut.h.)
 */
#ifndef RZ_KERNELS_FILTERS_H
#define RZ_KERNELS_FILTERS_H

#include "kernels/cpu/passes.h"

/* What filters look at: the edited logits, and their tile maxima. */
struct rz_filter_row {
    const struct rz_passes *passes;
    const struct rz_edits *edits;
    struct rz_tiles tiles;
    float largest; /* y, finite */
    bool tame;     /* no logit is NaN, and the largest y is within +-4096: it can be bounded */
};

struct rz_filter_scratch {
    float *values;    /* [padded tiles + 1][RZ_TILE] */
    uint64_t *masses; /* the same, of `values` */
    uint32_t *tiles;  /* [padded tiles] */
};

bool rz_filter_scratch_create(struct rz_filter_scratch *scratch, uint32_t vocab_size);
void rz_filter_scratch_destroy(struct rz_filter_scratch *scratch);

/* rz_filter_least - the smallest logit whose y reaches `y`: where tiles are told by their maxima.
 */
float rz_filter_least(const struct rz_filter_row *row, float y);

/* rz_filter_weighty - the smallest y, of those from `threshold` on, that may have a mass. */
static inline float rz_filter_weighty(const struct rz_filter_row *row, float threshold)
{
    const float weighty = rz_weightless_below((double)row->tiles.exponent);
    return weighty > threshold ? weighty : threshold;
}

/* rz_filter_tile - the 16 y of a tile. */
void rz_filter_tile(const struct rz_filter_row *row, uint32_t tile, float y[RZ_TILE]);

/* rz_filter_tiles - scratch->tiles are those whose maximum is at least the logit `least`; returns
 * how many. */
uint32_t rz_filter_tiles(const struct rz_filter_row *row, float least,
                         struct rz_filter_scratch *scratch);

/* rz_filter_collect - every y of at least `least` and below `below`; returns how many. `values` has
 * room for vocab_size. */
uint32_t rz_filter_collect(const struct rz_filter_row *row, float least, float below,
                           struct rz_filter_scratch *scratch);

/* rz_filter_bound_of_tiles - the k largest y of tiles whose maximum reaches `least`, and all that
 * tie with them, lie in tiles whose maximum reaches this logit, which is `least` or more. */
float rz_filter_bound_of_tiles(const struct rz_filter_row *row, float least, uint32_t k,
                               struct rz_filter_scratch *scratch);

/* rz_filter_limits_k - does top-k keep less than all ids? */
static inline bool rz_filter_limits_k(const struct rz_sampling *p, uint32_t vocab_size)
{
    return p->top_k > 0 && p->top_k < vocab_size;
}

/* rz_filter_threshold - the smallest y that min-p and top-k keep. Finite. */
float rz_filter_threshold(const struct rz_filter_row *row, const struct rz_sampling *p,
                          struct rz_filter_scratch *scratch);

#endif
