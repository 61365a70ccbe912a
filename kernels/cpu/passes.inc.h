/* SPDX-License-Identifier: Apache-2.0
 *
 * passes.inc.h - the loops over rows, for whichever lanes were included before. Defines the table
 * RZ_PASSES, named RZ_PASSES_NAME.
 *
 * Comments give the cost in instructions of AVX-512 for 16 ids or tiles where it matters.
 */
#include <float.h>
#include <math.h>

#include "kernels/contract.h"
#include "kernels/cpu/passes.h"

enum { LANES = 16 };

/* For functions whose arguments are to become constants where they are called. */
#define INLINED static inline __attribute__((always_inline))

/* ------------------------------------------------------------------------------------------------
 * Arithmetic
 */

/* rz_scaled(). */
static inline f32x16 scaled(f32x16 x, f32x16 scale)
{
    const f32x16 y = f32_min(f32_mul(x, scale), f32_set(FLT_MAX));
    return f32_select(f32_ge(x, f32_set(-FLT_MAX)), f32_max(y, f32_set(-FLT_MAX)), y);
}

/* RZ_MASS_ONE * rz_exp2(y - exponent), operation by operation, for y from exponent - 64 to
 * exponent; anything else gives anything. */
static inline f64x8 exact_mass(f64x8 y, f64x8 exponent)
{
    const f64x8 shift = f64_set(RZ_EXP2_SHIFT);
    const f64x8 x = f64_sub(y, exponent);
    const f64x8 shifted = f64_add(x, shift);
    const f64x8 rounded = f64_sub(shifted, shift);
    const f64x8 r = f64_sub(x, rounded);

    const f64x8 r2 = f64_mul(r, r);
    const f64x8 low = f64_add(f64_set(RZ_EXP2_C1), f64_mul(r, f64_set(RZ_EXP2_C2)));
    const f64x8 mid = f64_add(f64_set(RZ_EXP2_C3), f64_mul(r, f64_set(RZ_EXP2_C4)));
    const f64x8 top = f64_add(f64_set(RZ_EXP2_C5), f64_mul(r, f64_set(RZ_EXP2_C6)));
    const f64x8 expm1 = f64_mul(r, f64_add(low, f64_mul(r2, f64_add(mid, f64_mul(r2, top)))));
    const u64x8 n = f64_bits(shifted);
    const f64x8 high = f64_lookup32(rz_exp2_high, n);
    const f64x8 power = f64_add(high, f64_add(f64_lookup32(rz_exp2_low, n), f64_mul(high, expm1)));
    return f64_times_exp2_floor(power, f64_add(rounded, f64_set(44.0)));
}

/* factor * 2^(y - one) within a factor of 1 + 2^-34, for y that are whole numbers of 2^-48, integers
 * `one`, and results from 2^-1000 to 2^1000: a table of 2^(i/16), from whose exponents i/16 is taken
 * off as y puts it on, and for |r| <= 1/32 the series of e^(r ln 2), of which (ln(2) / 32)^5 / 120 <
 * 2^-34.5 is left out.
 *
 * In two halves, each four at a time and step by step: a processor looks ahead no further than one
 * of them is long, and every step waits for the last. With the second half of some ids beside the
 * first of the next it has twice as much that it can do (1.3 times as fast). */
struct near_exp2 {
    f64x8 shifted[4], r[4];
};

INLINED struct near_exp2 begin_near_exp2(const f64x8 *y, int count, double one)
{
    const f64x8 shift = f64_set(0x1.8p+48 - one);
    struct near_exp2 begun;
    for (int i = 0; i < count; i++)
        begun.shifted[i] = f64_add(y[i], shift);
    for (int i = 0; i < count; i++)
        begun.r[i] = f64_sub(y[i], f64_sub(begun.shifted[i], shift));
    return begun;
}

INLINED void end_near_exp2(const struct near_exp2 *begun, int count, double factor, f64x8 *result)
{
    static const double sixteenths[16] = {
        0x1.0000000000000p+0, 0x1.fb5586cf9890fp-1, 0x1.f72b83c7d517bp-1, 0x1.f387a6e756238p-1,
        0x1.f06fe0a31b715p-1, 0x1.edea64c123422p-1, 0x1.ebfdad5362a27p-1, 0x1.eab07dd485429p-1,
        0x1.ea09e667f3bcdp-1, 0x1.ea11473eb0187p-1, 0x1.eace5422aa0dbp-1, 0x1.ec49182a3f090p-1,
        0x1.ee89f995ad3adp-1, 0x1.f199bdd85529cp-1, 0x1.f5818dcfba487p-1, 0x1.fa4afa2a490dap-1,
    };
    static const double series[5] = {0x1.3b2ab6fba4e77p-7, 0x1.c6b08d704a0bfp-5,
                                     0x1.ebfbdff82c58ep-3, 0x1.62e42fefa39efp-1, 1.0};
    f64x8 p[4];
    for (int i = 0; i < count; i++)
        p[i] = f64_mul_add(f64_set(series[0] * factor), begun->r[i], f64_set(series[1] * factor));
    for (int term = 2; term < 5; term++)
        for (int i = 0; i < count; i++)
            p[i] = f64_mul_add(p[i], begun->r[i], f64_set(series[term] * factor));
    for (int i = 0; i < count; i++) {
        const u64x8 n = f64_bits(begun->shifted[i]);
        const u64x8 power = u64_add(f64_bits(f64_lookup16(sixteenths, n)), u64_shift_left(n, 48));
        result[i] = f64_mul(f64_from_bits(power), p[i]);
    }
}

