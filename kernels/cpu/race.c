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
 * is in one draw of exp(8). So a draw begins with one comparison a tile: can w be small enough for
 * its key to reach the floor? Those that pass run: highest bound first, each worked out exactly,
 * until the next bound is below the best key. If that key is below the floor after all, the draw
 * begins again with a lower one.
 *
 * For a single draw the mass of a tile is bounded from its maximum, by a factor of 17 from both
 * sides, and some ten tiles are worked out, whatever the logits are. For many, the masses of all
 * tiles are worked out once; then one or two.
 *
 * Where top-p leaves open which ids of a tile are kept, its key lies between two: with the ids that
 * surely are, and with all that may be. Mostly the same tile and the same id win either way. If
 * not, the cut is narrowed and the decision taken again.
 *
 * Bounds are raised by a factor of 1 + 2^-20 or more where they are made, which covers the
 * roundings of E, S and the key (a few 2^-52) and of fp32 (2^-23).
 */
#include "kernels/cpu/race.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/contract.h"

enum {
    SPARSE_PART = 16, /* with less than 1 in so many tiles live, words are drawn one by one */
    MOST_NARROWINGS = 8,
    HEAVY = 2, /* an id with 1 in so many of the open mass is heavy */
};

/* A tile that was worked out, with the ids that are surely kept and with all that may be. */
struct rz_race_contender {
    uint32_t tile;
    double exponent;
    double e; /* the exponential variate */
    uint64_t least, most;
    struct rz_key least_key, most_key;
};

bool rz_race_create(struct rz_race *race, uint32_t vocab_size)
{
    const uint32_t tiles = rz_tile_count(vocab_size);
    const size_t padded = (size_t)rz_group_count(tiles) * RZ_GROUP;
    *race = (struct rz_race){
        .bounds = malloc(padded * sizeof *race->bounds),
        .words = malloc(padded * sizeof *race->words),
        .live = malloc(padded * sizeof *race->live),
        .reached = malloc(padded * sizeof *race->reached),
        .mass = malloc(tiles * sizeof *race->mass),
        .runners = malloc(padded * sizeof *race->runners),
        .contenders = malloc(padded * sizeof *race->contenders),
    };
    return race->bounds != NULL && race->words != NULL && race->live != NULL &&
           race->reached != NULL && race->mass != NULL && race->runners != NULL &&
           race->contenders != NULL;
}

void rz_race_destroy(struct rz_race *race)
{
    free(race->bounds);
    free(race->words);
    free(race->live);
    free(race->reached);
    free(race->mass);
    free(race->runners);
    free(race->contenders);
    *race = (struct rz_race){0};
}

/* ------------------------------------------------------------------------------------------------
 * A row
 */

static double tile_exponent(const struct rz_race *race, uint32_t tile)
{
    return rz_mass_exponent(rz_scaled(race->row->tiles.max[tile], race->row->tiles.scale));
}

/* Masses of a tile's ids of at least `threshold`; returns their sum. */
static uint64_t tile_masses(const struct rz_race *race, uint32_t tile, float threshold,
                            uint64_t masses[RZ_TILE])
{
    float y[RZ_TILE];
    rz_filter_tile(race->row, tile, y);
    return race->row->passes->masses(y, threshold, tile_exponent(race, tile), masses);
}

/* The mass of a tile of a settled cut. */
static uint64_t settled_mass(struct rz_race *race, uint32_t tile)
{
    uint64_t masses[RZ_TILE];
    if (race->mass[tile] == 0)
        race->mass[tile] = tile_masses(race, tile, race->cut->drop_below, masses);
    return race->mass[tile];
}

/* At least a tile's mass, from the exact one; 0 if it has none. */
static float bound_from_mass(struct rz_race *race, uint32_t tile)
{
    const double x = tile_exponent(race, tile) - (double)race->row->tiles.exponent;
    const double unit = rz_power_of_two(x > -100.0 ? (int)x - 44 : -144);
    return (float)((double)settled_mass(race, tile) * unit) * (1.0f + 0x1p-20f);
}

static double bound_from_masses(struct rz_race *race)
{
    const struct rz_tiles *tiles = &race->row->tiles;
    double sum = 0.0;
    memset(race->mass, 0, tiles->count * sizeof *race->mass);
    for (uint32_t t = 0; t < tiles->padded; t++) {
        race->bounds[t] = tiles->max[t] >= race->least ? bound_from_mass(race, t) : 0.0f;
        sum += (double)race->bounds[t];
    }
    race->counters->mass_passes++;
    return sum;
}

