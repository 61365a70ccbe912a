#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""invariance - one hash of what is drawn: for every back end, number of ranks, split and transport."""

import argparse
import hashlib
import json
import math
import os
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
import npyfile  # noqa: E402

# Of everything below, on every machine. They change when the rows do; if they change otherwise, so
# has what a seed draws.
HASHES = {
    6007: "c3a6e198fbdc3268db03f6abbac0867a6866e2e1ca1530a6260a4d6a6abb3c81",
    128256: "b3396f6b6fd448c326bf7cd164c0458a39f5b03ba3371149b11e0b87233e2253",
}
COUNT = 3
DTYPES = (("<f4", "f32"), ("<f2", "f16"), ("<u2", "bf16"))
WAYS = {
    **{name: ("--backend", name) for name in ("reference", "scalar", "avx2", "avx512")},
    "cuda_ipc": ("--backend", "cuda", "--comm", "cuda_ipc"),
    "nccl": ("--backend", "cuda", "--comm", "nccl"),
}
NOT_HERE = "not supported by this build or machine"
SKIPPED = 77


def make_params(vocab):
    """Every filter and every edit, by itself or with others."""
    words = (vocab + 31) // 32
    edits = {
        "prompt_ids": [3, 17, 5003, vocab - 1],
        "output_ids": [5003, 5003, 18, 4011, vocab - 1],
        "repetition_penalty": 1.3,
        "frequency_penalty": 0.6,
        "presence_penalty": -0.4,
        "logit_bias": [[20, 2.5], [20, 0.5], [6000, 3]],
        "banned": [0, 1, vocab - 1],
        "stop_ids": [21, 4700],
        "min_tokens": 9,
    }
    return (
        {},
        {"temperature": 0},
        {"temperature": 0.7, "top_k": 50, "top_p": 0.9, "min_p": 0.02},
        {"temperature": 1.7, "top_p": 0.95, "position": 1 << 33},
        {"top_p": 0.5},
        {"top_k": 1000},
        {"min_p": 0.1},
        {"allowed": list(range(0, vocab, 16)), "top_k": 3, "temperature": 2},
        {"bitmask": [0xF0F00FF1] * words},
        edits,
        {**edits, "temperature": 1.3, "top_k": 90, "top_p": 0.97, "bitmask": [0x7FFF0001] * words},
        {"allowed": [5, vocab - 1], "bitmask": [0xFFFFFFDF] + [0xFFFFFFFF] * (words - 1)},
    )


def make_rows(vocab, count):
    """Whole 64ths, which float16 has all of: the generator's bits are the same on every machine."""
    r = random.Random(7)
    bell = [[sum(r.getrandbits(9) for _ in range(4)) - 1024 for _ in range(vocab)] for _ in range(4)]
    flat = [r.getrandbits(2) for _ in range(vocab)]
    zipf = [r.getrandbits(4) - 64 * (1 + i * 7919 % vocab).bit_length() for i in range(vocab)]
    peak = [r.getrandbits(6) for _ in range(vocab)]
    peak[2345] = 640
    base = [*bell, flat, zipf, peak]
    return [[x / 64 for x in base[i % len(base)]] for i in range(count)]


def write_inputs(folder, vocab):
    """The arguments of each run, by dtype."""
    lines = [*make_params(vocab), {}, {}, {}]
    rows = make_rows(vocab, len(lines))
    rows[-3] = [-math.inf] * vocab  # no id
    rows[-2][4099] = math.nan
    rows[-1][777] = math.inf
    params = os.path.join(folder, "params.jsonl")
    with open(params, "w") as file:
        for line in lines:
            file.write(json.dumps(line) + "\n")
    inputs = []
    for descr, dtype in DTYPES:
        path = npyfile.write_rows(os.path.join(folder, dtype + ".npy"), rows, descr)
        more = "--params %s --seed 11 --count %d --dtype %s --json --logprobs 3"
        more %= params, COUNT, dtype
        inputs.append([path, *more.split()])
    return inputs


