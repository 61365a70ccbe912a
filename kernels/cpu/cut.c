/* SPDX-License-Identifier: Apache-2.0
 *
 * cut.c - bounds on the cut of top-p, and the cut itself.
 */
#include "kernels/cpu/cut.h"

#include <math.h>

#include "kernels/contract.h"
#include "kernels/cpu/select.h"

enum {
    LOCATIONS = 2, /* before all open ids are worked out */
    MOST_SAMPLES = 3,
};

/* A pass over the tiles that reach the logit `least`. */
static void weigh(const struct rz_cut *cut, float least, bool fine, const float *pivots,
                  uint32_t count, struct rz_weight *weights)
{
    const struct rz_filter_row *row = cut->row;
    row->passes->weigh(&row->tiles, row->edits, least, fine, pivots, count, weights);
    cut->counters->mass_passes++;
}

/* The least logit above a y. */
static float logit_above(const struct rz_cut *cut, float y)
{
    return rz_filter_least(cut->row, nextafterf(y, INFINITY));
}

/* With so few tiles to look at, masses are summed sooner than bounded. A small vocabulary, that
 * min-p and top-k leave whole, would be, too; but there is nothing to gain, and so small rows are
 * good tests of the bounds. */
static bool has_few_tiles(const struct rz_cut *cut)
{
    enum { FEW = 128, VERY_FEW = 8 };
    const struct rz_filter_row *row = cut->row;
    if (cut->threshold <= -FLT_MAX)
        return row->tiles.count <= VERY_FEW;
    return row->passes->count(row->tiles.max, row->tiles.padded,
                              rz_filter_least(row, cut->threshold)) <= FEW;
}

void rz_cut_begin(struct rz_cut *cut, const struct rz_filter_row *row, float threshold, float top_p,
                  struct rz_filter_scratch *scratch, struct rz_sampler_counters *counters)
{
    *cut = (struct rz_cut){
        .row = row,
        .scratch = scratch,
        .counters = counters,
        .threshold = threshold,
        .top_p = top_p,
        .drop_below = threshold,
        .keep_from = top_p < 1.0f ? row->largest : threshold,
        .all = {-1.0, -1.0},
        .below_drop = threshold > -FLT_MAX ? 0.0 : -1.0,
        .below_keep = -1.0,
    };
    if (rz_cut_is_settled(cut))
        return;
    cut->few = has_few_tiles(cut);
    if (!row->tame || cut->few)
        rz_cut_settle(cut);
}

/* Weigh what is above pivots, which fall, and, in the same pass if it was not known, all. */
static void weigh_above(struct rz_cut *cut, bool fine, const float *pivots, uint32_t count,
                        struct rz_weight *above)
{
    struct rz_weight weights[RZ_MAX_PIVOTS];
    float least[RZ_MAX_PIVOTS] = {0.0f};
    for (uint32_t i = 0; i < count; i++)
        least[i] = logit_above(cut, pivots[i]);
    const bool knows_all = fine ? cut->all.fine >= 0.0 : cut->all.sketch >= 0.0;
    if (!knows_all)
        least[count] = rz_filter_least(cut->row, cut->threshold);
    const uint32_t total = knows_all ? count : count + 1;
    weigh(cut, least[total - 1], fine, least, total, weights);
    for (uint32_t i = 0; i < count; i++)
        above[i] = weights[i];
    if (knows_all)
        return;
    cut->all.sketch = weights[count].sketch;
    if (fine)
        cut->all.fine = weights[count].fine;
}

/* ------------------------------------------------------------------------------------------------
 * Judging
 *
 * An id is kept iff M, the mass above it, is < p (M + T), T being the mass of the rest. Both have
 * bounds, and the ids that they are of do not overlap: M's worst is its most, T's its least, and
 * the other way round. What leaves T open by a sixteenth leaves open a sixteenth of 1 - p of the
 * mass, so bounds that are far apart do.
 */

struct bounds {
    double least, most;
};

static void intersect(struct bounds *a, double least, double most)
{
    a->least = least > a->least ? least : a->least;
    a->most = most < a->most ? most : a->most;
}

/* A sketched mass, of which `error` may be wrong with the sketch itself. */
static void bound_by_sketch(struct bounds *bounds, double sketch, double error)
{
    intersect(bounds, (sketch - error) / RZ_CHORD, sketch + error);
}

