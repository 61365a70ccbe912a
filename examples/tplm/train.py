#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Train the example's language model on the King James Bible.

    train.py CORPUS OUT_DIR [--steps N] [--threads N]

CORPUS is the output of `bible -l9999 gen1:1-rev22:21`. Writes to OUT_DIR

    kjv.model, kjv.vocab   int8 weights, byte-level BPE: formats of weights.h and tokenizer.h
    report.json            the held-out figures that README.md quotes
    encodings.txt          texts and their ids, for the tests of tokenizer.c
    float.pt, tokenizer.json   the same before rounding, and as the tokenizers library keeps it

The architecture is chosen so that its forward pass is short to write in C and splits over ranks:
RMSNorm without gains, rotary positions, attention over a sliding window, squared ReLU, one matrix
for embedding and LM head, no biases. It is trained *with* the window, so that text can go on past
the length of a training sequence.
"""
import argparse
import copy
import hashlib
import json
import math
import re
import struct
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

SEED = 1611
VOCAB = 8192
DIM, LAYERS, HEADS, HIDDEN = 256, 4, 8, 768
WINDOW = 256  # positions a token attends to, itself included
SEQ, BATCH = 512, 8  # tokens in a training sequence, sequences in a step
DROPOUT = 0.1
HELD_OUT = (20, 10)  # chapter i is held out if i % 20 == 10
ROPE_BASE = 10000.0
NORM_EPS = 1e-5
END = "<|end|>"  # id 0: stands before and after every chapter

# Words with the space before them, runs of anything else, lone spaces and newlines. ASCII classes
# only, so that tokenizer.c can split bytes and agree with a split of characters.
WORDS = r" ?[A-Za-z']+| ?[^A-Za-z' \n]+| |\n"


def read_chapters(path):
    """The text of each chapter: its verses, a line each, without numbers and headings."""
    chapters = []
    for line in Path(path).read_text(encoding="latin-1").splitlines():
        if verse := re.match(r"\s+\d+ (.*\S)", line):
            chapters[-1].append(verse[1])
        elif line.strip():
            chapters.append([])  # "Genesis 1"
    return ["\n".join(verses) for verses in chapters]


def train_tokenizer(texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    assert tokenizer.get_vocab_size() == VOCAB
    return tokenizer


def encode_chapters(tokenizer, texts):
    ids = [0]
    for text in texts:
        ids += tokenizer.encode(text).ids + [0]
    return torch.tensor(ids)


# What a tokenizer in C could get wrong: case, spaces, newlines, bytes above 127, control characters,
# long runs, words that merge in more than one way.
ENCODED_TEXTS = [
    "In the beginning God created the heaven and the earth.",
    "And the LORD said unto Moses, Stretch out thine hand;",
    "Nebuchadnezzar Mahershalalhashbaz Jehoshaphat's  two  spaces",
    "in THE bEgInNiNg",
    " leading space, and trailing ",
    "\n\nlines\n of text \n",
    "tab\there, return\r\n, nul \x00 and \x7f",
    "don't 'quote' O'Brien's ''",
    "3.14159 -- 42, 1611! (7) [8] {9} <|x|>",
    "na\u00efve caf\u00e9 \u00bd \u00a0 \u2003 \u3000",
    "\u0412 \u043d\u0430\u0447\u0430\u043b\u0435 \u8d77\u521d \u795e \u05d1\u05e8\u05d0\u05e9\u05d9\u05ea",
    "\U0001f54a dove \U0001f468\u200d\U0001f469\u200d\U0001f467 e\u0301",
    "a" * 70 + " " * 70 + "-" * 70 + "\n" * 7 + "'" * 70,
    "unto" * 20 + "the" * 20,
    "",
]


def encodings(tokenizer, texts):
    """A line a text: its bytes in hex, and its ids."""
    lines = []
    for text in ENCODED_TEXTS + [t[:400] for t in texts]:
        ids = " ".join(map(str, tokenizer.encode(text, add_special_tokens=False).ids))
        lines.append(f"{text.encode().hex() or '-'} {ids}".strip() + "\n")
    return "".join(lines)


def norm(x):
    return F.rms_norm(x, (x.shape[-1],), eps=NORM_EPS)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Parameter(torch.randn(VOCAB, DIM) * 0.02)

        def matrix(rows, cols, scale):
            return torch.nn.Parameter(torch.randn(rows, cols) * scale / math.sqrt(cols))

        self.layers = torch.nn.ModuleList()
        for _ in range(LAYERS):
            layer = torch.nn.Module()
            layer.query = matrix(DIM, DIM, 1)
            layer.key = matrix(DIM, DIM, 1)
            layer.value = matrix(DIM, DIM, 1)
            layer.out = matrix(DIM, DIM, 0.1)
            layer.up = matrix(HIDDEN, DIM, 1)
            layer.down = matrix(DIM, HIDDEN, 0.1)
            self.layers.append(layer)

        half = DIM // HEADS // 2
        frequency = ROPE_BASE ** (-torch.arange(half, dtype=torch.float64) / half)
        angle = torch.arange(SEQ, dtype=torch.float64)[:, None] * frequency
        distance = torch.arange(SEQ)[:, None] - torch.arange(SEQ)
        self.register_buffer("cos", angle.cos().float(), persistent=False)
        self.register_buffer("sin", angle.sin().float(), persistent=False)
        self.register_buffer("mask", (distance >= 0) & (distance < WINDOW), persistent=False)

    def rotate(self, x):
        """Turn dimension i with dimension i + half by position * frequency[i]."""
        a, b = x.chunk(2, dim=-1)
        cos, sin = self.cos[: x.shape[-2]], self.sin[: x.shape[-2]]
        return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)

    def forward(self, ids):
        rows, length = ids.shape

        def heads(x):
            return x.view(rows, length, HEADS, -1).transpose(1, 2)

        def drop(x):
            return F.dropout(x, DROPOUT, self.training)

        x = drop(norm(F.embedding(ids, self.embed)))
        for layer in self.layers:
            h = norm(x)
            q = self.rotate(heads(h @ layer.query.T))
            k = self.rotate(heads(h @ layer.key.T))
            v = heads(h @ layer.value.T)
            mask = self.mask[:length, :length]
            h = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            h = h.transpose(1, 2).reshape(rows, length, DIM)
            x = x + drop(h @ layer.out.T)
            h = norm(x) @ layer.up.T
            x = x + drop(F.relu(h).square() @ layer.down.T)
        return norm(x) @ self.embed.T


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal (Jordan et al., 2024): fewer steps than AdamW for
    the matrices of a transformer, which is what a CPU needs."""

    def __init__(self, params):
        super().__init__(params, {"lr": 0.02, "momentum": 0.95})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                m = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                g = p.grad.lerp(m, group["momentum"])
                x = g if g.shape[0] <= g.shape[1] else g.T
                x = x / (x.norm() + 1e-7)
                for _ in range(5):  # Newton-Schulz, coefficients of the paper
                    a = x @ x.T
                    x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
                x = x if g.shape[0] <= g.shape[1] else x.T
                p.add_(x, alpha=-group["lr"] * max(1, g.shape[0] / g.shape[1]) ** 0.5)


