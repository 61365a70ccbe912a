# SPDX-License-Identifier: Apache-2.0
"""Kept sets too large to be listed: the ids that are drawn are those that the oracle keeps.

Rows are such that all of the kept ids are about as likely, and so are the next ones, which are not
kept. An id that the oracle keeps with probability p is missed by n draws with probability
exp(-p * n), here at most exp(-SURE): with 1e4 ids kept that is 1e-13 for a whole test. No draw at
all may be of another id, and one kept by mistake is missed as seldom.
"""

import support  # first: it skips the test where NumPy or SciPy is missing

import math

import numpy as np

import oracle
import rows

SURE = 40
MOST_DRAWS = 20_000_000
VOCABS = [111, 1000, 32_000, 128_256]
if support.LONG:
    VOCABS += [151_936, 256_000, 262_144]

TOP_K = [1, 10, 50, 100, 500]
TOP_P = [0.1, 0.5, 0.9, 0.95, 0.99, 1]
MIN_P = [0.05, 0.1, 0.2, 0.5, 0.7, 0.99, 0.9999999]


class KeptIds(support.ConformanceTest):
    def check(self, logits, params):
        right = oracle.distribution(logits, params)
        self.assertFalse(right.unsure.any(), "choose other rows")
        count = math.ceil(SURE / right.probability[right.kept].min())
        self.assertLess(count, MOST_DRAWS, "choose other rows")
        drawn = np.zeros(len(logits), bool)
        drawn[self.draws(logits, params, count)[0]] = True
        self.assertEqual(np.flatnonzero(drawn & ~right.kept).tolist(), [], "drawn, not kept")
        self.assertEqual(np.flatnonzero(right.kept & ~drawn).tolist(), [], "kept, never drawn")
        return len(right.order)

    def test_of_top_k(self):
        for vocab in VOCABS:
            for k in [k for k in TOP_K if k < vocab]:
                with self.subTest(vocab=vocab, k=k):
                    kept = self.check(rows.flat(self.rng, vocab), {"top_k": k})
                    self.assertIn(kept, [k, k + 1], "more only if two tie")

    def test_of_top_k_of_all(self):
        for vocab in VOCABS[:2]:
            for k in [0, vocab - 1, vocab, vocab + 1, 2**32 - 1]:
                with self.subTest(vocab=vocab, k=k):
                    kept = self.check(rows.flat(self.rng, vocab), {"top_k": k})
                    self.assertEqual(kept, min(k or vocab, vocab))

    def test_of_top_k_where_many_tie(self):
        """Levels of 60 equal ids: k in a level keeps it to its end."""
        for vocab in VOCABS:
            logits = (-(self.rng.permutation(vocab) // 60) * 0.01).astype(np.float32)
            for k, kept in [(1, 60), (60, 60), (61, 111 if vocab == 111 else 120)]:
                with self.subTest(vocab=vocab, k=k):
                    self.assertEqual(self.check(logits, {"top_k": k}), kept)

    def test_of_top_p_in_a_flat_row(self):
        for vocab in VOCABS[:2]:
            for p in TOP_P:
                with self.subTest(vocab=vocab, p=p):
                    self.check(rows.flat(self.rng, vocab), {"top_p": p})

    def test_of_top_p_in_a_part_of_a_row(self):
        for vocab in VOCABS[2:]:
            for p in TOP_P[:-1]:
                with self.subTest(vocab=vocab, p=p):
                    self.check(rows.shelf(self.rng, vocab, 700), {"top_p": p})

    def test_of_top_p_that_is_small_in_a_flat_row(self):
        for vocab in VOCABS[2:]:
            with self.subTest(vocab=vocab):
                self.check(rows.flat(self.rng, vocab), {"top_p": 300 / vocab})

    def test_of_top_p_where_many_tie(self):
        """Five levels of equal mass, each of 200 equal ids and with it a gap of 1 %."""
        level = np.repeat(np.arange(5), 200)
        logits = (self.rng.permutation(level) * -0.01).astype(np.float32)
        for p, kept in [(0.1, 200), (0.19, 200), (0.21, 400), (0.5, 600), (0.79, 800), (0.9, 1000)]:
            with self.subTest(p=p):
                self.assertEqual(self.check(logits, {"top_p": p}), kept)

    def test_of_min_p(self):
        for vocab in VOCABS:
            for p in MIN_P:
                with self.subTest(vocab=vocab, p=p):
                    logits = np.full(vocab, -50, np.float32)
                    ids = self.rng.permutation(vocab)[:600]
                    logits[ids] = self.rng.uniform(math.log(p) * 2 - 0.1, 0, len(ids))
                    self.check(logits, {"min_p": p})

    def test_of_joint_filters(self):
        joint = [
            {"min_p": 0.95, "top_k": 400, "top_p": 0.5},
            {"min_p": 0.99, "top_p": 0.9},
            {"top_k": 500, "top_p": 0.7},
            {"top_k": 100, "min_p": 0.91, "temperature": 0.5},
            {"top_k": 300, "top_p": 0.95, "temperature": 3},
        ]
        for vocab in VOCABS:
            for params in joint:
                with self.subTest(vocab=vocab, params=params):
                    self.check(rows.shelf(self.rng, vocab, min(700, vocab)), params)

    def test_of_a_bitmask(self):
        for vocab in VOCABS:
            words = self.rng.integers(2**32, size=(vocab + 31) // 32)
            words[self.rng.permutation(len(words))[30:]] = 0
            for filters in [{}, {"top_k": 200}, {"top_p": 0.5}]:
                with self.subTest(vocab=vocab, filters=filters):
                    params = {"bitmask": words.tolist(), **filters}
                    self.check(rows.flat(self.rng, vocab), params)


if __name__ == "__main__":
    support.main()
