# SPDX-License-Identifier: Apache-2.0
"""What PyTorch takes to draw from the same logits on one CPU core.

`rankzero bench sample --against torch` runs this and has it time one thing at a time, in turn with
its own (tools/bench_torch.h has the conversation). Alone, it prints a table of rows of its own:

    build/bench-venv/bin/python3 bench/seed_sampler.py [--rows N] [--vocab N] [--repeats N]
"""

import argparse
import logging
import mmap
import os
import statistics
import sys
import time

# One core, and no processes beside ours that compile.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"

DTYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}


def seed_sampler(logits, temperatures):
    """The sampler that rankzero began as: a race of exponentials, a pass for each operation."""
    logits = logits.float().div_(temperatures.unsqueeze(dim=1))
    probs = torch.softmax(logits, dim=-1)
    return probs.div_(torch.empty_like(probs).exponential_(1).clamp_min_(1e-10)).argmax(dim=-1)


def sort_top_p(logits, p):
    """Top-p as vLLM has it in PyTorch, without the draw that would follow."""
    logits_sort, logits_idx = logits.float().sort(dim=-1, descending=False)
    probs_sum = logits_sort.softmax(dim=-1).cumsum(dim=-1)
    mask = probs_sum <= 1 - p.unsqueeze(dim=1)
    mask[:, -1] = False  # at least one
    logits_sort.masked_fill_(mask, -float("inf"))
    return logits_sort.scatter(dim=-1, index=logits_idx, src=logits_sort)


class Cases:
    """What can be timed on some rows. A name is that of the back end and of rankzero's filter."""

    def __init__(self, logits):
        self.logits = logits
        rows = logits.shape[0]
        ones = torch.ones(rows)
        p = torch.full((rows,), 0.95)
        k = min(50, logits.shape[1])
        compiled = torch.compile(seed_sampler, dynamic=False)
        self.functions = {
            "torch/greedy": lambda: logits.argmax(dim=-1),
            "torch/temperature": lambda: seed_sampler(logits, ones),
            "torch-compile/temperature": lambda: compiled(logits, ones),
            "torch/top-k": lambda: torch.topk(logits, k, dim=-1),
            "torch/top-p": lambda: sort_top_p(logits, p),
        }

    def warm_up(self):
        """Run everything twice; what does not run here is named and left out."""
        for name, function in list(self.functions.items()):
            try:
                function()
                function()
            except Exception as error:  # no C++ compiler, or one that cannot do this
                del self.functions[name]
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                print("seed_sampler: left out %s: %s" % (name, reason[:200]), file=sys.stderr)

    def time_ns(self, name):
        start = time.perf_counter_ns()
        self.functions[name]()
        return time.perf_counter_ns() - start


def rows_of_file(fd, dtype, vocab, stride, rows):
    shared = mmap.mmap(fd, 0, access=mmap.ACCESS_COPY)
    kind = getattr(torch, DTYPES[dtype])
    flat = torch.frombuffer(shared, dtype=kind, count=rows * stride)
    return flat.view(rows, stride)[:, :vocab].clone(memory_format=torch.contiguous_format)


def serve(fd):
    """Answer line by line until stdin ends. Only answers go where stdout was."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    sets = {}
    for line in sys.stdin:
        command, *args = line.split()
        try:
            if command == "hello":
                import_torch()
                answer = "torch " + torch.__version__
            elif command == "rows":
                dtype, vocab, stride, rows = args[1], *map(int, args[2:])
                sets[args[0]] = cases = Cases(rows_of_file(fd, dtype, vocab, stride, rows))
                cases.warm_up()
                answer = "\t".join(["names", *cases.functions])
            else:
                answer = str(sets[args[0]].time_ns(args[1]))
        except Exception as error:
            text = " ".join(str(error).split())[:800]
            answer = "error %s: %s" % (type(error).__name__, text)
        print(answer, file=answers)


def import_torch():
    global torch
    import torch

    # That this PyTorch finds no GPU is no news.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    torch.manual_seed(1)


def alone(args):
    import_torch()
    logits = torch.randn(args.rows, args.vocab).mul_(2).to(getattr(torch, DTYPES[args.dtype]))
    cases = Cases(logits)
    cases.warm_up()
    times = {name: [] for name in cases.functions}
    for _ in range(args.repeats):
        for name in times:
            times[name].append(cases.time_ns(name) / logits.numel())
    print("PyTorch %s, %d rows of %d, %s" % (torch.__version__, *logits.shape, args.dtype))
    print("%-26s %10s %10s %10s" % ("ns a logit", "median", "least", "most"))
    for name, ns in times.items():
        print("%-26s %10.3f %10.3f %10.3f" % (name, statistics.median(ns), min(ns), max(ns)))


def main():
    parser = argparse.ArgumentParser(description="Time PyTorch's samplers on one core.")
    parser.add_argument("--serve", type=int, metavar="FD", help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--vocab", type=int, default=128256)
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    if args.serve is not None:
        serve(args.serve)
    else:
        alone(args)


if __name__ == "__main__":
    main()
