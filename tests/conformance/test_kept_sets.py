# SPDX-License-Identifier: Apache-2.0
"""What filters keep, in vocabularies of every size, is what the oracle keeps.

Processed logprobs show it: --logprobs 20 lists the likeliest of the kept ids. Where at most 20 are
kept these are all. Where there are more, the logprobs still tell the mass of all that is kept, as
fp32 to 1e-7: an id more or less is seen if it has 1e-6 of the mass. test_kept_ids.py sees the rest.
"""

import support  # first: it skips the test where NumPy or SciPy is missing

import itertools
import math

import numpy as np

import oracle
import rows

SHOWN = 20
TOLERANCE = 1e-7  # of a logprob, absolute and relative: fp32 rounds by 6e-8 of it
VOCABS = [1, 2, 15, 16, 17, 111, 32_000, 128_256]
if support.LONG:
    VOCABS += [151_936, 256_000, 262_144]

TOP_K = [1, 10, 50, 100, 500]
TOP_P = [0.1, 0.5, 0.9, 0.95, 0.99, 1]
MIN_P = [0.05, 0.1, 0.2, 0.5, 0.7, 0.9999999]
TEMPERATURES = [1e-6, 1e-5, 0.01, 0.5, 1, 1.5, 10, 100]


def one_filter(vocab):
    return (
        [{"top_k": k} for k in [*TOP_K, vocab]]
        + [{"top_p": p} for p in TOP_P]
        + [{"min_p": p} for p in MIN_P]
        + [{"temperature": t} for t in TEMPERATURES]
    )


def joint_filters(rng):
    return {
        "temperature": float(rng.choice(TEMPERATURES)),
        "top_k": int(rng.choice([0, *TOP_K])),
        "top_p": float(rng.choice(TOP_P)),
        "min_p": float(rng.choice([0, 0.001, *MIN_P])),
    }


def edits(rng, vocab):
    """A bitmask, biases of +-100, banned ids and penalties."""
    ids = rng.integers(vocab, size=40).tolist()
    chosen = {
        "bitmask": rng.integers(2**32, size=(vocab + 31) // 32).tolist(),
        "logit_bias": {str(i): float(rng.choice([-100, -1.5, 0, 3, 100])) for i in ids[:6]},
        "banned": ids[6:9],
        "prompt_ids": ids[10:20],
        "output_ids": ids[15:40],
        "repetition_penalty": 1.3,
        "frequency_penalty": 0.4,
        "presence_penalty": -0.6,
    }
    return {name: value for name, value in chosen.items() if rng.random() < 0.6}


class KeptSets(support.ConformanceTest):
    def setUp(self):
        super().setUp()
        self.rows = self.all_seen = self.unsure = 0

    def check_row(self, report, logits, params):
        right = oracle.distribution(logits, params)
        self.rows += 1
        if right is None:
            self.assertEqual((report["ids"], report["status"]), ([-1], "no_token"))
            return
        top = report["top_logprobs"]
        if right.unsure.any() and not self.agrees(top, right):
            self.unsure += 1
            right = self.other_side(right)
        self.all_seen += len(right.order) <= SHOWN
        self.assertEqual([t["id"] for t in top], right.order[:SHOWN].tolist())
        self.assertTrue(self.agrees(top, right), (top, right.logprob[right.order[:SHOWN]]))
        self.assertTrue(right.kept[report["ids"]].all(), "an id that is not kept was drawn")

    @staticmethod
    def agrees(top, right):
        shown = right.order[:SHOWN]
        ids = [t["id"] for t in top]
        logprobs = support.numbers([t["logprob"] for t in top])
        with np.errstate(over="ignore"):
            expected = right.logprob[shown].astype(np.float32)
        return ids == shown.tolist() and np.allclose(logprobs, expected, TOLERANCE, TOLERANCE)

    @staticmethod
    def other_side(right):
        """The distribution where what is unsure has been decided the other way."""
        return oracle.of_kept(right.y, right.kept ^ right.unsure, right.unsure)

    def check(self, stored, logits, params, *args):
        """`stored` are the rows of the file, `logits` the same in fp32 and without padding."""
        args = ["--logprobs", SHOWN, *support.PROCESSED, *args]
        for i, report in enumerate(self.reports(stored, params, *args)):
            with self.subTest(row=i, vocab=len(logits[i]), params=params[i]):
                self.check_row(report, logits[i], params[i])

    def check_kinds(self, vocab, params):
        kinds = [rows.KINDS[i % len(rows.KINDS)] for i in range(len(params))]
        logits = np.stack([kind(self.rng, vocab) for kind in kinds])
        self.check(logits, logits, params)
        self.assertGreaterEqual(self.all_seen, self.rows / 4, "rows that show all that they keep")

    def tearDown(self):
        self.assertLessEqual(self.unsure, self.rows / 100, "rows that are undecided")

    def test_of_one_filter(self):
        for vocab in VOCABS:
            params = one_filter(vocab) * self.repetitions(vocab, 10, 3)
            self.check_kinds(vocab, self.rng.permutation(params).tolist())

    def test_of_joint_filters(self):
        for vocab in VOCABS:
            count = self.repetitions(vocab, 400, 60)
            self.check_kinds(vocab, [joint_filters(self.rng) for _ in range(count)])

    def test_of_edits_and_joint_filters(self):
        for vocab in VOCABS:
            count = self.repetitions(vocab, 400, 40)
            params = [{**joint_filters(self.rng), **edits(self.rng, vocab)} for _ in range(count)]
            self.check_kinds(vocab, params)

    @staticmethod
    def repetitions(vocab, small, large):
        return (small if vocab < 1000 else large) * (5 if support.LONG else 1)

    def test_of_padding(self):
        """Columns past --vocab-size are nobody's best id."""
        padded = np.full((60, 130), 50.0, np.float32)
        for row in padded:
            row[:111] = rows.steep(self.rng, 111)
        params = [joint_filters(self.rng) for _ in padded]
        self.check(padded, padded[:, :111], params, "--vocab-size", 111)

    def test_of_half_precision(self):
        params = [joint_filters(self.rng) for _ in range(100)]
        logits = np.stack([rows.uneven(self.rng, 111) for _ in params])
        half = logits.astype(np.float16)
        self.check(half, half.astype(np.float32), params)
        self.check(*support.bfloat16(logits), params)


class ThinTail(support.ConformanceTest):
    def test_a_nucleus_may_end_where_ids_have_next_to_no_mass(self):
        """One id has nearly all of the mass; of what the others have together, half stays."""
        for vocab, depth in itertools.product([32_000, 128_256], [16, 20, 24, 28, 32, 35]):
            with self.subTest(vocab=vocab, depth=depth):
                tail = vocab * 2.0**-depth
                logits = rows.flat(self.rng, vocab) - np.float32(depth * math.log(2))
                logits[self.rng.integers(vocab)] = 0
                params = {"top_p": 1 - tail / (1 + tail) / 2}

                args = ["--logprobs", 1, *support.PROCESSED]
                best = self.reports(logits, params, *args)[0]["top_logprobs"][0]
                right = oracle.distribution(logits, params).logprob[best["id"]]
                kept, expected = math.expm1(-best["logprob"]), math.expm1(-right)
                self.assertAlmostEqual(kept / expected, 1, delta=0.01)


if __name__ == "__main__":
    support.main()
