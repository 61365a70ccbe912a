/* SPDX-License-Identifier: Apache-2.0
 *
 * logprobs.c - a pass over a row for its mass, which counts the rank of the first draw as well. The
 * most likely ids are found from the tile maxima.
 *
 * A logprob is an fp32 number, and bounds on the mass of all are mostly so close that it is the
 * same at both. If not, the mass is summed exactly.
 */
#include "kernels/cpu/logprobs.h"

#include <math.h>

#include "kernels/contract.h"

/* The y of a tile's ids; -inf for those that have no share. */
static void tile_y(const struct rz_logprobs *logprobs, uint32_t tile, float y[RZ_TILE])
{
    const struct rz_edits *edits = logprobs->row->edits;
    const bool edited = edits->mask != NULL || edits->touched_count > 0;
    if (!logprobs->infinite && !(logprobs->raw && edited)) {
        rz_filter_tile(logprobs->row, tile, y);
        for (uint32_t i = 0; i < RZ_TILE; i++)
            y[i] = y[i] < logprobs->threshold ? -INFINITY : y[i];
        return;
    }
    if (logprobs->raw)
        rz_row_read_tile(edits->view, edits->logits_row, tile, y);
    else
        rz_edits_tile(edits, tile, y);
    for (uint32_t i = 0; i < RZ_TILE; i++) {
        if (y[i] == INFINITY)
            continue;
        y[i] = rz_scaled(y[i], logprobs->row->tiles.scale);
        if (logprobs->infinite || y[i] < logprobs->threshold)
            y[i] = -INFINITY;
    }
}

static uint64_t mass_of(const struct rz_logprobs *logprobs, float y)
{
    return rz_mass(y == INFINITY ? 0.0f : y, logprobs->exponent);
}

/* The mass of all, exactly. */
static void settle_mass(struct rz_logprobs *logprobs)
{
    const struct rz_filter_row *row = logprobs->row;
    const float weighty = rz_filter_weighty(row, logprobs->threshold);
    const uint64_t mass = row->passes->mass_of_row(&row->tiles, row->edits, logprobs->raw,
                                                   rz_filter_least(row, weighty), weighty);
    logprobs->all = (struct rz_mass_bounds){mass, mass};
    logprobs->counters->mass_passes++;
}

static float logprob_of(struct rz_logprobs *logprobs, float y)
{
    if (y == -INFINITY)
        return -INFINITY;
    const float of_y = y == INFINITY ? 0.0f : y;
    const float most = rz_logprob(of_y, logprobs->exponent, logprobs->all.least);
    if (logprobs->all.least == logprobs->all.most ||
        rz_float_bits(most) ==
            rz_float_bits(rz_logprob(of_y, logprobs->exponent, logprobs->all.most)))
        return most;
    settle_mass(logprobs);
    return rz_logprob(of_y, logprobs->exponent, logprobs->all.least);
}

/* Keep the `most` best so far, best first; ids come in rising order, so ties stay in theirs. */
static void offer(struct rz_logprobs *logprobs, uint32_t most, float y, uint32_t id)
{
    uint32_t at = logprobs->top_count;
    if (at == most && (most == 0 || y <= logprobs->top_y[at - 1]))
        return;
    if (at < most)
        logprobs->top_count++;
    else
        at--;
    for (; at > 0 && logprobs->top_y[at - 1] < y; at--) {
        logprobs->top_y[at] = logprobs->top_y[at - 1];
        logprobs->top_ids[at] = logprobs->top_ids[at - 1];
    }
    logprobs->top_y[at] = y;
    logprobs->top_ids[at] = (int32_t)id;
}

static void offer_tile(struct rz_logprobs *logprobs, uint32_t most, uint32_t tile)
{
    float y[RZ_TILE];
    tile_y(logprobs, tile, y);
    for (uint32_t i = 0; i < RZ_TILE; i++)
        if (y[i] > -INFINITY)
            offer(logprobs, most, y[i], tile * RZ_TILE + i);
}

/* Rows with +inf are too rare to be quick about them. */
static void sum_infinite(struct rz_logprobs *logprobs, uint32_t top_count)
{
    uint64_t mass = 0;
    for (uint32_t t = 0; t < logprobs->row->tiles.count; t++) {
        float y[RZ_TILE];
        tile_y(logprobs, t, y);
        for (uint32_t i = 0; i < RZ_TILE; i++)
            mass += y[i] == INFINITY ? mass_of(logprobs, y[i]) : 0;
        offer_tile(logprobs, top_count, t);
    }
    logprobs->all = (struct rz_mass_bounds){mass, mass};
}

