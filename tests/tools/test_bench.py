# SPDX-License-Identifier: Apache-2.0
"""What `rankzero bench sample` says, on grids so small that its times mean nothing."""

import csv
import io
import json
import os
import signal
import subprocess
import tempfile
import unittest

import command
import npyfile
from command import RANKZERO

SMALL = ["--vocab", 300, "--rows", 4, "--repeats", 2]
TEXTS = ["backend", "kind", "filter", "dtype"]
WHOLES = ["vocab", "rows", "repeats"]
NUMBERS = ["row_us", "row_us_min", "row_us_max", "logit_ns", "gb_per_s", "ratio", "ratio_min"]
NUMBERS += ["ratio_max", "plain_gb_per_s", "read_gb_per_s", "tiles_exact", "extra_passes"]
NUMBERS += ["times_fastest"]
FILTERS = ["greedy", "temperature", "min-p", "top-k", "top-p", "top-p+top-k", "logprobs"]
FILTERS += ["penalties", "bitmask"]

# In place of Python: answers as the scripts of bench/ do, without PyTorch and llama.cpp.
FAKE_PYTHON = """#!/usr/bin/env python3
import sys
llama = "llama_sampler.py" in sys.argv[1]
for line in sys.stdin:
    word = line.split()[0]
    if word == "hello":
        print("llama.cpp 1.0-fake" if llama else "PyTorch 2.0-fake", flush=True)
    elif word == "rows" and llama:
        print("names\\tllama/greedy\\tllama/top-p+top-k", flush=True)
    elif word == "rows":
        print("names\\ttorch/greedy\\ttorch-compile/temperature\\ttorch/unheard-of", flush=True)
    else:
        print("%s", flush=True)
"""
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class BenchTest(command.CommandTest):
    def bench(self, *args, **kwargs):
        return self.run_raw([RANKZERO, "bench", "sample", *args], **kwargs)

    def good(self, *args, **kwargs):
        done = self.bench(*args, **kwargs)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def csv(self, *args, **kwargs):
        return self.rows_of_csv(self.good(*SMALL, *args, "--csv", **kwargs))

    def rows_of_csv(self, text):
        rows = list(csv.reader(io.StringIO(text)))
        self.assertEqual(rows[0], TEXTS + WHOLES + NUMBERS)
        for row in rows[1:]:
            self.assertEqual(len(row), len(rows[0]))
        return [dict(zip(rows[0], row)) for row in rows[1:]]

    def bad(self, status, *args, says):
        done = self.bench(*args)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("rankzero bench sample: "), done.stderr)
        for part in [says] if isinstance(says, str) else says:
            self.assertIn(part, done.stderr)


