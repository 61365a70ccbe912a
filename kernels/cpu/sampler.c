/* SPDX-License-Identifier: Apache-2.0
 *
 * sampler.c - the CPU back ends: scan, edit, filter, race. They differ in their passes only.
 */
#include "kernels/cpu/sampler.h"

#include <stdlib.h>

#include "kernels/contract.h"
#include "kernels/cpu/logprobs.h"
#include "kernels/cpu/race.h"

struct rz_sampler {
    const struct rz_passes *passes;
    struct rz_edits edits;
    struct rz_filter_scratch filters;
    struct rz_race race;
    float *tile_max; /* [padded tiles + 16] edited logits */
    float *raw_max;  /* [padded tiles + 16] the logits as they came; filled if logprobs want it */
    struct rz_sampler_counters counters;
};

void rz_cpu_sampler_destroy(struct rz_sampler *sampler)
{
    if (sampler == NULL)
        return;
    rz_edits_destroy(&sampler->edits);
    rz_filter_scratch_destroy(&sampler->filters);
    rz_race_destroy(&sampler->race);
    free(sampler->tile_max);
    free(sampler->raw_max);
    free(sampler);
}

struct rz_sampler *rz_cpu_sampler_create(const struct rz_passes *passes, uint32_t vocab_size)
{
    struct rz_sampler *sampler = calloc(1, sizeof *sampler);
    if (sampler == NULL)
        return NULL;
    sampler->passes = passes;
    const size_t padded = (size_t)rz_group_count(rz_tile_count(vocab_size)) * RZ_GROUP;
    const bool edits = rz_edits_create(&sampler->edits, vocab_size);
    const bool filters = rz_filter_scratch_create(&sampler->filters, vocab_size);
    const bool race = rz_race_create(&sampler->race, vocab_size);
    sampler->tile_max = calloc(padded + RZ_TILE, sizeof *sampler->tile_max);
    sampler->raw_max = calloc(padded + RZ_TILE, sizeof *sampler->raw_max);
    if (!edits || !filters || !race || sampler->tile_max == NULL || sampler->raw_max == NULL) {
        rz_cpu_sampler_destroy(sampler);
        return NULL;
    }
    return sampler;
}

/* One row's draw, as it goes. */
struct draw {
    struct rz_sampler *sampler;
    const struct rz_row_task *task;
    const struct rz_sampling *p;
    struct rz_scan scan;
    struct rz_filter_row row; /* of the edited logits */
    float most;               /* the largest edited logit */
    enum rz_race_known known; /* for the first draw */
    bool wants_raw, wants_processed;
};

/* ------------------------------------------------------------------------------------------------
 * The scan
 */

static bool is_greedy(const struct rz_sampling *p)
{
    return p->temperature < RZ_GREEDY_BELOW;
}

/* Scores are made on the way where most tiles will need one. */
static void scan(struct draw *draw, const struct rz_logits_view *view)
{
    struct rz_sampler *sampler = draw->sampler;
    const struct rz_sampling *p = draw->p;
    const struct rz_edits *edits = &sampler->edits;
    const bool races = !is_greedy(p) && !rz_filter_limits_k(p, view->vocab_size);
    draw->scan = (struct rz_scan){
        .view = view,
        .row = draw->task->logits_row,
        .mask = edits->mask,
        .tile_max = sampler->tile_max,
        .scale = is_greedy(p) ? 0.0f : rz_temperature_scale(p->temperature),
        .scores = races ? sampler->race.scores : NULL,
        .band_scores = sampler->race.band_scores,
        .seed = draw->task->seed,
        .position = draw->task->position,
    };
    sampler->passes->scan(&draw->scan);
    if (races && !draw->scan.nan) /* else maxima are others than were scored */
        draw->known = edits->touched_count == 0 ? RZ_SCORED_BY_BAND : RZ_SCORED;
    sampler->counters.tiles_scanned += draw->row.tiles.count;
}