void rz_race_begin(struct rz_race *race, const struct rz_filter_row *row, struct rz_cut *cut,
                   uint64_t seed, uint32_t draws, const char *ahead,
                   struct rz_sampler_counters *counters)
{
    race->row = row;
    race->cut = cut;
    race->seed = seed;
    race->ahead = ahead;
    race->counters = counters;
    race->many = draws >= RZ_RACE_MANY;
    const bool all = cut->drop_below <= -FLT_MAX;
    race->least = all ? -FLT_MAX : rz_filter_least(row, cut->drop_below);

    /* From maxima a tile is taken for up to 17 times what it is, usually for 3 to 8 times. Whatever
     * the floor is, no draw depends on it. */
    race->floor = race->many ? bound_from_masses(race) / 8.0
                             : row->passes->bound(&row->tiles, race->least, ahead) / 32.0;
    const uint32_t few = row->tiles.count / SPARSE_PART + 1;
    race->sparse = false;
    if (!all) {
        race->live_count =
            row->passes->at_least(row->tiles.max, row->tiles.padded, race->least, few, race->live);
        race->sparse = race->live_count <= few;
    }
}

/* ------------------------------------------------------------------------------------------------
 * Who runs
 */

static uint32_t draw_word(const struct rz_race *race, uint64_t position, uint32_t tile)
{
    const struct rz_philox_words call =
        rz_philox4x32(race->seed, rz_race_call(tile), position, RZ_STREAM_RACE);
    return call.word[rz_race_word(tile)];
}

/* The chord over 2^x, as the passes have it, and a little more. */
static float bound_of_tile(const struct rz_race *race, uint32_t tile)
{
    if (race->many)
        return race->bounds[tile];
    const struct rz_tiles *tiles = &race->row->tiles;
    const float x = rz_scaled(tiles->max[tile], tiles->scale) - tiles->exponent;
    const float bits = ((x > -100.0f ? x : -100.0f) + 127.0f) * 0x1p+23f;
    return rz_float_from_bits((uint32_t)bits) * ((float)RZ_TILE * (1.0f + 0x1p-9f));
}

static void add_runner(struct rz_race *race, uint32_t *count, uint32_t tile, uint32_t word)
{
    const double v = (double)word * 0x1p-32;
    const double e = v + v * v * (0.5 + v * (1.0 / 3.0));
    race->runners[(*count)++] = (struct rz_race_runner){
        .tile = tile,
        .word = word,
        .key_bound = (double)bound_of_tile(race, tile) * (1.0 + 0x1p-20) / (e + 0x1p-66),
    };
}

/* All tiles that are in the race. */
static uint32_t gather_all(struct rz_race *race, uint64_t position)
{
    uint32_t count = 0;
    for (uint32_t t = 0; t < race->row->tiles.count; t++)
        if (race->row->tiles.max[t] >= race->least)
            add_runner(race, &count, t, draw_word(race, position, t));
    return count;
}

