# SPDX-License-Identifier: Apache-2.0
"""Rows of logits of every shape, [vocab] of fp32."""

import numpy as np


def flat(rng, vocab):
    """All about as likely, no two quite so."""
    return rng.uniform(-0.05, 0.05, vocab).astype(np.float32)


def uneven(rng, vocab):
    return rng.normal(0, 2, vocab).astype(np.float32)


def zipf(rng, vocab):
    """Probabilities as 1 / rank, in any order."""
    return -np.log(1.0 + rng.permutation(vocab)).astype(np.float32)


def peaked(rng, vocab):
    """A few ids have nearly all of the mass, as when a model is sure."""
    x = rng.normal(0, 1, vocab)
    x[rng.integers(vocab, size=3)] += 9.0
    return x.astype(np.float32)


def steep(rng, vocab):
    """Falls so fast that a nucleus is small in any vocabulary."""
    return (-0.4 * rng.permutation(vocab) + rng.normal(0, 0.1, vocab)).astype(np.float32)


def steps(rng, vocab):
    """Many ties everywhere."""
    return (np.floor(rng.normal(0, 3, vocab) * 2) / 2).astype(np.float32)


def steep_steps(rng, vocab):
    """Ties of three from the top down."""
    return (-(rng.permutation(vocab) // 3) * 0.7).astype(np.float32)


def few(rng, vocab):
    """At most 20 ids, anywhere; -inf otherwise. Some of them tie."""
    x = np.full(vocab, -np.inf, np.float32)
    ids = rng.integers(vocab, size=20)
    x[ids] = np.round(rng.normal(0, 2, 20), 1)
    return x


def equal(rng, vocab):
    return np.full(vocab, rng.normal(), np.float32)


def wide(rng, vocab):
    """Of every size that a float can have."""
    return (rng.choice([-1.0, 1.0], vocab) * 10.0 ** rng.uniform(-40, 38, vocab)).astype(np.float32)


def shelf(rng, vocab, ids):
    """`ids` ids about as likely as one another; the others hardly ever drawn."""
    x = np.full(vocab, -25.0, np.float32)
    x[rng.permutation(vocab)[:ids]] = flat(rng, ids)
    return x


KINDS = [flat, uneven, zipf, peaked, steep, steps, steep_steps, few, equal, wide]
