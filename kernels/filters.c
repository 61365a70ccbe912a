/* SPDX-License-Identifier: Apache-2.0
 *
 * filters.c - thresholds from tile maxima.
 *
 *   min-p  from the largest y alone
 *   top-k  the k-th largest tile maximum is at most the k-th largest y, so all ids of the answer
 *          lie in the tiles that reach it: about k of them
 *   top-p  masses of the kept ids, without the tiles whose largest id weighs nothing
 */
#include "kernels/filters.h"

#include <stdlib.h>

#include "kernels/contract.h"
#include "kernels/select.h"

bool rz_filter_scratch_create(struct rz_filter_scratch *scratch, uint32_t vocab_size)
{
    *scratch = (struct rz_filter_scratch){
        .values = malloc(vocab_size * sizeof *scratch->values),
        .masses = malloc(vocab_size * sizeof *scratch->masses),
    };
    return scratch->values != NULL && scratch->masses != NULL;
}

void rz_filter_scratch_destroy(struct rz_filter_scratch *scratch)
{
    free(scratch->values);
    free(scratch->masses);
    *scratch = (struct rz_filter_scratch){0};
}

/* The y of every id that reaches `threshold`, from the tiles that do; returns how many. */
static uint32_t collect(const struct rz_filter_row *row, float threshold, float *values)
{
    uint32_t count = 0;
    for (uint32_t t = 0; t < row->tiles; t++) {
        if (!(row->tile_y[t] >= threshold))
            continue;
        float logits[RZ_TILE];
        rz_edits_tile(row->edits, t, logits);
        for (uint32_t i = 0; i < RZ_TILE; i++) {
            const float y = rz_scaled(logits[i], row->scale);
            if (y >= threshold)
                values[count++] = y;
        }
    }
    return count;
}

/* The k-th largest tile maximum that reaches `threshold`, or `threshold` if there are not k. */
static float kth_tile(const struct rz_filter_row *row, float threshold, uint32_t k, float *values)
{
    uint32_t count = 0;
    for (uint32_t t = 0; t < row->tiles; t++)
        if (row->tile_y[t] >= threshold)
            values[count++] = row->tile_y[t];
    return count < k ? threshold : rz_select_kth(values, count, k);
}

static float filter_top_k(const struct rz_filter_row *row, float threshold, uint32_t k,
                          float *values)
{
    const float bound = kth_tile(row, threshold, k, values);
    const uint32_t count = collect(row, bound, values);
    return count < k ? threshold : rz_select_kth(values, count, k);
}

static float filter_top_p(const struct rz_filter_row *row, float threshold, float top_p,
                          struct rz_filter_scratch *scratch)
{
    const double exponent = rz_mass_exponent(row->largest);
    /* An id 45 below the exponent has less than half a unit of mass, which is none; ids without
     * mass come after all that have some, so top-p never keeps them. */
    const double weightless = exponent - 46.0;
    float least = threshold;
    if ((double)least < weightless)
        least = (float)weightless;
    const uint32_t count = collect(row, least, scratch->values);
    uint64_t all = 0;
    for (uint32_t i = 0; i < count; i++) {
        scratch->masses[i] = rz_mass(scratch->values[i], exponent);
        all += scratch->masses[i];
    }
    return rz_select_nucleus(scratch->values, scratch->masses, count, top_p, all);
}

float rz_filter_threshold(const struct rz_filter_row *row, const struct rz_sampling *p,
                          struct rz_filter_scratch *scratch, uint64_t *mass_passes)
{
    float threshold = -FLT_MAX;
    if (p->min_p > 0.0f) {
        const float least = rz_min_p_threshold(row->largest, p->min_p);
        threshold = least > threshold ? least : threshold;
    }
    if (p->top_k > 0)
        threshold = filter_top_k(row, threshold, p->top_k, scratch->values);
    if (p->top_p < 1.0f) {
        threshold = filter_top_p(row, threshold, p->top_p, scratch);
        ++*mass_passes;
    }
    return threshold;
}
