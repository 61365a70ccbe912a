/* SPDX-License-Identifier: Apache-2.0
 *
 * race.h - draw ids by the race between tiles, working out only tiles that can win.
 */
#ifndef RZ_KERNELS_RACE_H
#define RZ_KERNELS_RACE_H

#include "kernels/cpu/cut.h"

/* A tile that may win, and the most that its key can be. */
struct rz_race_runner {
    uint32_t tile;
    uint32_t word; /* the first 32 of the race's 64 random bits */
    double key_bound;
};

/* One row's race; draws of the row at other positions share it. */
struct rz_race {
    const struct rz_filter_row *row;
    struct rz_cut *cut;
    struct rz_sampler_counters *counters;
    uint64_t seed;
    bool many; /* draws: `bounds` and `mass` are used */

    /* The entrants: all tiles, or the few of `live` if that is not NULL. Those whose base is less
     * than `least` are not in the race after all. */
    const uint32_t *live;
    uint32_t padded;   /* entrants, in whole lanes */
    const float *base; /* [padded]: base * scale is about log2 of an entrant's mass */
    float scale;
    float least;
    float slack; /* what is rounded in a score */

    float *scores;      /* [padded tiles] base * scale - log2(word) + 32, from above */
    float *band_scores; /* [padded tiles / 16 + 16] of tiles from their maxima: a scan's */
    float *own_base;    /* [padded tiles] */
    float *bounds;      /* [padded tiles] at least the tile's mass; 0 if it is not in the race */
    uint32_t *tiles;    /* [padded tiles] */
    uint32_t *reached;  /* [padded tiles] */
    uint32_t *words;    /* [padded tiles] of those */
    uint64_t *mass;     /* [tiles] S, 0 if not worked out yet */
    struct rz_race_runner *runners;       /* [padded tiles] */
    struct rz_race_contender *contenders; /* [padded tiles] */
};

bool rz_race_create(struct rz_race *race, uint32_t vocab_size);
void rz_race_destroy(struct rz_race *race);

/* rz_race_begin - take up a row, for `draws` draws of `seed`. The row and the cut, which is settled
 * if there are many draws, stay until the last of them. */
void rz_race_begin(struct rz_race *race, const struct rz_filter_row *row, struct rz_cut *cut,
                   uint64_t seed, uint32_t draws, struct rz_sampler_counters *counters);

/* So many draws of a row are worth settling its cut and working out the masses of all tiles. */
#define RZ_RACE_MANY 16u

/* What a scan has made for a position: race->scores of all tiles, from their maxima, and, if they
 * are those of the scan, race->band_scores. */
enum rz_race_known { RZ_NOT_SCORED, RZ_SCORED, RZ_SCORED_BY_BAND };

/* rz_race_run - the id drawn at a position. */
uint32_t rz_race_run(struct rz_race *race, uint64_t position, enum rz_race_known known);

#endif