@torch.no_grad()
def mean_loss(model, ids):
    """Mean negative log-likelihood, in nats a token, of ids[1:]. Each token is predicted with at
    least SEQ / 2 = WINDOW tokens of context, if its text has as many before it."""
    model.eval()
    total, count = 0.0, 0
    half = SEQ // 2
    for start in range(0, len(ids) - 1, half):
        first = max(0, start - half)
        chunk = ids[first : start + half + 1]
        loss = F.cross_entropy(
            model(chunk[None, :-1])[0, start - first :], chunk[1 + start - first :], reduction="sum"
        )
        total += loss.item()
        count += len(chunk) - 1 - (start - first)
    model.train()
    return total / count


def train(ids, held_out, steps):
    model = Model()
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    muon = Muon([p for p in model.layers.parameters()])
    adam = torch.optim.AdamW([model.embed], lr=0.004, betas=(0.9, 0.95), weight_decay=0.01)
    optimizers = [(muon, 0.02), (adam, 0.004)]
    order = torch.Generator().manual_seed(SEED)
    best, history, pending = None, [], []
    begin = time.monotonic()

    for step in range(1, steps + 1):
        while len(pending) < BATCH:  # an epoch: sequences from a random offset, shuffled
            offset = int(torch.randint(SEQ, (1,), generator=order))
            starts = torch.arange(offset, len(ids) - SEQ, SEQ)
            pending += starts[torch.randperm(len(starts), generator=order)].tolist()
        starts, pending = pending[:BATCH], pending[BATCH:]
        x = torch.stack([ids[s : s + SEQ] for s in starts])
        y = torch.stack([ids[s + 1 : s + SEQ + 1] for s in starts])

        # Warm up, stay, then down to zero over the last half.
        factor = min(1.0, step / 50, 2 * (steps - step + 1) / steps)
        for optimizer, lr in optimizers:
            optimizer.param_groups[0]["lr"] = lr * factor
        loss = F.cross_entropy(model(x).view(-1, VOCAB), y.view(-1))
        loss.backward()
        for optimizer, _ in optimizers:
            optimizer.step()
            optimizer.zero_grad()

        if step % 25 == 0:
            seconds = time.monotonic() - begin
            print(f"step {step}/{steps}  loss {loss.item():.3f}  {seconds:.0f} s", flush=True)
        if step % 250 == 0 or step == steps:
            held = mean_loss(model, held_out)
            history.append((step, round(math.exp(held), 2)))
            print(f"step {step}/{steps}  held-out perplexity {math.exp(held):.2f}", flush=True)
            if best is None or held < best[0]:
                best = (held, step, copy.deepcopy(model.state_dict()))

    model.load_state_dict(best[2])
    return model, best[1], history, time.monotonic() - begin