/* A mass that was weighed finely, `error` of which may be wrong with the sum. */
static void bound_by_fine(struct bounds *bounds, double fine, double error)
{
    intersect(bounds, fine * (1.0 - RZ_FINE) - error, fine * (1.0 + RZ_FINE) + error);
}

/* How far a sketch may be off, of a sum of all: sums of up to 1,024 terms of fp32 a lane, 2^-14 at
 * most, and that the y of a sketch is not rounded, which is 2^-24 of it. */
static double grain(const struct rz_cut *cut)
{
    return 0x1p-13 + fabs((double)cut->row->tiles.exponent) * 0x1p-22;
}

/* Bounds on the mass above a pivot and on that of the rest, from what is above and all. */
static void bound_both(const struct rz_cut *cut, const struct rz_weight *above, bool fine,
                       struct bounds *of_above, struct bounds *of_rest)
{
    const double error = cut->all.sketch * grain(cut);
    *of_above = *of_rest = (struct bounds){0.0, INFINITY};
    bound_by_sketch(of_above, above->sketch, error);
    bound_by_sketch(of_rest, cut->all.sketch - above->sketch, error);
    if (!fine)
        return;
    bound_by_fine(of_above, above->fine, 0.0);
    bound_by_fine(of_rest, cut->all.fine - above->fine, 2.0 * RZ_FINE * cut->all.fine);
}

/* Is an id of this y kept? As rz_in_nucleus() has it, with room for the rounding of its product and
 * of these. False, and the cut as it was, if that cannot be told. */
static bool judge(struct rz_cut *cut, float y, const struct bounds *above,
                  const struct bounds *rest)
{
    const double p = (double)cut->top_p;
    const double least = above->least - RZ_LOST, most = above->most + RZ_LOST;
    if (most < p * (most + rest->least - RZ_LOST) * (1.0 - 0x1p-48) && y < cut->keep_from) {
        cut->keep_from = y;
        return true;
    }
    if (least >= p * (least + rest->most + RZ_LOST) * (1.0 + 0x1p-48) && y >= cut->drop_below) {
        cut->drop_below = nextafterf(y, INFINITY);
        return true;
    }
    return false;
}

/* Narrow the cut by the weights above pivots; false if that tells nothing. */
static bool judge_all(struct rz_cut *cut, bool fine, const float *pivots, uint32_t count,
                      const struct rz_weight *above)
{
    bool told = false;
    for (uint32_t i = 0; i < count; i++) {
        struct bounds of_above, of_rest;
        const float keep_from = cut->keep_from;
        bound_both(cut, &above[i], fine, &of_above, &of_rest);
        if (!judge(cut, pivots[i], &of_above, &of_rest))
            continue;
        const double below = cut->all.sketch - above[i].sketch;
        *(cut->keep_from < keep_from ? &cut->below_keep : &cut->below_drop) = below;
        told = true;
    }
    return told;
}

/* ------------------------------------------------------------------------------------------------
 * Narrowing
 */

static bool has_few_above(const struct rz_cut *cut, float y)
{
    enum { PART = 8 };
    const struct rz_filter_row *row = cut->row;
    return row->passes->count(row->tiles.max, row->tiles.padded, rz_filter_least(row, y)) <=
           row->tiles.count / PART;
}

/* From the tiles that have something above it, weighed, and the maxima of the others: each has at
 * least the mass of its maximum, and at most 16 times that. */
static bool judge_by_maxima(struct rz_cut *cut, float y)
{
    const struct rz_filter_row *row = cut->row;
    const float all = rz_filter_least(row, cut->threshold);
    const float pivots[2] = {logit_above(cut, y), all};
    struct rz_weight weights[2];
    weigh(cut, pivots[0], true, pivots, 2, weights);
    const double others = row->passes->maxima(&row->tiles, all, pivots[0]);
    const double off = others * grain(cut);

    struct bounds of_above = {0.0, INFINITY}, of_rest = {0.0, INFINITY};
    bound_by_fine(&of_above, weights[0].fine, 0.0);
    bound_by_fine(&of_rest, weights[1].fine - weights[0].fine, 2.0 * RZ_FINE * weights[1].fine);
    of_rest.least += (others - off) / RZ_CHORD;
    of_rest.most += RZ_TILE * (others + off);
    return judge(cut, y, &of_above, &of_rest);
}

