/* SPDX-License-Identifier: Apache-2.0
 *
 * filters.c - thresholds from tile maxima.
 *
 *   min-p  from the largest y alone
 *   top-k  the k-th largest tile maximum is at most the k-th largest y, so all ids of the answer
 *          lie in the tiles that reach it: about k of them. That maximum, in turn, is at least the
 *          k-th largest of the maxima of groups of tiles.
 */
#include "kernels/cpu/filters.h"

#include <stdlib.h>

#include "kernels/contract.h"

bool rz_filter_scratch_create(struct rz_filter_scratch *scratch, uint32_t vocab_size)
{
    const size_t padded = (size_t)rz_group_count(rz_tile_count(vocab_size)) * RZ_GROUP;
    *scratch = (struct rz_filter_scratch){
        .values = malloc((padded + 1) * RZ_TILE * sizeof *scratch->values),
        .tiles = malloc(padded * sizeof *scratch->tiles),
    };
    return scratch->values != NULL && scratch->tiles != NULL;
}

void rz_filter_scratch_destroy(struct rz_filter_scratch *scratch)
{
    free(scratch->values);
    free(scratch->tiles);
    *scratch = (struct rz_filter_scratch){0};
}

/* By bisection, as y rises with the logit. */
float rz_filter_least(const struct rz_filter_row *row, float y)
{
    uint32_t low = rz_float_key(-INFINITY), high = rz_float_key(INFINITY);
    while (low < high) { /* `high` reaches y; what is below `low` does not */
        const uint32_t middle = low + (high - low) / 2;
        if (rz_scaled(rz_float_of_key(middle), row->tiles.scale) >= y)
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
    uint32_t count = 0;
    for (uint32_t t = 0; t < tiles; t++) {
        float y[RZ_TILE];
        rz_filter_tile(row, scratch->tiles[t], y);
        for (uint32_t i = 0; i < RZ_TILE; i++) { /* without a branch: most are not wanted */
            scratch->values[count] = y[i];
            count += y[i] >= least && y[i] < below;
        }
    }
    return count;
}

/* At most the k-th largest tile maximum, from the maxima of groups of 16 tiles; -inf if there are
 * not as many groups. */
static float bound_of_groups(const struct rz_filter_row *row, uint32_t k, float *values)
{
    enum { PART = 16 };
    const uint32_t count = row->tiles.padded / PART;
    if (count < k)
        return -INFINITY;
    for (uint32_t g = 0; g < count; g++) {
        const float *max = row->tiles.max + g * PART;
        float most = max[0];
        for (uint32_t i = 1; i < PART; i++)
            most = max[i] > most ? max[i] : most;
        values[g] = most;
    }
    return row->passes->kth_largest(values, count, k);
}

float rz_filter_bound_of_tiles(const struct rz_filter_row *row, float least, uint32_t k,
                               struct rz_filter_scratch *scratch)
{
    const float bound = bound_of_groups(row, k, scratch->values);
    const uint32_t count = rz_filter_tiles(row, bound > least ? bound : least, scratch);
    for (uint32_t t = 0; t < count; t++)
        scratch->values[t] = row->tiles.max[scratch->tiles[t]];
    if (count < k)
        return least;
    /* Smaller logits may have the same y, and are then a tie. */
    const float bound_y =
        rz_scaled(row->passes->kth_largest(scratch->values, count, k), row->tiles.scale);
    return rz_filter_least(row, bound_y);
}

static float top_k_threshold(const struct rz_filter_row *row, float threshold, uint32_t k,
                             struct rz_filter_scratch *scratch)
{
    const float bound = rz_filter_bound_of_tiles(row, rz_filter_least(row, threshold), k, scratch);
    const float y = rz_scaled(bound, row->tiles.scale);
    const uint32_t count = rz_filter_collect(row, y > threshold ? y : threshold, INFINITY, scratch);
    return count < k ? threshold : row->passes->kth_largest(scratch->values, count, k);
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
