/* SPDX-License-Identifier: Apache-2.0
 *
 * logprobs.c - two passes over a row: one for its mass and best ids, one a draw for the rank.
 */
#include "kernels/logprobs.h"

#include "kernels/contract.h"

/* The y of a tile's ids; -inf for those that have no share. */
static void tile_y(const struct rz_logprobs *logprobs, uint32_t tile, float y[RZ_TILE])
{
    if (logprobs->raw)
        rz_row_read_tile(logprobs->edits->view, logprobs->edits->logits_row, tile, y);
    else
        rz_edits_tile(logprobs->edits, tile, y);
    for (uint32_t i = 0; i < RZ_TILE; i++) {
        if (y[i] == INFINITY)
            continue;
        y[i] = rz_scaled(y[i], logprobs->scale);
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

static void sum_up(struct rz_logprobs *logprobs, uint32_t top_count)
{
    for (uint32_t t = 0; t < logprobs->tiles; t++) {
        float y[RZ_TILE];
        tile_y(logprobs, t, y);
        for (uint32_t i = 0; i < RZ_TILE; i++) {
            if (y[i] == -INFINITY)
                continue;
            logprobs->mass_of_all += mass_of(logprobs, y[i]);
            offer(logprobs, top_count, y[i], t * RZ_TILE + i);
        }
    }
}

void rz_logprobs_begin_raw(struct rz_logprobs *logprobs, const struct rz_edits *edits,
                           uint32_t tiles, float largest, uint32_t top_count)
{
    const float scale = rz_temperature_scale(1.0f);
    const bool infinite = largest == INFINITY;
    /* A row of which nothing but edits is left has no raw distribution: all shares are 0. */
    const float largest_y = infinite || largest == -INFINITY ? 0.0f : rz_scaled(largest, scale);
    *logprobs = (struct rz_logprobs){
        .edits = edits,
        .raw = true,
        .tiles = tiles,
        .scale = scale,
        .threshold = -FLT_MAX,
        .infinite = infinite,
        .exponent = rz_mass_exponent(largest_y),
    };
    sum_up(logprobs, top_count);
}

void rz_logprobs_begin_processed(struct rz_logprobs *logprobs, const struct rz_edits *edits,
                                 uint32_t tiles, float scale, float threshold, float largest,
                                 uint32_t top_count)
{
    *logprobs = (struct rz_logprobs){
        .edits = edits,
        .tiles = tiles,
        .scale = scale,
        .threshold = threshold,
        .exponent = rz_mass_exponent(largest),
    };
    sum_up(logprobs, top_count);
}

void rz_logprobs_report(const struct rz_logprobs *logprobs, struct rz_result *result)
{
    const uint32_t drawn = (uint32_t)result->id;
    float y[RZ_TILE];
    tile_y(logprobs, drawn / RZ_TILE, y);
    const float drawn_y = y[drawn % RZ_TILE];
    result->logprob = logprob_of(logprobs, drawn_y);
    result->rank = 1;
    for (uint32_t t = 0; t < logprobs->tiles; t++) {
        tile_y(logprobs, t, y);
        for (uint32_t i = 0; i < RZ_TILE; i++)
            result->rank += y[i] > drawn_y;
    }
    result->top_count = logprobs->top_count;
    for (uint32_t i = 0; i < logprobs->top_count; i++) {
        result->top_ids[i] = logprobs->top_ids[i];
        result->top_logprobs[i] = logprob_of(logprobs, logprobs->top_y[i]);
    }
}
