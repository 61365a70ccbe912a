# SPDX-License-Identifier: Apache-2.0
"""Do counts come from a distribution? Pearson's chi-square, both tails.

False alarms. A correct sampler fails one test with probability SIGNIFICANCE, so by Bonferroni it
fails any of the at most MOST_TESTS tests of a file with probability ALARM, for a random seed. The
seed is fixed (RZ_TEST_SEED), so a test that passes once passes always.
"""

import numpy as np
import scipy.stats

ALARM = 1e-6
MOST_TESTS = 200
SIGNIFICANCE = ALARM / MOST_TESTS
LEAST_EXPECTED = 25  # of a cell: fewer, and the tail is no longer that of chi-square

tests_made = 0


def pooled(counts, expected):
    """Cells with a small expectation become one, together with the next larger if need be."""
    order = np.argsort(-expected)
    counts, expected = counts[order], expected[order]
    cells = np.searchsorted(-expected, -LEAST_EXPECTED, side="right")
    while cells > 0 and cells < len(expected) and expected[cells:].sum() < LEAST_EXPECTED:
        cells -= 1
    if cells == len(expected):
        return counts, expected
    return (
        np.append(counts[:cells], counts[cells:].sum()),
        np.append(expected[:cells], expected[cells:].sum()),
    )


def p_value(counts, probability):
    """Two-sided: too far off, or suspiciously near. 1 if there is only one cell."""
    global tests_made
    tests_made += 1
    assert tests_made <= MOST_TESTS, "raise MOST_TESTS"
    counts, expected = pooled(counts, probability * counts.sum())
    if len(counts) == 1:
        return 1.0
    statistic = ((counts - expected) ** 2 / expected).sum()
    law = scipy.stats.chi2(len(counts) - 1)
    return 2 * min(law.sf(statistic), law.cdf(statistic))


def check(test, ids, probability):
    """`ids` were drawn, independently, with these probabilities."""
    counts = np.bincount(ids, minlength=len(probability))
    test.assertEqual(len(counts), len(probability), "an id past the vocabulary")
    test.assertEqual(counts[probability == 0].sum(), 0, "ids that are not kept")
    p = p_value(counts, probability)
    test.assertGreater(p, SIGNIFICANCE, "chi-square of %d draws" % counts.sum())
