# SPDX-License-Identifier: Apache-2.0
"""What is kept is what the logits processors of Hugging Face transformers keep.

An oracle written by others: PrefixConstrained (allowed ids), SuppressTokens, MinNewTokensLength (stop
ids), SequenceBias, RepetitionPenalty, Temperature, MinP, TopK and TopP, one after the other, in
rankzero's order. transformers has neither frequency nor presence penalties; test_edits.py has those.

Edits are fp32 there as here; what follows is float64 there. On a tie at the edge of the nucleus
transformers keeps some of the ids that are as likely as one another, and rankzero all: such rows are
listed, with the ids. What is within NEAR of the edge ties with it: y is fp32 here.
"""

import support  # first: it skips the test where NumPy or SciPy is missing

import math
import sys

import numpy as np

try:
    import torch
    from transformers.generation import logits_process as hf
except ImportError as missing:
    print("skipped: %s (RZ_ORACLES=1 scripts/test installs it)" % missing)
    sys.exit(77)

import rows

SHOWN = 20
NEAR = 1e-6  # as logprobs, relative to the largest of the row
VOCABS = [1, 2, 17, 111, 32_000, 128_256]
ROWS = 600 if support.LONG else 120

TOP_K = [1, 2, 10, 20, 50, 500]
TOP_P = [0.1, 0.5, 0.9, 0.95, 0.99]
MIN_P = [0.011, 0.053, 0.13, 0.21, 0.53, 0.71]  # no 1 / rank: no id of rows.zipf is at the edge
TEMPERATURES = [0.01, 0.5, 0.8, 1, 1.5, 10]
FILTERS = ["temperature", "min_p", "top_k", "top_p"]


def single(x):
    """The fp32 that a parameter becomes."""
    return float(np.float32(x))


def edits(params):
    """Processors of what is done before temperature."""
    prompt = params.get("prompt_ids", [])
    if "allowed" in params:
        yield hf.PrefixConstrainedLogitsProcessor(lambda batch, ids: params["allowed"], 1)
    if "banned" in params:
        yield hf.SuppressTokensLogitsProcessor(params["banned"])
    if "stop_ids" in params:
        stop = params["stop_ids"]
        yield hf.MinNewTokensLengthLogitsProcessor(len(prompt), params["min_tokens"], stop)
    if "logit_bias" in params:
        yield hf.SequenceBiasLogitsProcessor(
            {(int(i),): float(b) for i, b in params["logit_bias"].items()}
        )
    if "repetition_penalty" in params:
        yield hf.RepetitionPenaltyLogitsProcessor(params["repetition_penalty"])


def warpers(params):
    """Temperature and filters."""
    if "temperature" in params:
        yield hf.TemperatureLogitsWarper(single(params["temperature"]))
    if "min_p" in params:
        yield hf.MinPLogitsWarper(single(params["min_p"]))
    if "top_k" in params:
        yield hf.TopKLogitsWarper(params["top_k"])
    if "top_p" in params:
        yield hf.TopPLogitsWarper(single(params["top_p"]))


def processed(logits, params):
    """Scores before the filters and after, float64; -inf is what is not kept."""
    history = params.get("prompt_ids", []) + params.get("output_ids", [])
    ids = torch.tensor([history], dtype=torch.long)
    scores = torch.from_numpy(logits.copy())[None]
    for processor in edits(params):
        scores = processor(ids, scores)
    before = scores = scores.double()
    for warper in warpers(params):
        scores = warper(ids, scores)
    before = before / single(params.get("temperature", 1))
    return before[0].numpy(), scores[0].numpy()


def random_filters(rng):
    chosen = {
        "temperature": float(rng.choice(TEMPERATURES)),
        "top_k": int(rng.choice(TOP_K)),
        "top_p": float(rng.choice(TOP_P)),
        "min_p": float(rng.choice(MIN_P)),
    }
    return {name: value for name, value in chosen.items() if rng.random() < 0.5}


