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
    float drop_below;              /* ids of less y are not kept */
    float keep_from;               /* ids of this y and more are */
    bool few;                      /* tiles have an id of y >= threshold */
    uint32_t located;              /* calls of rz_cut_locate() */
    double above_drop, above_keep; /* the masses above those two, if weighed finely; else < 0 */
    double mass; /* of all that min-p and top-k keep, over 2^exponent of the row; < 0: not known */
    enum rz_fineness fineness; /* of that */
};

/* rz_cut_begin - what is known after min-p and top-k. `mass` is that of what they keep, sketched,
 * or negative if it is not known. With top_p >= 1 the cut is the threshold. The row and the scratch
 * stay until the last use. */
void rz_cut_begin(struct rz_cut *cut, const struct rz_filter_row *row, float threshold, float top_p,
                  double mass, struct rz_filter_scratch *scratch,
                  struct rz_sampler_counters *counters);

static inline bool rz_cut_is_settled(const struct rz_cut *cut)
{
    return cut->keep_from <= cut->drop_below;
}

/* Is nothing known yet of ids of this y? */
static inline bool rz_cut_is_open(const struct rz_cut *cut, float y)
{
    return y >= cut->drop_below && y < cut->keep_from;
}

/* rz_cut_narrow - find out about ids of these y, `count` <= RZ_MAX_PIVOTS of them, falling, all
 * open. False if nothing can be told of any of them without settling. */
bool rz_cut_narrow(struct rz_cut *cut, const float *pivots, uint32_t count);

/* rz_cut_locate - weigh the row around where a sample of it says that the cut is: leaves open,
 * mostly, ids between a few hundredths of the mass to either side. False if that tells nothing. */
bool rz_cut_locate(struct rz_cut *cut);

/* rz_cut_settle - find the smallest y that is kept: drop_below and keep_from become it. */
void rz_cut_settle(struct rz_cut *cut);

#endif
