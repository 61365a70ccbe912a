# SPDX-License-Identifier: Apache-2.0
"""What `rankzero bench sample --backend cuda` says, on doubles of GPUs (tests/fakes/cuda/fake.h) and
inputs so small that its times mean nothing."""

import csv
import io
import json
import os
import unittest

import command
import test_bench
from command import RANKZERO

# Three inputs are more than this cache has.
L2 = {"RZ_FAKE_CUDA_L2": "100"}
SMALL = ["--backend", "cuda", "--vocab", 64, "--batch", 2, "--repeats", 2, "--kind", "peaked"]
TEXTS = ["backend", "kind", "filter", "dtype", "stage", "launch", "cache"]
WHOLES = ["vocab", "batch", "repeats"]
NUMBERS = ["us", "us_min", "us_max", "gb_per_s", "read_us", "read_gb_per_s", "of_read"]
NUMBERS += ["of_read_min", "of_read_max", "times_ours"]
MODES = [("stream", "cold"), ("stream", "hot"), ("graph", "cold"), ("graph", "hot")]

# In place of Python: answers as bench/gpu_samplers.py does, without any of the packages.
FAKE_PYTHON = """#!/usr/bin/env python3
import sys
whose = sys.argv[-1]
for line in sys.stdin:
    word, *args = line.split()
    if word == "hello" and whose == "vllm":
        print("error ModuleNotFoundError: No module named 'vllm'", flush=True)
    elif word == "hello":
        print(whose + " 1.0-fake", flush=True)
    elif word == "rows":
        batch, inputs, launch = args[5:]
        assert int(batch) >= int(args[4]) and int(inputs) in (1, 3), line
        print("names\\t%s/greedy\\t%s-%s/top-p" % (whose, whose, launch), flush=True)
    else:
        print("1200000", flush=True)
"""


class GpuBenchTest(command.CommandTest):
    def bench(self, *args, **variables):
        env = {**os.environ, **L2, **variables}
        return self.run_raw([RANKZERO, "bench", "sample", *SMALL, *args], env=env, cwd=test_bench.ROOT)

    def good(self, *args, **variables):
        done = self.bench(*args, **variables)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def csv(self, *args):
        return self.rows_of_csv(self.good("--csv", *args))

    def rows_of_csv(self, text):
        rows = list(csv.reader(io.StringIO(text)))
        self.assertEqual(rows[0], TEXTS + WHOLES + NUMBERS)
        return [dict(zip(rows[0], row)) for row in rows[1:]]

    def fails(self, status, *args, says, **variables):
        done = self.bench(*args, **variables)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn(says, done.stderr)


class Results(GpuBenchTest):
    def test_every_filter_in_every_mode(self):
        rows = self.csv("--filter", ",".join(test_bench.FILTERS), "--batch", 1, "--repeats", 1)
        got = [tuple(r[c] for c in ("launch", "cache", "filter")) for r in rows]
        expected = [(*mode, name) for mode in MODES for name in test_bench.FILTERS]
        self.assertEqual(got, expected)
        for row in rows:
            self.assertEqual((row["backend"], row["stage"], row["vocab"]), ("cuda", "kernels", "64"))

    def test_lists_are_combined(self):
        args = ["--filter", "greedy", "--repeats", 1, "--kind", "flat,zipf"]
        rows = self.csv(*args, "--batch", "1,2")
        got = [tuple(r[c] for c in ("kind", "batch", "launch", "cache")) for r in rows]
        expected = [(k, b, *mode) for k in ("flat", "zipf") for b in ("1", "2") for mode in MODES]
        self.assertEqual(got, expected)

    def test_columns_agree_with_one_another(self):
        for row in self.csv("--filter", "greedy", "--dtype", "bf16,f32"):
            number = {c: float(row[c]) for c in WHOLES + NUMBERS}
            self.assertLessEqual(number["us_min"], number["us"])
            self.assertLessEqual(number["us"], number["us_max"])
            self.assertLessEqual(number["of_read_min"], number["of_read_max"])
            bytes_of_batch = 2 * 64 * (4 if row["dtype"] == "f32" else 2)
            for us, rate in (("us", "gb_per_s"), ("read_us", "read_gb_per_s")):
                self.assertAlmostEqual(number[rate] * number[us] * 1e3 / bytes_of_batch, 1, places=3)
            self.assertEqual(number["times_ours"], 1)

    def test_large_batches_need_no_graph(self):
        rows = self.csv("--filter", "greedy", "--batch", 65, "--vocab", 16, "--repeats", 1)
        self.assertEqual([(r["launch"], r["cache"]) for r in rows], MODES[:2])

    def test_json_has_the_columns_of_the_csv(self):
        report = json.loads(self.good("--filter", "greedy", "--json"))
        self.assertIn("Fake GPU 0, 132 multiprocessors", report["device"])
        self.assertEqual(len(report["results"]), len(MODES))
        for result in report["results"]:
            self.assertEqual(sorted(result), sorted(TEXTS + WHOLES + NUMBERS))

    def test_table_has_a_line_for_every_result(self):
        lines = self.good("--filter", "greedy,temperature").splitlines()
        self.assertIn("batches of 2 peaked rows of 64 bf16", "\n".join(lines))
        cases = [line for line in lines if " cuda " in line]
        self.assertEqual(len(cases), 2 * len(MODES))

    def test_rows_of_a_file(self):
        path = self.logits(rows=3, vocab=70)
        args = ["--logits", path, "--kind", "file", "--filter", "greedy", "--dtype", "f32"]
        self.assertEqual({(r["kind"], r["vocab"]) for r in self.csv(*args)}, {("file", "70")})

    def test_stages_of_a_step(self):
        rows = self.csv("--stages", "--filter", "temperature,penalties", "--repeats", 1)
        calls = ["rz_step", "rz_step less kernels", "rz_step_enqueue", "rz_step_finish"]
        for name in ("temperature", "penalties"):
            stages = [r["stage"] for r in rows if r["filter"] == name]
            kernels = stages[1:-7]
            self.assertEqual(stages, ["fetch", *kernels, "publish", "take", "nothing", *calls])
            self.assertRegex(kernels[0], "^(scan|sample)_bf16$")
        for row in rows:
            self.assertEqual((row["gb_per_s"], row["of_read"]), ("", ""))
        self.assertIn("publish", self.good("--stages", "--filter", "greedy", "--repeats", 1))


