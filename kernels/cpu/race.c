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
 * so log2 of the key is at most 4 above the tile's score, about m - log2(w) + 32 and never less,
 * which costs little enough to be made for every tile while the row is scanned. The tile of the
 * highest score has a key of about 2^score or more. Tiles whose score is further below the highest
 * than these bounds are apart have hardly a chance. The others run: highest bound first, each
 * worked out exactly, until the next bound is below the best key. What proves the winner is the
 * last step: its key is compared with the most that the key of a tile can be that did not run. If
 * it is less, the draw begins again with more of them.
 *
 * For a single draw the mass of a tile is bounded from its maximum, by a factor of 17 from both
 * sides, and some ten tiles are worked out. For many, the masses of all tiles are worked out once;
 * then one or two. Their scores are from log2 of the mass over 2^M, in place of m.
 *
 * Where top-p leaves open which ids of a tile are kept, its key lies between two: with the ids that
 * surely are, and with all that may be. Mostly the same tile and the same id win either way. If
 * not, the cut is narrowed and the decision taken again.
 *
 * Bounds are raised by a factor of 1 + 2^-20 or more where they are made, which covers the
 * roundings of E, S and the key (a few 2^-52) and of fp32 (2^-23). Scores are in fp32: two
 * roundings of m, 2^-24 of it each, and 2^-16 for the rest. Tiles more than 200 below the row's
 * largest y cannot win, since no score differs from m by as much: so it is the largest y that
 * counts.
 */
#include "kernels/cpu/race.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/contract.h"

enum {
    SPARSE_PART = 16, /* with less than 1 in so many tiles live, only theirs are scored */
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
        .scores = malloc(padded * sizeof *race->scores),
        .band_scores = malloc((padded / RZ_TILE + RZ_TILE) * sizeof *race->band_scores),
        .own_base = malloc(padded * sizeof *race->own_base),
        .bounds = malloc(padded * sizeof *race->bounds),
        .tiles = malloc(padded * sizeof *race->tiles),
        .reached = malloc(padded * sizeof *race->reached),
        .words = malloc(padded * sizeof *race->words),
        .mass = malloc(tiles * sizeof *race->mass),
        .runners = malloc(padded * sizeof *race->runners),
        .contenders = malloc(padded * sizeof *race->contenders),
    };
    return race->scores != NULL && race->band_scores != NULL && race->own_base != NULL &&
           race->bounds != NULL && race->tiles != NULL && race->reached != NULL &&
           race->words != NULL && race->mass != NULL && race->runners != NULL &&
           race->contenders != NULL;
}

