# SPDX-License-Identifier: Apache-2.0
"""What others take to draw from the same logits on a GPU: PyTorch, FlashInfer, vLLM.

`rankzero bench sample --backend cuda --against WORD` runs this and has it time one thing at a time, in
turn with its own. Alone, it prints a table of rows of its own:

    build/bench-venv/bin/python3 bench/gpu_samplers.py torch|flashinfer|vllm [--rows N] [--vocab N]

What a package lacks, or does not do here, is named and left out.
"""

import peer
import seed_sampler

TOP_P, TOP_K, MIN_P = 0.95, 50, 0.05
SHORTEST_NS = 4_000_000  # of a time: CUDA's events are good to half a microsecond
GRAPH_INPUTS = 20  # of a graph, at least: a replay costs some microseconds
WARM_UPS = 3  # what is compiled is compiled by then


class Work:
    """A function that takes its inputs in turn. Called, it says how many nanoseconds one takes."""

    def __init__(self, function, inputs, graph):
        self.function, self.inputs, self.graph = function, inputs, graph
        self.next, self.times = 0, 0

    def __call__(self):
        if self.times == 0:
            self.prepare()
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        begin.record()
        for _ in range(self.times):
            self.run()
        end.record()
        torch.cuda.synchronize()
        return round(begin.elapsed_time(end) * 1e6 / (self.times * self.each))

    def prepare(self):
        """What does not run fails here."""
        self.run, self.each = self.run_next, 1
        for _ in range(WARM_UPS):
            self.run()
        if self.graph:
            self.run, self.each = self.capture(), max(len(self.inputs), GRAPH_INPUTS)
            self.run()
        self.times = 1
        self.times = int(SHORTEST_NS / (self() * self.each + 1)) + 1

    def run_next(self):
        self.function(self.inputs[self.next])
        self.next = (self.next + 1) % len(self.inputs)

    def capture(self):
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for i in range(max(len(self.inputs), GRAPH_INPUTS)):
                self.function(self.inputs[i % len(self.inputs)])
        return graph.replay


# ---------------------------------------------------------------------------------------------------
# Who draws. Each takes rows of logits as they came, of the type that they have.


def of_torch(rows, vocab):
    ones = torch.ones(rows, device="cuda")
    p = torch.full((rows,), TOP_P, device="cuda")
    k = min(TOP_K, vocab)
    compiled = torch.compile(seed_sampler.seed_sampler, dynamic=False)
    return {
        "torch/greedy": lambda x: x.argmax(dim=-1),
        "torch/temperature": lambda x: seed_sampler.seed_sampler(x, ones),
        "torch-compile/temperature": lambda x: compiled(x, ones),
        "torch/top-k": lambda x: torch.topk(x, k, dim=-1),
        "torch/top-p": lambda x: seed_sampler.seed_sampler(seed_sampler.sort_top_p(x, p), ones),
    }


def of_flashinfer(rows, vocab):
    """From logits where it takes them, else from the softmax that it needs first."""
    import flashinfer.sampling as sampling

    def probs(x):
        return torch.softmax(x.float(), dim=-1)

    k = min(TOP_K, vocab)
    return {
        "flashinfer/temperature": lambda x: sampling.sampling_from_logits(x),
        "flashinfer/min-p": lambda x: sampling.min_p_sampling_from_probs(probs(x), MIN_P),
        "flashinfer/top-k": lambda x: sampling.top_k_sampling_from_probs(probs(x), k),
        "flashinfer/top-p": lambda x: sampling.top_p_sampling_from_probs(probs(x), TOP_P),
        "flashinfer/top-p+top-k": lambda x: sampling.top_k_top_p_sampling_from_logits(x, k, TOP_P),
    }


def of_vllm(rows, vocab):
    """Its own path in PyTorch and Triton, as its sampler calls it without FlashInfer."""
    from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p, random_sample

    k = torch.full((rows,), min(TOP_K, vocab), device="cuda", dtype=torch.int32)
    p = torch.full((rows,), TOP_P, device="cuda")

    def drawing(k, p):
        def draw(x):
            logits = apply_top_k_top_p(x.to(torch.float32, copy=True), k, p)  # in place
            return random_sample(logits.softmax(dim=-1, dtype=torch.float32), {})

        return draw

    return {
        "vllm/temperature": drawing(None, None),
        "vllm/top-k": drawing(k, None),
        "vllm/top-p": drawing(None, p),
        "vllm/top-p+top-k": drawing(k, p),
    }


DRAWING = {"torch": of_torch, "flashinfer": of_flashinfer, "vllm": of_vllm}

# ---------------------------------------------------------------------------------------------------


def load(whose):
    global torch
    import importlib
    import importlib.metadata

    packages = {"torch": "torch", "flashinfer": "flashinfer-python", "vllm": "vllm"}
    seed_sampler.torch = torch = importlib.import_module("torch")
    importlib.import_module(whose)
    if not torch.cuda.is_available():
        raise RuntimeError("PyTorch finds no GPU")
    torch.set_grad_enabled(False)
    torch.manual_seed(1)
    version = importlib.metadata.version(packages[whose])
    name = {"torch": "PyTorch", "flashinfer": "FlashInfer", "vllm": "vLLM"}[whose]
    return "%s %s on %s" % (name, version, torch.cuda.get_device_name())


def read(buffer, dtype, vocab, stride, rows, batch=0, inputs=3, launch="stream"):
    """The inputs, each a tensor of its own: the rows are repeated to fill them."""
    kind = getattr(torch, seed_sampler.DTYPES[dtype])
    flat = torch.frombuffer(buffer, dtype=kind, count=rows * stride)
    few = flat.view(rows, stride)[:, :vocab].to("cuda").contiguous()
    batch = batch or rows
    which = torch.arange(batch * inputs, device="cuda") % rows
    return [few[part] for part in which.split(batch)], launch == "graph"


def functions(given, whose):
    inputs, graph = given
    rows, vocab = inputs[0].shape
    return {name: Work(f, inputs, graph) for name, f in DRAWING[whose](rows, vocab).items()}


if __name__ == "__main__":
    peer.main("Time the samplers of others on a GPU.", load, read, functions, whose=list(DRAWING))
