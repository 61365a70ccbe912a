# SPDX-License-Identifier: Apache-2.0
"""Each drawn id is the one that its seed and position give: random_streams.py says which.

This pins the random numbers for good. An id may change only when the contract does.
"""

import support  # first: it skips the test where NumPy or SciPy is missing

import numpy as np

import oracle
import random_streams
import rows

DRAWS = 40 * (10 if support.LONG else 1)  # of each row
EDGES = [0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 1]


class RandomStreams(support.ConformanceTest):
    def check_at(self, seed, position, count, logits, params, *args):
        line = {**params, "seed": str(seed)}
        args = ["--position", position, "--count", count, *args]
        ids = self.sample(*self.files(logits, line), *args)[0]
        self.assertEqual(len(ids), count)
        right = oracle.distribution(logits, params)
        self.assertFalse(right.unsure.any(), "choose other rows")
        y = np.where(right.kept, right.y, -np.inf)
        for i, drawn in enumerate(ids):
            with self.subTest(vocab=len(y), params=params, seed=seed, position=position + i):
                self.assertEqual(drawn, random_streams.draw(y, seed, position + i))

    def check(self, logits, params, *args, count=DRAWS):
        seed = int(self.rng.integers(2**64, dtype=np.uint64))
        self.check_at(seed, int(self.rng.integers(2**63)), count, logits, params, *args)

    def test_of_small_vocabularies(self):
        for vocab in [1, 2, 15, 16, 17, 32, 33, 111]:
            self.check(rows.uneven(self.rng, vocab), {})

    def test_of_vocabularies_around_64_tiles(self):
        """Calls of the race serve four tiles, 16 apart, and 64 tiles have their own 16 calls."""
        for vocab in [255, 257, 1023, 1024, 1025, 1300, 2100]:
            self.check(rows.flat(self.rng, vocab), {})

    def test_of_a_large_vocabulary(self):
        for shape in [rows.flat, rows.zipf]:
            self.check(shape(self.rng, 32_003), {}, count=DRAWS // 20)

    def test_of_seeds_and_positions_at_the_edge(self):
        logits = rows.uneven(self.rng, 300)
        for seed in EDGES:
            for position in EDGES:
                self.check_at(seed, position, 1, logits, {})
            self.check_at(seed, 2**32 - 2, 4, logits, {})

    def test_of_temperatures(self):
        for temperature in [0.05, 0.7, 1.3, 50]:
            params = {"temperature": temperature}
            self.check(rows.uneven(self.rng, 200), params)

    def test_of_rows_with_holes(self):
        """Tiles of which nothing is left do not run; ids that are -inf are not picked."""
        for vocab, left in [(100, 30), (500, 50), (5000, 500), (32_003, 40)]:
            logits = np.full(vocab, -np.inf, np.float32)
            ids = self.rng.permutation(vocab)[:left]
            logits[ids] = rows.uneven(self.rng, left)
            self.check(logits, {})

    def test_of_few_draws_and_of_many(self):
        """Many draws of one row are worth more preparation than few."""
        logits = rows.uneven(self.rng, 2000)
        for count in [1, 2, 3, 7, 15, 16, 17, 100]:
            self.check(logits, {"top_k": 700}, count=count)

    def test_of_tiles_far_apart(self):
        """Their exponents differ by more than a double can hold."""
        logits = rows.wide(self.rng, 160)
        self.check(logits, {})
        for temperature in [1e30, 1e37]:
            self.check(logits, {"temperature": temperature})

    def test_of_filters(self):
        for vocab in [400, 3000]:
            logits = rows.uneven(self.rng, vocab)
            for params in [{"top_k": 50}, {"top_p": 0.9}, {"min_p": 0.02}]:
                self.check(logits, params)

    def test_of_every_back_end(self):
        for backend in ["reference", "scalar", "auto"]:
            self.check(rows.flat(self.rng, 300), {"top_k": 200}, "--backend", backend)

    def test_of_several_ranks(self):
        args = ["--ranks", 3, "--split", "5,200,95"]
        self.check(rows.flat(self.rng, 300), {}, *args)


if __name__ == "__main__":
    support.main()