bool rz_cut_narrow(struct rz_cut *cut, float y)
{
    return has_few_above(cut, y) && judge_by_maxima(cut, y);
}

/* Can the rest, which a pass knows as a difference, be told at all? */
static bool can_be_weighed(const struct rz_cut *cut)
{
    return 1.0 - (double)cut->top_p > 2.0 * grain(cut);
}

bool rz_cut_weigh(struct rz_cut *cut, const float *y, uint32_t count)
{
    struct rz_weight above[2];
    if (!can_be_weighed(cut))
        return false;
    weigh_above(cut, true, y, count, above);
    return judge_all(cut, true, y, count, above);
}

/* ------------------------------------------------------------------------------------------------
 * Locating
 */

/* Ids from all over the row, whole tiles of them. */
struct sample {
    double part; /* of the row; the rest of the arrays is -inf */
    float y[RZ_SAMPLE];
    float masses[RZ_SAMPLE];
    float max[RZ_SAMPLE / RZ_TILE]; /* of the tiles, logits */
};

static void take_sample(const struct rz_cut *cut, struct sample *s)
{
    const struct rz_filter_row *row = cut->row;
    const uint32_t most = RZ_SAMPLE / RZ_TILE, tiles = row->tiles.count;
    const uint32_t step = tiles > most ? tiles / most : 1;
    uint32_t taken = 0;
    for (uint32_t t = 0; t < tiles && taken < most; t += step, taken++) {
        float *y = s->y + taken * RZ_TILE;
        rz_filter_tile(row, t, y);
        for (uint32_t i = 0; i < RZ_TILE; i++)
            y[i] = y[i] < cut->threshold ? -INFINITY : y[i];
        s->max[taken] = row->tiles.max[t];
    }
    s->part = (double)taken / (double)tiles;
    for (; taken < most; taken++) {
        s->max[taken] = -INFINITY;
        for (uint32_t i = 0; i < RZ_TILE; i++)
            s->y[taken * RZ_TILE + i] = -INFINITY;
    }
}

/* About the sketch of all: the maxima, which are known, and the others in proportion to those of
 * the sample. A few heavy ids, which a sample hits or not, are maxima. */
static double about_all(const struct rz_cut *cut, const struct sample *s, double sampled)
{
    if (cut->all.sketch >= 0.0)
        return cut->all.sketch;
    const struct rz_passes *passes = cut->row->passes;
    const float least = rz_filter_least(cut->row, cut->threshold);
    struct rz_tiles tiles = cut->row->tiles;
    const double maxima = passes->maxima(&tiles, least, INFINITY);
    tiles.max = s->max;
    tiles.padded = RZ_SAMPLE / RZ_TILE;
    return maxima + (sampled - passes->maxima(&tiles, least, INFINITY)) / s->part;
}

/* How much of the mass two sketches leave open, around the cut. */
static double left_open(const struct rz_cut *cut, double all)
{
    const double p = (double)cut->top_p;
    return (RZ_CHORD - 1.0) * (p < 0.5 ? p : 1.0 - p) * all;
}

/* Two y with the cut between them, as far as can be guessed. From a sample: off by what the sample
 * is off, three standard deviations of it or, where they were too few, more, and by what sketches
 * leave open. */
static void guess_by_sample(const struct rz_cut *cut, float pivots[2])
{
    struct sample s;
    const struct rz_passes *passes = cut->row->passes;
    take_sample(cut, &s);
    const double sampled = passes->sketch(s.y, cut->row->tiles.exponent, s.masses);
    const double all = about_all(cut, &s, sampled) * s.part;
    const double rest = (1.0 - (double)cut->top_p) * all;
    double squares;
    passes->quantile(s.y, s.masses, rest, &squares);
    const double off = left_open(cut, all) + 3.0 * cut->by_sample * sqrt(squares);
    pivots[0] = passes->quantile(s.y, s.masses, rest + off, &squares);
    pivots[1] = passes->quantile(s.y, s.masses, rest - off, &squares);
}

/* By a straight line between what was weighed, and a little more than what sketches leave open. */
static void guess_by_line(const struct rz_cut *cut, float pivots[2])
{
    const double all = cut->all.sketch, off = 1.1 * left_open(cut, all);
    const double rest = (1.0 - (double)cut->top_p) * all;
    const double apart = (double)(cut->keep_from - cut->drop_below);
    const double slope = apart / (cut->below_keep - cut->below_drop);
    for (int i = 0; i < 2; i++) {
        const double up = (rest + (i == 0 ? off : -off) - cut->below_drop) * slope;
        pivots[i] = (float)((double)cut->drop_below + fmin(fmax(up, -1.0), apart + 1.0));
    }
}