/* 2^x within a factor of 1 + 2^-21, for -126 <= x <= 100; what is below counts as -126. The
 * polynomial is minimax on |r| <= 1/2 (2^-22.6), four roundings come on top. */
static inline f32x16 about_exp2(f32x16 x)
{
    const f32x16 shift = f32_set(0x1.8p+23f);
    const f32x16 clamped = f32_max(x, f32_set(-126.0f));
    const f32x16 shifted = f32_add(clamped, shift);
    const f32x16 r = f32_sub(clamped, f32_sub(shifted, shift));
    f32x16 p = f32_set(0x1.5c08e6p-10f);
    p = f32_mul_add(p, r, f32_set(0x1.3d0c52p-7f));
    p = f32_mul_add(p, r, f32_set(0x1.c6b6e4p-5f));
    p = f32_mul_add(p, r, f32_set(0x1.ebf918p-3f));
    p = f32_mul_add(p, r, f32_set(0x1.62e428p-1f));
    p = f32_mul_add(p, r, f32_set(0x1.000002p+0f));
    return f32_from_bits(u32_add(f32_bits(p), u32_shift_left(f32_bits(shifted), 23)));
}

/* From 1 to 1.0615 times 2^x: for x = n + f it is 2^n (1 + f), the chord, whose bits are those of
 * (x + 127) 2^23 as an integer. 0 or less below -126. Rounding makes that a factor of 1 + 2^-16
 * more, or less. */
static inline f32x16 chord_exp2(f32x16 x)
{
    const f32x16 bits = f32_mul_add(x, f32_set(0x1p+23f), f32_set(127.0f * 0x1p+23f));
    return f32_from_bits(f32_to_i32(f32_max(bits, f32_set(0.0f))));
}

static inline float lane_max(f32x16 a)
{
    float lanes[LANES], most = -INFINITY;
    f32_store(lanes, a);
    for (int i = 0; i < LANES; i++)
        most = lanes[i] > most ? lanes[i] : most;
    return most;
}

static inline f64x8 f64_from_both(f32x16 a)
{
    return f64_add(f64_from_low(a), f64_from_high(a));
}

/* ------------------------------------------------------------------------------------------------
 * Random words
 */

/* The keys of ten rounds. */
struct keys {
    u64x8 k0[RZ_PHILOX_ROUNDS], k1[RZ_PHILOX_ROUNDS];
};

static inline void schedule(uint64_t seed, struct keys *keys)
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < RZ_PHILOX_ROUNDS; round++) {
        keys->k0[round] = u64_set(k0);
        keys->k1[round] = u64_set(k1);
        k0 += RZ_PHILOX_W0;
        k1 += RZ_PHILOX_W1;
    }
}

/* rz_philox4x32(), eight calls; call i's words go to words[i], [stride + i], ... A word is the low
 * half of its lane: a product leaves one word there and the other above, and what is above does not
 * matter to the next. 13 instructions a round for both eights. */
static inline void draw_8(const struct keys *keys, u64x8 calls, uint64_t position, uint32_t *words,
                          size_t stride)
{
    const u64x8 m0 = u64_set(RZ_PHILOX_M0), m1 = u64_set(RZ_PHILOX_M1);
    u64x8 c0 = calls;
    u64x8 c1 = u64_set((uint32_t)position), c2 = u64_set(position >> 32);
    u64x8 c3 = u64_set(RZ_STREAM_RACE);
    for (int round = 0; round < RZ_PHILOX_ROUNDS; round++) {
        const u64x8 p0 = u64_mul_low(c0, m0), p1 = u64_mul_low(c2, m1);
        c0 = u64_xor3(u64_shift_right(p1, 32), c1, keys->k0[round]);
        c2 = u64_xor3(u64_shift_right(p0, 32), c3, keys->k1[round]);
        c1 = p1;
        c3 = p0;
    }
    u64_store_low(words, c0);
    u64_store_low(words + stride, c1);
    u64_store_low(words + 2 * stride, c2);
    u64_store_low(words + 3 * stride, c3);
}

