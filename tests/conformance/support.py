# SPDX-License-Identifier: Apache-2.0
"""Run the command on NumPy arrays: what the conformance tests share.

They have a short form, the default, and a long one: --long, or RZ_CONFORMANCE=long in the
environment. RZ_TEST_SEED seeds all that is random; a run with the same seed is the same run.
Importing this ends the program with status 77, "skipped", if NumPy or SciPy is missing.
"""

import json
import os
import pathlib
import sys
import unittest
import zlib

try:
    import numpy as np
    import scipy.stats  # noqa: F401
except ImportError as missing:
    print("skipped: %s" % missing)
    sys.exit(77)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import command  # noqa: E402

LONG = "--long" in sys.argv[1:] or os.environ.get("RZ_CONFORMANCE") == "long"
RAW = ["--logprobs-mode", "raw"]
PROCESSED = ["--logprobs-mode", "processed"]


def bfloat16(logits):
    """fp32 logits rounded towards zero to bf16, as the bits of the file and as fp32."""
    bits = (np.ascontiguousarray(logits, np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return bits, (bits.astype(np.uint32) << 16).view(np.float32)


def numbers(values):
    """Logprobs of the JSON output: null is -infinity."""
    return np.array([-np.inf if v is None else v for v in values], np.float64)


class ConformanceTest(command.CommandTest):
    def setUp(self):
        super().setUp()
        # Each test has numbers of its own, whichever tests run beside it.
        name = zlib.crc32(self.id().split(".", 1)[1].encode())
        self.rng = np.random.default_rng([command.SEED, name])

    def seed(self):
        return int(self.rng.integers(2**62))

    def files(self, logits, params):
        """Arguments for rows of logits, as they are in the file, and the parameters of each row, or
        one dict for all."""
        logits = np.atleast_2d(logits)
        np.save(self.path("logits.npy"), logits)
        lines = params if isinstance(params, list) else [params] * len(logits)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        args = [self.path("logits.npy"), "--params", self.text("params.jsonl", text)]
        return args + (["--dtype", "bf16"] if logits.dtype == np.uint16 else [])

    def draws(self, logits, params, count, *args):
        """Ids, [rows, count]."""
        args = [*self.files(logits, params), "--seed", self.seed(), "--count", count, *args]
        self.sample(*args, "-o", self.path("ids.npy"))
        return np.load(self.path("ids.npy"))

    def reports(self, logits, params, *args):
        """An object a row of the JSON output."""
        return self.sample_json(*self.files(logits, params), "--seed", self.seed(), *args)


def main():
    if "--long" in sys.argv:
        sys.argv.remove("--long")
    print("RZ_TEST_SEED=%d, %s form" % (command.SEED, "long" if LONG else "short"))
    sys.stdout.flush()
    unittest.main()