bool rz_cut_locate(struct rz_cut *cut)
{
    float guesses[2], pivots[2];
    struct rz_weight above[2];
    if (cut->by_line || cut->by_sample == MOST_SAMPLES || !can_be_weighed(cut))
        return false;
    cut->by_line = cut->below_drop >= 0.0 && cut->below_keep > cut->below_drop;
    if (cut->by_line) {
        guess_by_line(cut, guesses);
    } else {
        cut->by_sample++;
        guess_by_sample(cut, guesses);
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < 2; i++)
        if (rz_cut_is_open(cut, guesses[i]) && (count == 0 || guesses[i] < pivots[0]))
            pivots[count++] = guesses[i];
    if (count == 0)
        return false;
    weigh_above(cut, false, pivots, count, above);
    return judge_all(cut, false, pivots, count, above);
}

/* ------------------------------------------------------------------------------------------------
 * Settling
 */

/* The mass of the ids of y >= `from`. */
static uint64_t sum_from(const struct rz_cut *cut, float from)
{
    const struct rz_filter_row *row = cut->row;
    const float y = rz_filter_weighty(row, from);
    cut->counters->mass_passes++;
    return row->passes->mass_of_row(&row->tiles, row->edits, false, rz_filter_least(row, y), y);
}

/* A y that is likely to be a little above the cut, if sketches have not told one. */
static float likely_above(struct rz_cut *cut)
{
    float pivots[2];
    cut->by_sample++;
    guess_by_sample(cut, pivots);
    return rz_cut_is_open(cut, pivots[0]) ? pivots[0] : cut->keep_from;
}

/* The y of the open ids, whose number is returned, and their masses; *sum: of those. */
static uint32_t weigh_open(const struct rz_cut *cut, float below, uint64_t *sum)
{
    const struct rz_filter_row *row = cut->row;
    struct rz_filter_scratch *s = cut->scratch;
    const uint32_t count = rz_filter_collect(row, cut->drop_below, below, s);
    *sum = 0;
    for (uint32_t i = 0; i < count; i += RZ_TILE)
        *sum += row->passes->masses(s->values + i, cut->drop_below, rz_mass_exponent(row->largest),
                                    s->masses + i);
    return count;
}

/* The smallest y that is kept of the open ids, given the mass above them and that of all. */
static void settle_among(struct rz_cut *cut, uint32_t count, uint64_t above, uint64_t all)
{
    const struct rz_filter_scratch *s = cut->scratch;
    float least = cut->keep_from;
    if (count > 0 && rz_in_nucleus(above, cut->top_p, all))
        least = rz_select_nucleus(s->values, s->masses, count, above, cut->top_p, all);
    cut->drop_below = cut->keep_from = least;
}

/* So few ids that all of them can be looked at. */
static void settle_few(struct rz_cut *cut)
{
    uint64_t all;
    const uint32_t count = weigh_open(cut, INFINITY, &all);
    settle_among(cut, count, 0, all);
}

/* The mass of all, that of what is surely kept, and the open ids one by one. */
static void settle_many(struct rz_cut *cut, bool bounded)
{
    const uint64_t all = sum_from(cut, cut->threshold);
    const float likely = bounded && !can_be_weighed(cut) ? likely_above(cut) : cut->keep_from;
    uint64_t above = sum_from(cut, likely), of_open;
    if (rz_in_nucleus(above, cut->top_p, all))
        cut->keep_from = likely;
    else if (likely < cut->keep_from)
        above = sum_from(cut, cut->keep_from);
    const uint32_t count = weigh_open(cut, cut->keep_from, &of_open);
    settle_among(cut, count, above, all);
}

void rz_cut_settle(struct rz_cut *cut)
{
    const struct rz_filter_row *row = cut->row;
    const bool bounded = row->tame && !cut->few;
    for (uint32_t n = 0; bounded && !rz_cut_is_settled(cut) && n < LOCATIONS; n++)
        if (!rz_cut_locate(cut))
            break;
    if (rz_cut_is_settled(cut))
        return;

    if (cut->few)
        settle_few(cut);
    else
        settle_many(cut, bounded);
}