void rz_race_destroy(struct rz_race *race)
{
    free(race->scores);
    free(race->band_scores);
    free(race->own_base);
    free(race->bounds);
    free(race->tiles);
    free(race->reached);
    free(race->words);
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

/* Which tiles may have a kept id, by their maxima: all, or a list of few. */
static void choose_entrants(struct rz_race *race)
{
    const struct rz_filter_row *row = race->row;
    const uint32_t few = row->tiles.count / SPARSE_PART + 1;
    race->base = row->tiles.max;
    race->scale = row->tiles.scale;
    race->live = NULL;
    race->padded = row->tiles.padded;
    race->least = -FLT_MAX;
    if (race->cut->drop_below <= -FLT_MAX)
        return;
    race->least = rz_filter_least(row, race->cut->drop_below);
    const uint32_t count =
        row->passes->at_least(row->tiles.max, row->tiles.padded, race->least, few, race->tiles);
    if (count > few)
        return;
    race->live = race->tiles;
    race->padded = rz_round_up_lanes(count);
    for (uint32_t i = count; i < race->padded; i++)
        race->tiles[i] = 0; /* of base -inf */
    for (uint32_t i = 0; i < race->padded; i++)
        race->own_base[i] = i < count ? row->tiles.max[race->tiles[i]] : -INFINITY;
    race->base = race->own_base;
}

static uint32_t tile_of(const struct rz_race *race, uint32_t entrant)
{
    return race->live != NULL ? race->live[entrant] : entrant;
}

/* At least log2 of a bound: its bits as an integer are 2^23 (log2 + 127), but for the bend of log2,
 * which is less than 0.0861. */
static float log2_of_bound(float bound)
{
    return bound > 0.0f ? (float)rz_float_bits(bound) * 0x1p-23f - 127.0f + 0.0862f : -INFINITY;
}

/* The base of entrants from their exact masses. */
static void base_on_masses(struct rz_race *race)
{
    const float *max = race->row->tiles.max;
    memset(race->mass, 0, race->row->tiles.count * sizeof *race->mass);
    for (uint32_t i = 0; i < race->padded; i++) {
        const uint32_t tile = tile_of(race, i);
        const bool in_race = race->base[i] >= race->least && max[tile] >= race->least;
        const float bound = in_race ? bound_from_mass(race, tile) : 0.0f;
        race->own_base[i] = log2_of_bound(bound);
        if (in_race)
            race->bounds[tile] = bound;
    }
    race->base = race->own_base;
    race->scale = 1.0f;
    race->least = -FLT_MAX;
    race->slack = 0x1p-12f;
    race->counters->mass_passes++;
}

void rz_race_begin(struct rz_race *race, const struct rz_filter_row *row, struct rz_cut *cut,
                   uint64_t seed, uint32_t draws, struct rz_sampler_counters *counters)
{
    race->row = row;
    race->cut = cut;
    race->seed = seed;
    race->counters = counters;
    race->many = draws >= RZ_RACE_MANY;
    choose_entrants(race);
    if (race->many)
        base_on_masses(race);
    else
        race->slack = 0x1p-12f + (fabsf(row->largest) + 256.0f) * 0x1p-21f;
}

/* ------------------------------------------------------------------------------------------------
 * Who runs
 */

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

static struct rz_race_runner make_runner(const struct rz_race *race, uint32_t tile, uint32_t word)
{
    const double v = (double)word * 0x1p-32;
    const double e = v + v * v * (0.5 + v * (1.0 / 3.0));
    return (struct rz_race_runner){
        .tile = tile,
        .word = word,
        .key_bound = (double)bound_of_tile(race, tile) * (1.0 + 0x1p-20) / (e + 0x1p-66),
    };
}

/* Do the scores of bands tell which entrants there are? */
static bool runs_by_band(const struct rz_race *race, enum rz_race_known known)
{
    return known == RZ_SCORED_BY_BAND && race->live == NULL && !race->many &&
           race->least <= -FLT_MAX;
}

/* The score of the best entrant. */
static float score_entrants(struct rz_race *race, uint64_t position, enum rz_race_known known)
{
    const struct rz_passes *passes = race->row->passes;
    if (runs_by_band(race, known))
        return passes->largest(race->band_scores, rz_round_up_lanes(race->padded / RZ_TILE));
    if (known == RZ_NOT_SCORED || race->live != NULL || race->many)
        passes->score(race->seed, position, race->live, race->base, race->scale, race->padded,
                      race->scores);
    return passes->best(race->base, race->least, race->scores, race->padded);
}

/* The entrants of at least this score. */
static uint32_t gather_runners(struct rz_race *race, uint64_t position, enum rz_race_known known,
                               float score)
{
    const struct rz_passes *passes = race->row->passes;
    const uint32_t reached = runs_by_band(race, known)
                                 ? passes->reach_by_band(race->band_scores, race->scores,
                                                         race->padded, score, race->reached)
                                 : passes->reach(race->base, race->least, race->scores,
                                                 race->padded, score, race->reached);
    for (uint32_t i = 0; i < reached; i++)
        race->reached[i] = tile_of(race, race->reached[i]);
    passes->draw(race->seed, position, race->reached, reached, race->words);
    for (uint32_t i = 0; i < reached; i++)
        race->runners[i] = make_runner(race, race->reached[i], race->words[i]);
    return reached;
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

/* At least the key of any entrant of less score. Scores from masses are relative to the row's
 * exponent, which may be too large for them to be added to; the others have it in them. */
static struct rz_key key_above_score(const struct rz_race *race, float score)
{
    if (race->many)
        return row_key(race, rz_exp2((double)score + (double)race->slack) * (1.0 + 0x1p-20));
    const double log2_key = (double)score + 4.0 + (double)race->slack, whole = floor(log2_key);
    return (struct rz_key){RZ_MASS_ONE * rz_exp2(log2_key - whole) * (1.0 + 0x1p-20), whole};
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
            continue; /* its largest id has turned out to be dropped */
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
 * mass: it decides, and few tiles are above it, so that is quick. Otherwise where the cut is, and
 * when that is known as well as can be, on which side of it a third of them are, and two. False if
 * that cannot be told without settling. */
static bool narrow(struct rz_race *race, uint32_t contenders)
{
    enum { ROOM = 16 * RZ_TILE };
    const struct rz_passes *passes = race->row->passes;
    float open[ROOM + RZ_TILE], mass = 0.0f;
    const uint32_t count = collect_open(race, contenders, open, ROOM);
    if (count == 0)
        return false;
    for (uint32_t i = count; i < rz_round_up_lanes(count); i++)
        open[i] = -INFINITY;
    const float largest = passes->kth_largest(open, count, 1, 0);
    for (uint32_t i = 0; i < count; i++)
        mass += open[i] > largest - 30.0f ? exp2f(open[i] - largest) : 0.0f;
    if (mass < HEAVY && rz_cut_narrow(race->cut, largest))
        return true;
    if (rz_cut_locate(race->cut))
        return true;
    const float pivots[2] = {passes->kth_largest(open, count, 1 + count / 3, 0),
                             passes->kth_largest(open, count, 1 + 2 * count / 3, 0)};
    return rz_cut_weigh(race->cut, pivots, pivots[1] < pivots[0] ? 2 : 1);
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

uint32_t rz_race_run(struct rz_race *race, uint64_t position, enum rz_race_known known)
{
    /* How far below the highest score a tile may be and run: what bounds of its key leave open, see
     * above, then more, then any. */
    static const float lowered[] = {1.0f, 10.0f};
    const float first = race->many ? 0.0f : 4.0f;
    const bool bounded = fabsf(race->row->largest) < 0x1p+100f;
    float best = score_entrants(race, position, known);
    uint32_t id = 0;
    for (uint32_t attempt = bounded ? 0 : 2;; attempt++) {
        if (attempt > 0 && !race->many) {
            /* The cut is known better by now, and so is who has nothing to run for. */
            choose_entrants(race);
            known = race->live == NULL ? RZ_SCORED : RZ_NOT_SCORED;
            best = score_entrants(race, position, known);
        }
        const bool any = attempt >= sizeof lowered / sizeof lowered[0];
        const float score = any ? -INFINITY : best - first - lowered[attempt] - 2.0f * race->slack;
        const uint32_t runners = gather_runners(race, position, known, score);
        const uint32_t contenders = gather_contenders(race, position, runners);
        if (decide(race, position, contenders, &id) &&
            (any || !rz_key_less(race->contenders[0].least_key, key_above_score(race, score))))
            return id;
    }
}
