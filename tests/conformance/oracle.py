# SPDX-License-Identifier: Apache-2.0
"""The contract once more, in NumPy: from a row's logits to the probability of each id.

Written from the contract's words and not from kernels/reference.c. It knows nothing of integer
masses, tiles or random numbers: edits and y = x * c are fp32, as the contract has them, all else is
plain float64. So it says what is true, and the command must agree up to the tolerances that the
tests state.

Parameters are a dict with the keys of a line of --params.
"""

from dataclasses import dataclass

import numpy as np

f32 = np.float32
GREEDY_BELOW = f32(1e-5)

# An id is `unsure` if the mass above it is so near to top_p of all, relative to all, that rounding
# may decide.
UNSURE = 1e-9


@dataclass
class Distribution:
    """What an id is drawn from. Arrays are [vocab], but for `order`."""

    kept: np.ndarray  # bool
    unsure: np.ndarray  # bool: may be kept or not, see UNSURE
    y: np.ndarray  # fp32 logits in powers of two; 0 for what is greedy
    probability: np.ndarray  # 0 where not kept
    logprob: np.ndarray  # natural logarithm; -inf where not kept
    order: np.ndarray  # the kept ids, likeliest first, lowest id first on a tie


def allowed_by_bitmask(words, vocab):
    bits = np.unpackbits(np.array(words, "<u4").view(np.uint8), bitorder="little")
    return bits[:vocab].astype(bool)


def edited(logits, params):
    """Logits as temperature and filters see them; NaN has become -inf."""
    x = np.where(np.isnan(logits), -np.inf, logits).astype(f32)
    vocab = len(x)

    if params.get("allowed"):
        allowed = np.zeros(vocab, bool)
        allowed[params["allowed"]] = True
        x[~allowed] = -np.inf
    if params.get("bitmask") is not None:
        x[~allowed_by_bitmask(params["bitmask"], vocab)] = -np.inf
    x[list(params.get("banned", []))] = -np.inf
    if len(params.get("output_ids", [])) < params.get("min_tokens", 0):
        x[list(params.get("stop_ids", []))] = -np.inf
    for token, bias in params.get("logit_bias", {}).items():
        x[int(token)] += f32(bias)
    return penalised(x, params)


def penalised(x, params):
    count = np.bincount(np.array(params.get("output_ids", []), int), minlength=len(x))
    in_output = count > 0
    seen = in_output.copy()
    seen[list(params.get("prompt_ids", []))] = True

    repetition = f32(params.get("repetition_penalty", 1))
    frequency = f32(params.get("frequency_penalty", 0))
    presence = f32(params.get("presence_penalty", 0))
    with np.errstate(over="ignore"):
        x = np.where(seen, np.where(x > 0, x / repetition, x * repetition), x)
        x = np.where(in_output, x - frequency * count.astype(f32), x)
        x = np.where(in_output, x - presence, x)
    assert x.dtype == f32
    return x


def scaled(x, temperature):
    """y = x * c in fp32; what is finite stays so."""
    c = f32(np.log2(np.e) / np.float64(f32(temperature)))
    most = np.finfo(f32).max
    with np.errstate(over="ignore"):
        return np.where(np.isfinite(x), np.clip(x * c, -most, most), x)


def best_first(y, among):
    """Ids of the mask `among` by falling y, rising id on a tie."""
    ids = np.flatnonzero(among)
    return ids[np.argsort(-y[ids], kind="stable")]


def weights(y):
    """Probabilities up to a factor, the best has 1."""
    y = y.astype(np.float64)
    return np.exp2(y - y.max())


def min_p(y, kept, p):
    with np.errstate(divide="ignore"):
        threshold = y[kept].max() + f32(np.log2(np.float64(f32(p))))
    return kept & (y >= threshold)


def top_k(y, kept, k):
    values = y[kept]
    if k == 0 or k >= len(values):
        return kept
    return kept & (y >= np.partition(values, len(values) - k)[len(values) - k])


def top_p(y, kept, p):
    """What is kept, and what is unsure."""
    nothing = np.zeros(len(y), bool)
    if f32(p) >= 1:
        return kept, nothing
    order = best_first(y, kept)
    falling = y[order]
    running = np.concatenate([[0.0], np.cumsum(weights(falling))])
    first_of_tie = np.searchsorted(-falling, -falling, side="left")
    above = running[first_of_tie]
    limit = np.float64(f32(p)) * running[-1]

    stays, unsure = nothing.copy(), nothing
    stays[order] = above < limit
    unsure[order] = np.abs(above - limit) <= UNSURE * running[-1]
    return stays, unsure


def distribution(logits, params):
    """What a row's id is drawn from; None if no logit is left. `logits` without padding."""
    x = edited(np.asarray(logits, f32), params)
    temperature = f32(params.get("temperature", 1))
    best = x.max()
    if best == -np.inf:
        return None
    if temperature < GREEDY_BELOW or best == np.inf:
        kept = np.zeros(len(x), bool)
        kept[np.argmax(x)] = True
        return of_kept(np.zeros(len(x), f32), kept, np.zeros(len(x), bool))

    y = scaled(x, temperature)
    kept = min_p(y, x > -np.inf, params.get("min_p", 0))
    kept = top_k(y, kept, params.get("top_k", 0))
    kept, unsure = top_p(y, kept, params.get("top_p", 1))
    return of_kept(y, kept, unsure)


def of_kept(y, kept, unsure):
    """The softmax of what is kept."""
    weight = weights(y[kept])
    probability = np.zeros(len(y))
    probability[kept] = weight / weight.sum()
    logprob = np.full(len(y), -np.inf)
    exact = y[kept].astype(np.float64)
    logprob[kept] = (exact - exact.max()) * np.log(2) - np.log(weight.sum())
    return Distribution(kept, unsure, y, probability, logprob, best_first(y, kept))


def raw_logprobs(logits):
    """Log-softmax of the logits as they came. +inf takes all, in equal parts if there are several;
    NaN is -inf."""
    x = np.where(np.isnan(logits), -np.inf, logits).astype(np.float64)
    if x.max() == np.inf:
        infinite = x == np.inf
        return np.where(infinite, -np.log(infinite.sum()), -np.inf)
    return x - x.max() - np.log(np.exp(x - x.max()).sum())
