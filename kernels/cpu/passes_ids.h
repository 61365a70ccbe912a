/* SPDX-License-Identifier: Apache-2.0
 *
 * passes_ids.h - passes over the ids of a row, and over those of single tiles.
 */
#ifndef RZ_KERNELS_PASSES_IDS_H
#define RZ_KERNELS_PASSES_IDS_H

#include "kernels/cpu/passes_tiles.h"

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
            for (uint32_t half = 0; half < 2; half++)
                below[half] = f32_add_where_ge(below[half], f32_load(masses + i + half * LANES),
                                               f32_set(middle), f32_load(y + i + half * LANES));
        }
        if (f64_sum(f64_from_both(f32_add(below[0], below[1]))) > mass)
            high = middle;
        else
            low = middle;
    }
    f32x16 below = f32_set(0.0f), above = f32_set(0.0f);
    for (uint32_t i = 0; i < RZ_SAMPLE; i += LANES) {
        const f32x16 m = f32_load(masses + i), square = f32_mul(m, m);
        const uint32_t lanes = f32_ge(f32_set(high), f32_load(y + i));
        below = f32_add_where(lanes, below, square);
        above = f32_add_where(~lanes & 0xFFFFu, above, square);
    }
    const double of_below = f64_sum(f64_from_both(below)), of_above = f64_sum(f64_from_both(above));
    *squares = of_below < of_above ? of_below : of_above;
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

    float threshold;     /* SUM and NEAR: of y >= threshold */
    u64x8 mass, most;    /* NEAR: from `mass` to `most` */
    f32x16 above;        /* NEAR: how many have a y >= pivots[0], 2^14 a lane at most */
    uint32_t count;      /* COUNT: of y > pivots[0] */
    const float *pivots; /* SKETCH and WEIGH: of logits >= each */
    f32x16 sketch[2][RZ_MAX_PIVOTS], fine[2][RZ_MAX_PIVOTS]; /* so that sums wait less for sums */
    f64x8 sketch_total[RZ_MAX_PIVOTS], fine_total[RZ_MAX_PIVOTS];
};

/* 16 ids, for one of the two sums. Inlined, with `work` and `pivots` constant, so that the loops
 * have no branch on them. */
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
        /* The chord, as chord_exp2() has it, in one step from the logit. */
        const float exponent = ids->tiles->exponent;
        const f32x16 bits = f32_mul_add(x, f32_set(ids->tiles->scale * 0x1p+23f),
                                        f32_set((127.0f - exponent) * 0x1p+23f));
        const f32x16 sketch = f32_from_bits(f32_to_i32(f32_max(bits, f32_set(0.0f))));
        f32x16 fine = sketch;
        if (work == WEIGH)
            fine = about_exp2(f32_sub(f32_mul(x, scale), f32_set(exponent)));
        for (uint32_t p = 0; p < pivots; p++) {
            const f32x16 pivot = f32_set(ids->pivots[p]);
            ids->sketch[half][p] = f32_add_where_ge(ids->sketch[half][p], sketch, x, pivot);
            if (work == WEIGH)
                ids->fine[half][p] = f32_add_where_ge(ids->fine[half][p], fine, x, pivot);
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
        const f32x16 y =
            f32_mul(x[i], f32_set(ids->tiles->scale)); /* or -inf: no mass either way */
        const f32x16 kept_y = f32_keep_ge(y, f32_set(ids->threshold), f32_set(exponent - 100.0f));
        wide[2 * i] = f64_from_low(kept_y);
        wide[2 * i + 1] = f64_from_high(kept_y);
        ids->above = f32_add_where_ge(ids->above, f32_set(1.0f), y, f32_set(ids->pivots[0]));
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
    const float max = ids->tiles->max[tile];
    if (max < ids->least || (work == NEAR && max >= ids->below))
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
    const float next = nextafterf(than, INFINITY);
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
        .pivots = &next,
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
 * double. With the error of the exponentials that is what struct rz_weight says, with room to
 * spare; y - exponent is rounded to 2^-19 where there is mass to speak of, within 32 of the
 * exponent. The sketch is made of a y that was not rounded, which cut.c has in mind. */
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

#endif
