# SPDX-License-Identifier: Apache-2.0
"""What the scripts share that `rankzero bench sample --against ...` runs: the conversation with it
(tools/bench_peer.h), and a table of their own when they are run alone.

A script calls main() with
    load()                  get ready; returns name and version of what is timed
    read(buffer, dtype, vocab, stride, rows)
                            the logits of a buffer, of `stride` elements a row, as a copy in the form
                            that the sampler takes
    functions(logits)       {name: function without arguments that draws once from each row}; a name
                            is that of the back end and of rankzero's filter, "torch/greedy". A
                            function that returns a whole number has taken so many nanoseconds
A script that has several to time names them in `whose`; load() and functions() get the one that is
asked for as a further argument.
"""

import argparse
import functools
import mmap
import os
import statistics
import sys
import time

DTYPES = ("f32", "f16", "bf16")


class Cases:
    """What can be timed on some rows."""

    def __init__(self, functions):
        self.functions = functions

    def warm_up(self):
        """Run everything twice; what does not run here is named and left out."""
        for name, function in list(self.functions.items()):
            try:
                function()
                function()
            except Exception as error:  # such as no C++ compiler for torch.compile
                del self.functions[name]
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                print("%s: left out %s: %s" % (script_name(), name, reason[:200]), file=sys.stderr)

    def time_ns(self, name):
        function = self.functions[name]
        start = time.perf_counter_ns()
        ns = function()
        return ns if isinstance(ns, int) else time.perf_counter_ns() - start


def value(word):
    return int(word) if word.isdigit() else word


def script_name():
    return os.path.splitext(os.path.basename(sys.argv[0]))[0]


def serve(fd, load, read, functions):
    """Answer line by line until stdin ends. Only answers go where stdout was."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    sets = {}
    for line in sys.stdin:
        command, *args = line.split()
        try:
            if command == "hello":
                answer = load()
            elif command == "rows":
                shared = mmap.mmap(fd, 0, access=mmap.ACCESS_COPY)
                sets[args[0]] = cases = Cases(functions(read(shared, args[1], *map(value, args[2:]))))
                cases.warm_up()
                answer = "\t".join(["names", *cases.functions])
            else:
                answer = str(sets[args[0]].time_ns(args[1]))
        except Exception as error:
            text = " ".join(str(error).split())[:800]
            answer = "error %s: %s" % (type(error).__name__, text)
        print(answer, file=answers)


def random_rows(dtype, vocab, rows):
    import numpy

    logits = numpy.random.default_rng(1).normal(0, 2, (rows, vocab)).astype(numpy.float32)
    if dtype == "bf16":
        return bytearray((logits.view(numpy.uint32) >> 16).astype(numpy.uint16))
    return bytearray(logits if dtype == "f32" else logits.astype(numpy.float16))


def alone(args, load, read, functions):
    version = load()
    rows = random_rows(args.dtype, args.vocab, args.rows)
    cases = Cases(functions(read(rows, args.dtype, args.vocab, args.vocab, args.rows)))
    cases.warm_up()
    times = {name: [] for name in cases.functions}
    for _ in range(args.repeats):
        for name in times:
            times[name].append(cases.time_ns(name) / args.rows / 1000)
    print("%s, %d rows of %d, %s" % (version, args.rows, args.vocab, args.dtype))
    print("%-26s %10s %10s %10s" % ("us a row", "median", "least", "most"))
    for name, us in times.items():
        print("%-26s %10.1f %10.1f %10.1f" % (name, statistics.median(us), min(us), max(us)))


def main(description, load, read, functions, whose=None):
    parser = argparse.ArgumentParser(description=description)
    if whose is not None:
        parser.add_argument("whose", choices=whose)
    parser.add_argument("--serve", type=int, metavar="FD", help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--vocab", type=int, default=128256)
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    if whose is not None:
        load = functools.partial(load, args.whose)
        functions = functools.partial(functions, whose=args.whose)
    if args.serve is not None:
        serve(args.serve, load, read, functions)
    else:
        alone(args, load, read, functions)
