/* SPDX-License-Identifier: Apache-2.0
 *
 * passes_scan.h - the first pass over a row, while it comes from memory.
 */
#ifndef RZ_KERNELS_PASSES_SCAN_H
#define RZ_KERNELS_PASSES_SCAN_H

#include "kernels/cpu/passes_words.h"

static inline f32x16 tiles_16(const char *at, enum rz_dtype dtype, const uint32_t *allowed,
                              watch *w)
{
    switch (dtype) {
    case RZ_F32: return f32_tiles_f32((const float *)(const void *)at, allowed, w);
    case RZ_F16: return f32_tiles_f16((const uint16_t *)(const void *)at, allowed, w);
    default: return f32_tiles_bf16((const uint16_t *)(const void *)at, allowed, w);
    }
}

enum {
    BLOCK_TILES = 16,
    BLOCK_IDS = BLOCK_TILES * RZ_TILE,
    /* How far ahead of the scan memory is asked for, which the hardware alone does less well: from
     * 1.4 to 1.15 times the time of a plain maximum (bench/README.md). */
    PREFETCH_BYTES = 8192,
};

/* What a scan carries from block to block. */
struct progress {
    watch watch;
    f32x16 most;
    struct keys keys;
    uint32_t groups_drawn;
    uint32_t words[2 * RZ_GROUP]; /* of the last two */
};

/* The bits of the allowed ids of 16 tiles, two tiles a word; none past the last tile. */
static inline void allowed_of_block(const uint32_t *mask, uint32_t tile, uint32_t tiles,
                                    uint32_t allowed[BLOCK_TILES / 2])
{
    for (uint32_t i = 0; i < BLOCK_TILES; i++, tile++) {
        const uint32_t bits = tile < tiles ? mask[tile / 2] >> (16 * (tile % 2)) & 0xFFFFu : 0;
        allowed[i / 2] = i % 2 == 0 ? bits : allowed[i / 2] | bits << 16;
    }
}

/* The scores of 16 tiles with these maxima. Words are drawn a group ahead: they cannot be loaded as
 * wide as here while they are still being stored. */
INLINED f32x16 score_block(const struct rz_scan *scan, struct progress *progress, uint32_t tile,
                           f32x16 most)
{
    for (; progress->groups_drawn <= tile / RZ_GROUP + 1; progress->groups_drawn++)
        draw_group(&progress->keys, progress->groups_drawn, scan->position,
                   progress->words + progress->groups_drawn % 2 * RZ_GROUP);
    return score_16(most, f32_set(scan->scale), progress->words + tile % (2 * RZ_GROUP));
}

/* The 16 tiles at `at`, the first of which is `tile`: their maxima, and whatever else is wanted
 * while the next block is on its way. */
INLINED f32x16 scan_block(struct rz_scan *scan, struct progress *progress, const char *at,
                          enum rz_dtype dtype, bool masked, uint32_t tile)
{
    uint32_t allowed[BLOCK_TILES / 2];
    if (masked)
        allowed_of_block(scan->mask, tile, rz_tile_count(scan->view->vocab_size), allowed);
    /* Past the end, too, where the next row may be: it cannot fault. */
    const uintptr_t ahead = (uintptr_t)at + PREFETCH_BYTES;
    for (size_t line = 0; line < BLOCK_IDS * bytes_of(dtype); line += 64)
        __builtin_prefetch((const void *)(ahead + line));
    const f32x16 most = tiles_16(at, dtype, masked ? allowed : NULL, &progress->watch);
    progress->most = f32_max(progress->most, most);
    return most;
}

/* The scores of a block's tiles, or of a part of them, count for those of its bands. */
INLINED void count_scores(const struct rz_scan *scan, uint32_t tile, f32x16 scores)
{
    float *of_bands = scan->band_scores + tile / (LANES * LANES) * LANES;
    f32_store(of_bands, f32_max(f32_load(of_bands), scores));
}

/* Ids first .. last-1 of a shard, which are a part of a block: from a block that is -inf elsewhere.
 * The first part of their first tile may be in a shard before. */
static void scan_part(struct rz_scan *scan, struct progress *progress, const char *at,
                      uint32_t first, uint32_t last)
{
    const enum rz_dtype dtype = scan->view->dtype;
    const bool masked = scan->mask != NULL;
    union {
        float f32[BLOCK_IDS];
        uint16_t half[BLOCK_IDS];
    } block;
    for (uint32_t i = 0; i < BLOCK_IDS; i++) {
        if (dtype == RZ_F32)
            block.f32[i] = -INFINITY;
        else
            block.half[i] = dtype == RZ_F16 ? 0xFC00 : 0xFF80;
    }
    const size_t bytes = bytes_of(dtype);
    memcpy((char *)&block + first % BLOCK_IDS * bytes, at, (last - first) * bytes);

    const uint32_t block_tile = first / BLOCK_IDS * BLOCK_TILES, tile = first / RZ_TILE;
    float most[BLOCK_TILES], scores[BLOCK_TILES];
    f32_store(most, scan_block(scan, progress, (const char *)&block, dtype, masked, block_tile));
    float *first_most = &most[tile - block_tile];
    if (first % RZ_TILE != 0 && scan->tile_max[tile] > *first_most)
        *first_most = scan->tile_max[tile];
    if (scan->scores != NULL) {
        const f32x16 of_block = score_block(scan, progress, block_tile, f32_load(most));
        f32_store(scores, of_block);
        count_scores(scan, block_tile, of_block);
    }
    for (uint32_t t = tile; t <= (last - 1) / RZ_TILE; t++) {
        scan->tile_max[t] = most[t - block_tile];
        if (scan->scores != NULL)
            scan->scores[t] = scores[t - block_tile];
    }
}

