/* SPDX-License-Identifier: Apache-2.0
 *
 * scan.c - tile maxima in scalar C.
 *
 * Logits are compared as integers: with the bits below the sign inverted for negative ones, the
 * order of the integers is that of the values. Compilers vectorise a maximum of integers where they
 * may not that of floats. In this order NaNs lie outside +-inf, at both ends, so that a tile
 * without one is told by its extremes.
 *
 * Shards and tiles need not line up: a tile that lies in several shards is put together from parts.
 */
#include "kernels/scan.h"

static int32_t order_of_bits32(int32_t bits)
{
    return bits ^ ((bits >> 31) & INT32_C(0x7FFFFFFF));
}

static int16_t order_of_bits16(int16_t bits)
{
    return (int16_t)(bits ^ ((bits >> 15) & 0x7FFF));
}

/* Largest of `count` <= 16 logits at `index`, one by one; sets *nan if there is one. */
static float max_of_part(const void *logits, enum rz_dtype dtype, size_t index, uint32_t count,
                         bool *nan)
{
    float most = -INFINITY;
    for (uint32_t i = 0; i < count; i++) {
        const float x = rz_logit_at(logits, dtype, index + i);
        *nan |= isnan(x);
        most = x > most ? x : most;
    }
    return most;
}

/* Maxima of whole tiles of fp32. */
static bool scan_float32(const float *logits, uint32_t tiles, float *tile_max)
{
    const int32_t infinity = 0x7F800000;
    bool any_nan = false;
    for (uint32_t t = 0; t < tiles; t++, logits += RZ_TILE) {
        int32_t bits[RZ_TILE];
        memcpy(bits, logits, sizeof bits);
        int32_t most = INT32_MIN, least = INT32_MAX;
        for (uint32_t i = 0; i < RZ_TILE; i++) {
            const int32_t order = order_of_bits32(bits[i]);
            most = order > most ? order : most;
            least = order < least ? order : least;
        }
        if (most > infinity || least < order_of_bits32((int32_t)UINT32_C(0xFF800000)))
            tile_max[t] = max_of_part(logits, RZ_F32, 0, RZ_TILE, &any_nan);
        else
            tile_max[t] = rz_float_from_bits((uint32_t)order_of_bits32(most));
    }
    return any_nan;
}

/* Maxima of whole tiles of a 16-bit type, whose +inf has the bits `infinity`. */
static bool scan_16_bits(const uint16_t *logits, enum rz_dtype dtype, uint32_t tiles,
                         float *tile_max)
{
    const int16_t infinity = dtype == RZ_F16 ? 0x7C00 : 0x7F80;
    const int16_t minus_infinity = (int16_t)(-1 - infinity); /* in the order of the integers */
    bool any_nan = false;
    for (uint32_t t = 0; t < tiles; t++, logits += RZ_TILE) {
        int16_t bits[RZ_TILE];
        memcpy(bits, logits, sizeof bits);
        int16_t most = INT16_MIN, least = INT16_MAX;
        for (uint32_t i = 0; i < RZ_TILE; i++) {
            const int16_t order = order_of_bits16(bits[i]);
            most = order > most ? order : most;
            least = order < least ? order : least;
        }
        if (most > infinity || least < minus_infinity)
            tile_max[t] = max_of_part(logits, dtype, 0, RZ_TILE, &any_nan);
        else
            tile_max[t] = rz_float_from_16_bits((uint16_t)order_of_bits16(most), dtype);
    }
    return any_nan;
}

static bool scan_tiles(const void *logits, enum rz_dtype dtype, size_t index, uint32_t tiles,
                       float *tile_max)
{
    if (dtype == RZ_F32)
        return scan_float32((const float *)logits + index, tiles, tile_max);
    return scan_16_bits((const uint16_t *)logits + index, dtype, tiles, tile_max);
}

/* Ids first .. last-1 of a tile, which other shards may have ids of too. */
static bool merge_part(const struct rz_shard_view *shard, enum rz_dtype dtype, size_t row_index,
                       uint32_t first, uint32_t last, float *tile_max)
{
    bool nan = false;
    const float most =
        max_of_part(shard->logits, dtype, row_index + (first - shard->first), last - first, &nan);
    float *tile = &tile_max[first / RZ_TILE];
    *tile = most > *tile ? most : *tile;
    return nan;
}

bool rz_scan_row(const struct rz_logits_view *view, uint32_t row, float *tile_max)
{
    const uint32_t tiles = rz_tile_count(view->vocab_size);
    for (uint32_t t = 0; t < tiles; t++)
        tile_max[t] = -INFINITY;

    bool nan = false;
    for (uint32_t s = 0; s < view->shard_count; s++) {
        const struct rz_shard_view *shard = &view->shards[s];
        const size_t row_index = row * shard->row_stride;
        uint32_t id = shard->first;
        uint32_t end = shard->first + shard->count;
        end = end < view->vocab_size ? end : view->vocab_size;
        if (id >= end)
            continue;
        if (id % RZ_TILE != 0) {
            const uint32_t next = (id / RZ_TILE + 1) * RZ_TILE;
            const uint32_t stop = next < end ? next : end;
            nan |= merge_part(shard, view->dtype, row_index, id, stop, tile_max);
            id = stop;
        }
        const uint32_t whole = (end - id) / RZ_TILE;
        nan |= scan_tiles(shard->logits, view->dtype, row_index + (id - shard->first), whole,
                          tile_max + id / RZ_TILE);
        id += whole * RZ_TILE;
        if (id < end)
            nan |= merge_part(shard, view->dtype, row_index, id, end, tile_max);
    }
    return nan;
}
