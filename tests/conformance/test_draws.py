# SPDX-License-Identifier: Apache-2.0
"""Ids are drawn with the probabilities of the filtered softmax, independently of one another.

Pearson's chi-square of a million draws against the oracle; see chi_square.py for how seldom a
correct sampler fails.
"""

import support  # first: it skips the test where NumPy or SciPy is missing

import numpy as np

import chi_square
import oracle
import rows

COUNT = 10_000_000 if support.LONG else 1_000_000
SHAPES = [rows.flat, rows.peaked, rows.zipf]
VOCAB = 500


class Draws(support.ConformanceTest):
    def follow_the_oracle(self, params, vocab=VOCAB):
        for shape in SHAPES:
            with self.subTest(shape=shape.__name__):
                logits = shape(self.rng, vocab)
                ids = self.draws(logits, params, COUNT)[0]
                chi_square.check(self, ids, oracle.distribution(logits, params).probability)

    def test_plain(self):
        self.follow_the_oracle({})

    def test_of_a_temperature(self):
        for temperature in [0.3, 0.7, 1.5]:
            with self.subTest(temperature=temperature):
                self.follow_the_oracle({"temperature": temperature})

    def test_of_min_p(self):
        self.follow_the_oracle({"min_p": 0.02})

    def test_of_top_k(self):
        self.follow_the_oracle({"top_k": 40})

    def test_of_top_p(self):
        self.follow_the_oracle({"top_p": 0.8})

    def test_of_all_filters(self):
        params = {"temperature": 0.8, "min_p": 0.01, "top_k": 60, "top_p": 0.9}
        self.follow_the_oracle(params)

    def test_of_edits(self):
        self.follow_the_oracle(self.some_edits())

    def test_of_edits_and_filters(self):
        filters = {"temperature": 1.3, "min_p": 0.001, "top_k": 100, "top_p": 0.95}
        self.follow_the_oracle({**self.some_edits(), **filters})

    def some_edits(self):
        ids = self.rng.permutation(VOCAB).tolist()
        words = self.rng.integers(2**32, size=(VOCAB + 31) // 32).tolist()
        return {
            "bitmask": [word | 0x0F0F0F0F for word in words],
            "banned": ids[:20],
            "logit_bias": {str(i): bias for i, bias in zip(ids[10:60], np.linspace(-2, 4, 50))},
            "prompt_ids": ids[50:100],
            "output_ids": ids[80:120] + ids[90:110],
            "repetition_penalty": 1.2,
            "frequency_penalty": 0.3,
            "presence_penalty": 0.4,
        }

    def test_of_a_single_tile_and_less(self):
        for vocab in [2, 15, 16, 17]:
            with self.subTest(vocab=vocab):
                self.follow_the_oracle({}, vocab)

    def test_of_tiles_with_one_id_and_with_many(self):
        """A few draws of each of many rows, which are alike: a tile of 16 ids against one id."""
        logits = np.full(32, -np.inf, np.float32)
        logits[:16] = 0
        logits[20] = np.log(16)
        p = oracle.distribution(logits, {}).probability
        ids = self.draws(np.tile(logits, (50_000, 1)), {}, 10)
        chi_square.check(self, ids.ravel(), p)
        chi_square.check(self, (ids.ravel() == 20).astype(int), np.array([1 - p[20], p[20]]))

    def test_of_a_large_vocabulary(self):
        vocab, group = 128_256, 334
        count = COUNT // 20
        for shape in SHAPES:
            with self.subTest(shape=shape.__name__):
                logits = shape(self.rng, vocab)
                ids = self.draws(logits, {}, count)[0]
                p = oracle.distribution(logits, {}).probability
                p = np.bincount(np.arange(vocab) // group, weights=p)
                chi_square.check(self, ids // group, p)

    def test_of_a_position_far_out(self):
        logits = rows.uneven(self.rng, 100)
        p = oracle.distribution(logits, {}).probability
        for position in [2**32 - COUNT // 2, 2**63]:
            ids = self.draws(logits, {}, COUNT, "--position", position)[0]
            chi_square.check(self, ids, p)


class Sight(support.ConformanceTest):
    """The tests above would see a sampler that is slightly wrong."""

    def see(self, params, wrong):
        logits = rows.zipf(self.rng, VOCAB)
        ids = self.draws(logits, params, 1_000_000)[0]
        p = oracle.distribution(logits, wrong).probability
        with self.assertRaises(AssertionError):
            chi_square.check(self, ids, p)

    def test_sees_a_temperature_that_is_off_by_one_percent(self):
        self.see({"temperature": 1.0}, {"temperature": 1.01})

    def test_sees_one_id_too_few_or_too_many(self):
        self.see({"top_k": 100}, {"top_k": 99})
        self.see({"top_k": 100}, {"top_k": 101})

    def test_sees_counts_that_are_too_regular(self):
        ids = np.tile(np.arange(50), 20_000)
        with self.assertRaises(AssertionError):
            chi_square.check(self, ids, np.full(50, 1 / 50))


if __name__ == "__main__":
    support.main()
