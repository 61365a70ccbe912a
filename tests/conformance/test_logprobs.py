# SPDX-License-Identifier: Apache-2.0
"""Logprobs, ranks and the likeliest ids, raw and processed, against a float64 log-softmax.

Tolerance. A logprob is a fp32 number, 2^-24 of it off at most. A raw one comes from y = x * log2(e)
in fp32, where product and factor are each off by 2^-24 of y: of x, and of the best x, whose
difference it is. A processed one has no such error, as the contract defines y to be in fp32.
Masses are integers, 2^-44 of the best: with 2^18 ids that is 2^-26 of their sum.
"""

import support  # first: it skips the test where NumPy or SciPy is missing

import numpy as np

import oracle
import rows

EPSILON = 2.0**-23
DRAWS = 5
SHOWN = 20
VOCABS = [1, 17, 1000, 128_256] + ([32_000, 151_936, 262_144] if support.LONG else [])
PROCESSING = {
    "temperature": 0.7,
    "top_k": 50,
    "top_p": 0.9,
    "min_p": 0.01,
    "logit_bias": {"0": 3.5},
    "output_ids": [0, 0],
    "frequency_penalty": 0.5,
}


def on_a_grid(logits):
    """Multiples of 2^-9: with few digits, no two of them become one when multiplied in fp32."""
    return np.round(logits * 512) / np.float32(512)


def with_holes(rng, vocab):
    x = rows.uneven(rng, vocab)
    x[1:][rng.random(vocab - 1) < 0.5] = -np.inf
    return x


def with_nan(rng, vocab):
    x = rows.uneven(rng, vocab)
    x[1:][rng.random(vocab - 1) < 0.5] = np.nan
    return x


def scaled_up(rng, vocab):
    return on_a_grid(rows.uneven(rng, vocab)) * np.float32(2.0**100)


KINDS = [rows.flat, rows.uneven, rows.zipf, rows.peaked, rows.steps]
KINDS += [with_holes, with_nan, scaled_up]


class Logprobs(support.ConformanceTest):
    def test_never_are_positive(self):
        """Masses are cut to integers; a share of all is no more than all for that."""
        logits = np.stack([rows.uneven(self.rng, 40) for _ in range(200)])
        for params in [{"top_k": 1}, {"top_p": 1e-6}, {"min_p": 0.999}, {"temperature": 0.01}]:
            params = {**params, "logprobs": 1, "logprobs_mode": "processed"}
            for report in self.reports(logits, params):
                self.assertLessEqual(report["logprob"][0], 0, params)
                if params.get("top_k") == 1:
                    self.assertEqual(report["logprob"][0], 0)

    def near(self, got, expected, slack):
        """`got` are numbers of the JSON output, `slack` is what may be off beside rounding."""
        got = support.numbers(got)
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(got[~finite], expected[~finite])
        off = np.abs(got - expected)[finite]
        self.assertTrue((off <= EPSILON * (1 + np.abs(expected))[finite] + slack[finite]).all())

    def check_report(self, report, value, logprob, slack):
        """`value` orders the ids; equal values are equally likely."""
        ids = np.array(report["ids"])
        self.near(report["logprob"], logprob[ids], slack[ids])
        self.assertEqual(report["rank"], [1 + int((value > value[i]).sum()) for i in ids])

        shown = oracle.best_first(value, np.isfinite(logprob))[:SHOWN]
        self.assertEqual([top["id"] for top in report["top_logprobs"]], shown.tolist())
        self.near([t["logprob"] for t in report["top_logprobs"]], logprob[shown], slack[shown])

    def check_raw(self, report, logits):
        x = np.where(np.isnan(logits), -np.inf, logits).astype(np.float64)
        size = np.where(np.isfinite(x), np.abs(x), 0)
        slack = EPSILON * (size + size[x.argmax()])
        self.check_report(report, x, oracle.raw_logprobs(logits), slack)

    def check_processed(self, report, logits, params):
        right = oracle.distribution(logits, params)
        self.assertFalse(right.unsure.any(), "choose other rows")
        value = np.where(right.kept, right.y, -np.inf)
        self.check_report(report, value, right.logprob, np.zeros(len(logits)))

    def reports_of(self, logits, params, *mode):
        args = [*mode, "--logprobs", SHOWN, "--count", DRAWS]
        return self.reports(logits, params, *args)

    def each(self, params, mode, check):
        for vocab in VOCABS:
            logits = np.stack([on_a_grid(kind(self.rng, vocab)) for kind in KINDS])
            for kind, row, report in zip(KINDS, logits, self.reports_of(logits, params, *mode)):
                with self.subTest(vocab=vocab, kind=kind.__name__):
                    check(report, row)

    def test_raw(self):
        self.each({}, support.RAW, self.check_raw)

    def test_raw_is_of_the_logits_as_they_came(self):
        """Whatever is done to them before the draw."""
        self.each(PROCESSING, support.RAW, self.check_raw)
        self.each({"temperature": 0}, support.RAW, self.check_raw)

    def test_processed(self):
        for params in [{}, PROCESSING, {"temperature": 0}, {"temperature": 30}]:
            self.each(params, support.PROCESSED, lambda r, x: self.check_processed(r, x, params))

    def test_processed_of_many_temperatures(self):
        logits = np.stack([rows.uneven(self.rng, 100) for _ in range(200)])
        params = [{"temperature": float(10 ** self.rng.uniform(-6, 3))} for _ in logits]
        for i, report in enumerate(self.reports_of(logits, params, *support.PROCESSED)):
            with self.subTest(params=params[i]):
                self.check_processed(report, logits[i], params[i])

    def test_fewer_are_shown_if_fewer_are_asked_for_or_there(self):
        logits = np.array([[0, 3, 2, -np.inf, 1]], np.float32)
        for asked, shown in [(1, [1]), (3, [1, 2, 4]), (20, [1, 2, 4, 0])]:
            report = self.reports(logits, {}, "--logprobs", asked)[0]
            self.assertEqual([top["id"] for top in report["top_logprobs"]], shown)


