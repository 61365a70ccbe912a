/* SPDX-License-Identifier: Apache-2.0
 *
 * race.h - the race between tiles: bounds for all, exact work for those that can win.
 */
#ifndef RZ_KERNELS_RACE_H
#define RZ_KERNELS_RACE_H

#include "kernels/edit.h"
#include "kernels/sampler.h"

/* One row's race; draws of the row at other positions share it. */
struct rz_race {
    const struct rz_edits *edits;
    const float *tile_y; /* [tiles] largest y of each tile */
    uint32_t tiles;
    float scale;
    float threshold; /* ids of y >= threshold are kept */

    float *lower;    /* [tiles] at most the tile's mass over the row's largest power of two */
    float *upper;    /* [tiles] at least that mass; -1 for a tile with no kept id */
    uint64_t *mass;  /* [tiles] S, 0 if not worked out yet */
    uint32_t *words; /* [tiles, rounded up to 64] random bits of this draw */
    bool *active;    /* [groups of 64 tiles] is one of its tiles in the race? */
};

bool rz_race_create(struct rz_race *race, uint32_t vocab_size);
void rz_race_destroy(struct rz_race *race);

/* rz_race_begin - take up a row whose largest y is `largest`. */
void rz_race_begin(struct rz_race *race, const struct rz_edits *edits, const float *tile_y,
                   uint32_t tiles, float scale, float threshold, float largest);

/* rz_race_run - the id drawn at a position. *tiles_exact grows by the tiles worked out exactly. */
uint32_t rz_race_run(struct rz_race *race, uint64_t seed, uint64_t position, uint64_t *tiles_exact);

#endif