def quantise(weight):
    """int8 rows with an fp32 scale each: weight ~ scale[:, None] * q."""
    w = weight.detach().numpy().astype(np.float32)
    scale = np.maximum(np.abs(w).max(axis=1), 1e-12).astype(np.float32) / np.float32(127)
    return np.clip(np.rint(w / scale[:, None]), -127, 127).astype(np.int8), scale


def model_bytes(model):
    """The file that weights.h describes, and the model with the rounded weights."""
    rounded = copy.deepcopy(model)
    body = b""
    matrices = [rounded.embed]
    for layer in rounded.layers:
        matrices += [layer.query, layer.key, layer.value, layer.out, layer.up, layer.down]
    for w in matrices:
        q, scale = quantise(w)
        w.data = torch.from_numpy(q.astype(np.float32) * scale[:, None])
        body += scale.astype("<f4").tobytes() + q.tobytes()
    shape = struct.pack(
        "<6I2f", VOCAB, DIM, LAYERS, HEADS, HIDDEN, WINDOW, ROPE_BASE, NORM_EPS
    )
    return framed(b"tplm-w\r\n", shape + body), rounded


def vocab_bytes(tokenizer):
    """The file that tokenizer.h describes: tokens as bytes, then merges as pairs of ids."""
    byte_of = {char: byte for byte, char in enumerate(byte_chars())}
    vocab = tokenizer.get_vocab()
    body = b""
    for token in sorted(vocab, key=vocab.get):
        raw = b"" if token == END else bytes(byte_of[c] for c in token)
        body += struct.pack("<B", len(raw)) + raw
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    for left, right in merges:
        body += struct.pack("<III", vocab[left], vocab[right], vocab[left + right])
    return framed(b"tplm-v\r\n", struct.pack("<2I", VOCAB, len(merges)) + body)


def byte_chars():
    """The printable character by which byte-level BPE writes each byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(b) if b in printable else chr(next(others)) for b in range(256)]


def framed(magic, body):
    """The frame that checked_file.h describes."""
    header = struct.pack("<8sIIQ", magic, 1, 0, len(body))
    return header + struct.pack("<Q", fnv1a(header + body)) + body


def fnv1a(data):
    """64-bit FNV-1a over little-endian 32-bit words, the last one padded with zeros."""
    h = 0xCBF29CE484222325
    for (word,) in struct.iter_unpack("<I", data + bytes(-len(data) % 4)):
        h = ((h ^ word) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def main():
    args = argparse.ArgumentParser()
    args.add_argument("corpus")
    args.add_argument("out", type=Path)
    args.add_argument("--steps", type=int, default=1100)
    args.add_argument("--threads", type=int, default=2)
    args = args.parse_args()

    # The number of threads decides how sums are split, and so the last bits of the weights.
    torch.set_num_threads(args.threads)
    torch.manual_seed(SEED)

    texts = read_chapters(args.corpus)
    period, phase = HELD_OUT
    seen = [t for i, t in enumerate(texts) if i % period != phase]
    unseen = [t for i, t in enumerate(texts) if i % period == phase]
    tokenizer = train_tokenizer(seen)
    ids, held_out = encode_chapters(tokenizer, seen), encode_chapters(tokenizer, unseen)
    print(f"{len(texts)} chapters, {len(ids)} tokens to train on, {len(held_out)} held out")

    args.out.mkdir(parents=True, exist_ok=True)
    vocab_file = vocab_bytes(tokenizer)
    (args.out / "kjv.vocab").write_bytes(vocab_file)
    tokenizer.save(str(args.out / "tokenizer.json"))

    (args.out / "encodings.txt").write_text(encodings(tokenizer, unseen))

    model, step, history, seconds = train(ids, held_out, args.steps)
    torch.save(model.state_dict(), args.out / "float.pt")
    model_file, rounded = model_bytes(model)
    (args.out / "kjv.model").write_bytes(model_file)

    words = sum(len(t.split()) for t in unseen)
    size = sum(len(t.encode()) + 1 for t in unseen)  # the end of a chapter counts as a byte
    report = {
        "chapters": len(texts),
        "train_tokens": len(ids),
        "held_out_chapters": len(unseen),
        "held_out_tokens": len(held_out) - 1,
        "held_out_words": words,
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": args.steps,
        "kept_step": step,
        "train_seconds": round(seconds),
        "held_out_perplexity_by_step": history,
        "model_bytes": len(model_file),
        "vocab_bytes": len(vocab_file),
        "model_sha256": hashlib.sha256(model_file).hexdigest(),
        "torch": torch.__version__,
    }
    for name, m in [("float", model), ("int8", rounded)]:
        loss = mean_loss(m, held_out)
        nats = loss * (len(held_out) - 1)
        report[name] = {
            "perplexity_per_token": round(math.exp(loss), 3),
            "perplexity_per_word": round(math.exp(nats / words), 2),
            "bits_per_byte": round(nats / math.log(2) / size, 4),
        }
    (args.out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