class Results(BenchTest):
    def test_csv_has_a_row_for_every_kind_and_filter(self):
        rows = self.csv()
        expected = [(k, f) for k in ("flat", "peaked", "zipf") for f in FILTERS]
        self.assertEqual([(r["kind"], r["filter"]) for r in rows], expected)
        for row in rows:
            self.assertEqual([row[c] for c in ("dtype", "vocab", "repeats")], ["bf16", "300", "2"])
            self.assertEqual(int(row["rows"]) % 4, 0, "whole passes over the rows")

    def test_columns_agree_with_one_another(self):
        for row in self.csv("--kind", "peaked"):
            number = {c: float(row[c]) for c in WHOLES + NUMBERS}
            self.assertLessEqual(number["row_us_min"], number["row_us"])
            self.assertLessEqual(number["row_us"], number["row_us_max"])
            self.assertLessEqual(number["ratio_min"], number["ratio"])
            self.assertLessEqual(number["ratio"], number["ratio_max"])
            ns = number["row_us"] * 1000
            self.assertAlmostEqual(number["logit_ns"] * 300 / ns, 1, places=3)
            self.assertAlmostEqual(number["gb_per_s"] * ns / 600, 1, places=3)
            self.assertEqual(number["times_fastest"], 1)
            self.assertEqual(number["tiles_exact"] > 0, row["filter"] != "greedy")

    def test_json_has_the_columns_of_the_csv(self):
        report = json.loads(self.good(*SMALL, "--json"))
        self.assertEqual(len(report["results"]), 3 * len(FILTERS))
        self.assertTrue(report["plain_maximum"])
        for result in report["results"]:
            self.assertEqual(sorted(result), sorted(TEXTS + WHOLES + NUMBERS))
            for column in TEXTS:
                self.assertIsInstance(result[column], str)
            for column in WHOLES:
                self.assertIsInstance(result[column], int)
            for column in NUMBERS:
                self.assertIsInstance(result[column], float)

    def test_table_has_a_line_for_every_result_in_columns(self):
        lines = self.good(*SMALL).splitlines()
        headings = [line for line in lines if line.startswith("  filter")]
        cases = [line for line in lines if line.startswith("  ") and line not in headings]
        self.assertEqual((len(headings), len(cases)), (3, 3 * len(FILTERS)))
        self.assertEqual({len(line) for line in headings + cases}, {len(headings[0])})

    def test_files_come_in_addition_to_the_table(self):
        csv_path, json_path = self.path("a.csv"), self.path("a.json")
        table = self.good(*SMALL, "--filter", "greedy", f"--csv={csv_path}", f"--json={json_path}")
        self.assertIn("plain maximum", table)
        with open(csv_path) as file:
            rows = self.rows_of_csv(file.read())
        with open(json_path) as file:
            results = json.load(file)["results"]
        self.assertEqual([r["kind"] for r in rows], ["flat", "peaked", "zipf"])
        self.assertEqual([r["kind"] for r in results], ["flat", "peaked", "zipf"])
        self.assertEqual([float(r["row_us"]) for r in rows], [r["row_us"] for r in results])

    def test_lists_are_combined(self):
        args = ["--kind", "zipf", "--filter", "top-k,greedy", "--dtype", "bf16,f32,f16"]
        rows = self.csv(*args, "--vocab", "16,1000", "--backend", "reference,scalar")
        got = {tuple(r[c] for c in (*TEXTS, "vocab")) for r in rows}
        expected = {
            (backend, "zipf", name, dtype, vocab)
            for backend in ("reference", "scalar")
            for name in ("greedy", "top-k")
            for dtype in ("f32", "f16", "bf16")
            for vocab in ("16", "1000")
        }
        self.assertEqual((len(rows), got), (len(expected), expected))

    def test_all_back_ends_are_all_but_the_reference(self):
        few = ["--kind", "flat", "--filter", "greedy"]
        names = [r["backend"] for r in self.csv(*few, "--backend", "all")]
        self.assertIn("scalar", names)
        self.assertNotIn("reference", names)
        self.assertEqual(len(set(names)), len(names))
        auto = self.csv(*few)
        self.assertEqual(auto[0]["backend"], names[0])

    def test_vocabularies_may_be_tiny(self):
        for row in self.csv("--vocab", "1,2,15,17", "--dtype", "bf16,f16,f32"):
            self.assertGreater(float(row["ratio"]), 0)

    def test_file_brings_its_vocabulary_and_fills_the_rows(self):
        rows = self.rows(3, 333)
        for descr in ("<f4", "<f2", "<u2"):
            path = npyfile.write_rows(self.path("x.npy"), rows, descr)
            got = self.csv("--logits", path, "--filter", "greedy", "--rows", 7)
            self.assertEqual([r["kind"] for r in got], ["flat", "peaked", "zipf", "file"])
            self.assertEqual([r["vocab"] for r in got], ["300"] * 3 + ["333"])
            self.assertEqual([int(r["rows"]) % 7 for r in got], [0] * 4)
        only = self.csv("--logits", path, "--kind", "file", "--filter", "greedy")
        self.assertEqual([r["kind"] for r in only], ["file"])
        args = [*SMALL, "--logits", path, "--kind", "file", "--filter", "greedy"]
        self.assertIn("file rows (%s) of 333 bf16" % path, self.good(*args))

    def test_full_device_is_an_error(self):
        with open("/dev/full", "w") as full:
            done = self.bench(*SMALL, "--filter", "greedy", stdout=full)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot write to stdout: No space left on device", done.stderr)
        self.bad(1, *SMALL, "--csv=/dev/full", says="/dev/full: No space left on device")


class Against(BenchTest):
    def against(self, words, answer, *args):
        python = self.text("python3", FAKE_PYTHON % answer)
        os.chmod(python, 0o755)
        env = {**os.environ, "RANKZERO_BENCH_PYTHON": python}
        return self.bench(*SMALL, "--against", words, *args, env=env, cwd=ROOT)

    def test_their_times_stand_beside_ours(self):
        done = self.against("llama,torch", "1200000", "--csv")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        rows = self.rows_of_csv(done.stdout)
        others = [r for r in rows if r["backend"].partition("-")[0] in ("torch", "llama")]
        per_kind = ["torch/greedy", "torch-compile/temperature"]
        per_kind += ["llama/greedy", "llama/top-p+top-k"]
        self.assertEqual(["%(backend)s/%(filter)s" % r for r in others], 3 * per_kind)
        self.assertEqual(len(rows), 3 * len(FILTERS) + len(others))
        ours = {(r["kind"], r["filter"]): float(r["row_us"]) for r in rows if r not in others}
        for row in others:
            self.assertEqual((row["row_us"], row["rows"]), ("300", "4"))
            self.assertEqual((row["tiles_exact"], row["extra_passes"]), ("", ""))
            times = 300 / ours[row["kind"], row["filter"]]
            self.assertAlmostEqual(float(row["times_fastest"]) / times, 1, places=3)

    def test_table_has_a_part_for_them(self):
        for words, count in (("torch", 2), ("llama", 2), ("torch,llama", 4)):
            done = self.against(words, "1200000")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            heading, *lines = done.stdout.partition("Others on one thread")[2].splitlines()
            self.assertEqual("PyTorch 2.0-fake" in heading, "torch" in words)
            self.assertEqual("llama.cpp 1.0-fake" in heading, "llama" in words)
            columns, *cases = lines[1:]
            self.assertEqual(len(cases), 3 * count)
            self.assertEqual({len(line) for line in cases}, {len(columns)})

    def test_json_has_their_versions(self):
        report = json.loads(self.against("torch,llama", "1200000", "--json").stdout)
        self.assertEqual(report["against"], ["PyTorch 2.0-fake", "llama.cpp 1.0-fake"])

    def test_their_failure_is_ours(self):
        for word, script in (("torch", "seed_sampler.py"), ("llama", "llama_sampler.py")):
            done = self.against(word, "error RuntimeError: no")
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("bench/%s: RuntimeError: no" % script, done.stderr)
            done = self.against(word, "soon")
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("bench/%s: expected nanoseconds, got 'soon'" % script, done.stderr)

    def test_without_them_the_rest_goes_on(self):
        few = [*SMALL, "--against", "torch,llama", "--csv", "--filter", "greedy"]
        env = {**os.environ, "RANKZERO_BENCH_PYTHON": self.path("none")}
        done = self.bench(*few, env=env, cwd=ROOT)
        self.assertEqual(done.returncode, 0)
        self.assertIn("--against torch is left out: no PyTorch", done.stderr)
        self.assertIn("--against llama is left out: no llama.cpp", done.stderr)
        self.assertEqual(len(self.rows_of_csv(done.stdout)), 3)