/* Bounds on the mass of all, and how many ids are above the first that was drawn. The heaviest
 * tiles, if they are few, are summed exactly: of a row that is all but certain they have nearly
 * all, and a logprob near 0 is a fine thing. */
static void bound_mass(struct rz_logprobs *logprobs, uint32_t drawn,
                       struct rz_filter_scratch *scratch)
{
    enum { FEW = 64, HEAVY_BITS = 12 };
    const struct rz_filter_row *row = logprobs->row;
    const float weighty = rz_filter_weighty(row, logprobs->threshold);
    const float least = rz_filter_least(row, weighty);
    float heavy = rz_filter_least(row, row->largest - (float)HEAVY_BITS), y[RZ_TILE];
    uint32_t heavy_count =
        row->passes->at_least(row->tiles.max, row->tiles.padded, heavy, FEW, scratch->tiles);
    if (heavy_count > FEW) {
        heavy = INFINITY;
        heavy_count = 0;
    }

    tile_y(logprobs, drawn / RZ_TILE, y);
    const float drawn_y = y[drawn % RZ_TILE], than = drawn_y > weighty ? drawn_y : weighty;
    uint32_t above;
    logprobs->all = row->passes->bound_mass(&row->tiles, row->edits, logprobs->raw, least, heavy,
                                            weighty, than, &above);
    for (uint32_t t = 0; t < heavy_count; t++) {
        uint64_t masses[RZ_TILE];
        tile_y(logprobs, scratch->tiles[t], y);
        const uint64_t mass = row->passes->masses(y, weighty, logprobs->exponent, masses);
        logprobs->all.least += mass;
        logprobs->all.most += mass;
        for (uint32_t i = 0; i < RZ_TILE; i++)
            above += y[i] > than;
    }
    if (logprobs->all.least < logprobs->all.most) {
        /* So that what lies between is rounded, as a logarithm, to something between. */
        logprobs->all.least -= 1 + (logprobs->all.least >> 46);
        logprobs->all.most += 1 + (logprobs->all.most >> 46);
    }
    if (drawn_y >= weighty) {
        logprobs->counted_y = drawn_y;
        logprobs->counted_above = above;
    }
    logprobs->counters->mass_passes++;
}

void rz_logprobs_begin(struct rz_logprobs *logprobs, const struct rz_filter_row *row, bool raw,
                       bool infinite, float threshold, uint32_t drawn, uint32_t top_count,
                       struct rz_filter_scratch *scratch, struct rz_sampler_counters *counters)
{
    *logprobs = (struct rz_logprobs){
        .row = row,
        .raw = raw,
        .infinite = infinite,
        .threshold = threshold,
        .exponent = infinite ? 0.0 : (double)row->tiles.exponent,
        .counted_y = NAN,
        .counters = counters,
    };
    if (infinite) {
        sum_infinite(logprobs, top_count);
        return;
    }
    if (row->tame)
        bound_mass(logprobs, drawn, scratch);
    else
        settle_mass(logprobs);
    if (top_count == 0)
        return;
    const float bound =
        rz_filter_bound_of_tiles(row, rz_filter_least(row, threshold), top_count, scratch);
    const uint32_t tiles = rz_filter_tiles(row, bound, scratch);
    for (uint32_t t = 0; t < tiles; t++)
        offer_tile(logprobs, top_count, scratch->tiles[t]);
}

/* Ids with a larger y. */
static uint32_t count_above(const struct rz_logprobs *logprobs, float y)
{
    const struct rz_filter_row *row = logprobs->row;
    if (y == logprobs->counted_y)
        return logprobs->counted_above;
    if (!logprobs->infinite)
        return row->passes->count_above(&row->tiles, row->edits, logprobs->raw,
                                        rz_filter_least(row, y), y);
    return y == INFINITY ? 0 : (uint32_t)(logprobs->all.least / mass_of(logprobs, INFINITY));
}

void rz_logprobs_report(struct rz_logprobs *logprobs, struct rz_result *result)
{
    const uint32_t drawn = (uint32_t)result->id;
    float y[RZ_TILE];
    tile_y(logprobs, drawn / RZ_TILE, y);
    const float drawn_y = y[drawn % RZ_TILE];
    result->logprob = logprob_of(logprobs, drawn_y);
    result->rank = 1 + count_above(logprobs, drawn_y);
    result->top_count = logprobs->top_count;
    for (uint32_t i = 0; i < logprobs->top_count; i++) {
        result->top_ids[i] = logprobs->top_ids[i];
        result->top_logprobs[i] = logprob_of(logprobs, logprobs->top_y[i]);
    }
}
