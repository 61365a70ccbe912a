/* SPDX-License-Identifier: Apache-2.0
 *
 * cut.h - the smallest y that top-p keeps, as far as it is known.
 *
 * A draw seldom needs it: it needs to know whether the ids of the few tiles that can win are kept.
 * So the cut begins as two bounds, and is narrowed, by weighing the row above a few values, where a
 * decision hangs on it. Only when weighing in fp32 cannot tell is it settled, in exact masses.
 */
#ifndef RZ_KERNELS_CUT_H
#define RZ_KERNELS_CUT_H

#include "kernels/cpu/filters.h"

struct rz_cut {
    const struct rz_filter_row *row;
    struct rz_filter_scratch *scratch;
    struct rz_sampler_counters *counters;
    float threshold; /* of min-p and top-k; top-p counts what they keep */
    float top_p;
    float drop_below;     /* ids of less y are not kept */
    float keep_from;      /* ids of this y and more are */
    bool few;             /* tiles have an id of y >= threshold */
    uint32_t by_sample;   /* guesses of rz_cut_locate() */
    bool by_line;         /* the last */
    struct rz_weight all; /* of all that min-p and top-k keep; negative: not known */
    double below_drop;    /* the sketch of the ids below drop_below; negative: not known */
    double below_keep;    /* and of those below keep_from */
};

/* rz_cut_begin - what is known after min-p and top-k. With top_p >= 1 the cut is the threshold. The
 * row and the scratch stay until the last use. */
void rz_cut_begin(struct rz_cut *cut, const struct rz_filter_row *row, float threshold, float top_p,
                  struct rz_filter_scratch *scratch, struct rz_sampler_counters *counters);

static inline bool rz_cut_is_settled(const struct rz_cut *cut)
{
    return cut->keep_from <= cut->drop_below;
}

/* Is nothing known yet of ids of this y? */
static inline bool rz_cut_is_open(const struct rz_cut *cut, float y)
{
    return y >= cut->drop_below && y < cut->keep_from;
}

/* rz_cut_narrow - find out about ids of this y, which is open, if few tiles are above it and those
 * tell. */
bool rz_cut_narrow(struct rz_cut *cut, float y);

/* rz_cut_locate - sketch the row around where a sample of it says that the cut is, and when that
 * was found, where a straight line does: leaves open ids of a few hundredths of the mass, then of
 * less than one. False if that tells nothing more. */
bool rz_cut_locate(struct rz_cut *cut);

/* rz_cut_weigh - find out about ids of these y, two at most, which fall and are open, by a pass
 * over the row in fp32. False if it cannot tell about any. */
bool rz_cut_weigh(struct rz_cut *cut, const float *y, uint32_t count);

/* rz_cut_settle - find the smallest y that is kept: drop_below and keep_from become it. */
void rz_cut_settle(struct rz_cut *cut);

#endif