/* Ids first .. last-1 of a shard; `at` is the first. */
INLINED void scan_ids(struct rz_scan *scan, struct progress *progress, const char *at,
                      enum rz_dtype dtype, bool masked, uint32_t first, uint32_t last)
{
    while (first < last) {
        uint32_t next = first / BLOCK_IDS * BLOCK_IDS + BLOCK_IDS;
        if (first % BLOCK_IDS == 0 && next <= last) {
            const uint32_t tile = first / RZ_TILE;
            const f32x16 most = scan_block(scan, progress, at, dtype, masked, tile);
            f32_store(scan->tile_max + tile, most);
            if (scan->scores != NULL) {
                const f32x16 scores = score_block(scan, progress, tile, most);
                f32_store(scan->scores + tile, scores);
                count_scores(scan, tile, scores);
            }
        } else {
            next = next < last ? next : last;
            scan_part(scan, progress, at, first, next);
        }
        at += (next - first) * bytes_of(dtype);
        first = next;
    }
}

static void scan_shard(struct rz_scan *scan, struct progress *progress,
                       const struct rz_shard_view *shard)
{
    const enum rz_dtype dtype = scan->view->dtype;
    const bool masked = scan->mask != NULL;
    const uint32_t first = shard->first, end = shard->first + shard->count;
    const uint32_t last = end < scan->view->vocab_size ? end : scan->view->vocab_size;
    const char *at = (const char *)shard->logits + scan->row * shard->row_stride * bytes_of(dtype);
    switch (dtype) { /* constants, so that each becomes a loop of its own */
    case RZ_F32:
        masked ? scan_ids(scan, progress, at, RZ_F32, true, first, last)
               : scan_ids(scan, progress, at, RZ_F32, false, first, last);
        break;
    case RZ_F16:
        masked ? scan_ids(scan, progress, at, RZ_F16, true, first, last)
               : scan_ids(scan, progress, at, RZ_F16, false, first, last);
        break;
    case RZ_BF16:
        masked ? scan_ids(scan, progress, at, RZ_BF16, true, first, last)
               : scan_ids(scan, progress, at, RZ_BF16, false, first, last);
        break;
    }
}

/* The tile maxima of a row that has a NaN: id by id. */
static void scan_around_nan(struct rz_scan *scan)
{
    const struct rz_logits_view *view = scan->view;
    scan->most = -INFINITY;
    for (uint32_t id = 0; id < view->vocab_size; id++) {
        float *most = &scan->tile_max[id / RZ_TILE];
        const float x = rz_row_logit(view, scan->row, id);
        const bool allowed = scan->mask == NULL || (scan->mask[id / 32] >> (id % 32) & 1) != 0;
        *most = id % RZ_TILE == 0 ? -INFINITY : *most;
        *most = allowed && x > *most ? x : *most;
        scan->most = *most > scan->most ? *most : scan->most;
    }
}

static void scan(struct rz_scan *scan)
{
    const struct rz_logits_view *view = scan->view;
    const enum rz_dtype dtype = view->dtype;
    const uint32_t tiles = rz_tile_count(view->vocab_size), groups = rz_group_count(tiles);
    for (uint32_t t = tiles; t < groups * RZ_GROUP; t++) {
        scan->tile_max[t] = -INFINITY;
        if (scan->scores != NULL)
            scan->scores[t] = -INFINITY;
    }
    for (uint32_t t = 0; scan->scores != NULL && t < groups * RZ_GROUP; t += LANES * LANES)
        f32_store(scan->band_scores + t / LANES, f32_set(-INFINITY));

    struct progress progress = {.watch = watch_none(), .most = f32_set(-INFINITY)};
    if (scan->scores != NULL)
        schedule(scan->seed, &progress.keys);
    for (uint32_t s = 0; s < view->shard_count; s++)
        if (view->shards[s].first < view->vocab_size)
            scan_shard(scan, &progress, &view->shards[s]);
    scan->most = lane_max(progress.most);

    const uint32_t infinity = dtype == RZ_F32 ? 0x7F800000 : dtype == RZ_F16 ? 0x7C00 : 0x7F80;
    const uint32_t bits =
        dtype == RZ_F32 ? watch_most_32(progress.watch) : watch_most_16(progress.watch);
    scan->nan = bits > infinity;
    if (scan->nan)
        scan_around_nan(scan);
}

#endif
