/* SPDX-License-Identifier: Apache-2.0
 *
 * contract.h - the arithmetic that decides which id is drawn, in the smallest pieces that have a
 * name.
 *
 * Everything here is part of the contract: the same bits on every machine. What is built from these
 * pieces is defined by reference.c.
 *
 *     y  = x * c                               a logit x in powers of two, c from the temperature
 *     w  = floor(2^44 * 2^(y - m))             its mass relative to 2^m, an integer
 *     S  = sum of w over the kept ids of a tile, m = ceil(largest y of the tile)
 *     key of a tile = S / E * 2^m              E exponential; the largest key wins the race
 */
#ifndef RZ_KERNELS_CONTRACT_H
#define RZ_KERNELS_CONTRACT_H

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernels/numerics.h"
#include "kernels/philox.h"
#include "kernels/sampler.h"

/* Below this temperature the largest logit is taken. */
#define RZ_GREEDY_BELOW 1e-5f

/* A mass of 1 is 2^44: 2^18 ids of it still add up to less than 2^63. */
#define RZ_MASS_ONE 0x1p44

enum { RZ_STREAM_RACE = 0, RZ_STREAM_TILE = 1 };

/* ------------------------------------------------------------------------------------------------
 * Temperature and mass
 */

RZ_HD float rz_temperature_scale(float temperature)
{
    const double log2_e = 0x1.71547652b82fep+0;
    return (float)(log2_e / (double)temperature);
}

/* y of a logit. A finite logit stays finite, so that ceil(y) always is: what would overflow is the
 * largest float. -inf stays -inf; neither NaN nor +inf comes here. */
RZ_HD float rz_scaled(float x, float scale)
{
    const float y = x * scale;
    if (y > FLT_MAX)
        return FLT_MAX;
    if (y < -FLT_MAX && x >= -FLT_MAX)
        return -FLT_MAX;
    return y;
}

/* The exponent that masses are relative to: an integer, as a double because it may be as large as a
 * float is. */
RZ_HD double rz_mass_exponent(float largest_y)
{
    return ceil((double)largest_y);
}

/* Mass of an id relative to 2^exponent; y <= exponent. 0 for -inf. */
RZ_HD uint64_t rz_mass(float y, double exponent)
{
    return (uint64_t)(RZ_MASS_ONE * rz_exp2((double)y - exponent));
}

/* Is an id kept by top-p, given the mass of the kept ids with strictly larger y and that of all? */
RZ_HD bool rz_in_nucleus(uint64_t mass_above, float top_p, uint64_t mass_of_all)
{
    return (double)mass_above < (double)top_p * (double)mass_of_all;
}

/* Smallest y that min-p keeps. */
RZ_HD float rz_min_p_threshold(float largest_y, float min_p)
{
    return largest_y + (float)rz_log2((double)min_p);
}

/* Natural logarithm of an id's share: its y and exponent, and the mass of all. Masses are cut to
 * integers and y is not, so a share of all might come out a little above 1: it is 1. */
RZ_HD float rz_logprob(float y, double exponent, uint64_t mass_of_all)
{
    const double ln_2 = 0x1.62e42fefa39efp-1;
    const double share = ((double)y - exponent) * ln_2 - rz_log((double)mass_of_all / RZ_MASS_ONE);
    return share < 0.0 ? (float)share : 0.0f;
}

/* ------------------------------------------------------------------------------------------------
 * Random bits
 */

/* Which call and which word of it have the first 32 bits of a tile's race. One call serves four
 * tiles, 16 apart, so that vectors of 16 calls give the words of 64 tiles in order. */
RZ_HD uint32_t rz_race_call(uint32_t tile)
{
    return 16 * (tile / 64) + tile % 16;
}

RZ_HD uint32_t rz_race_word(uint32_t tile)
{
    return tile / 16 % 4;
}

/* A word by its number, without an array: a GPU would keep that in memory. */
RZ_HD uint32_t rz_philox_word(struct rz_philox_words words, uint32_t number)
{
    const uint32_t even = (number & 2) != 0 ? words.word[2] : words.word[0];
    const uint32_t odd = (number & 2) != 0 ? words.word[3] : words.word[1];
    return (number & 1) != 0 ? odd : even;
}

/* The 64 bits of a tile's race. */
RZ_HD uint64_t rz_race_bits(uint64_t seed, uint64_t position, uint32_t tile)
{
    const struct rz_philox_words high =
        rz_philox4x32(seed, rz_race_call(tile), position, RZ_STREAM_RACE);
    const struct rz_philox_words low = rz_philox4x32(seed, tile, position, RZ_STREAM_TILE);
    return (uint64_t)rz_philox_word(high, rz_race_word(tile)) << 32 | low.word[0];
}

/* A mass in 0 .. mass_of_tile - 1, uniform: the id whose part of the tile it falls into is drawn.
 */
RZ_HD uint64_t rz_pick_mass(uint64_t seed, uint64_t position, uint32_t tile, uint64_t mass_of_tile)
{
    const struct rz_philox_words words = rz_philox4x32(seed, tile, position, RZ_STREAM_TILE);
    const uint64_t bits = (uint64_t)words.word[2] << 32 | words.word[3];
    __extension__ typedef unsigned __int128 uint128;
    return (uint64_t)((uint128)bits * mass_of_tile >> 64);
}

/* ------------------------------------------------------------------------------------------------
 * The race
 */

/* fraction * 2^exponent; the exponent is an integer of any size, so it is kept apart. */
struct rz_key {
    double fraction;
    double exponent;
};

RZ_HD struct rz_key rz_race_key(uint64_t mass_of_tile, uint64_t bits, double exponent)
{
    const struct rz_key key = {(double)mass_of_tile / rz_exponential(bits), exponent};
    return key;
}

/* Exactly: a < b? Fractions lie between 2^37 and 2^113: where exponents are more than 200 apart
 * they decide alone, otherwise scaling by a power of two is exact. */
RZ_HD bool rz_key_less(struct rz_key a, struct rz_key b)
{
    const double apart = a.exponent - b.exponent;
    if (apart > 200.0)
        return false;
    if (apart < -200.0)
        return true;
    return a.fraction * rz_power_of_two((int)apart) < b.fraction;
}

#endif