/* The tiles whose key can reach `floor`. */
static uint32_t gather_runners(struct rz_race *race, uint64_t position, double floor)
{
    const struct rz_filter_row *row = race->row;
    if (!(floor > 0.0))
        return gather_all(race, position);
    const double per_bound = 0x1p+31 * (1.0 + 0x1p-20) / floor; /* w / 2 <= bound * this */
    uint32_t count = 0;
    if (race->sparse) {
        for (uint32_t i = 0; i < race->live_count; i++) {
            const uint32_t tile = race->live[i];
            const uint32_t word = draw_word(race, position, tile);
            if ((double)(word >> 1) <= (double)bound_of_tile(race, tile) * per_bound)
                add_runner(race, &count, tile, word);
        }
        return count;
    }
    const uint32_t reached =
        race->many ? row->passes->reach_known(race->bounds, race->words, row->tiles.padded,
                                              (float)per_bound, race->reached)
                   : row->passes->reach(&row->tiles, race->least, race->words, (float)per_bound,
                                        race->ahead + (size_t)row->tiles.padded * 4, race->reached);
    for (uint32_t i = 0; i < reached; i++)
        add_runner(race, &count, race->reached[i], race->words[race->reached[i]]);
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

/* ------------------------------------------------------------------------------------------------
 * Who wins
 */

/* A key that is relative to the row's exponent. */
static struct rz_key row_key(const struct rz_race *race, double key)
{
    return (struct rz_key){RZ_MASS_ONE * key, (double)race->row->tiles.exponent};
}

/* No mass is a key below all others: rz_key_less() looks at exponents first. */
static struct rz_key key_of(const struct rz_race_contender *c, uint64_t mass)
{
    if (mass == 0)
        return (struct rz_key){0.0, -DBL_MAX};
    return (struct rz_key){(double)mass / c->e, c->exponent};
}

/* Masses, and keys, of a contender as far as the cut is known. */
static void weigh_contender(struct rz_race *race, struct rz_race_contender *c)
{
    uint64_t masses[RZ_TILE];
    if (race->many) {
        c->least = c->most = settled_mass(race, c->tile);
    } else if (rz_cut_is_settled(race->cut)) {
        c->least = c->most = tile_masses(race, c->tile, race->cut->drop_below, masses);
    } else {
        float y[RZ_TILE];
        rz_filter_tile(race->row, c->tile, y);
        c->most = race->row->passes->masses(y, race->cut->drop_below, c->exponent, masses);
        c->least = 0;
        for (uint32_t i = 0; i < RZ_TILE; i++)
            c->least += y[i] >= race->cut->keep_from ? masses[i] : 0;
    }
    c->least_key = key_of(c, c->least);
    c->most_key = key_of(c, c->most);
}

static void make_contender(struct rz_race *race, uint64_t position,
                           const struct rz_race_runner *runner, struct rz_race_contender *c)
{
    const struct rz_philox_words low =
        rz_philox4x32(race->seed, runner->tile, position, RZ_STREAM_TILE);
    c->tile = runner->tile;
    c->exponent = tile_exponent(race, runner->tile);
    c->e = rz_exponential((uint64_t)runner->word << 32 | low.word[0]);
    weigh_contender(race, c);
    race->counters->tiles_exact++;
}

/* Is a's lesser key better than that of b? The lower tile is, on a tie. */
static bool is_ahead(const struct rz_race_contender *a, const struct rz_race_contender *b)
{
    if (rz_key_less(b->least_key, a->least_key))
        return true;
    return a->tile < b->tile && !rz_key_less(a->least_key, b->least_key);
}

/* Keep the runners that can still beat `key`; returns how many. */
static uint32_t keep_hopeful(struct rz_race *race, uint32_t count, struct rz_key key)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < count; i++)
        if (!rz_key_less(row_key(race, race->runners[i].key_bound), key))
            race->runners[left++] = race->runners[i];
    return left;
}

/* Work out runners until no other can win. The best by its lesser key comes first. */
static uint32_t gather_contenders(struct rz_race *race, uint64_t position, uint32_t runners)
{
    struct rz_race_contender *c = race->contenders;
    uint32_t count = 0;
    while (runners > 0) {
        const struct rz_race_runner runner = take_highest(race->runners, runners--);
        make_contender(race, position, &runner, &c[count]);
        if (c[count].most == 0)
            continue; /* its largest id was dropped by a draw before */
        if (count > 0 && is_ahead(&c[count], &c[0])) {
            const struct rz_race_contender first = c[0];
            c[0] = c[count];
            c[count] = first;
        }
        count++;
        runners = keep_hopeful(race, runners, c[0].least_key);
    }
    return count;
}

/* Drop those that cannot win, and say again who is first; returns how many are left, maybe 0. */
static uint32_t sift(struct rz_race_contender *c, uint32_t count)
{
    uint32_t first = 0;
    for (uint32_t i = 1; i < count; i++)
        if (is_ahead(&c[i], &c[first]))
            first = i;
    if (count == 0)
        return 0;
    const struct rz_race_contender best = c[first];
    c[first] = c[0];
    c[0] = best;
    uint32_t left = best.most > 0 ? 1 : 0;
    for (uint32_t i = 1; i < count; i++) {
        const bool open = c[i].least != c[i].most || best.least != best.most;
        if (open && c[i].most > 0 && !rz_key_less(c[i].most_key, best.least_key))
            c[left++] = c[i];
    }
    return left;
}