class Against(GpuBenchTest):
    def test_their_times_stand_beside_ours(self):
        python = self.text("python3", FAKE_PYTHON)
        os.chmod(python, 0o755)
        args = ["--filter", "greedy,top-p", "--csv", "--against", "torch,vllm,flashinfer"]
        done = self.bench(*args, RANKZERO_BENCH_PYTHON=python)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("--against vllm is left out: bench/gpu_samplers.py: ModuleNot", done.stderr)
        rows = self.rows_of_csv(done.stdout)
        for launch, cache in MODES:
            some = [r for r in rows if (r["launch"], r["cache"]) == (launch, cache)]
            others = ["%s%s" % (w, m) for w in ("torch", "flashinfer") for m in ("", "-" + launch)]
            self.assertEqual([r["backend"] for r in some], ["cuda", "cuda", *others])
            ours = {r["filter"]: float(r["us"]) for r in some[:2]}
            for row in some[2:]:
                self.assertEqual(row["us"], "1200")
                times = 1200 / ours[row["filter"]]
                self.assertAlmostEqual(float(row["times_ours"]) / times, 1, places=3)

    def test_without_python_the_rest_goes_on(self):
        done = self.bench("--filter", "greedy", "--csv", "--against", "flashinfer",
                          RANKZERO_BENCH_PYTHON=self.path("none"))
        self.assertEqual(done.returncode, 0)
        self.assertIn("--against flashinfer is left out: no FlashInfer", done.stderr)
        self.assertEqual(len(self.rows_of_csv(done.stdout)), len(MODES))


class Usage(GpuBenchTest):
    def test_what_does_not_go_together(self):
        for args, says in (
            (["--rows", 4], "--rows: expected --batch"),
            (["--backend", "cuda,scalar"], "--backend: expected cuda alone"),
            (["--against", "llama"], "--against llama"),
            (["--against", "torch", "--stages"], "--against: expected without --stages"),
            (["--batch", 0], "--batch: expected a whole number from 1 to 65535"),
            (["--batch", ",".join(["8"] * 17)], "--batch: expected at most 16"),
            (["--device", "x"], "--device: expected a whole number from 0 to 63, got 'x'"),
            (["--backend", "auto"], "--batch, --stages, --device: expected --backend cuda"),
        ):
            self.fails(2, *args, says=says)

    def test_what_is_missing_is_said(self):
        self.fails(1, "--device", 3, says="--backend cuda: device: expected 0 to 0, got 3")
        self.fails(1, says="the driver is one for CUDA 11.8", RZ_FAKE_CUDA_DRIVER="11080")
        self.fails(1, says="no memory for logits", RZ_FAKE_CUDA_MEMORY="100")


if __name__ == "__main__":
    unittest.main()
