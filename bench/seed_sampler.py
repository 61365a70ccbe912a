# SPDX-License-Identifier: Apache-2.0
"""What PyTorch takes to draw from the same logits on one CPU core.

`rankzero bench sample --against torch` runs this and has it time one thing at a time, in turn with
its own. Alone, it prints a table of rows of its own:

    build/bench-venv/bin/python3 bench/seed_sampler.py [--rows N] [--vocab N] [--repeats N]
"""

import logging
import os

import peer

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


def functions(logits):
    rows = logits.shape[0]
    ones = torch.ones(rows)
    p = torch.full((rows,), 0.95)
    k = min(50, logits.shape[1])
    compiled = torch.compile(seed_sampler, dynamic=False)
    return {
        "torch/greedy": lambda: logits.argmax(dim=-1),
        "torch/temperature": lambda: seed_sampler(logits, ones),
        "torch-compile/temperature": lambda: compiled(logits, ones),
        "torch/top-k": lambda: torch.topk(logits, k, dim=-1),
        "torch/top-p": lambda: sort_top_p(logits, p),
    }


def read(buffer, dtype, vocab, stride, rows):
    kind = getattr(torch, DTYPES[dtype])
    flat = torch.frombuffer(buffer, dtype=kind, count=rows * stride)
    return flat.view(rows, stride)[:, :vocab].clone(memory_format=torch.contiguous_format)


def load():
    global torch
    import torch

    # That this PyTorch finds no GPU is no news.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    torch.manual_seed(1)
    return "PyTorch " + torch.__version__


if __name__ == "__main__":
    peer.main("Time PyTorch's samplers on one core.", load, read, functions)