def random_edits(rng, vocab):
    ids = rng.integers(vocab, size=40).tolist()
    chosen = {
        "banned": ids[:3],
        "allowed": rng.permutation(vocab)[: max(1, vocab // 2)].tolist(),
        "logit_bias": {str(i): float(rng.choice([-100, -1.5, 3, 100])) for i in ids[3:9]},
        "repetition_penalty": 1.3,
    }
    params = {name: value for name, value in chosen.items() if rng.random() < 0.6}
    if rng.random() < 0.5:
        params.update(stop_ids=ids[9:11], min_tokens=int(rng.choice([10, 30])))
    return {**params, "prompt_ids": ids[10:20], "output_ids": ids[15:40]}


class Transformers(support.ConformanceTest):
    def setUp(self):
        super().setUp()
        self.compared = 0
        self.ties = []

    def tearDown(self):
        print("%s: %d rows compared, %d of them ties" % (self.id(), self.compared, len(self.ties)))
        for tie in self.ties:
            print("    tie: %s" % tie)

    @staticmethod
    def at_the_edge(before, after):
        """The ids as likely as the least likely of those that transformers keeps."""
        edge = after[np.isfinite(after)].min()
        near = NEAR * max(1, np.abs(before[np.isfinite(before)]).max())
        return np.abs(before - edge) <= near

    def expect_tie(self, before, after, differing, params):
        self.assertTrue(self.at_the_edge(before, after)[differing].all(), differing)
        filters = {name: params[name] for name in FILTERS if name in params}
        self.ties.append("vocab %d, %s, ids %s" % (len(before), filters, differing.tolist()[:10]))

    def check_row(self, report, logits, params):
        self.compared += 1
        before, after = processed(logits, params)
        kept = np.isfinite(after)
        if not kept.any():
            self.assertEqual((report["ids"], report["status"]), ([-1], "no_token"))
            return
        got = np.array([top["id"] for top in report["top_logprobs"]])
        if len(got) < SHOWN:  # all that rankzero keeps
            differing = np.setxor1d(got, np.flatnonzero(kept))
        else:  # the likeliest
            most = np.sort(before)[-SHOWN]
            self.assertTrue((before[got] >= most - NEAR * max(1, abs(most))).all())
            differing = got[~kept[got]]
        if len(differing) > 0:
            self.expect_tie(before, after, differing, params)
            return
        logprobs = support.numbers([top["logprob"] for top in report["top_logprobs"]])
        if not self.is_mass_of(before, kept, got, logprobs):
            # More is kept than is shown: with all the ids at the edge it is that mass.
            all_kept = kept | self.at_the_edge(before, after)
            self.assertTrue(self.is_mass_of(before, all_kept, got, logprobs), "another mass")
            self.expect_tie(before, after, np.flatnonzero(all_kept & ~kept), params)

    @staticmethod
    def is_mass_of(before, kept, got, logprobs):
        """Are these the logprobs of ids `got` if that is kept?"""
        if not kept[got].all():
            return False
        shares = before[got] - np.logaddexp.reduce(before[kept])
        return np.allclose(logprobs, shares, NEAR, NEAR * max(1, np.abs(before[got]).max()))

    def check(self, vocab, params):
        kinds = [kind for kind in rows.KINDS if kind is not rows.wide]
        logits = np.stack([kinds[i % len(kinds)](self.rng, vocab) for i in range(len(params))])
        args = ["--logprobs", SHOWN, *support.PROCESSED]
        for i, report in enumerate(self.reports(logits, params, *args)):
            with self.subTest(row=i, vocab=vocab, params=params[i]):
                self.check_row(report, logits[i], params[i])

    def rows_of(self, vocab):
        return ROWS if vocab < 1000 else ROWS // 3

    def test_one_filter(self):
        one = [{"temperature": float(t)} for t in TEMPERATURES]
        one += [{"top_k": k} for k in TOP_K] + [{"top_p": p} for p in TOP_P]
        one += [{"min_p": p} for p in MIN_P]
        for vocab in VOCABS:
            self.check(vocab, [one[i % len(one)] for i in range(self.rows_of(vocab))])

    def test_joint_filters(self):
        for vocab in VOCABS:
            self.check(vocab, [random_filters(self.rng) for _ in range(self.rows_of(vocab))])

    def test_edits_and_filters(self):
        for vocab in VOCABS:
            self.check(
                vocab,
                [
                    {**random_edits(self.rng, vocab), **random_filters(self.rng)}
                    for _ in range(self.rows_of(vocab))
                ],
            )

    def test_kept_sets_that_are_too_large_to_list(self):
        """By draws: every id of the set comes, and no other."""
        for vocab in [1000, 32_000]:
            for params in [{"top_k": 300}, {"top_p": 0.5}, {"top_k": 500, "top_p": 0.7}]:
                for temperature in [0.5, 1, 3]:
                    params = {**params, "temperature": temperature, "min_p": 0.13}
                    with self.subTest(vocab=vocab, params=params):
                        self.check_draws(rows.shelf(self.rng, vocab, 700), params)

    def check_draws(self, logits, params):
        self.compared += 1
        before, after = processed(logits, params)
        expected = np.flatnonzero(np.isfinite(after))
        least = math.exp(after[expected].min() - np.logaddexp.reduce(after[expected]))
        drawn = np.unique(self.draws(logits, params, math.ceil(40 / least))[0])
        differing = np.setxor1d(drawn, expected)
        if len(differing) > 0:
            self.expect_tie(before, after, differing, params)


if __name__ == "__main__":
    support.main()
