/* SPDX-License-Identifier: Apache-2.0
 *
 * cpu_sampler.c - the CPU back end: scan, edit, filter, race.
 */
#include <stdlib.h>

#include "kernels/contract.h"
#include "kernels/edit.h"
#include "kernels/filters.h"
#include "kernels/logprobs.h"
#include "kernels/race.h"
#include "kernels/scan.h"

struct rz_sampler {
    struct rz_edits edits;
    struct rz_filter_scratch filters;
    struct rz_race race;
    float *tile_max; /* [tiles] edited logits */
    float *tile_y;   /* [tiles] the same in powers of two */
    struct rz_sampler_counters counters;
};

static void cpu_destroy(struct rz_sampler *sampler)
{
    if (sampler == NULL)
        return;
    rz_edits_destroy(&sampler->edits);
    rz_filter_scratch_destroy(&sampler->filters);
    rz_race_destroy(&sampler->race);
    free(sampler->tile_max);
    free(sampler->tile_y);
    free(sampler);
}

static struct rz_sampler *cpu_create(uint32_t vocab_size)
{
    struct rz_sampler *sampler = calloc(1, sizeof *sampler);
    if (sampler == NULL)
        return NULL;
    const uint32_t tiles = rz_tile_count(vocab_size);
    const bool edits = rz_edits_create(&sampler->edits, vocab_size);
    const bool filters = rz_filter_scratch_create(&sampler->filters, vocab_size);
    const bool race = rz_race_create(&sampler->race, vocab_size);
    sampler->tile_max = malloc(tiles * sizeof *sampler->tile_max);
    sampler->tile_y = malloc(tiles * sizeof *sampler->tile_y);
    if (!edits || !filters || !race || sampler->tile_max == NULL || sampler->tile_y == NULL) {
        cpu_destroy(sampler);
        return NULL;
    }
    return sampler;
}

static float largest(const float *values, uint32_t count)
{
    float most = -INFINITY;
    for (uint32_t i = 0; i < count; i++)
        most = values[i] > most ? values[i] : most;
    return most;
}

static void rescan_tile(struct rz_sampler *sampler, uint32_t tile)
{
    float logits[RZ_TILE];
    rz_edits_tile(&sampler->edits, tile, logits);
    sampler->tile_max[tile] = largest(logits, RZ_TILE);
}

/* Tile maxima of the row as edited. A tile that no edit touches keeps the maximum of the scan. */
static void rescan_edited(struct rz_sampler *sampler, uint32_t tiles)
{
    const struct rz_edits *edits = &sampler->edits;
    for (uint32_t t = 0; t < tiles && edits->mask != NULL; t++)
        if (rz_edits_mask_of(edits, t) != 0xFFFFu)
            rescan_tile(sampler, t);
    for (uint32_t i = 0; i < edits->touched_count; i++)
        rescan_tile(sampler, edits->touched[i] / RZ_TILE);
}

/* The lowest id with the largest logit. */
static int32_t first_of(const struct rz_sampler *sampler, float most)
{
    uint32_t tile = 0;
    while (sampler->tile_max[tile] != most)
        tile++;
    float logits[RZ_TILE];
    rz_edits_tile(&sampler->edits, tile, logits);
    uint32_t i = 0;
    while (logits[i] != most)
        i++;
    return (int32_t)(tile * RZ_TILE + i);
}

/* All draws of a row give `id`: no random number is needed. */
static void draw_certain(int32_t id, const struct rz_row_task *task, struct rz_result *results)
{
    const struct rz_sampling *p = task->sampling;
    for (uint32_t i = 0; i < task->draws; i++) {
        results[i].id = id;
        if ((p->flags & RZ_SAMPLING_LOGPROBS) == 0 || p->logprobs_mode != RZ_LOGPROBS_PROCESSED)
            continue;
        results[i].rank = 1;
        results[i].top_count = p->top_logprobs > 0;
        results[i].top_ids[0] = p->top_logprobs > 0 ? id : 0;
    }
}

