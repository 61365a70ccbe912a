/* SPDX-License-Identifier: Apache-2.0
 *
 * passes.h - what the CPU does with whole rows, in as many versions as there are kinds of
 * registers.
 *
 * passes.inc.h has the loops, written once over sixteen lanes; passes_scalar.c, passes_avx2.c and
 * passes_avx512.c compile them with the lanes of lanes_*.h. What decides a token (masses, tile
 * maxima, random words) is the same to the bit in all of them; what only bounds it (everything
 * here that is called a bound, or approximate) need not be.
 */
#ifndef RZ_KERNELS_PASSES_H
#define RZ_KERNELS_PASSES_H

#include <float.h>

#include "kernels/cpu/edit.h"
#include "kernels/sampler.h"

enum {
    RZ_GROUP = 64, /* tiles that 16 calls of Philox serve */
    RZ_GROUP_CALLS = 16,
    RZ_MAX_PIVOTS = 3,
    RZ_SAMPLE = 1024,
};

/* Of sixteen: whole registers are loaded and stored. */
static inline uint32_t rz_round_up_lanes(uint32_t count)
{
    return (count + 15) / 16 * 16;
}

/* Arrays over tiles are padded to whole groups of Philox calls. */
static inline uint32_t rz_group_count(uint32_t tiles)
{
    return (tiles + RZ_GROUP - 1) / RZ_GROUP;
}

/* The mass of some ids, over 2^exponent of the row, summed in fp32 in two ways, neither exactly:
 * passes.inc.h has the reasons. What integers lose, and ids too light for fp32, comes on top. */
struct rz_weight {
    double sketch; /* by the chord over 2^x: from 1 to 1.0615 times the mass */
    double fine;   /* within a factor of 1 + 2^-16 */
};

#define RZ_CHORD 1.0615
#define RZ_FINE 0x1p-16
#define RZ_LOST 0x1p-26 /* of 2^18 ids, 2^-44 each */

struct rz_mass_bounds {
    uint64_t least, most;
};

/* y below this have no mass relative to 2^exponent, which is at most RZ_MASS_ONE * 2^-46. */
static inline float rz_weightless_below(double exponent)
{
    const double least = exponent - 46.0;
    return least < -FLT_MAX ? -FLT_MAX : (float)least;
}

/* A row to scan, and what else to do with it on the way, while it comes from memory. */
struct rz_scan {
    const struct rz_logits_view *view;
    uint32_t row;
    const uint32_t *mask; /* bits of allowed ids, or NULL: all */
    float *tile_max;      /* [padded tiles] the largest allowed logit, NaN counting as -inf */
    float most;           /* out: the largest of them */

    float scale; /* y = logit * scale, for what follows */

    /* The scores of the tiles at a position, from the maxima found here, or NULL: not wanted. */
    float *scores;      /* [padded tiles] */
    float *band_scores; /* [padded / 16 rounded up to 16] the largest, as (*bands)() has them */
    uint64_t seed;
    uint64_t position;

    bool nan; /* out: a logit is NaN */
};

/* What a pass over tiles or ids looks at: the tile maxima of a row, and how its logits become y. */
struct rz_tiles {
    const float
        *max; /* [padded + 16], -inf past the last tile; what is past `padded` is not used */
    uint32_t count;
    uint32_t padded;
    float scale;    /* y = logit * scale */
    float exponent; /* that masses are relative to: the next integer above the largest y */
};

struct rz_passes {
    const char *name;

    /* Read a row once. */
    void (*scan)(struct rz_scan *scan);

    float (*largest)(const float *values, uint32_t padded);

    /* The k-th largest of values without NaN, 1 <= k <= count, padded with -inf to whole lanes; or,
     * if that is found sooner, a lesser one that no more than k + `spare` of them reach. */
    float (*kth_largest)(const float *values, uint32_t count, uint32_t k, uint32_t spare);

    /* The largest of bands of 16 tiles, [padded / 16 rounded up to 16]; returns how many. Band g
     * has the tiles 256 (g / 16) + g % 16, and 16, 32, ... further, so that lanes stay lanes. */
    uint32_t (*bands)(const float *values, uint32_t padded, float *largest);

