/* SPDX-License-Identifier: Apache-2.0
 *
 * race.c - which tile wins, by bounds first.
 *
 * The key of a tile is S / E * 2^ceil(m), m its largest y. Relative to 2^M, M the row's exponent,
 * and to the unit of mass, it is mass / E with
 *
 *     2^(m - M) <= mass <= 16 * 2^(m - M)       a tile has 1 to 16 kept ids, none above m
 *     E = -log(1 - v) = v + v^2/2 + v^3/3 + ... >= v
 *     w 2^-32 <= v <= (w + 1) 2^-32             w the first 32 of the 64 random bits
 *
 * The winner's key is the row's mass over an exponential variate: below the floor of (mass / 8) it
 * is in one draw of exp(8). So the row is prepared with, for each tile, the largest w with which
 * its key can reach the floor, and a draw begins with one comparison of integers a tile. Those that
 * pass run: highest bound first, each worked out exactly, until the next bound is below the best
 * key. If that key is below the floor after all, the draw begins again with a lower one.
 *
 * For a single draw the mass of a tile is bounded from its maximum, by a factor of 17 from both
 * sides, and some 16 tiles are worked out, whatever the logits are. For many, the masses of all
 * tiles are worked out once; then one or two.
 *
 * Bounds, all of them doubles but for `upper`, are raised by a factor of 1 + 2^-20 or more where
 * they are made, which covers the roundings of E, S and the key (a few 2^-52) and of `upper`
 * (2^-24).
 */
#include "kernels/race.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/contract.h"

enum {
    GROUP = 64,      /* tiles that 16 calls of Philox serve */
    CALLS = 16,      /* calls of a group */
    FEW = 6,         /* so many live tiles of a group are cheaper one by one */
    MANY_DRAWS = 16, /* of one row: the masses of all tiles pay off */
};

static uint32_t group_count(uint32_t tiles)
{
    return (tiles + GROUP - 1) / GROUP;
}

bool rz_race_create(struct rz_race *race, uint32_t vocab_size)
{
    const uint32_t tiles = rz_tile_count(vocab_size);
    const uint32_t groups = group_count(tiles);
    const size_t padded = (size_t)groups * GROUP;
    *race = (struct rz_race){
        .upper = malloc(padded * sizeof *race->upper),
        .limit = malloc(padded * sizeof *race->limit),
        .mass = malloc(tiles * sizeof *race->mass),
        .live = malloc(groups * sizeof *race->live),
        .runners = malloc(tiles * sizeof *race->runners),
    };
    return race->upper != NULL && race->limit != NULL && race->mass != NULL && race->live != NULL &&
           race->runners != NULL;
}

void rz_race_destroy(struct rz_race *race)
{
    free(race->upper);
    free(race->limit);
    free(race->mass);
    free(race->live);
    free(race->runners);
    *race = (struct rz_race){0};
}

/* ------------------------------------------------------------------------------------------------
 * Masses of tiles
 */

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

/* (1 + f) 2^n for x = n + f, which is the chord over 2^x, from 1 to 1.0615 times it;
 * -100 <= x <= 0. Off by a factor of at most 1 + 2^-17, as x + 127 is rounded to 2^-17. */
static float chord_exp2(float x)
{
    return rz_float_from_bits((uint32_t)((x + 127.0f) * 0x1p+23f));
}

/* At least the tile's mass, from its maximum. Below 2^-100 one bound does for all. */
static float bound_from_maximum(const struct rz_race *race, uint32_t tile)
{
    /* The row's exponent is a float: the next integer above a float is one. */
    const float x = race->tile_y[tile] - (float)race->exponent;
    return chord_exp2(x > -100.0f ? x : -100.0f) * ((float)RZ_TILE * (1.0f + 0x1p-10f));
}

