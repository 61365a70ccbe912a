/* SPDX-License-Identifier: Apache-2.0
 *
 * race.h - the race between tiles: bounds for all, exact work for those that can win.
 */
#ifndef RZ_KERNELS_RACE_H
#define RZ_KERNELS_RACE_H

#include "kernels/edit.h"
#include "kernels/sampler.h"

/* A tile that may win, and the most that its key can be. */
struct rz_race_runner {
    uint32_t tile;
    uint32_t word; /* the first 32 of the race's 64 random bits */
    double key_bound;
};

/* One row's race; draws of the row at other positions share it. */
struct rz_race {
    const struct rz_edits *edits;
    const float *tile_y; /* [tiles] largest y of each tile */
    uint32_t tiles;
    float scale;
    float threshold; /* ids of y >= threshold are kept */
    double exponent; /* of the row; bounds are relative to 2^exponent */
    double floor;    /* the winner's key is rarely below */

    float *upper;    /* [padded tiles] at least the tile's mass; 0 if it has no kept id */
    uint32_t *limit; /* [padded tiles] with a larger first word the key is below `floor` */
    uint64_t *mass;  /* [tiles] S, 0 if not worked out yet */
    uint8_t *live;   /* [groups of 64 tiles] how many of its tiles have a kept id */
    struct rz_race_runner *runners; /* [tiles] */
};

bool rz_race_create(struct rz_race *race, uint32_t vocab_size);
void rz_race_destroy(struct rz_race *race);

/* rz_race_begin - take up a row whose largest y is `largest`, for `draws` draws. */
void rz_race_begin(struct rz_race *race, const struct rz_edits *edits, const float *tile_y,
                   uint32_t tiles, float scale, float threshold, float largest, uint32_t draws,
                   struct rz_sampler_counters *counters);

/* rz_race_run - the id drawn at a position. */
uint32_t rz_race_run(struct rz_race *race, uint64_t seed, uint64_t position,
                     struct rz_sampler_counters *counters);

#endif
