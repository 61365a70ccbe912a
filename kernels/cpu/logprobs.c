/* SPDX-License-Identifier: Apache-2.0
 *
 * logprobs.c - two passes over a row: one for its mass, and one a draw for the rank. The most
 * likely ids are found from the tile maxima.
 */
#include "kernels/cpu/logprobs.h"

#include "kernels/contract.h"

/* The y of a tile's ids; -inf for those that have no share. */
static void tile_y(const struct rz_logprobs *logprobs, uint32_t tile, float y[RZ_TILE])
{
    const struct rz_edits *edits = logprobs->row->edits;
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

static float logprob_of(const struct rz_logprobs *logprobs, float y)
{
    return y == -INFINITY
               ? -INFINITY
               : rz_logprob(y == INFINITY ? 0.0f : y, logprobs->exponent, logprobs->mass_of_all);
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
    for (uint32_t t = 0; t < logprobs->row->tiles.count; t++) {
        float y[RZ_TILE];
        tile_y(logprobs, t, y);
        for (uint32_t i = 0; i < RZ_TILE; i++)
            logprobs->mass_of_all += y[i] == INFINITY ? mass_of(logprobs, y[i]) : 0;
        offer_tile(logprobs, top_count, t);
    }
}

void rz_logprobs_begin(struct rz_logprobs *logprobs, const struct rz_filter_row *row, bool raw,
                       bool infinite, float threshold, uint32_t top_count,
                       struct rz_filter_scratch *scratch)
{
    *logprobs = (struct rz_logprobs){
        .row = row,
        .raw = raw,
        .infinite = infinite,
        .threshold = threshold,
        .exponent = infinite ? 0.0 : (double)row->tiles.exponent,
    };
    if (infinite) {
        sum_infinite(logprobs, top_count);
        return;
    }
    const float least = rz_filter_least(row, threshold);
    logprobs->mass_of_all =
        row->passes->mass_of_row(&row->tiles, row->edits, raw, least, threshold);
    if (top_count == 0)
        return;
    const float bound = rz_filter_bound_of_tiles(row, least, top_count, scratch);
    const uint32_t tiles = rz_filter_tiles(row, bound, scratch);
    for (uint32_t t = 0; t < tiles; t++)
        offer_tile(logprobs, top_count, scratch->tiles[t]);
}

/* Ids with a larger y. */
static uint32_t count_above(const struct rz_logprobs *logprobs, float y)
{
    const struct rz_filter_row *row = logprobs->row;
    if (!logprobs->infinite)
        return row->passes->count_above(&row->tiles, row->edits, logprobs->raw,
                                        rz_filter_least(row, y), y);
    return y == INFINITY ? 0 : (uint32_t)(logprobs->mass_of_all / mass_of(logprobs, INFINITY));
}

void rz_logprobs_report(const struct rz_logprobs *logprobs, struct rz_result *result)
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
