# SPDX-License-Identifier: Apache-2.0
"""Exactly on the boundary of each filter: worked out by hand, without the oracle.

At the temperature log2(e) the factor c of y = x * c is 1 as fp32, so that logits are powers of two
and masses are exact: logits 0, -1, -2, -3, -3 have 8, 4, 2, 1 and 1 sixteenths.
"""

import support  # first: it skips the test where NumPy or SciPy is missing

import math

import numpy as np

LOG2_E = float(np.float32(math.log2(math.e)))
HALVES = [0, -1, -2, -3, -3]
UP = 2.0**-24  # from one float to the next in [1/2, 1)


class Boundaries(support.ConformanceTest):
    def kept(self, logits, **params):
        params = {"temperature": LOG2_E, **params}
        args = ["--logprobs", 20, *support.PROCESSED]
        report = self.reports(np.array(logits, np.float32), params, *args)[0]
        return [top["id"] for top in report["top_logprobs"]]

    def keeps(self, ids, logits, **params):
        self.assertEqual(self.kept(logits, **params), ids, params)

    def test_masses_are_powers_of_two(self):
        args = ["--logprobs", 5, *support.PROCESSED]
        report = self.reports(np.array(HALVES, np.float32), {"temperature": LOG2_E}, *args)[0]
        logprobs = [top["logprob"] for top in report["top_logprobs"]]
        expected = [math.log(n / 16) for n in [8, 4, 2, 1, 1]]
        np.testing.assert_allclose(logprobs, expected, rtol=1e-7)

    def test_top_p_drops_an_id_whose_mass_above_is_just_p(self):
        self.keeps([0], HALVES, top_p=0.5)
        self.keeps([0, 1], HALVES, top_p=0.75)
        self.keeps([0, 1, 2], HALVES, top_p=0.875)

    def test_top_p_keeps_an_id_whose_mass_above_is_less(self):
        self.keeps([0, 1], HALVES, top_p=0.5 + UP)
        self.keeps([0, 1, 2], HALVES, top_p=0.75 + UP)
        self.keeps([0, 1, 2, 3, 4], HALVES, top_p=0.875 + UP)

    def test_top_p_drops_an_id_whose_mass_above_is_more(self):
        self.keeps([0], HALVES, top_p=0.5 - UP / 2)
        self.keeps([0, 1], HALVES, top_p=0.75 - UP)
        self.keeps([0, 1, 2], HALVES, top_p=0.875 - UP)

    def test_top_p_keeps_the_best_id_however_small_it_is(self):
        self.keeps([0], HALVES, top_p=1e-30)
        self.keeps([2, 5], [0, 0, 1, 0, 0, 1], top_p=1e-30)

    def test_top_p_keeps_all_that_tie_or_none(self):
        fours = [-2, -2, -1, -2, -2, -3]  # 4, 4, 8, 4, 4 and 2 parts of 26
        self.keeps([2], fours, top_p=8 / 26 - 1e-6)
        self.keeps([2, 0, 1, 3, 4], fours, top_p=8 / 26 + 1e-6)
        self.keeps([2, 0, 1, 3, 4], fours, top_p=24 / 26 - 1e-6)
        self.keeps([2, 0, 1, 3, 4, 5], fours, top_p=24 / 26 + 1e-6)

    def test_top_p_of_one_keeps_what_is_next_to_nothing(self):
        self.keeps([0, 1, 2], [0, -1000, -1e30], top_p=1)

    def test_top_p_is_of_what_top_k_left(self):
        self.keeps([0, 1], HALVES, top_k=3, top_p=0.8)  # 8 and 4 of 14: 0.857
        self.keeps([0, 1, 2], HALVES, top_k=3, top_p=0.86)
        self.keeps([0, 1, 2], HALVES, top_p=0.8)

    def test_top_p_is_of_what_min_p_left(self):
        self.keeps([0], HALVES, min_p=0.5, top_p=0.66)  # 8 of 12
        self.keeps([0, 1], HALVES, min_p=0.5, top_p=0.67)
        self.keeps([0, 1], HALVES, top_p=0.66)

    def test_top_k_keeps_all_that_tie_with_the_kth(self):
        logits = [1, 3, 2, 2, 4, 2, 0]
        self.keeps([4], logits, top_k=1)
        self.keeps([4, 1], logits, top_k=2)
        for k in [3, 4, 5]:
            self.keeps([4, 1, 2, 3, 5], logits, top_k=k)
        self.keeps([4, 1, 2, 3, 5, 0], logits, top_k=6)
        self.keeps([0, 1, 2], [5, 5, 5], top_k=1)

    def test_top_k_counts_what_is_finite(self):
        self.keeps([3, 1], [-math.inf, 0, -math.inf, 1], top_k=3)
        self.keeps([3, 1], [-math.inf, 0, math.nan, 1], top_k=2)

    def test_top_k_sees_ties_of_y_and_not_of_logits(self):
        """At a large temperature neighbours become one: 1 and 1 + 2^-23, times 2^-149, say."""
        tiny = [1.5 * 2.0**-126, 1.25 * 2.0**-126, -1]
        self.keeps([0, 1], tiny, top_k=1, temperature=LOG2_E * 2.0**24)

    def test_min_p_keeps_an_id_that_is_just_so_likely(self):
        self.keeps([0, 1], HALVES, min_p=0.5)
        self.keeps([0, 1, 2, 3, 4], HALVES, min_p=0.125)

    def test_min_p_drops_an_id_that_is_less_likely(self):
        self.keeps([0], HALVES, min_p=0.5 + UP)
        self.keeps([0, 1, 2], HALVES, min_p=0.125 + UP)

    def test_min_p_next_to_one_keeps_the_best_and_its_ties(self):
        self.keeps([1, 3], [0, 2, 2 - 2.0**-10, 2], min_p=1 - UP)

    def test_min_p_next_to_zero_keeps_nearly_all(self):
        self.keeps([0, 1], [0, -148, -150], min_p=2.0**-149)

    def test_greedy_takes_the_lowest_of_the_best(self):
        for temperature in [0, 1e-30, 9.9e-6]:
            self.keeps([2], [1, 0, 3, 2.9999998, 3], temperature=temperature, top_k=5, top_p=0.5)

    def test_the_least_temperature_that_is_not_greedy(self):
        self.keeps([2, 4, 0, 1, 3], [0, 0, 1, -1, 1], temperature=1e-5)

    def test_temperature_of_fp32_decides_what_is_greedy(self):
        below = float(np.nextafter(np.float32(1e-5), np.float32(0)))
        self.keeps([2], [0, 0, 1, -1, 1], temperature=below)


if __name__ == "__main__":
    support.main()