class Usage(BenchTest):
    def test_bad_options_are_named(self):
        for args, says in (
            (["--kind", "round"], ["--kind", "flat, peaked, zipf, file", "'round'"]),
            (["--kind", "flat,"], ["--kind", "got ''"]),
            (["--filter", "top-q"], ["--filter", "top-p", "'top-q'"]),
            (["--dtype", "f64"], ["--dtype", "f32, f16, bf16", "'f64'"]),
            (["--backend", "gpu"], ["--backend", "avx512", "'gpu'"]),
            (["--vocab", "0"], ["--vocab", "from 1 to 262144", "'0'"]),
            (["--vocab", "8,262145"], ["--vocab", "'262145'"]),
            (["--vocab", ",".join(["8"] * 17)], ["--vocab", "at most 16"]),
            (["--rows", "-1"], ["--rows", "'-1'"]),
            (["--repeats", "many"], ["--repeats", "'many'"]),
            (["--against", "torch,numpy"], ["--against", "torch, llama, flashinfer, vllm", "'numpy'"]),
            (["--against", "vllm"], ["--against flashinfer, vllm", "--backend cuda"]),
            (["--batch", "8"], ["--batch", "--backend cuda"]),
            (["--kind", "file"], ["--kind file", "--logits"]),
            (["--logits", "x.npy", "--kind", "flat"], ["--logits", "--kind"]),
            (["--json", "--csv"], ["--json", "--csv", "stdout"]),
            (["--csv="], ["--csv=FILE"]),
            (["--rows"], ["--rows", "expected a value"]),
            (["--fast"], ["--fast", "unknown"]),
            (["-x"], ["-x", "unknown"]),
            (["--help=no"], ["--help=no", "expected no value"]),
            (["x.npy"], ["options only", "'x.npy'"]),
        ):
            self.bad(2, *args, says=says)

    def test_bad_files_are_named(self):
        self.bad(1, "--logits", self.path("none.npy"), says="none.npy")
        self.bad(1, "--logits", self.text("x.npy", "text"), says="x.npy")
        wide = npyfile.write_vector(self.path("wide.npy"), [0.0] * 262145)
        self.bad(1, "--logits", wide, says=["wide.npy", "262144", "262145"])

    def test_what_to_measure_must_be_said(self):
        for words, says in (([], "nothing"), (["steps"], "'steps'")):
            done = self.run_raw([RANKZERO, "bench", *words])
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("rankzero bench: expected what to measure", done.stderr)
            self.assertIn(says, done.stderr)

    def test_help(self):
        for words in (["bench", "--help"], ["bench", "sample", "--help"]):
            done = self.run_raw([RANKZERO, *words])
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("rankzero bench sample", done.stdout)

    def test_interrupt_ends_it(self):
        words = [RANKZERO, "bench", "sample", "--vocab", 1000, "--rows", 64, "--repeats", 1000]
        with tempfile.TemporaryFile() as stdout:
            process = subprocess.Popen(
                [str(w) for w in words], stdout=stdout, stderr=subprocess.PIPE
            )
            self.addCleanup(command.end, process)
            caught = "SigCgt:\t"

            def waits_for_signals():
                with open("/proc/%d/status" % process.pid) as file:
                    mask = next(line for line in file if line.startswith(caught))
                return int(mask[len(caught) :], 16) & 1 << (signal.SIGINT - 1)

            self.assertTrue(command.wait_until(waits_for_signals))
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.communicate(timeout=command.PATIENCE), (None, b""))
            self.assertEqual(process.returncode, -signal.SIGINT)
            self.assertEqual(os.fstat(stdout.fileno()).st_size, 0)


if __name__ == "__main__":
    unittest.main()