    /* How many of the values reach `least`. */
    uint32_t (*count)(const float *values, uint32_t padded, float least);

    /* The tiles of which `values` reaches `least`, in order; returns how many. Gives up, with more
     * than `most`, when there are more. */
    uint32_t (*at_least)(const float *values, uint32_t padded, float least, uint32_t most,
                         uint32_t *tiles);

    /* The first words of the races of these tiles: words[i] is that of tiles[i]. */
    void (*draw)(uint64_t seed, uint64_t position, const uint32_t *tiles, uint32_t count,
                 uint32_t *words);

    /* Scores: base * scale - log2(first word) + 32, from above: see race.c. Of all tiles, or of
     * those in `tiles`, which base and scores then belong to. All are padded to whole lanes. */
    void (*score)(uint64_t seed, uint64_t position, const uint32_t *tiles, const float *base,
                  float scale, uint32_t padded, float *scores);

    /* The highest score of those whose base reaches `least`, and which of them reach a score, in
     * order; that returns how many. */
    float (*best)(const float *base, float least, const float *scores, uint32_t padded);
    uint32_t (*reach)(const float *base, float least, const float *scores, uint32_t padded,
                      float score, uint32_t *list);

    /* The same by bands, looking at those that have a score that high; in any order. */
    uint32_t (*reach_by_band)(const float *band_scores, const float *scores, uint32_t padded,
                              float score, uint32_t *list);

    /* The 16 y of a tile, edited. */
    void (*tile)(const struct rz_edits *edits, uint32_t tile, float scale, float y[RZ_TILE]);

    /* Every y of these tiles that is at least `least` and below `below`; returns how many. There is
     * room for 16 a tile and 16 more, which are -inf behind the last. */
    uint32_t (*collect)(const struct rz_edits *edits, const uint32_t *tiles, uint32_t count,
                        float scale, float least, float below, float *y);

    /* masses[i] of 16 ids y[i], relative to 2^exponent; 0 below `threshold`. Returns their sum. */
    uint64_t (*masses)(const float *y, float threshold, double exponent, uint64_t *masses);

    /* masses[i], the sketch of an id of y[i] over 2^exponent, RZ_SAMPLE of them; returns their sum.
     */
    double (*sketch)(const float *y, float exponent, float *masses);

    /* A y up to which the ids have about this mass together. *squares: the sum of the squares of
     * their masses, or of those of the others if that is less. */
    float (*quantile)(const float *y, const float *masses, double mass, double *squares);

    /* Passes over the ids of a row, edited or, if `raw`, as they came. Tiles whose maximum does not
     * reach `least` are left out. */

    /* Mass of the ids of y >= threshold, relative to 2^exponent. */
    uint64_t (*mass_of_row)(const struct rz_tiles *tiles, const struct rz_edits *edits, bool raw,
                            float least, float threshold);

    /* Bounds on that mass, mostly within a factor of 1 + 2^-32 of each other: for a quarter of the
     * work. Tiles whose maximum reaches `below` are left out. *above: how many of the ids have a y
     * > `than`, which is at least the threshold. For rows that are tame. */
    struct rz_mass_bounds (*bound_mass)(const struct rz_tiles *tiles, const struct rz_edits *edits,
                                        bool raw, float least, float below, float threshold,
                                        float than, uint32_t *above);

    /* The number of ids with a larger y. */
    uint32_t (*count_above)(const struct rz_tiles *tiles, const struct rz_edits *edits, bool raw,
                            float least, float y);

    /* The weights of the edited ids with logits of at least each pivot, RZ_MAX_PIVOTS at most,
     * which fall to `least` or, the last, below; only the sketches unless `fine`. For rows that
     * are tame. */
    void (*weigh)(const struct rz_tiles *tiles, const struct rz_edits *edits, float least,
                  bool fine, const float *pivots, uint32_t count, struct rz_weight *weights);

    /* The sketch of one id of the largest y of each tile whose maximum is at least `least` and
     * below `below`. */
    double (*maxima)(const struct rz_tiles *tiles, float least, float below);
};

extern const struct rz_passes rz_passes_scalar;
extern const struct rz_passes rz_passes_avx2; /* on x86-64 only, as is the next */
extern const struct rz_passes rz_passes_avx512;

#endif