class Failed(Exception):
    pass


def draw(rankzero, words, options):
    """What is printed."""
    done = subprocess.run(
        [rankzero, "sample", *words, *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        raise Failed(done.stderr.strip() or "exit status %d" % done.returncode)
    return done.stdout


def hash_of(printed):
    return hashlib.sha256("".join(printed).encode()).hexdigest()


def layouts(vocab, most_ranks):
    uneven = {1: (0,), 2: (16, 0), 3: (0, 2001, 0), 4: (1003, 1, 0, 0)}
    for ranks in range(1, most_ranks + 1):
        widths = list(uneven[ranks])
        widths[min(ranks - 1, 2)] = vocab - sum(widths)
        yield ["--ranks", str(ranks)]
        yield ["--ranks", str(ranks), "--split", ",".join(map(str, widths))]


def compare(expected, got, what):
    if expected != got:
        pairs = zip(expected.splitlines(), got.splitlines())
        line = next((pair for pair in pairs if pair[0] != pair[1]), ("fewer", "lines"))
        raise Failed("%s: expected\n  %s\ngot\n  %s" % (" ".join(what), *line))


def check(args, inputs, way):
    """What is printed of each dtype, if it is the same for every layout, and of how many."""
    first = [draw(args.rankzero, words, WAYS[way]) for words in inputs]
    count = 0
    for turn, layout in enumerate(layouts(args.vocab, args.most_ranks)):
        for i, words in enumerate(inputs):
            if args.quick and turn % len(inputs) != i:
                continue
            try:
                got = draw(args.rankzero, words, [*WAYS[way], *layout])
            except Failed as why:
                if way == "nccl" and NOT_HERE in str(why):
                    return first, count  # it wants a GPU for each rank
                raise
            compare(first[i], got, [*layout, "--dtype", DTYPES[i][1]])
        count += 1
    return first, count


def main():
    parser = argparse.ArgumentParser(
        prog="tests/gpu/invariance.py",
        description="Draws from the same rows, with every filter and edit, in three dtypes, on 1 to "
        "4 ranks with even and uneven shards, and prints a hash of ids, statuses and logprobs for each way: %s. "
        "Exit status 1 if they differ or are not the hash that is written down here." % ", ".join(WAYS),
    )
    parser.add_argument("rankzero", help="the command")
    parser.add_argument("ways", nargs="*", help="all; those that do not run here are skipped")
    parser.add_argument("--need", default="", help="ways that are not, with commas")
    parser.add_argument("--vocab", type=int, choices=sorted(HASHES), default=min(HASHES))
    parser.add_argument("--quick", action="store_true", help="a dtype, in turn, of each split")
    parser.add_argument("--most-ranks", type=int, choices=range(1, 5), default=4)
    args = parser.parse_args()
    args.need = [name for name in args.need.split(",") if name]
    for name in (*args.ways, *args.need):
        if name not in WAYS:
            parser.error("expected %s, got %s" % (", ".join(WAYS), name))

    ran = failed = 0
    with tempfile.TemporaryDirectory(prefix="rankzero-invariance-") as folder:
        inputs = write_inputs(folder, args.vocab)
        for way in args.ways or WAYS:
            try:
                printed, count = check(args, inputs, way)
                found = hash_of(printed)
                verdict = "%s  %d splits" % (found, count)
                ran += 1
                if found != HASHES[args.vocab]:
                    failed += 1
                    verdict += ", expected " + HASHES[args.vocab]
            except Failed as why:
                skipped = way not in args.need and NOT_HERE in str(why)
                failed += not skipped
                verdict = "%s: %s" % ("skipped" if skipped else "FAILED", why)
            print("%-10s %s" % (way, verdict), flush=True)
    return 1 if failed else 0 if ran else SKIPPED


if __name__ == "__main__":
    sys.exit(main())
