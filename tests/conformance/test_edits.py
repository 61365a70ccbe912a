# SPDX-License-Identifier: Apache-2.0
"""Edits of logits, one at a time and in their order, and on each fp32 value alike.

With 20 ids or fewer the processed logprobs show every logit that is left, up to a constant.
"""

import support  # first: it skips the test where NumPy or SciPy is missing

import math

import numpy as np

import oracle

ROWS = 20_000 if support.LONG else 2000
TOLERANCE = 2e-7


class Edits(support.ConformanceTest):
    def left(self, logits, **params):
        """Logits after the edits, less that of the best; None where they are -inf."""
        args = ["--logprobs", 20, *support.PROCESSED]
        report = self.reports(np.array(logits, np.float32), params, *args)[0]
        top = report["top_logprobs"]
        left = {t["id"]: t["logprob"] - top[0]["logprob"] for t in top}
        return [left.get(i) for i in range(len(logits))]

    def leaves(self, expected, logits, **params):
        left = self.left(logits, **params)
        self.assertEqual([v is None for v in left], [v is None for v in expected], left)
        best = max(v for v in expected if v is not None)
        for got, want in zip(left, expected):
            if want is not None:
                self.assertAlmostEqual(got, want - best, delta=2e-6, msg=left)

    def test_allowed_bitmask_and_banned_go_together(self):
        bitmask = [0b11110]
        x = [0, 1, 2, 3, 4]
        self.leaves([None, 1, 2, None, 4], x, allowed=[1, 2, 4])
        self.leaves([None, 1, 2, 3, 4], x, bitmask=bitmask)
        self.leaves([None, 1, None, 3, 4], x, bitmask=bitmask, banned=[2, 0])
        self.leaves([None, None, 2, None, 4], x, bitmask=bitmask, allowed=[0, 2, 4])

    def test_bits_of_a_bitmask_past_32(self):
        x = np.full(100, -math.inf)
        x[[31, 32, 63, 64, 99]] = 1
        left = self.left(x, bitmask=[0, 1, 1, 8])
        self.assertEqual([i for i, v in enumerate(left) if v is not None], [32, 64, 99])

    def test_a_bias_does_not_bring_back_what_is_not_allowed(self):
        x = [0, 1, 2, 3]
        self.leaves([None, 1, 2, 3], x, banned=[0], logit_bias={"0": 100})
        self.leaves([None, 1, None, None], x, allowed=[1], logit_bias={"0": 100, "1": 5})
        self.leaves([None, 1, 2, 3], x, bitmask=[0b1110], logit_bias={"0": 100})

    def test_stop_ids_come_back_with_min_tokens(self):
        x = [0, 1, 2, 3]
        self.leaves([None, 1, 2, None], x, stop_ids=[0, 3], min_tokens=3, output_ids=[1, 2])
        self.leaves([0, 1, 2, 3], x, stop_ids=[0, 3], min_tokens=2, output_ids=[1, 2])
        self.leaves([0, 1, 2, 3], x, stop_ids=[0, 3])
        # The prompt does not count, and an id counts as often as it is there.
        self.leaves([None, 1, 2, 3], x, stop_ids=[0], min_tokens=1, prompt_ids=[1, 2])
        self.leaves([0, 1, 2, 3], x, stop_ids=[0], min_tokens=3, output_ids=[1, 1, 1])

    def test_bias_is_added(self):
        self.leaves([101, 1, -98, 3], [1, 1, 2, 3], logit_bias={"0": 100, "2": -100})

    def test_a_bias_named_twice_counts_twice(self):
        """On the command line; a name is in a JSON object once."""
        np.save(self.path("x.npy"), np.zeros(3, np.float32))
        args = ["--logprobs", 3, *support.PROCESSED, "--logit-bias", "1:0.5,1:0.25"]
        top = self.sample_json(self.path("x.npy"), *args)[0]["top_logprobs"]
        self.assertEqual([t["id"] for t in top], [1, 0, 2])
        self.assertAlmostEqual(top[0]["logprob"] - top[1]["logprob"], 0.75, delta=1e-6)

    def test_repetition_penalty_of_prompt_and_output(self):
        x = [2, 2, 2, -2, -2, 0]
        history = {"prompt_ids": [0, 3, 5, 0], "output_ids": [1, 1, 0]}
        self.leaves([1, 1, 2, -4, -2, 0], x, repetition_penalty=2, **history)
        self.leaves([4, 4, 2, -1, -2, 0], x, repetition_penalty=0.5, **history)

    def test_frequency_and_presence_penalty_of_output_only(self):
        history = {"prompt_ids": [0, 1, 1], "output_ids": [1, 2, 2, 2]}
        self.leaves([0, -0.5, -1.5, 0], [0] * 4, frequency_penalty=0.5, **history)
        self.leaves([0, -0.5, -0.5, 0], [0] * 4, presence_penalty=0.5, **history)
        self.leaves([0, 3, 7, 0], [0] * 4, frequency_penalty=-2, presence_penalty=-1, **history)

    def test_bias_comes_before_repetition_penalty(self):
        """-1 + 3 = 2 is positive and halved; after the penalty it would be -2 + 3."""
        self.leaves([1, 0], [-1, 0], logit_bias={"0": 3}, repetition_penalty=2, prompt_ids=[0])

    def test_repetition_penalty_comes_before_the_others(self):
        """4 / 2 - 3 - 1 = -2; after them it would be 0."""
        history = {"output_ids": [0, 0, 0]}
        penalties = {"repetition_penalty": 2, "frequency_penalty": 1, "presence_penalty": 1}
        self.leaves([-2, 0], [4, 0], **penalties, **history)

    def test_edits_come_before_temperature(self):
        self.leaves([3, 0], [0.5, 0], logit_bias={"0": 1}, temperature=0.5)

    def test_a_penalty_does_not_bring_back_minus_infinity(self):
        x = [-math.inf, 0, 1]
        both = {"repetition_penalty": 0.01, "presence_penalty": -100, "output_ids": [0]}
        self.leaves([None, 0, 1], x, **both)

    def test_overflow_is_infinity(self):
        """3e38 / 0.5 is +inf in fp32 and wins; -3e38 * 2 is -inf and is not drawn."""
        self.leaves([None, 0], [3e38, 3e38], repetition_penalty=0.5, prompt_ids=[1])
        self.leaves([None, -3e38], [-3e38, -3e38], repetition_penalty=2, prompt_ids=[0])

    def random_edits(self, vocab):
        rng = self.rng

        def ids(most):
            return rng.integers(vocab, size=rng.integers(most)).tolist()

        return {
            "bitmask": [int(rng.integers(2**32)) | int(rng.integers(2**32))],
            "banned": ids(3),
            "stop_ids": ids(4),
            "min_tokens": int(rng.integers(12)),
            "logit_bias": {str(i): float(rng.normal(0, 30)) for i in ids(6)},
            "prompt_ids": ids(12),
            "output_ids": ids(20),
            "repetition_penalty": float(rng.choice([0.01, 0.7, 1, 1.1, 3, 100])),
            "frequency_penalty": float(rng.choice([-100, -0.3, 0, 0.1, 1.7])),
            "presence_penalty": float(rng.choice([-1.1, 0, 0.3, 100])),
        }

    def test_all_of_them_at_random(self):
        vocab = 20
        logits = self.rng.normal(0, 10, (ROWS, vocab)).astype(np.float32)
        logits[self.rng.random(logits.shape) < 0.05] = -np.inf
        params = [self.random_edits(vocab) for _ in logits]
        args = ["--logprobs", 20, *support.PROCESSED]
        for i, report in enumerate(self.reports(logits, params, *args)):
            with self.subTest(row=i, params=params[i]):
                right = oracle.distribution(logits[i], params[i])
                order = [] if right is None else right.order
                top = report.get("top_logprobs", [])
                self.assertEqual([t["id"] for t in top], list(order))
                for t in top:
                    want = right.logprob[t["id"]]
                    self.assertAlmostEqual(t["logprob"], want, delta=TOLERANCE * (1 - want))


if __name__ == "__main__":
    support.main()
