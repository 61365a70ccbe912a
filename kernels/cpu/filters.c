/* SPDX-License-Identifier: Apache-2.0
 *
 * filters.c - thresholds from tile maxima.
 *
 *   min-p  from the largest y alone
 *   top-k  the k-th largest tile maximum is at most the k-th largest y, so all ids of the answer
 *          lie in the tiles that reach it. So do those that reach the k-th largest of the maxima of
 *          bands of tiles, which is sooner found: not many more than k.
 */
#include "kernels/cpu/filters.h"

#include <float.h>
#include <stdlib.h>

#include "kernels/contract.h"

bool rz_filter_scratch_create(struct rz_filter_scratch *scratch, uint32_t vocab_size)
{
    const size_t padded = (size_t)rz_group_count(rz_tile_count(vocab_size)) * RZ_GROUP;
    *scratch = (struct rz_filter_scratch){
        .values = malloc((padded + 1) * RZ_TILE * sizeof *scratch->values),
        .masses = malloc((padded + 1) * RZ_TILE * sizeof *scratch->masses),
        .tiles = malloc(padded * sizeof *scratch->tiles),
    };
    return scratch->values != NULL && scratch->masses != NULL && scratch->tiles != NULL;
}

void rz_filter_scratch_destroy(struct rz_filter_scratch *scratch)
{
    free(scratch->values);
    free(scratch->masses);
    free(scratch->tiles);
    *scratch = (struct rz_filter_scratch){0};
}

/* By bisection, as y rises with the logit: among those next to y / scale, or all. */
float rz_filter_least(const struct rz_filter_row *row, float y)
{
    const float scale = row->tiles.scale, about = (float)((double)y / (double)scale);
    uint32_t low = rz_float_key(-INFINITY), high = rz_float_key(INFINITY);
    if (about > -FLT_MAX && about < FLT_MAX) {
        const uint32_t near = rz_float_key(about);
        if (rz_scaled(rz_float_of_key(near - 2), scale) < y)
            low = near - 1;
        if (rz_scaled(rz_float_of_key(near + 1), scale) >= y)
            high = near + 1;
    }
    while (low < high) { /* `high` reaches y; what is below `low` does not */
        const uint32_t middle = low + (high - low) / 2;
        if (rz_scaled(rz_float_of_key(middle), scale) >= y)
            high = middle;
        else
            low = middle + 1;
    }
    return rz_float_of_key(high);
}

void rz_filter_tile(const struct rz_filter_row *row, uint32_t tile, float y[RZ_TILE])
{
    row->passes->tile(row->edits, tile, row->tiles.scale, y);
}

uint32_t rz_filter_tiles(const struct rz_filter_row *row, float least,
                         struct rz_filter_scratch *scratch)
{
    const struct rz_tiles *tiles = &row->tiles;
    return row->passes->at_least(tiles->max, tiles->padded, least, tiles->padded, scratch->tiles);
}

uint32_t rz_filter_collect(const struct rz_filter_row *row, float least, float below,
                           struct rz_filter_scratch *scratch)
{
    const uint32_t tiles = rz_filter_tiles(row, rz_filter_least(row, least), scratch);
    return row->passes->collect(row->edits, scratch->tiles, tiles, row->tiles.scale, least, below,
                                scratch->values);
}

float rz_filter_bound_of_tiles(const struct rz_filter_row *row, float least, uint32_t k,
                               struct rz_filter_scratch *scratch)
{
    /* With few bands to k, the k-th largest tells little. Not all of them may be real. */
    enum { PART = 16, BANDS = 4 };
    const struct rz_tiles *tiles = &row->tiles;
    float bound = -INFINITY;
    if (k <= tiles->padded / PART / BANDS) {
        const uint32_t count = row->passes->bands(tiles->max, tiles->padded, scratch->values);
        bound = row->passes->kth_largest(scratch->values, count, k, k / 4);
    } else if (k <= tiles->count) {
        bound = row->passes->kth_largest(tiles->max, tiles->padded, k, k / 4);
    }
    if (!(bound > least))
        return least;
    /* Smaller logits may have the same y, and are then a tie. */
    return rz_filter_least(row, rz_scaled(bound, tiles->scale));
}

static float top_k_threshold(const struct rz_filter_row *row, float threshold, uint32_t k,
                             struct rz_filter_scratch *scratch)
{
    const float bound = rz_filter_bound_of_tiles(row, rz_filter_least(row, threshold), k, scratch);
    const float y = rz_scaled(bound, row->tiles.scale);
    const uint32_t count = rz_filter_collect(row, y > threshold ? y : threshold, INFINITY, scratch);
    return count < k ? threshold : row->passes->kth_largest(scratch->values, count, k, 0);
}

float rz_filter_threshold(const struct rz_filter_row *row, const struct rz_sampling *p,
                          struct rz_filter_scratch *scratch)
{
    float threshold = -FLT_MAX;
    if (p->min_p > 0.0f) {
        const float least = rz_min_p_threshold(row->largest, p->min_p);
        threshold = least > threshold ? least : threshold;
    }
    if (rz_filter_limits_k(p, row->edits->view->vocab_size))
        threshold = top_k_threshold(row, threshold, p->top_k, scratch);
    return threshold;
}