/* The tile maxima as they came, which a mask has kept the scan from seeing. */
static void scan_raw(struct draw *draw, const struct rz_logits_view *view)
{
    struct rz_sampler *sampler = draw->sampler;
    if (sampler->edits.mask == NULL) {
        memcpy(sampler->raw_max, sampler->tile_max,
               draw->row.tiles.padded * sizeof *sampler->raw_max);
        return;
    }
    struct rz_scan raw = {
        .view = view, .row = draw->task->logits_row, .tile_max = sampler->raw_max};
    sampler->passes->scan(&raw);
    sampler->counters.tiles_scanned += draw->row.tiles.count;
}

/* The maxima, and scores, of tiles that an edit touches. */
static void rescan_touched(const struct draw *draw)
{
    struct rz_sampler *sampler = draw->sampler;
    const struct rz_edits *edits = &sampler->edits;
    const uint32_t count = edits->touched_tile_count;
    const uint32_t padded = rz_round_up_lanes(count);
    /* Nobody else has use for these yet, and they have room for 16 a tile. */
    float *max = sampler->filters.values, *scores = max + padded;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t tile = edits->touched_tiles[i];
        float logits[RZ_TILE], most = -INFINITY;
        rz_edits_tile(edits, tile, logits);
        for (uint32_t j = 0; j < RZ_TILE; j++)
            most = logits[j] > most ? logits[j] : most;
        sampler->tile_max[tile] = max[i] = most;
    }
    for (uint32_t i = count; i < padded; i++)
        max[i] = -INFINITY;
    if (draw->known == RZ_NOT_SCORED)
        return;
    sampler->passes->score(draw->task->seed, draw->task->position, edits->touched_tiles, max,
                           draw->scan.scale, padded, scores);
    for (uint32_t i = 0; i < count; i++)
        sampler->race.scores[edits->touched_tiles[i]] = scores[i];
}

/* ------------------------------------------------------------------------------------------------
 * The draw
 */

/* The lowest id with the largest logit. */
static int32_t first_of(const struct draw *draw)
{
    const struct rz_sampler *sampler = draw->sampler;
    uint32_t *tiles = sampler->filters.tiles;
    sampler->passes->at_least(sampler->tile_max, draw->row.tiles.padded, draw->most, 0, tiles);
    float logits[RZ_TILE];
    rz_edits_tile(&sampler->edits, tiles[0], logits);
    uint32_t i = 0;
    while (logits[i] != draw->most)
        i++;
    return (int32_t)(tiles[0] * RZ_TILE + i);
}

/* All draws of a row give the same id: no random number is needed. */
static void draw_certain(const struct draw *draw, struct rz_result *results)
{
    const int32_t id = first_of(draw);
    for (uint32_t i = 0; i < draw->task->draws; i++) {
        results[i].id = id;
        if (!draw->wants_processed)
            continue;
        results[i].rank = 1;
        results[i].top_count = draw->p->top_logprobs > 0;
        results[i].top_ids[0] = draw->p->top_logprobs > 0 ? id : 0;
    }
}

static void report(const struct draw *draw, const struct rz_filter_row *row, bool raw,
                   bool infinite, float threshold, struct rz_result *results)
{
    struct rz_logprobs logprobs;
    rz_logprobs_begin(&logprobs, row, raw, infinite, threshold, (uint32_t)results[0].id,
                      draw->p->top_logprobs, &draw->sampler->filters, &draw->sampler->counters);
    for (uint32_t i = 0; i < draw->task->draws; i++)
        rz_logprobs_report(&logprobs, &results[i]);
}

/* A row of the filters, from tile maxima of which `most` is the largest. */
static struct rz_filter_row measure(const struct draw *draw, const float *tile_max, float most,
                                    float scale)
{
    struct rz_filter_row row = draw->row;
    row.largest = rz_scaled(most, scale);
    row.tiles.max = tile_max;
    row.tiles.scale = scale;
    row.tiles.exponent = most > -INFINITY ? ceilf(row.largest) : 0.0f;
    row.tame = !draw->scan.nan && row.largest > -4096.0f && row.largest < 4096.0f;
    return row;
}

