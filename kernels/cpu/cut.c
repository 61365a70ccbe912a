/* SPDX-License-Identifier: Apache-2.0
 *
 * cut.c - bounds on the cut of top-p, and the cut itself.
 */
#include "kernels/cpu/cut.h"

#include <stdlib.h>

#include "kernels/contract.h"
#include "kernels/cpu/select.h"

enum {
    SAMPLE_TILES = 64, /* that pivots are chosen from */
    NARROWINGS = 4,    /* before all open ids are worked out: about 1 in 5^4 of them is left */
};

/* The next float: for y finite. */
static float next_up(float y)
{
    return nextafterf(y, INFINITY);
}

static float next_down(float y)
{
    return nextafterf(y, -INFINITY);
}

static void weigh(const struct rz_cut *cut, enum rz_fineness fineness, const float *pivots,
                  uint32_t count, double *above)
{
    const struct rz_filter_row *row = cut->row;
    const float least = rz_filter_least(row, pivots[count - 1]);
    row->passes->weigh(&row->tiles, row->edits, least, fineness, pivots, count, above);
    cut->counters->mass_passes++;
}

void rz_cut_begin(struct rz_cut *cut, const struct rz_filter_row *row, float threshold, float top_p,
                  double mass, struct rz_filter_scratch *scratch,
                  struct rz_sampler_counters *counters)
{
    *cut = (struct rz_cut){
        .row = row,
        .scratch = scratch,
        .counters = counters,
        .threshold = threshold,
        .top_p = top_p,
        .drop_below = threshold,
        .keep_from = top_p < 1.0f ? row->largest : threshold,
        .mass = mass,
        .fineness = RZ_SKETCHED,
    };
    if (!row->tame)
        rz_cut_settle(cut);
}

/* Know the mass of all that fine, or finer. */
static void know_mass(struct rz_cut *cut, enum rz_fineness fineness)
{
    if (cut->mass >= 0.0 && cut->fineness >= fineness)
        return;
    const float below = next_down(cut->threshold);
    weigh(cut, fineness, &below, 1, &cut->mass);
    cut->fineness = fineness;
}

/* Narrow the cut by the masses above its pivots; false if that tells nothing. As
 * rz_in_nucleus() has it, with room for the rounding of its product and of these. */
static bool judge(struct rz_cut *cut, enum rz_fineness fineness, const float *pivots,
                  uint32_t count, const double *above)
{
    const double p = (double)cut->top_p;
    const double inside = p * rz_mass_at_least(cut->mass, cut->fineness) * (1.0 - 0x1p-40);
    const double outside = p * rz_mass_at_most(cut->mass, cut->fineness) * (1.0 + 0x1p-40);
    const float drop_below = cut->drop_below, keep_from = cut->keep_from;
    for (uint32_t i = 0; i < count; i++) {
        if (rz_mass_at_most(above[i], fineness) < inside && pivots[i] < cut->keep_from)
            cut->keep_from = pivots[i];
        else if (rz_mass_at_least(above[i], fineness) >= outside && pivots[i] >= cut->drop_below)
            cut->drop_below = next_up(pivots[i]);
    }
    return cut->drop_below > drop_below || cut->keep_from < keep_from;
}

bool rz_cut_narrow(struct rz_cut *cut, const float *pivots, uint32_t count)
{
    double above[RZ_MAX_PIVOTS];
    know_mass(cut, RZ_SKETCHED);
    weigh(cut, RZ_SKETCHED, pivots, count, above);
    if (judge(cut, RZ_SKETCHED, pivots, count, above))
        return true;
    know_mass(cut, RZ_WEIGHED);
    weigh(cut, RZ_WEIGHED, pivots, count, above);
    return judge(cut, RZ_WEIGHED, pivots, count, above);
}

/* ------------------------------------------------------------------------------------------------
 * Settling
 */

static int by_falling_value(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

/* Values of some ids that are open, sorted, to choose pivots from; returns how many. */
static uint32_t sample(const struct rz_cut *cut, float *values)
{
    const uint32_t tiles = cut->row->tiles.count;
    const uint32_t step = tiles > SAMPLE_TILES ? tiles / SAMPLE_TILES : 1;
    uint32_t count = 0;
    for (uint32_t t = 0; t < tiles && count + RZ_TILE <= SAMPLE_TILES * RZ_TILE; t += step) {
        float y[RZ_TILE];
        rz_filter_tile(cut->row, t, y);
        for (uint32_t i = 0; i < RZ_TILE; i++)
            if (rz_cut_is_open(cut, y[i]))
                values[count++] = y[i];
    }
    qsort(values, count, sizeof *values, by_falling_value);
    return count;
}

/* Pivots that part the open ones of the sorted values evenly, each value once; returns how many. */
static uint32_t choose_pivots(const struct rz_cut *cut, const float *values, uint32_t count,
                              float pivots[RZ_MAX_PIVOTS])
{
    uint32_t first = 0, last = count;
    while (first < last && !rz_cut_is_open(cut, values[first]))
        first++;
    while (last > first && !rz_cut_is_open(cut, values[last - 1]))
        last--;
    uint32_t chosen = 0;
    for (uint32_t p = 1; p <= RZ_MAX_PIVOTS && first < last; p++) {
        const float pivot = values[first + (last - first) * p / (RZ_MAX_PIVOTS + 1)];
        if (chosen == 0 || pivot < pivots[chosen - 1])
            pivots[chosen++] = pivot;
    }
    return chosen;
}

void rz_cut_settle(struct rz_cut *cut)
{
    if (rz_cut_is_settled(cut))
        return;
    const struct rz_filter_row *row = cut->row;
    float sampled[SAMPLE_TILES * RZ_TILE], pivots[RZ_MAX_PIVOTS];
    const uint32_t samples = row->tame ? sample(cut, sampled) : 0;
    for (uint32_t n = 0; n < NARROWINGS; n++) {
        const uint32_t count = choose_pivots(cut, sampled, samples, pivots);
        if (count == 0 || !rz_cut_narrow(cut, pivots, count))
            break;
    }

    /* Now exactly: the mass of all, that of what is surely kept, and the open ids one by one. */
    const double exponent = rz_mass_exponent(row->largest);
    const uint64_t all = row->passes->mass_of_row(
        &row->tiles, row->edits, false, rz_filter_least(row, cut->threshold), cut->threshold);
    const uint64_t above = row->passes->mass_of_row(
        &row->tiles, row->edits, false, rz_filter_least(row, cut->keep_from), cut->keep_from);
    cut->counters->mass_passes += 2;
    const uint32_t open = rz_filter_collect(row, cut->drop_below, cut->keep_from, cut->scratch);
    float least = cut->keep_from;
    if (open > 0 && rz_in_nucleus(above, cut->top_p, all))
        least = rz_select_nucleus(cut->scratch->values, open, exponent, above, cut->top_p, all);
    cut->drop_below = cut->keep_from = least;
}
