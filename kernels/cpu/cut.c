/* SPDX-License-Identifier: Apache-2.0
 *
 * cut.c - bounds on the cut of top-p, and the cut itself.
 */
#include "kernels/cpu/cut.h"

#include "kernels/contract.h"
#include "kernels/cpu/select.h"

enum { LOCATIONS = 2 }; /* before all open ids are worked out */

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

/* With so few tiles to look at, masses are summed sooner than bounded. */
static bool has_few_tiles(const struct rz_cut *cut)
{
    enum { FEW = 128 };
    const struct rz_filter_row *row = cut->row;
    if (cut->threshold <= -FLT_MAX && row->tiles.count > FEW)
        return false;
    return row->passes->at_least(row->tiles.max, row->tiles.padded,
                                 rz_filter_least(row, cut->threshold), FEW,
                                 cut->scratch->tiles) <= FEW;
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
        .above_drop = -1.0,
        .above_keep = -1.0,
        .mass = mass,
        .fineness = RZ_SKETCHED,
    };
    if (rz_cut_is_settled(cut))
        return;
    cut->few = has_few_tiles(cut);
    if (!row->tame || cut->few)
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
        const double known = fineness == RZ_WEIGHED ? above[i] : -1.0;
        if (rz_mass_at_most(above[i], fineness) < inside && pivots[i] < cut->keep_from) {
            cut->keep_from = pivots[i];
            cut->above_keep = known;
        } else if (rz_mass_at_least(above[i], fineness) >= outside &&
                   pivots[i] >= cut->drop_below) {
            cut->drop_below = next_up(pivots[i]);
            cut->above_drop = known;
        }
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
 * Locating
 */

/* The y of ids from all over the row, whole tiles of them; returns how many. */
static uint32_t sample(const struct rz_cut *cut, float y[RZ_MAX_SAMPLE])
{
    const uint32_t most = RZ_MAX_SAMPLE / RZ_TILE, tiles = cut->row->tiles.count;
    const uint32_t step = tiles > most ? tiles / most : 1;
    uint32_t count = 0;
    for (uint32_t t = 0; t < tiles && count < RZ_MAX_SAMPLE; t += step, count += RZ_TILE) {
        rz_filter_tile(cut->row, t, y + count);
        for (uint32_t i = 0; i < RZ_TILE; i++)
            if (y[count + i] < cut->threshold)
                y[count + i] = -INFINITY;
    }
    return count;
}

/* Two y with the cut between them, as far as can be guessed: by a straight line between what was
 * weighed, or from a sample of the row, which is off by 1 in the square root of its size. */
static void guess(const struct rz_cut *cut, float pivots[2])
{
    const double share = (double)cut->top_p * cut->mass;
    if (cut->fineness == RZ_WEIGHED && cut->above_keep >= 0.0 && cut->above_drop >= 0.0) {
        const float apart = cut->keep_from - cut->drop_below;
        const float part = (float)((share - cut->above_keep) / (cut->above_drop - cut->above_keep));
        pivots[0] = cut->keep_from - apart * (part - 0.1f);
        pivots[1] = cut->keep_from - apart * (part + 0.1f);
        return;
    }
    float y[RZ_MAX_SAMPLE];
    const float exponent = cut->row->tiles.exponent, p = cut->top_p;
    const float margin = cut->located == 1 ? 0.012f : 0.05f; /* the first may have been too small */
    const uint32_t count = sample(cut, y);
    pivots[0] = cut->row->passes->quantile(y, count, exponent, p - margin);
    pivots[1] = cut->row->passes->quantile(y, count, exponent, p + margin);
}

bool rz_cut_locate(struct rz_cut *cut)
{
    float guesses[2], pivots[3];
    double above[3];
    cut->located++;
    guess(cut, guesses);
    uint32_t chosen = 0;
    for (uint32_t i = 0; i < 2; i++)
        if (rz_cut_is_open(cut, guesses[i]) && (chosen == 0 || guesses[i] < pivots[0]))
            pivots[chosen++] = guesses[i];
    if (chosen == 0)
        return false;
    const bool knows_all = cut->mass >= 0.0 && cut->fineness == RZ_WEIGHED;
    pivots[chosen] = next_down(cut->threshold); /* above it is all */
    weigh(cut, RZ_WEIGHED, pivots, knows_all ? chosen : chosen + 1, above);
    if (!knows_all) {
        cut->mass = above[chosen];
        cut->fineness = RZ_WEIGHED;
    }
    return judge(cut, RZ_WEIGHED, pivots, chosen, above);
}

/* ------------------------------------------------------------------------------------------------
 * Settling
 */

void rz_cut_settle(struct rz_cut *cut)
{
    if (rz_cut_is_settled(cut))
        return;
    const struct rz_filter_row *row = cut->row;
    const bool bounded = row->tame && !cut->few;
    for (uint32_t n = 0; bounded && n < LOCATIONS && rz_cut_locate(cut); n++)
        ;

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