/* The words of a group's tiles, in order. */
static inline void draw_group(const struct keys *keys, uint32_t group, uint64_t position,
                              uint32_t words[RZ_GROUP])
{
    static const uint64_t counts[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const u64x8 first = u64_set(group * RZ_GROUP_CALLS);
    draw_8(keys, u64_add(first, u64_load(counts)), position, words, 16);
    draw_8(keys, u64_add(first, u64_load(counts + 8)), position, words + 8, 16);
}

/* The words of these tiles, 8 at most. */
static inline void draw_tiles(const struct keys *keys, const uint32_t *tiles, uint32_t count,
                              uint64_t position, uint32_t *words)
{
    uint64_t calls[8] = {0};
    uint32_t drawn[4 * 8];
    for (uint32_t i = 0; i < count; i++)
        calls[i] = rz_race_call(tiles[i]);
    draw_8(keys, u64_load(calls), position, drawn, 8);
    for (uint32_t i = 0; i < count; i++)
        words[i] = drawn[rz_race_word(tiles[i]) * 8 + i];
}

static void draw(uint64_t seed, uint64_t position, const uint32_t *tiles, uint32_t count,
                 uint32_t *words)
{
    struct keys keys;
    schedule(seed, &keys);
    for (uint32_t i = 0; i < count; i += 8)
        draw_tiles(&keys, tiles + i, count - i < 8 ? count - i : 8, position, words + i);
}

/* Scores of 16 tiles. The logarithm is the chord over log2, which is never above it: the bits of a
 * float as an integer are 2^23 (log2 + 127). What is rounded is less than 2^-16 in all, and 2^-22
 * of the base. 5 instructions. */
static inline f32x16 score_16(f32x16 base, f32x16 scale, const uint32_t *words)
{
    const f32x16 half = f32_from_i32(u32_shift_right(u32_load(words), 1));
    const f32x16 bits = f32_from_i32(f32_bits(half));
    return f32_mul_add(bits, f32_set(-0x1p-23f), f32_mul_add(base, scale, f32_set(126.0f + 32.0f)));
}

static void score(uint64_t seed, uint64_t position, const uint32_t *tiles, const float *base,
                  float scale, uint32_t padded, float *scores)
{
    struct keys keys;
    uint32_t words[RZ_GROUP];
    schedule(seed, &keys);
    for (uint32_t i = 0; i < padded; i += LANES) {
        if (tiles != NULL) {
            draw_tiles(&keys, tiles + i, 8, position, words);
            draw_tiles(&keys, tiles + i + 8, 8, position, words + 8);
        } else if (i % RZ_GROUP == 0) {
            draw_group(&keys, i / RZ_GROUP, position, words);
        }
        const uint32_t *from = tiles != NULL ? words : words + i % RZ_GROUP;
        f32_store(scores + i, score_16(f32_load(base + i), f32_set(scale), from));
    }
}

/* ------------------------------------------------------------------------------------------------
 * The scan
 */

static inline size_t bytes_of(enum rz_dtype dtype)
{
    return dtype == RZ_F32 ? 4 : 2;
}

static inline f32x16 load_16(const char *at, enum rz_dtype dtype)
{
    switch (dtype) {
    case RZ_F32: return f32_load((const float *)(const void *)at);
    case RZ_F16: return f32_load_f16((const uint16_t *)(const void *)at);
    default: return f32_load_bf16((const uint16_t *)(const void *)at);
    }
}

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
    /* Of the rows that follow, too, should they lie next in memory: it cannot fault. */
    for (size_t line = 0; line < BLOCK_IDS * bytes_of(dtype); line += 64)
        __builtin_prefetch(at + PREFETCH_BYTES + line);
    const f32x16 most = tiles_16(at, dtype, masked ? allowed : NULL, &progress->watch);
    progress->most = f32_max(progress->most, most);
    return most;
}