class Extremes(support.ConformanceTest):
    def report(self, logits, *args, **params):
        args = ["--logprobs", SHOWN, *args]
        return self.reports(np.array(logits, np.float32), params, *args)[0]

    def shows(self, expected, report):
        self.assertEqual([(t["id"], t["logprob"]) for t in report["top_logprobs"]], expected)

    def test_plus_infinity_takes_all(self):
        x = [1, np.inf, 2, np.nan]
        for mode in [support.RAW, support.PROCESSED]:
            report = self.report(x, *mode)
            self.assertEqual((report["ids"], report["rank"]), ([1], [1]))
            self.assertEqual(report["logprob"], [0])
            self.shows([(1, 0)], report)

    def test_several_plus_infinities_share_and_the_first_is_drawn(self):
        x = [1, np.inf, 2, np.inf]
        half = float(np.float32(-np.log(2)))
        report = self.report(x, *support.RAW)
        self.assertEqual((report["ids"], report["rank"]), ([1], [1]))
        self.assertAlmostEqual(report["logprob"][0], half, delta=1e-7)
        self.assertEqual([t["id"] for t in report["top_logprobs"]], [1, 3])
        self.shows([(1, 0)], self.report(x, *support.PROCESSED))

    def test_an_id_that_edits_made_possible_has_no_raw_probability(self):
        """+inf at 1 takes all; it is banned, and 2 is drawn."""
        report = self.report([-100, np.inf, 2], *support.RAW, banned=[1])
        self.assertEqual((report["ids"], report["logprob"], report["rank"]), ([2], [None], [2]))
        self.shows([(1, 0)], report)

    def test_nan_is_minus_infinity_and_told(self):
        report = self.report([np.nan, 0, np.nan, 0], *support.RAW)
        self.assertEqual(report["status"], "nan")
        self.assertEqual([t["id"] for t in report["top_logprobs"]], [1, 3])
        self.assertAlmostEqual(report["top_logprobs"][0]["logprob"], -np.log(2), delta=1e-7)

    def test_nothing_is_left(self):
        for x, status in [([-np.inf] * 3, "no_token"), ([np.nan] * 3, "no_token+nan")]:
            report = self.report(x)
            self.assertEqual((report["ids"], report["status"]), ([-1], status))
            self.assertEqual((report["rank"], report["top_logprobs"]), ([0], []))
        self.assertEqual(self.report([1, 2], banned=[0, 1])["status"], "no_token")

    def test_other_rows_are_as_without_those(self):
        good = rows.uneven(self.rng, 50)
        bad = [np.full(50, v, np.float32) for v in [-np.inf, np.nan, np.inf]]
        params = [{"seed": 7, "position": 3}] * 5
        args = ["--logprobs", 5]
        reports = self.reports(np.stack([good, *bad, good]), params, *args)
        alone = self.reports(good, params[0], *args)[0]
        self.assertEqual(reports[0], alone)
        self.assertEqual({**reports[4], "row": 0}, alone)

    def test_the_largest_floats(self):
        most = float(np.finfo(np.float32).max)
        for mode in [support.RAW, support.PROCESSED]:
            report = self.report([-most, most, 0, most], *mode)
            half = -np.log(2)
            top = report["top_logprobs"]
            self.assertEqual([t["id"] for t in top], [1, 3, 2, 0])
            np.testing.assert_allclose([t["logprob"] for t in top[:2]], half, rtol=1e-7)
            self.assertIn(report["ids"][0], [1, 3])

    def test_the_smallest_floats_are_all_alike(self):
        tiny = 2.0**-149
        report = self.report([tiny, -tiny, 0, -0.0], *support.RAW)
        for top in report["top_logprobs"]:
            self.assertAlmostEqual(top["logprob"], -np.log(4), delta=2e-7)


if __name__ == "__main__":
    support.main()