static void draw_by_race(struct rz_sampler *sampler, const struct rz_row_task *task, uint32_t tiles,
                         float most, struct rz_result *results)
{
    const struct rz_sampling *p = task->sampling;
    const float scale = rz_temperature_scale(p->temperature);
    const float largest_y = rz_scaled(most, scale);
    for (uint32_t t = 0; t < tiles; t++)
        sampler->tile_y[t] = rz_scaled(sampler->tile_max[t], scale);

    const struct rz_filter_row row = {.edits = &sampler->edits,
                                      .tile_y = sampler->tile_y,
                                      .tiles = tiles,
                                      .scale = scale,
                                      .largest = largest_y};
    const float threshold =
        rz_filter_threshold(&row, p, &sampler->filters, &sampler->counters.mass_passes);
    rz_race_begin(&sampler->race, &sampler->edits, sampler->tile_y, tiles, scale, threshold,
                  largest_y, task->draws, &sampler->counters);
    for (uint32_t i = 0; i < task->draws; i++)
        results[i].id = (int32_t)rz_race_run(&sampler->race, task->seed, task->position + i,
                                             &sampler->counters);

    if ((p->flags & RZ_SAMPLING_LOGPROBS) == 0 || p->logprobs_mode != RZ_LOGPROBS_PROCESSED)
        return;
    struct rz_logprobs logprobs;
    rz_logprobs_begin_processed(&logprobs, &sampler->edits, tiles, scale, threshold, largest_y,
                                p->top_logprobs);
    sampler->counters.mass_passes++;
    for (uint32_t i = 0; i < task->draws; i++)
        rz_logprobs_report(&logprobs, &results[i]);
}

static void report_raw(struct rz_sampler *sampler, const struct rz_row_task *task, uint32_t tiles,
                       float raw_most, struct rz_result *results)
{
    struct rz_logprobs logprobs;
    rz_logprobs_begin_raw(&logprobs, &sampler->edits, tiles, raw_most,
                          task->sampling->top_logprobs);
    sampler->counters.mass_passes++;
    for (uint32_t i = 0; i < task->draws; i++)
        rz_logprobs_report(&logprobs, &results[i]);
}

static void cpu_draw(struct rz_sampler *sampler, const struct rz_logits_view *view,
                     const struct rz_row_task *task, struct rz_result *results)
{
    const struct rz_sampling *p = task->sampling;
    const uint32_t tiles = rz_tile_count(view->vocab_size);
    uint32_t status = rz_scan_row(view, task->logits_row, sampler->tile_max) ? RZ_ROW_NAN : 0;
    sampler->counters.tiles_scanned += tiles;
    const float raw_most = largest(sampler->tile_max, tiles);
    rz_edits_begin(&sampler->edits, view, task);
    rescan_edited(sampler, tiles);
    const float most = largest(sampler->tile_max, tiles);
    if (most == -INFINITY)
        status |= RZ_ROW_NO_TOKEN;

    for (uint32_t i = 0; i < task->draws; i++)
        results[i] = (struct rz_result){
            .id = -1, .status = status, .seed = task->seed, .position = task->position + i};
    if ((status & RZ_ROW_NO_TOKEN) != 0)
        return;
    if (p->temperature < RZ_GREEDY_BELOW || most == INFINITY)
        draw_certain(first_of(sampler, most), task, results);
    else
        draw_by_race(sampler, task, tiles, most, results);
    if ((p->flags & RZ_SAMPLING_LOGPROBS) != 0 && p->logprobs_mode == RZ_LOGPROBS_RAW)
        report_raw(sampler, task, tiles, raw_most, results);
}

static const struct rz_sampler_counters *cpu_counters(const struct rz_sampler *sampler)
{
    return &sampler->counters;
}

const struct rz_sampler_ops rz_sampler_cpu = {
    .name = "cpu",
    .create = cpu_create,
    .destroy = cpu_destroy,
    .draw = cpu_draw,
    .counters = cpu_counters,
};