static void draw_by_race(struct draw *draw, struct rz_result *results)
{
    struct rz_sampler *sampler = draw->sampler;
    const struct rz_sampling *p = draw->p;
    const struct rz_row_task *task = draw->task;
    draw->row = measure(draw, sampler->tile_max, draw->most, rz_temperature_scale(p->temperature));
    const float threshold = rz_filter_threshold(&draw->row, p, &sampler->filters);
    struct rz_cut cut;
    rz_cut_begin(&cut, &draw->row, threshold, p->top_p, &sampler->filters, &sampler->counters);
    if (task->draws >= RZ_RACE_MANY || draw->wants_processed)
        rz_cut_settle(&cut);

    rz_race_begin(&sampler->race, &draw->row, &cut, task->seed, task->draws, &sampler->counters);
    for (uint32_t i = 0; i < task->draws; i++)
        results[i].id = (int32_t)rz_race_run(&sampler->race, task->position + i,
                                             i == 0 ? draw->known : RZ_NOT_SCORED);
    if (draw->wants_processed)
        report(draw, &draw->row, false, false, cut.drop_below, results);
}

static void report_raw(struct draw *draw, struct rz_result *results)
{
    struct rz_sampler *sampler = draw->sampler;
    const float most = sampler->passes->largest(sampler->raw_max, draw->row.tiles.padded);
    const struct rz_filter_row row =
        measure(draw, sampler->raw_max, most, rz_temperature_scale(1.0f));
    report(draw, &row, true, most == INFINITY, -FLT_MAX, results);
}

void rz_cpu_sampler_draw(struct rz_sampler *sampler, const struct rz_logits_view *view,
                         const struct rz_row_task *task, struct rz_result *results)
{
    const struct rz_sampling *p = task->sampling;
    const bool logprobs = (p->flags & RZ_SAMPLING_LOGPROBS) != 0;
    const uint32_t tiles = rz_tile_count(view->vocab_size);
    struct draw draw = {
        .sampler = sampler,
        .task = task,
        .p = p,
        .row = {.passes = sampler->passes,
                .edits = &sampler->edits,
                .tiles = {.count = tiles, .padded = rz_group_count(tiles) * RZ_GROUP}},
        .wants_raw = logprobs && p->logprobs_mode == RZ_LOGPROBS_RAW,
        .wants_processed = logprobs && p->logprobs_mode == RZ_LOGPROBS_PROCESSED,
    };
    rz_edits_begin(&sampler->edits, view, task);
    scan(&draw, view);
    if (draw.wants_raw)
        scan_raw(&draw, view);
    rescan_touched(&draw);
    draw.most = sampler->edits.touched_count == 0
                    ? draw.scan.most
                    : sampler->passes->largest(sampler->tile_max, draw.row.tiles.padded);

    const uint32_t status =
        (draw.scan.nan ? RZ_ROW_NAN : 0) | (draw.most == -INFINITY ? RZ_ROW_NO_TOKEN : 0);
    for (uint32_t i = 0; i < task->draws; i++)
        results[i] = (struct rz_result){
            .id = -1, .status = status, .seed = task->seed, .position = task->position + i};
    if ((status & RZ_ROW_NO_TOKEN) != 0)
        return;
    if (is_greedy(p) || draw.most == INFINITY)
        draw_certain(&draw, results);
    else
        draw_by_race(&draw, results);
    if (draw.wants_raw)
        report_raw(&draw, results);
}

const struct rz_sampler_counters *rz_cpu_sampler_counters(const struct rz_sampler *sampler)
{
    return &sampler->counters;
}

RZ_CPU_SAMPLER(scalar);