/* The same from its exact mass. */
static float bound_from_mass(struct rz_race *race, uint32_t tile)
{
    const double x = rz_mass_exponent(race->tile_y[tile]) - race->exponent;
    const double unit = rz_power_of_two(x > -100.0 ? (int)x - 44 : -144);
    return (float)((double)mass_of(race, tile) * unit) * (1.0f + 0x1p-20f);
}

/* ------------------------------------------------------------------------------------------------
 * A row
 */

void rz_race_begin(struct rz_race *race, const struct rz_edits *edits, const float *tile_y,
                   uint32_t tiles, float scale, float threshold, float largest, uint32_t draws,
                   struct rz_sampler_counters *counters)
{
    race->edits = edits;
    race->tile_y = tile_y;
    race->tiles = tiles;
    race->scale = scale;
    race->threshold = threshold;
    race->exponent = rz_mass_exponent(largest);
    const uint32_t padded = group_count(tiles) * GROUP;
    memset(race->mass, 0, tiles * sizeof *race->mass);
    memset(race->live, 0, group_count(tiles) * sizeof *race->live);
    memset(race->upper, 0, padded * sizeof *race->upper);
    memset(race->limit, 0, padded * sizeof *race->limit);

    const bool exact = draws >= MANY_DRAWS;
    double sum = 0.0;
    for (uint32_t t = 0; t < tiles; t++) {
        if (!(tile_y[t] >= threshold))
            continue;
        race->upper[t] = exact ? bound_from_mass(race, t) : bound_from_maximum(race, t);
        race->live[t / GROUP]++;
        sum += (double)race->upper[t];
    }
    counters->mass_passes += exact;

    /* Without exact masses a tile has been taken for up to 17 times what it is, usually 3 to 8
     * times. Whatever the floor is, no draw depends on it. */
    race->floor = sum / (exact ? 8.0 : 64.0);
    const double words = 0x1p+32 * (1.0 + 0x1p-20) / race->floor;
    for (uint32_t t = 0; t < tiles; t++) {
        const double limit = (double)race->upper[t] * words;
        race->limit[t] = limit < 0x1p+32 ? (uint32_t)limit : UINT32_MAX;
    }
}

/* ------------------------------------------------------------------------------------------------
 * A draw
 */

/* The first words of a group's 64 tiles, in order: word j of call i belongs to tile 16 j + i. */
static void draw_words(uint64_t seed, uint64_t position, uint32_t group, uint32_t words[GROUP])
{
    for (uint32_t i = 0; i < CALLS; i++) {
        const struct rz_philox_words call =
            rz_philox4x32(seed, group * CALLS + i, position, RZ_STREAM_RACE);
        for (uint32_t j = 0; j < GROUP / CALLS; j++)
            words[CALLS * j + i] = call.word[j];
    }
}

static uint32_t draw_word(uint64_t seed, uint64_t position, uint32_t tile)
{
    const struct rz_philox_words call =
        rz_philox4x32(seed, rz_race_call(tile), position, RZ_STREAM_RACE);
    return call.word[rz_race_word(tile)];
}

/* Can the tile's key reach the floor divided by 2^lowered? */
static bool may_reach(const struct rz_race *race, uint32_t tile, uint32_t word, uint32_t lowered)
{
    return race->upper[tile] > 0.0f && (uint64_t)word >> lowered <= race->limit[tile];
}

static uint32_t add_runner(struct rz_race *race, uint32_t count, uint32_t tile, uint32_t word)
{
    const double v = (double)word * 0x1p-32;
    const double e = v + v * v * (0.5 + v * (1.0 / 3.0));
    race->runners[count] = (struct rz_race_runner){
        .tile = tile,
        .word = word,
        .key_bound = (double)race->upper[tile] * (1.0 + 0x1p-20) / (e + 0x1p-66),
    };
    return count + 1;
}