/* The scores of a block's tiles, or of a part of them, count for those of its groups. */
INLINED void count_scores(const struct rz_scan *scan, uint32_t tile, f32x16 scores)
{
    float *of_groups = scan->group_scores + tile / (LANES * LANES) * LANES;
    f32_store(of_groups, f32_max(f32_load(of_groups), scores));
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

/* The value of a logit's bits without its sign, infinity becoming the largest number. */
static float magnitude_of(enum rz_dtype dtype, uint32_t bits, uint32_t infinity)
{
    if (bits >= infinity)
        bits = infinity - 1;
    return dtype == RZ_F32 ? rz_float_from_bits(bits)
                           : rz_float_from_16_bits((uint16_t)bits, dtype);
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
        f32_store(scan->group_scores + t / LANES, f32_set(-INFINITY));

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
    scan->magnitude = magnitude_of(dtype, bits, infinity);
    scan->nan = bits > infinity;
    if (scan->nan)
        scan_around_nan(scan);
}

/* ------------------------------------------------------------------------------------------------
 * Over tiles
 */

static inline void fetch_ahead(struct rz_ahead *ahead, size_t lines)
{
    for (size_t line = 0; line < lines && ahead->next < ahead->end; line++, ahead->next += 64)
        __builtin_prefetch(ahead->next);
}

static uint32_t count(const float *values, uint32_t padded, float least)
{
    uint32_t reaching = 0;
    for (uint32_t t = 0; t < padded; t += LANES)
        reaching += (uint32_t)__builtin_popcount(f32_ge(f32_load(values + t), f32_set(least)));
    return reaching;
}

static float largest(const float *values, uint32_t padded)
{
    f32x16 most = f32_set(-INFINITY);
    for (uint32_t t = 0; t < padded; t += LANES)
        most = f32_max(most, f32_load(values + t));
    return lane_max(most);
}

static inline float lane_min(f32x16 a)
{
    return -lane_max(f32_sub(f32_set(0.0f), a));
}

/* By bisection, until no more than k + spare values reach `low`: the least of those is the one. */
static float kth_largest(const float *values, uint32_t count, uint32_t k, uint32_t spare)
{
    f32x16 most = f32_set(-INFINITY), least = f32_set(INFINITY);
    for (uint32_t i = 0; i < count; i += LANES) {
        most = f32_max(most, f32_load(values + i));
        least = f32_min(least, f32_load(values + i));
    }
    uint32_t high = rz_float_key(lane_max(most));
    uint32_t low = rz_float_key(lane_min(least));
    while (low < high) { /* k values reach `low`; fewer reach what is above `high` */
        const uint32_t middle = low + (high - low + 1) / 2;
        const f32x16 wanted = f32_set(rz_float_of_key(middle));
        uint32_t reach_it = 0;
        for (uint32_t i = 0; i < count; i += LANES)
            reach_it += (uint32_t)__builtin_popcount(f32_ge(f32_load(values + i), wanted));
        if (reach_it >= k)
            low = middle;
        else
            high = middle - 1;
        if (reach_it >= k && reach_it <= k + spare)
            break;
    }
    const f32x16 wanted = f32_set(rz_float_of_key(low));
    least = f32_set(INFINITY);
    for (uint32_t i = 0; i < count; i += LANES) {
        const f32x16 x = f32_load(values + i);
        least = f32_min(least, f32_select(f32_ge(x, wanted), x, f32_set(INFINITY)));
    }
    return lane_min(least);
}

static uint32_t groups(const float *values, uint32_t padded, struct rz_ahead *ahead, float *largest)
{
    uint32_t count = 0;
    for (uint32_t t = 0; t < padded; t += LANES * LANES, count += LANES) {
        f32x16 most = f32_load(values + t);
        for (uint32_t i = t + LANES; i < t + LANES * LANES && i < padded; i += LANES) {
            fetch_ahead(ahead, 1);
            most = f32_max(most, f32_load(values + i));
        }
        f32_store(largest + count, most);
    }
    return count;
}

/* Append the numbers of the lanes. */
static inline uint32_t append(uint32_t lanes, uint32_t first, uint32_t *list, uint32_t count)
{
    for (; lanes != 0; lanes &= lanes - 1)
        list[count++] = first + (uint32_t)__builtin_ctz(lanes);
    return count;
}

static uint32_t at_least(const float *values, uint32_t padded, float least, uint32_t most,
                         uint32_t *tiles)
{
    uint32_t count = 0;
    for (uint32_t t = 0; t < padded && count <= most; t += LANES)
        count = append(f32_ge(f32_load(values + t), f32_set(least)), t, tiles, count);
    return count;
}

static double maxima(const struct rz_tiles *tiles, float least, float below)
{
    f32x16 some = f32_set(0.0f); /* 512 terms a lane at most */
    for (uint32_t t = 0; t < tiles->padded; t += LANES) {
        const f32x16 max = f32_load(tiles->max + t);
        const f32x16 x = f32_sub(f32_mul(max, f32_set(tiles->scale)), f32_set(tiles->exponent));
        const uint32_t lanes = f32_ge(max, f32_set(least)) & ~f32_ge(max, f32_set(below));
        some = f32_add_where(lanes, some, chord_exp2(x));
    }
    return f64_sum(f64_from_both(some));
}

static float best(const float *base, float least, const float *scores, uint32_t padded,
                  struct rz_ahead *ahead)
{
    f32x16 most = f32_set(-INFINITY);
    struct rz_ahead lines = *ahead;
    for (uint32_t t = 0; t < padded; t += LANES) {
        fetch_ahead(&lines, 1);
        const uint32_t live = f32_ge(f32_load(base + t), f32_set(least));
        most = f32_max(most, f32_select(live, f32_load(scores + t), f32_set(-INFINITY)));
    }
    *ahead = lines;
    return lane_max(most);
}

static uint32_t reach(const float *base, float least, const float *scores, uint32_t padded,
                      float score, struct rz_ahead *ahead, uint32_t *list)
{
    uint32_t count = 0;
    struct rz_ahead lines = *ahead;
    for (uint32_t t = 0; t < padded; t += LANES) {
        fetch_ahead(&lines, 1);
        const uint32_t live = f32_ge(f32_load(base + t), f32_set(least));
        count = append(f32_ge(f32_load(scores + t), f32_set(score)) & live, t, list, count);
    }
    *ahead = lines;
    return count;
}

static uint32_t reach_by_group(const float *group_scores, const float *scores, uint32_t padded,
                               float score, uint32_t *list)
{
    uint32_t count = 0;
    for (uint32_t first = 0; first < padded; first += LANES * LANES) {
        uint32_t lanes = f32_ge(f32_load(group_scores + first / LANES), f32_set(score));
        for (; lanes != 0; lanes &= lanes - 1)
            for (uint32_t i = 0; i < LANES; i++) {
                const uint32_t t = first + i * LANES + (uint32_t)__builtin_ctz(lanes);
                if (t >= padded)
                    break;
                list[count] = t;
                count += scores[t] >= score; /* without a branch that nobody can foretell */
            }
    }
    return count;
}

/* ------------------------------------------------------------------------------------------------
 * Over ids
 */

static void tile(const struct rz_edits *edits, uint32_t tile, float scale, float y[RZ_TILE])
{
    const struct rz_logits_view *view = edits->view;
    const uint32_t first = tile * RZ_TILE;
    const struct rz_shard_view *shard = rz_row_shard(view, first);
    const bool whole =
        first + RZ_TILE <= view->vocab_size && first + RZ_TILE <= shard->first + shard->count;
    if (!whole || edits->tile_epoch[tile] == edits->epoch) {
        rz_edits_tile(edits, tile, y);
        f32_store(y, scaled(f32_load(y), f32_set(scale)));
        return;
    }
    const size_t index = edits->logits_row * shard->row_stride + (first - shard->first);
    const char *at = (const char *)shard->logits + index * bytes_of(view->dtype);
    /* NaN, in the first place, gives the second. */
    const f32x16 x = f32_max(load_16(at, view->dtype), f32_set(-INFINITY));
    const f32x16 allowed = f32_select(rz_edits_mask_of(edits, tile), x, f32_set(-INFINITY));
    f32_store(y, scaled(allowed, f32_set(scale)));
}

static uint32_t collect(const struct rz_edits *edits, const uint32_t *tiles, uint32_t count,
                        float scale, float least, float below, float *y)
{
    uint32_t collected = 0;
    for (uint32_t i = 0; i < count; i++) {
        float of_tile[RZ_TILE];
        tile(edits, tiles[i], scale, of_tile);
        const f32x16 x = f32_load(of_tile);
        const uint32_t lanes = f32_ge(x, f32_set(least)) & ~f32_ge(x, f32_set(below));
        collected += f32_store_some(y + collected, lanes & 0xFFFFu, x);
    }
    f32_store(y + collected, f32_set(-INFINITY));
    return collected;
}

static inline uint32_t low_lanes(uint32_t lanes)
{
    return lanes & 0xFFu;
}

static uint64_t masses(const float *y_of_tile, float threshold, double exponent, uint64_t *masses)
{
    const f32x16 y = f32_load(y_of_tile);
    const float weighty = rz_weightless_below(exponent);
    const uint32_t kept = f32_ge(y, f32_set(threshold > weighty ? threshold : weighty));
    const u64x8 low =
        u64_keep(low_lanes(kept), f64_to_u64(exact_mass(f64_from_low(y), f64_set(exponent))));
    const u64x8 high =
        u64_keep(kept >> 8, f64_to_u64(exact_mass(f64_from_high(y), f64_set(exponent))));
    u64_store(masses, low);
    u64_store(masses + 8, high);
    return u64_sum(u64_add(low, high));
}

static double sketch(const float *y, float exponent, float *masses)
{
    f32x16 sum = f32_set(0.0f);
    for (uint32_t i = 0; i < RZ_SAMPLE; i += LANES) {
        const f32x16 mass = chord_exp2(f32_sub(f32_load(y + i), f32_set(exponent)));
        f32_store(masses + i, mass);
        sum = f32_add(sum, mass);
    }
    return f64_sum(f64_from_both(sum));
}

/* By bisection of the range that has mass to speak of. */
static float quantile(const float *y, const float *masses, double mass, double *squares)
{
    enum { STEPS = 12 };
    f32x16 most = f32_set(-INFINITY);
    for (uint32_t i = 0; i < RZ_SAMPLE; i += LANES)
        most = f32_max(most, f32_load(y + i));
    float high = lane_max(most);
    f32x16 least = f32_set(high);
    for (uint32_t i = 0; i < RZ_SAMPLE; i += LANES)
        least = f32_min(least, f32_max(f32_load(y + i), f32_set(high - 40.0f)));
    float low = lane_min(least);
    for (uint32_t step = 0; step < STEPS; step++) {
        const float middle = low + (high - low) / 2;
        f32x16 below[2] = {f32_set(0.0f), f32_set(0.0f)};
        for (uint32_t i = 0; i < RZ_SAMPLE; i += 2 * LANES) {
            const uint32_t a = f32_ge(f32_set(middle), f32_load(y + i));
            const uint32_t b = f32_ge(f32_set(middle), f32_load(y + i + LANES));
            below[0] = f32_add_where(a, below[0], f32_load(masses + i));
            below[1] = f32_add_where(b, below[1], f32_load(masses + i + LANES));
        }
        if (f64_sum(f64_from_both(f32_add(below[0], below[1]))) > mass)
            high = middle;
        else
            low = middle;
    }
    f32x16 square = f32_set(0.0f);
    for (uint32_t i = 0; i < RZ_SAMPLE; i += LANES) {
        const f32x16 m = f32_load(masses + i);
        const uint32_t lanes = f32_ge(f32_set(high), f32_load(y + i));
        square = f32_add_where(lanes, square, f32_mul(m, m));
    }
    *squares = f64_sum(f64_from_both(square));
    return low;
}

/* What is done with the ids of a row. */
enum work { SUM, COUNT, NEAR, SKETCH, WEIGH }; /* the last sketches too */

struct ids {
    const struct rz_edits *edits;
    const struct rz_tiles *tiles;
    bool raw;    /* the logits as they came */
    float least; /* tiles whose maximum is less have nothing to do with it */
    float below; /* NEAR: nor have those whose maximum reaches this */

    float threshold; /* SUM and NEAR: of y >= threshold */
    u64x8 mass, most;    /* NEAR: from `mass` to `most` */
    f32x16 above;        /* NEAR: how many have a y > pivots[0], 2^14 a lane at most */
    uint32_t count;      /* COUNT: of y > pivots[0] */
    const float *pivots; /* SKETCH and WEIGH: of logits >= each */
    f32x16 sketch[2][RZ_MAX_PIVOTS], fine[2][RZ_MAX_PIVOTS]; /* so that sums wait less for sums */
    f64x8 sketch_total[RZ_MAX_PIVOTS], fine_total[RZ_MAX_PIVOTS];
};

/* 16 ids, for one of the two sums. Inlined, with `work` and `pivots` constant, so that the loops have
 * no branch on them. */
INLINED void visit(struct ids *ids, f32x16 x, enum work work, uint32_t pivots, uint32_t half)
{
    const f32x16 scale = f32_set(ids->tiles->scale);
    if (work == SUM) {
        const f32x16 y = scaled(x, scale);
        const uint32_t kept = f32_ge(y, f32_set(ids->threshold));
        const f64x8 exponent = f64_set((double)ids->tiles->exponent);
        const u64x8 low = f64_to_u64(exact_mass(f64_from_low(y), exponent));
        const u64x8 high = f64_to_u64(exact_mass(f64_from_high(y), exponent));
        ids->mass = u64_add(ids->mass, u64_keep(kept & 0xFFu, low));
        ids->mass = u64_add(ids->mass, u64_keep(kept >> 8, high));
    } else if (work == COUNT) {
        const f32x16 y = scaled(x, scale);
        ids->count += (uint32_t)__builtin_popcount(f32_gt(y, f32_set(ids->pivots[0])));
    } else {
        /* The chord, as chord_exp2() has it, in one step from the logit; nothing overflows. */
        const float exponent = ids->tiles->exponent;
        const f32x16 bits = f32_mul_add(x, f32_set(ids->tiles->scale * 0x1p+23f),
                                        f32_set((127.0f - exponent) * 0x1p+23f));
        const f32x16 sketch = f32_from_bits(f32_to_i32(f32_max(bits, f32_set(0.0f))));
        f32x16 fine = sketch;
        if (work == WEIGH)
            fine = about_exp2(f32_sub(f32_mul(x, scale), f32_set(exponent)));
        for (uint32_t p = 0; p < pivots; p++) {
            const uint32_t above = f32_ge(x, f32_set(ids->pivots[p]));
            ids->sketch[half][p] = f32_add_where(above, ids->sketch[half][p], sketch);
            if (work == WEIGH)
                ids->fine[half][p] = f32_add_where(above, ids->fine[half][p], fine);
        }
    }
}

/* 16 or 32 ids (that is `count`) for NEAR, in two halves. Masses become integers here, RZ_MASS_ONE
 * over 2^exponent. */
INLINED struct near_exp2 begin_bounds(struct ids *ids, const f32x16 *x, int count)
{
    const float exponent = ids->tiles->exponent;
    f64x8 wide[4];
    for (int i = 0; i < count; i++) {
        const f32x16 y = f32_mul(x[i], f32_set(ids->tiles->scale)); /* nothing overflows */
        const uint32_t kept = f32_ge(y, f32_set(ids->threshold));
        const f32x16 kept_y = f32_select(kept, y, f32_set(exponent - 100.0f));
        wide[2 * i] = f64_from_low(kept_y);
        wide[2 * i + 1] = f64_from_high(kept_y);
        const uint32_t above = f32_gt(y, f32_set(ids->pivots[0]));
        ids->above = f32_add_where(above, ids->above, f32_set(1.0f));
    }
    return begin_near_exp2(wide, 2 * count, (double)exponent - 44.0);
}

INLINED void end_bounds(struct ids *ids, const struct near_exp2 *begun, int count)
{
    f64x8 least[4];
    end_near_exp2(begun, 2 * count, 1.0 - 0x1p-33, least);
    for (int i = 0; i < 2 * count; i++) {
        const f64x8 most = f64_mul(least[i], f64_set(1.0 + 0x1p-32 + 0x1p-60));
        ids->mass = u64_add(ids->mass, f64_to_u64(least[i]));
        ids->most = u64_add(ids->most, f64_to_u64(most));
    }
}

INLINED void bound_16(struct ids *ids, f32x16 x)
{
    const struct near_exp2 begun = begin_bounds(ids, &x, 1);
    end_bounds(ids, &begun, 1);
}

/* What was summed in fp32 goes to the doubles. */
INLINED void flush(struct ids *ids, enum work work, uint32_t pivots)
{
    for (uint32_t p = 0; work >= SKETCH && p < pivots; p++) {
        const f32x16 sketch = f32_add(ids->sketch[0][p], ids->sketch[1][p]);
        ids->sketch_total[p] = f64_add(ids->sketch_total[p], f64_from_both(sketch));
        ids->sketch[0][p] = ids->sketch[1][p] = f32_set(0.0f);
        if (work != WEIGH)
            continue;
        const f32x16 fine = f32_add(ids->fine[0][p], ids->fine[1][p]);
        ids->fine_total[p] = f64_add(ids->fine_total[p], f64_from_both(fine));
        ids->fine[0][p] = ids->fine[1][p] = f32_set(0.0f);
    }
}

/* The next 32 ids, in any order. */
static inline void load_32(const char *at, enum rz_dtype dtype, f32x16 x[2])
{
    if (dtype == RZ_BF16) {
        f32_load_32_bf16((const uint16_t *)(const void *)at, x);
        return;
    }
    x[0] = load_16(at, dtype);
    x[1] = load_16(at + 16 * bytes_of(dtype), dtype);
}

/* NaN is -inf. Works that are not for rows with NaN save the instruction. */
INLINED f32x16 without_nan(f32x16 x, enum work work)
{
    return work < NEAR ? f32_max(x, f32_set(-INFINITY)) : x; /* in the first place: the second */
}

/* 16 tiles, all of them, none edited. */
INLINED void visit_block(struct ids *ids, const char *at, enum rz_dtype dtype, enum work work,
                         uint32_t pivots)
{
    struct near_exp2 begun;
    for (uint32_t t = 0; t < LANES; t += 2) {
        f32x16 x[2];
        load_32(at + (size_t)t * RZ_TILE * bytes_of(dtype), dtype, x);
        if (work == NEAR) {
            const struct near_exp2 next = begin_bounds(ids, x, 2);
            if (t > 0)
                end_bounds(ids, &begun, 2);
            begun = next;
            continue;
        }
        for (uint32_t half = 0; half < 2; half++)
            visit(ids, without_nan(x[half], work), work, pivots, half);
    }
    if (work == NEAR)
        end_bounds(ids, &begun, 2);
}

/* Those of 16 tiles whose lane is set, but for the edited ones. */
INLINED void visit_some(struct ids *ids, const char *at, uint32_t block, uint32_t lanes,
                        enum rz_dtype dtype, bool masked, enum work work, uint32_t pivots)
{
    const struct rz_edits *edits = ids->edits;
    for (; lanes != 0; lanes &= lanes - 1) {
        const uint32_t t = (uint32_t)__builtin_ctz(lanes);
        if (!ids->raw && edits->tile_epoch[block + t] == edits->epoch)
            continue;
        f32x16 x = load_16(at + (size_t)t * RZ_TILE * bytes_of(dtype), dtype);
        x = without_nan(x, work);
        if (masked)
            x = f32_select(rz_edits_mask_of(edits, block + t), x, f32_set(-INFINITY));
        work == NEAR ? bound_16(ids, x) : visit(ids, x, work, pivots, 0);
    }
}

enum { CHUNK = 64 }; /* tiles, and so terms of a lane, between flushes */

/* Tiles first .. last-1, which lie whole in one shard, the first at `at`; but for the edited ones.
 */
INLINED void visit_whole(struct ids *ids, const char *at, uint32_t first, uint32_t last,
                         enum rz_dtype dtype, bool masked, enum work work, uint32_t pivots)
{
    const f32x16 least = f32_set(ids->least);
    const bool plain = !masked && (ids->raw || ids->edits->touched_tile_count == 0);
    const size_t tile_bytes = RZ_TILE * bytes_of(dtype);
    for (uint32_t chunk = first; chunk < last; chunk += CHUNK) {
        const uint32_t chunk_end = last - chunk < CHUNK ? last : chunk + CHUNK;
        for (uint32_t block = chunk; block < chunk_end; block += LANES, at += LANES * tile_bytes) {
            const f32x16 max = f32_load(ids->tiles->max + block);
            uint32_t lanes = f32_ge(max, least);
            if (work == NEAR)
                lanes &= ~f32_ge(max, f32_set(ids->below));
            if (chunk_end - block < LANES)
                lanes &= (1u << (chunk_end - block)) - 1;
            fetch_ahead(ids->tiles->ahead, lanes != 0 ? BLOCK_IDS * bytes_of(dtype) / 64 : 1);
            if (plain && lanes == 0xFFFFu)
                visit_block(ids, at, dtype, work, pivots);
            else
                visit_some(ids, at, block, lanes, dtype, masked, work, pivots);
        }
        flush(ids, work, pivots);
    }
}

/* A tile that was edited or does not lie in one shard. */
INLINED void visit_other(struct ids *ids, uint32_t tile, enum work work, uint32_t pivots)
{
    if (work == NEAR && ids->tiles->max[tile] >= ids->below)
        return;
    float logits[RZ_TILE];
    if (ids->raw)
        rz_row_read_tile(ids->edits->view, ids->edits->logits_row, tile, logits);
    else
        rz_edits_tile(ids->edits, tile, logits);
    const f32x16 x = f32_load(logits);
    work == NEAR ? bound_16(ids, x) : visit(ids, x, work, pivots, 0);
    flush(ids, work, pivots);
}

/* All ids of the row. The tile at the end of a shard is visited here if it is not whole: with the
 * first shard that has a part of it. */
INLINED void visit_all(struct ids *ids, enum rz_dtype dtype, bool masked, enum work work,
                       uint32_t pivots)
{
    const struct rz_edits *edits = ids->edits;
    const struct rz_logits_view *view = edits->view;
    uint32_t visited = 0; /* tiles, so far */
    for (uint32_t s = 0; s < view->shard_count && visited < ids->tiles->count; s++) {
        const struct rz_shard_view *shard = &view->shards[s];
        const uint32_t end = shard->first + shard->count;
        const uint32_t last = end < view->vocab_size ? end / RZ_TILE : view->vocab_size / RZ_TILE;
        if (visited < last) {
            const size_t index =
                edits->logits_row * shard->row_stride + (visited * RZ_TILE - shard->first);
            visit_whole(ids, (const char *)shard->logits + index * bytes_of(dtype), visited, last,
                        dtype, masked, work, pivots);
            visited = last;
        }
        if (end <= visited * RZ_TILE || visited == ids->tiles->count)
            continue;
        if (ids->raw || edits->tile_epoch[visited] != edits->epoch)
            visit_other(ids, visited, work, pivots);
        visited++;
    }
    for (uint32_t i = 0; !ids->raw && i < edits->touched_tile_count; i++)
        visit_other(ids, edits->touched_tiles[i], work, pivots);
}

INLINED void visit_as(struct ids *ids, enum work work, uint32_t pivots)
{
    const bool masked = !ids->raw && ids->edits->mask != NULL;
    switch (ids->edits->view->dtype) { /* constants, so that each becomes a loop of its own */
    case RZ_F32:
        masked ? visit_all(ids, RZ_F32, true, work, pivots)
               : visit_all(ids, RZ_F32, false, work, pivots);
        break;
    case RZ_F16:
        masked ? visit_all(ids, RZ_F16, true, work, pivots)
               : visit_all(ids, RZ_F16, false, work, pivots);
        break;
    case RZ_BF16:
        masked ? visit_all(ids, RZ_BF16, true, work, pivots)
               : visit_all(ids, RZ_BF16, false, work, pivots);
        break;
    }
}

static uint64_t mass_of_row(const struct rz_tiles *tiles, const struct rz_edits *edits, bool raw,
                            float least, float threshold)
{
    const float weighty = rz_weightless_below((double)tiles->exponent);
    struct ids ids = {
        .edits = edits,
        .tiles = tiles,
        .raw = raw,
        .least = least,
        .threshold = threshold > weighty ? threshold : weighty,
        .mass = u64_set(0),
    };
    visit_as(&ids, SUM, 0);
    return u64_sum(ids.mass);
}

static struct rz_mass_bounds bound_mass(const struct rz_tiles *tiles, const struct rz_edits *edits,
                                        bool raw, float least, float below, float threshold,
                                        float than, uint32_t *above)
{
    struct ids ids = {
        .edits = edits,
        .tiles = tiles,
        .raw = raw,
        .least = least,
        .below = below,
        .threshold = threshold,
        .mass = u64_set(0),
        .most = u64_set(0),
        .above = f32_set(0.0f),
        .pivots = &than,
    };
    visit_as(&ids, NEAR, 0);
    *above = (uint32_t)f64_sum(f64_from_both(ids.above));
    return (struct rz_mass_bounds){u64_sum(ids.mass), u64_sum(ids.most)};
}

static uint32_t count_above(const struct rz_tiles *tiles, const struct rz_edits *edits, bool raw,
                            float least, float y)
{
    struct ids ids = {.edits = edits, .tiles = tiles, .raw = raw, .least = least, .pivots = &y};
    visit_as(&ids, COUNT, 1);
    return ids.count;
}

/* Sums of 64 terms a lane are made in fp32, which is off by a factor of 2^-18 at most, and these in
 * double. With the error of the exponentials that is what struct rz_weight says, with room to spare;
 * y - exponent is rounded to 2^-19 where there is mass to speak of, within 32 of the exponent. The
 * sketch is made of a y that was not rounded, which cut.c has in mind. */
static void weigh(const struct rz_tiles *tiles, const struct rz_edits *edits, float least,
                  bool fine, const float *pivots, uint32_t count, struct rz_weight *weights)
{
    float all[RZ_MAX_PIVOTS];
    for (uint32_t p = 0; p < RZ_MAX_PIVOTS; p++)
        all[p] = pivots[p < count ? p : count - 1];
    struct ids ids = {.edits = edits, .tiles = tiles, .least = least, .pivots = all};
    for (uint32_t p = 0; p < RZ_MAX_PIVOTS; p++) {
        for (uint32_t half = 0; half < 2; half++)
            ids.sketch[half][p] = ids.fine[half][p] = f32_set(0.0f);
        ids.sketch_total[p] = ids.fine_total[p] = f64_set(0.0);
    }
    if (fine)
        visit_as(&ids, WEIGH, RZ_MAX_PIVOTS);
    else
        visit_as(&ids, SKETCH, RZ_MAX_PIVOTS);
    for (uint32_t p = 0; p < count; p++)
        weights[p] = (struct rz_weight){f64_sum(ids.sketch_total[p]), f64_sum(ids.fine_total[p])};
}

const struct rz_passes RZ_PASSES = {
    .name = RZ_PASSES_NAME,
    .scan = scan,
    .largest = largest,
    .kth_largest = kth_largest,
    .groups = groups,
    .count = count,
    .at_least = at_least,
    .draw = draw,
    .score = score,
    .maxima = maxima,
    .best = best,
    .reach = reach,
    .reach_by_group = reach_by_group,
    .tile = tile,
    .collect = collect,
    .masses = masses,
    .sketch = sketch,
    .quantile = quantile,
    .mass_of_row = mass_of_row,
    .bound_mass = bound_mass,
    .count_above = count_above,
    .weigh = weigh,
};
