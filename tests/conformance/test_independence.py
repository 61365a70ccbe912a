# SPDX-License-Identifier: Apache-2.0
"""Draws at other positions, and with other seeds, are independent of one another.

Pairs of draws are counted in a table of id by id, whose probabilities are the products of the
oracle's; see chi_square.py for how seldom a correct sampler fails.
"""

import support  # first: it skips the test where NumPy or SciPy is missing

import numpy as np

import chi_square
import oracle
import rows

POSITIONS = 20_000_000 if support.LONG else 2_000_000
SEEDS = 1_000_000 if support.LONG else 120_000
MOST_ROWS = 60_000  # of one run of the command
VOCAB = 40  # three tiles, the last of them cut off


class Independence(support.ConformanceTest):
    def setUp(self):
        super().setUp()
        self.logits = rows.uneven(self.rng, VOCAB)
        self.p = oracle.distribution(self.logits, {}).probability

    def check_pairs(self, first, second):
        table = np.outer(self.p, self.p).ravel()
        chi_square.check(self, first.astype(int) * VOCAB + second, table)

    def of_seeds(self, seeds, count=1, position=0):
        """Ids of rows that are all alike, but for the seeds: [seed, count]."""
        seeds = np.asarray(seeds, np.uint64)
        parts = np.array_split(seeds, -(-len(seeds) // MOST_ROWS))
        return np.concatenate([self.of_some_seeds(part, count, position) for part in parts])

    def of_some_seeds(self, seeds, count, position):
        logits = np.tile(self.logits, (len(seeds), 1))
        params = [{"seed": str(seed)} for seed in seeds]
        args = ["--count", count, "--position", position, "-o", self.path("ids.npy")]
        self.sample(*self.files(logits, params), *args)
        return np.load(self.path("ids.npy"))

    def test_of_consecutive_positions(self):
        ids = self.draws(self.logits, {}, POSITIONS)[0]
        self.check_pairs(ids[0::2], ids[1::2])

    def test_of_positions_a_power_of_two_apart(self):
        ids = self.draws(self.logits, {}, POSITIONS)[0]
        for apart in [4, 256, 65536]:
            with self.subTest(apart=apart):
                pairs = ids[: len(ids) // (2 * apart) * 2 * apart].reshape(-1, 2, apart)
                self.check_pairs(pairs[:, 0].ravel(), pairs[:, 1].ravel())

    def test_of_consecutive_seeds(self):
        ids = self.of_seeds(self.seed() + np.arange(SEEDS))[:, 0]
        chi_square.check(self, ids, self.p)
        self.check_pairs(ids[0::2], ids[1::2])

    def test_of_seeds_that_differ_in_their_upper_half(self):
        ids = self.of_seeds(np.arange(SEEDS) << 32)[:, 0]
        chi_square.check(self, ids, self.p)
        self.check_pairs(ids[0::2], ids[1::2])

    def test_of_seeds_that_are_random(self):
        seeds = self.rng.integers(2**64, size=SEEDS, dtype=np.uint64)
        chi_square.check(self, self.of_seeds(seeds, position=12345)[:, 0], self.p)

    def test_of_a_seed_and_a_position_that_trade_places(self):
        """Were the two added, seed s at position t + 1 would draw what s + 1 draws at t."""
        ids = self.of_seeds(self.seed() + np.arange(SEEDS), count=2)
        self.check_pairs(ids[0::2, 1], ids[1::2, 0])

    def test_of_two_rows_in_one_batch(self):
        other = rows.flat(self.rng, VOCAB)
        ids = self.draws(np.stack([self.logits, other]), {}, POSITIONS // 2)
        q = oracle.distribution(other, {}).probability
        table = np.outer(self.p, q).ravel()
        chi_square.check(self, ids[0].astype(int) * VOCAB + ids[1], table)


if __name__ == "__main__":
    support.main()
