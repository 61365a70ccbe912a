/* SPDX-License-Identifier: Apache-2.0
 *
 * race.c - which tile wins, by bounds first.
 *
 * The key of a tile is S / E * 2^ceil(m), m its largest y. With everything relative to 2^M, M the
 * row's exponent, and up to the common factor 2^44:
 *
 *     2^(m - M) <= mass <= 16 * 2^(m - M)           a tile has 1 to 16 kept ids, none above m
 *     v <= E <= v / (1 - v)                         E = -log(1 - v)
 *     w 2^-32 <= v <= (w + 1) 2^-32                 w the first 32 of E's 64 random bits
 *
 * so with lower <= 2^(m - M) and upper >= 16 * 2^(m - M)
 *
 *     lower * (1 - v1) / v1 <= key <= upper / v0,   v0 = w 2^-32, v1 = (w + 1) 2^-32
 *
 * which takes no logarithm. Only tiles whose upper end reaches the largest lower end are worked
 * out: some 17 of them, whatever the logits are.
 *
 * The bounds are fp32. 2^x for x = n + f lies between 0.94 (1 + f) 2^n and (1 + f) 2^n (its
 * smallest ratio to the chord is 0.9421 at f = 0.4427). Rounding: x is a difference of floats of at
 * most 100 (below that a tile is bounded by 2^-100), off by at most 2^-18; turning it into bits
 * loses 2^-23; products and quotients 2^-24 each; w to fp32 2^-24. Near v = 1, 1 - v1 is off by
 * 2^-24 while the lower bound is off by 0.02 in our favour. Altogether less than SLACK.
 */
#include "kernels/race.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/contract.h"

enum { GROUP = 64, CALLS = 16 }; /* tiles of 16 calls of 4 words each */

static const float SLACK = 1e-4f;

static uint32_t group_count(uint32_t tiles)
{
    return (tiles + GROUP - 1) / GROUP;
}

bool rz_race_create(struct rz_race *race, uint32_t vocab_size)
{
    const uint32_t tiles = rz_tile_count(vocab_size);
    const uint32_t groups = group_count(tiles);
    *race = (struct rz_race){
        .lower = malloc(tiles * sizeof *race->lower),
        .upper = malloc(tiles * sizeof *race->upper),
        .mass = malloc(tiles * sizeof *race->mass),
        .words = malloc((size_t)groups * GROUP * sizeof *race->words),
        .active = malloc(groups * sizeof *race->active),
    };
    return race->lower != NULL && race->upper != NULL && race->mass != NULL &&
           race->words != NULL && race->active != NULL;
}

void rz_race_destroy(struct rz_race *race)
{
    free(race->lower);
    free(race->upper);
    free(race->mass);
    free(race->words);
    free(race->active);
    *race = (struct rz_race){0};
}

/* (1 + f) 2^n for x = n + f: the chord over 2^x; -100 <= x <= 0. */
static float chord_exp2(float x)
{
    return rz_float_from_bits((uint32_t)((x + 127.0f) * 0x1p+23f));
}

static void bound_tile(struct rz_race *race, uint32_t tile, float exponent)
{
    const float y = race->tile_y[tile];
    if (!(y >= race->threshold)) {
        race->lower[tile] = 0.0f;
        race->upper[tile] = -1.0f;
        return;
    }
    const float x = y - exponent;
    const float chord = chord_exp2(x > -100.0f ? x : -100.0f);
    race->lower[tile] = x > -100.0f ? chord * (0.94f * (1.0f - SLACK)) : 0.0f;
    race->upper[tile] = chord * ((float)RZ_TILE * (1.0f + SLACK));
    race->active[tile / GROUP] = true;
}

