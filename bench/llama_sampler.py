# SPDX-License-Identifier: Apache-2.0
"""What llama.cpp's sampler chains take to draw from the same logits on one CPU core.

`rankzero bench sample --against llama` runs this and has it time one thing at a time, in turn with
its own. Alone, it prints a table of rows of its own:

    build/bench-venv/bin/python3 bench/llama_sampler.py [--rows N] [--vocab N] [--repeats N]
"""

import ctypes
import importlib.metadata
import os
import subprocess
import tempfile

import peer

# By rankzero's filter: temperature, top-k, top-p, min-p, repetition penalty, as llama_chains.c takes
# them; 0 leaves one out.
CHAINS = {
    "greedy": (0, 0, 0, 0, 0),
    "temperature": (1, 0, 0, 0, 0),
    "min-p": (1, 0, 0, 0.05, 0),
    "top-k": (1, 50, 0, 0, 0),
    "top-p": (1, 0, 0.95, 0, 0),
    "top-p+top-k": (1, 50, 0.95, 0, 0),
    "penalties": (1, 0, 0, 0, 1.1),
}
ENTRY_BYTES = 12  # of llama_token_data


def compile_chains(include, libraries):
    """llama_chains.c as a library that has been loaded. The time that matters is libllama's."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "llama_chains.c")
    with tempfile.TemporaryDirectory(prefix="rankzero-bench-") as folder:
        library = os.path.join(folder, "llama_chains.so")
        command = [os.environ.get("CC", "cc"), "-std=c11", "-O3", "-shared", "-fPIC", source]
        command += ["-I", include, "-L", libraries, "-lllama", "-Wl,-rpath," + libraries]
        done = subprocess.run([*command, "-o", library], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError("cannot compile llama_chains.c: " + done.stderr)
        return ctypes.CDLL(library)


def load():
    global numpy, chains
    import numpy

    package = importlib.metadata.distribution("llama-cpp-python")
    libraries = str(package.locate_file("llama_cpp/lib"))
    chains = compile_chains(str(package.locate_file("include")), libraries)
    whole, real, pointer = ctypes.c_int32, ctypes.c_float, ctypes.c_void_p
    chains.rz_llama_chain.restype = pointer
    chains.rz_llama_chain.argtypes = [whole, real, whole, real, real, real]
    chains.rz_llama_draw.restype = None
    chains.rz_llama_draw.argtypes = [pointer, pointer, whole, whole, pointer, pointer]
    version = ctypes.CDLL(os.path.join(libraries, "libllama.so")).llama_version
    version.restype = ctypes.c_char_p
    return "llama.cpp %s (llama-cpp-python %s)" % (version().decode(), package.version)


def read(buffer, dtype, vocab, stride, rows):
    """llama.cpp takes float32 and no other."""
    kind = {"f32": numpy.float32, "f16": numpy.float16, "bf16": numpy.uint16}[dtype]
    logits = numpy.frombuffer(buffer, kind, rows * stride).reshape(rows, stride)[:, :vocab]
    if dtype == "bf16":
        logits = (logits.astype(numpy.uint32) << 16).view(numpy.float32)
    return numpy.array(logits, numpy.float32, order="C")  # a copy without gaps between rows


def functions(logits):
    rows, vocab = logits.shape
    array = numpy.zeros(vocab * ENTRY_BYTES, numpy.uint8)
    ids = numpy.zeros(rows, numpy.int32)

    def drawing(parameters):
        chain = chains.rz_llama_chain(vocab, *parameters)
        return lambda: chains.rz_llama_draw(
            chain, logits.ctypes.data, rows, vocab, array.ctypes.data, ids.ctypes.data
        )

    return {"llama/" + name: drawing(parameters) for name, parameters in CHAINS.items()}


if __name__ == "__main__":
    peer.main("Time llama.cpp's sampler chains on one core.", load, read, functions)