/* The tiles of a group that may reach the floor; `count` are there already. */
static uint32_t add_group(struct rz_race *race, uint64_t seed, uint64_t position, uint32_t group,
                          uint32_t lowered, uint32_t count)
{
    const uint32_t first = group * GROUP;
    if (race->live[group] < FEW) {
        for (uint32_t t = first; t < first + GROUP; t++) {
            if (!(race->upper[t] > 0.0f))
                continue;
            const uint32_t word = draw_word(seed, position, t);
            if (may_reach(race, t, word, lowered))
                count = add_runner(race, count, t, word);
        }
        return count;
    }
    uint32_t words[GROUP];
    draw_words(seed, position, group, words);
    uint32_t any = 0;
    for (uint32_t i = 0; i < GROUP; i++)
        any |= words[i] >> (lowered & 31) <= race->limit[first + i];
    if (!any && lowered < 32)
        return count;
    for (uint32_t i = 0; i < GROUP; i++)
        if (may_reach(race, first + i, words[i], lowered))
            count = add_runner(race, count, first + i, words[i]);
    return count;
}

static uint32_t gather_runners(struct rz_race *race, uint64_t seed, uint64_t position,
                               uint32_t lowered)
{
    uint32_t count = 0;
    for (uint32_t group = 0; group < group_count(race->tiles); group++)
        if (race->live[group] > 0)
            count = add_group(race, seed, position, group, lowered, count);
    return count;
}

/* Take the runner with the highest bound off the list of `count`. */
static struct rz_race_runner take_highest(struct rz_race_runner *runners, uint32_t count)
{
    uint32_t highest = 0;
    for (uint32_t i = 1; i < count; i++)
        if (runners[i].key_bound > runners[highest].key_bound)
            highest = i;
    const struct rz_race_runner taken = runners[highest];
    runners[highest] = runners[count - 1];
    return taken;
}

/* A key that is relative to the row's exponent. */
static struct rz_key row_key(const struct rz_race *race, double key)
{
    return (struct rz_key){RZ_MASS_ONE * key, race->exponent};
}

static struct rz_key exact_key(struct rz_race *race, uint64_t seed, uint64_t position,
                               const struct rz_race_runner *runner)
{
    const struct rz_philox_words low = rz_philox4x32(seed, runner->tile, position, RZ_STREAM_TILE);
    return rz_race_key(mass_of(race, runner->tile), (uint64_t)runner->word << 32 | low.word[0],
                       rz_mass_exponent(race->tile_y[runner->tile]));
}

/* The winner of `count` > 0 runners and its key. */
static uint32_t run(struct rz_race *race, uint64_t seed, uint64_t position, uint32_t count,
                    struct rz_key *best, struct rz_sampler_counters *counters)
{
    uint32_t winner = UINT32_MAX;
    for (; count > 0; count--) {
        const struct rz_race_runner runner = take_highest(race->runners, count);
        if (winner != UINT32_MAX && rz_key_less(row_key(race, runner.key_bound), *best))
            break;
        counters->tiles_exact++;
        const struct rz_key key = exact_key(race, seed, position, &runner);
        const bool better = winner == UINT32_MAX || rz_key_less(*best, key);
        if (better || (runner.tile < winner && !rz_key_less(key, *best))) {
            winner = runner.tile;
            *best = key;
        }
    }
    return winner;
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

uint32_t rz_race_run(struct rz_race *race, uint64_t seed, uint64_t position,
                     struct rz_sampler_counters *counters)
{
    static const uint32_t lowered[] = {0, 4, 32}; /* at last, every tile runs */
    uint32_t winner = UINT32_MAX;
    for (uint32_t i = 0; i < sizeof lowered / sizeof lowered[0]; i++) {
        const uint32_t count = gather_runners(race, seed, position, lowered[i]);
        struct rz_key best = {0};
        if (count > 0)
            winner = run(race, seed, position, count, &best, counters);
        const struct rz_key floor =
            row_key(race, race->floor / (double)(UINT64_C(1) << lowered[i]));
        if (count > 0 && !rz_key_less(best, floor))
            break;
    }
    return pick_in_tile(race, winner, rz_pick_mass(seed, position, winner, mass_of(race, winner)));
}