/* The id of a tile, given which are kept: those of y >= threshold. */
static uint32_t pick(const struct rz_race *race, uint64_t position, uint32_t tile, float threshold)
{
    uint64_t masses[RZ_TILE];
    const uint64_t sum = tile_masses(race, tile, threshold, masses);
    const uint64_t target = rz_pick_mass(race->seed, position, tile, sum);
    uint64_t running = masses[0];
    uint32_t i = 0;
    while (running <= target && i + 1 < RZ_TILE)
        running += masses[++i];
    return tile * RZ_TILE + i;
}

/* The id of the winner if it is the same wherever the cut is, or false. */
static bool pick_for_certain(const struct rz_race *race, uint64_t position, uint32_t tile,
                             uint32_t *id)
{
    const struct rz_cut *cut = race->cut;
    float y[RZ_TILE];
    rz_filter_tile(race->row, tile, y);
    *id = pick(race, position, tile, cut->drop_below);
    for (uint32_t i = 0; i < RZ_TILE; i++)
        if (rz_cut_is_open(cut, y[i]) && pick(race, position, tile, y[i]) != *id)
            return false;
    /* With none of the open ids kept; if that leaves none at all the tile has not won. */
    bool any = false;
    for (uint32_t i = 0; i < RZ_TILE; i++)
        any |= y[i] >= cut->keep_from;
    return !any || pick(race, position, tile, cut->keep_from) == *id;
}

/* The open y of the contenders, as many as there is room for; returns how many. */
static uint32_t collect_open(const struct rz_race *race, uint32_t contenders, float *open,
                             uint32_t room)
{
    uint32_t count = 0;
    for (uint32_t c = 0; c < contenders; c++) {
        float y[RZ_TILE];
        rz_filter_tile(race->row, race->contenders[c].tile, y);
        for (uint32_t i = 0; i < RZ_TILE && count < room; i++)
            if (rz_cut_is_open(race->cut, y[i]))
                open[count++] = y[i];
    }
    return count;
}

/* Find out about ids of the contenders that are open. The largest, if it has a good part of their
 * mass: it decides, and few ids are above it, so that is quick. Otherwise where the cut is. */
static bool narrow(struct rz_race *race, uint32_t contenders)
{
    float open[16 * RZ_TILE], largest = -INFINITY, mass = 0.0f;
    const uint32_t count = collect_open(race, contenders, open, sizeof open / sizeof open[0]);
    for (uint32_t i = 0; i < count; i++)
        largest = open[i] > largest ? open[i] : largest;
    for (uint32_t i = 0; i < count; i++)
        mass += open[i] > largest - 30.0f ? exp2f(open[i] - largest) : 0.0f;
    if (mass < HEAVY)
        return rz_cut_narrow(race->cut, &largest, 1);
    return rz_cut_locate(race->cut) || rz_cut_narrow(race->cut, &largest, 1);
}

/* Whether one of `count` contenders wins, and the id that it draws: the winner is then the first of
 * them. The cut is narrowed as need be. */
static bool decide(struct rz_race *race, uint64_t position, uint32_t count, uint32_t *id)
{
    struct rz_race_contender *c = race->contenders;
    for (uint32_t n = 0;; n++) {
        count = sift(c, count);
        if (count == 0)
            return false;
        if (count == 1 && c[0].least > 0 && pick_for_certain(race, position, c[0].tile, id))
            return true;
        if (n == MOST_NARROWINGS || !narrow(race, count))
            rz_cut_settle(race->cut);
        for (uint32_t i = 0; i < count; i++)
            weigh_contender(race, &c[i]);
    }
}

uint32_t rz_race_run(struct rz_race *race, uint64_t position, bool drawn)
{
    const struct rz_filter_row *row = race->row;
    if (!drawn && !race->sparse)
        row->passes->draw(race->seed, position, row->tiles.padded / RZ_GROUP, race->words);

    uint32_t id = 0;
    for (uint32_t attempt = 0;; attempt++) {
        static const double lowered[] = {1.0, 16.0};
        const double floor = /* at last 0: every tile runs */
            attempt < sizeof lowered / sizeof lowered[0] ? race->floor / lowered[attempt] : 0.0;
        const uint32_t runners = gather_runners(race, position, floor);
        const uint32_t contenders = gather_contenders(race, position, runners);
        if (decide(race, position, contenders, &id) &&
            !rz_key_less(race->contenders[0].least_key, row_key(race, floor)))
            return id;
    }
}