void rz_race_begin(struct rz_race *race, const struct rz_edits *edits, const float *tile_y,
                   uint32_t tiles, float scale, float threshold, float largest)
{
    race->edits = edits;
    race->tile_y = tile_y;
    race->tiles = tiles;
    race->scale = scale;
    race->threshold = threshold;
    memset(race->mass, 0, tiles * sizeof *race->mass);
    memset(race->active, 0, group_count(tiles) * sizeof *race->active);
    /* Exact: the next integer above a float is a float. */
    const float exponent = (float)rz_mass_exponent(largest);
    for (uint32_t t = 0; t < tiles; t++)
        bound_tile(race, t, exponent);
}

/* The words of a group's 64 tiles, in order: word j of call i belongs to tile 16 j + i. */
static void draw_words(uint64_t seed, uint64_t position, uint32_t group, uint32_t words[GROUP])
{
    for (uint32_t i = 0; i < CALLS; i++) {
        const struct rz_philox_words call =
            rz_philox4x32(seed, group * CALLS + i, position, RZ_STREAM_RACE);
        for (uint32_t j = 0; j < GROUP / CALLS; j++)
            words[CALLS * j + i] = call.word[j];
    }
}

/* Draw the words of the groups in the race; returns the best lower bound. */
static float best_lower_bound(struct rz_race *race, uint64_t seed, uint64_t position)
{
    float best = 0.0f;
    for (uint32_t first = 0; first < race->tiles; first += GROUP) {
        if (!race->active[first / GROUP])
            continue;
        draw_words(seed, position, first / GROUP, race->words + first);
        const uint32_t rest = race->tiles - first;
        for (uint32_t i = 0; i < GROUP && i < rest; i++) {
            const float v = ((float)race->words[first + i] + 1.0f) * 0x1p-32f;
            const float key = race->lower[first + i] * (1.0f - v) / v;
            best = key > best ? key : best;
        }
    }
    return best * (1.0f - SLACK);
}

/* The kept masses of a tile; returns their sum. */
static uint64_t tile_masses(const struct rz_race *race, uint32_t tile, uint64_t masses[RZ_TILE])
{
    float logits[RZ_TILE];
    rz_edits_tile(race->edits, tile, logits);
    const double exponent = rz_mass_exponent(race->tile_y[tile]);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < RZ_TILE; i++) {
        const float y = rz_scaled(logits[i], race->scale);
        masses[i] = y >= race->threshold ? rz_mass(y, exponent) : 0;
        sum += masses[i];
    }
    return sum;
}

static uint64_t mass_of(struct rz_race *race, uint32_t tile)
{
    if (race->mass[tile] == 0) {
        uint64_t masses[RZ_TILE];
        race->mass[tile] = tile_masses(race, tile, masses);
    }
    return race->mass[tile];
}

static uint32_t pick_in_tile(const struct rz_race *race, uint32_t tile, uint64_t target)
{
    uint64_t masses[RZ_TILE];
    tile_masses(race, tile, masses);
    uint64_t running = masses[0];
    uint32_t i = 0;
    while (running <= target && i + 1 < RZ_TILE)
        running += masses[++i];
    return tile * RZ_TILE + i;
}

uint32_t rz_race_run(struct rz_race *race, uint64_t seed, uint64_t position, uint64_t *tiles_exact)
{
    const float best_lower = best_lower_bound(race, seed, position);
    uint32_t winner = 0;
    bool any = false;
    struct rz_key best = {0};
    for (uint32_t t = 0; t < race->tiles; t++) {
        if (!race->active[t / GROUP]) {
            t |= GROUP - 1; /* on to the next group */
            continue;
        }
        if (!(race->upper[t] >= best_lower * ((float)race->words[t] * 0x1p-32f)))
            continue;
        ++*tiles_exact;
        const struct rz_key key = rz_race_key(mass_of(race, t), rz_race_bits(seed, position, t),
                                              rz_mass_exponent(race->tile_y[t]));
        if (!any || rz_key_less(best, key)) {
            any = true;
            best = key;
            winner = t;
        }
    }
    return pick_in_tile(race, winner, rz_pick_mass(seed, position, winner, mass_of(race, winner)));
}
