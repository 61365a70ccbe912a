# SPDX-License-Identifier: Apache-2.0
"""The race of the contract from first principles: which id a seed and a position draw.

Plain Python: integers, and math.log and powers of two in double where the contract has its own
functions. Those differ by an ulp at most, which changes a draw with a probability of about 1e-13.
"""

import math

TILE = 16
RACE, PICK = 0, 1  # the streams
WORD = 2**32


def philox4x32(key, counter):
    """Philox4x32-10 of Salmon, Moraes, Dror and Shaw, SC'11."""
    k0, k1 = key
    c0, c1, c2, c3 = counter
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c0, WORD)
        high1, low1 = divmod(0xCD9E8D57 * c2, WORD)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0 = (k0 + 0x9E3779B9) % WORD
        k1 = (k1 + 0xBB67AE85) % WORD
    return c0, c1, c2, c3


def words(seed, index, position, stream):
    return philox4x32(
        (seed % WORD, seed // WORD), (index, position % WORD, position // WORD, stream)
    )


def exponential(seed, position, tile):
    """Of mean 1, from 64 bits: the upper half from a call that four tiles share, 16 apart, the
    lower half from the tile's own."""
    upper = words(seed, 16 * (tile // 64) + tile % 16, position, RACE)[tile // 16 % 4]
    lower = words(seed, tile, position, PICK)[0]
    bits = upper * WORD + lower
    if bits < 2**63:
        return -math.log1p(-(bits + 0.5) / 2**64)
    return -math.log((2**64 - 1 - bits + 0.5) / 2**64)


def mass(y, exponent):
    """Of an id, relative to 2^exponent; an integer, 2^44 is 1."""
    below = y - exponent
    return math.floor(2.0 ** (44 + below)) if below > -45 else 0


def race(tiles, seed, position):
    """The winner of (tile, mass, exponent): the largest mass / E * 2^exponent."""
    most = max(exponent for _, _, exponent in tiles)

    def key(entry):
        tile, mass_of_tile, exponent = entry
        below = max(exponent - most, -2000)
        return math.ldexp(mass_of_tile / exponential(seed, position, tile), below)

    return max(tiles, key=key)  # the first of those that tie


def pick(masses, seed, position, tile):
    """The first id of the tile whose running mass exceeds a uniform part of the whole."""
    _, _, upper, lower = words(seed, tile, position, PICK)
    target = (upper * WORD + lower) * sum(masses) // 2**64
    running = 0
    for i, m in enumerate(masses):
        running += m
        if running > target:
            return TILE * tile + i
    raise AssertionError("the target is less than the mass of the tile")


def tiles_of(y):
    """(tile, masses, exponent) of each tile with a kept id. `y` is -inf for what is not kept."""
    for tile in range((len(y) + TILE - 1) // TILE):
        part = [float(v) for v in y[TILE * tile : TILE * tile + TILE]]
        if max(part) > -math.inf:
            exponent = math.ceil(max(part))
            yield tile, [mass(v, exponent) for v in part], exponent


def draw(y, seed, position):
    tiles = list(tiles_of(y))
    tile = race([(t, sum(m), e) for t, m, e in tiles], seed, position)[0]
    masses = next(m for t, m, _ in tiles if t == tile)
    return pick(masses, seed, position, tile)
