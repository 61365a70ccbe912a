#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`rankzero bench ring`: what it prints and what it says, in so few rounds that its times mean
nothing."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

import command
from command import RANKZERO

SMALL = ["--rounds", 20, "--repeats", 2]
TEXTS = ["measure", "way"]
WHOLES = ["bytes", "consumers", "repeats", "samples"]
QUANTILES = ["p1_ns", "p5_ns", "p10_ns", "p25_ns", "p50_ns", "p75_ns", "p90_ns", "p95_ns"]
QUANTILES += ["p99_ns", "p99_9_ns", "max_ns"]
RATES = ["records_per_s", "records_per_s_min", "records_per_s_max", "gb_per_s"]
LATENCIES = [*QUANTILES, "one_way_ns", "ratio", "ratio_min", "ratio_max"]
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROCESSORS = len(os.sched_getaffinity(0))


def has_mqueues():
    """A system without them, or whose user has too many, leaves that way out."""
    done = subprocess.run(
        [RANKZERO, "bench", "ring", "--way", "mqueue", "--rounds", "1", "--repeats", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return "left out" not in done.stderr


class RingBenchTest(command.CommandTest):
    def bench(self, *args, **kwargs):
        return self.run_raw([RANKZERO, "bench", "ring", *args], **kwargs)

    def good(self, *args, **kwargs):
        done = self.bench(*SMALL, *args, **kwargs)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def csv(self, *args):
        rows = list(csv.reader(io.StringIO(self.good(*args, "--csv"))))
        self.assertEqual(rows[0], TEXTS + WHOLES + LATENCIES + RATES)
        for row in rows[1:]:
            self.assertEqual(len(row), len(rows[0]))
        return [dict(zip(rows[0], row)) for row in rows[1:]]

    def bad(self, *args, says):
        done = self.bench(*args)
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("rankzero bench ring: "), done.stderr)
        for part in [says] if isinstance(says, str) else says:
            self.assertIn(part, done.stderr)


class Results(RingBenchTest):
    def test_every_way_size_and_number_of_consumers_has_a_row(self):
        rows = self.csv("--way", "pipe,ring-sleep", "--bytes", "64,8,1001", "--consumers", "1,3")
        expected = [
            (measure, way, size, consumers)
            for measure in ("round-trip", "one-way", "throughput")
            for consumers in (("1",) if measure == "round-trip" else ("1", "3"))
            for size in ("64", "8", "1001")
            for way in ("ring-sleep", "pipe")
        ]
        got = [(r["measure"], r["way"], r["bytes"], r["consumers"]) for r in rows]
        self.assertEqual(got, expected)

    def test_columns_agree_with_one_another(self):
        for row in self.csv("--way", "ring-sleep,pipe", "--bytes", 256, "--consumers", 2):
            self.assertEqual(row["repeats"], "2")
            if row["measure"] == "throughput":
                self.assertEqual([row[c] for c in LATENCIES], [""] * len(LATENCIES))
                rates = [float(row[c]) for c in RATES]
                self.assertLessEqual(rates[1], rates[0])
                self.assertLessEqual(rates[0], rates[2])
                self.assertAlmostEqual(rates[3] * 1e9 / (rates[0] * 256), 1, places=3)
                self.assertEqual(row["samples"], "40")
                continue
            self.assertEqual([row[c] for c in RATES], [""] * len(RATES))
            times = [float(row[c]) for c in QUANTILES]
            self.assertEqual(times, sorted(times))
            self.assertGreater(float(row["one_way_ns"]), 0)
            # A tenth of the rounds, by every consumer, in each repeat.
            self.assertEqual(int(row["samples"]), 2 * int(row["consumers"]) * 2)

    @unittest.skipUnless(PROCESSORS >= 2, "what spins needs two processors")
    def test_what_spins_is_there_and_compared_with(self):
        rows = self.csv("--way", "line,ring-spin", "--bytes", "64,1024", "--consumers", 1)
        got = [(r["measure"], r["way"], r["bytes"]) for r in rows]
        latencies = [("line", "8"), ("ring-spin", "64"), ("ring-spin", "1024")]
        expected = [(m, *rest) for m in ("round-trip", "one-way") for rest in latencies]
        self.assertEqual(got, expected + [("throughput", *rest) for rest in latencies[1:]])
        for row in rows:
            self.assertEqual(row["ratio"] != "", row["measure"] != "throughput")

    def test_what_spins_is_left_out_where_it_cannot(self):
        many = str(PROCESSORS)
        done = self.bench(
            *SMALL, "--measure", "one-way", "--way", "ring-spin,pipe", "--consumers", many,
            "--bytes", 64, "--csv",
        )  # fmt: skip
        self.assertEqual(done.returncode, 0)
        self.assertEqual([r["way"] for r in csv.DictReader(io.StringIO(done.stdout))], ["pipe"])
        self.assertEqual(len(done.stderr.splitlines()), 1)
        self.assertIn("ring-spin: left out with %s consumers" % many, done.stderr)

    def test_message_queues_are_measured_or_left_out_by_name(self):
        done = self.bench(*SMALL, "--way", "mqueue", "--bytes", "64,16384", "--consumers", 1, "--csv")
        self.assertEqual(done.returncode, 0)
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        if has_mqueues():
            self.assertEqual([r["bytes"] for r in rows], ["64"] * 3)
        else:
            self.assertIn("mqueue is left out: ", done.stderr)
            self.assertEqual(rows, [])

    @unittest.skipUnless(shutil.which("python3"), "no python3 to run")
    def test_nano_is_measured(self):
        args = ["--way", "nano", "--bytes", 1024, "--csv"]
        done = self.bench(*SMALL, "--rounds", 100, *args, cwd=ROOT)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        self.assertEqual([(r["measure"], r["samples"]) for r in rows], [("round-trip", "4")])

    def test_without_python_nano_is_left_out(self):
        env = {**os.environ, "PATH": self.folder.name}
        args = ["--way", "nano,pipe", "--bytes", "64,128", "--measure", "round-trip", "--csv"]
        done = self.bench(*SMALL, *args, env=env, cwd=ROOT)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn("nano is left out: expected python3", done.stderr)
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        self.assertEqual([(r["way"], r["bytes"]) for r in rows], [("pipe", "64"), ("pipe", "128")])

    def test_without_mpirun_mpi_is_left_out(self):
        done = self.bench(*SMALL, "--way", "mpi", "--csv")
        self.assertEqual(done.returncode, 0)
        self.assertIn("mpi is left out: expected to be started by mpirun", done.stderr)

    @command.needs_mpi
    def test_under_mpirun_broadcasts_are_measured(self):
        args = ["--way", "mpi,pipe", "--measure", "round-trip", "--bytes", "64,128", "--csv"]
        words = [os.environ["MPIRUN"], "-np", 2, RANKZERO, "bench", "ring", *SMALL, *args]
        done = self.run_raw(words, env=command.hasty_mpi())
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        got = [(r["way"], r["bytes"], r["samples"]) for r in rows]
        expected = [(w, b, n) for b in ("64", "128") for w, n in (("pipe", "4"), ("mpi", "40"))]
        self.assertEqual(got, expected)

    def test_json_has_the_columns_of_the_csv_and_figures(self):
        report = json.loads(self.good("--way", "pipe", "--bytes", 64, "--consumers", 1, "--json"))
        self.assertEqual([r["measure"] for r in report["results"]], ["round-trip", "one-way", "throughput"])
        for result in report["results"]:
            self.assertEqual(sorted(result), sorted(TEXTS + WHOLES + LATENCIES + RATES))
        self.assertEqual(report["figures"], [])
        self.assertEqual(report["processors"], PROCESSORS)

    @unittest.skipUnless(PROCESSORS >= 2, "what spins needs two processors")
    def test_figures_have_targets(self):
        args = ["--measure", "round-trip", "--way", "ring-spin"]
        figures = json.loads(self.good(*args, "--json"))["figures"]
        self.assertEqual([f["target"] for f in figures], [2, 3])
        for figure in figures:
            self.assertEqual(figure["met"], figure["value"] <= figure["target"])
        table = self.good(*args)
        self.assertIn("16 ids one way", table)
        self.assertIn("256 ids one way", table)

    def test_lines_of_a_table_are_of_one_length(self):
        lines = self.good("--way", "pipe,ring-sleep", "--consumers", "1,2").splitlines()
        parts = "\n".join(lines).split("\n\n")
        tables = [part.splitlines() for part in parts if part.startswith("  way")]
        self.assertEqual([len(t) for t in tables], [1 + 12, 1 + 24, 1 + 24])
        for table in tables:
            self.assertEqual({len(line) for line in table}, {len(table[0])})

    def test_full_device_is_an_error(self):
        with open("/dev/full", "w") as full:
            done = self.bench(*SMALL, "--way", "pipe", "--bytes", 64, stdout=full)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot write to stdout: No space left on device", done.stderr)


class Usage(RingBenchTest):
    def test_bad_options_are_named(self):
        for args, says in (
            (["--measure", "jitter"], ["--measure", "round-trip, one-way, throughput", "'jitter'"]),
            (["--way", "socket"], ["--way", "ring-spin", "'socket'"]),
            (["--bytes", "7"], ["--bytes", "8 at least", "7"]),
            (["--bytes", "1048577"], ["--bytes", "'1048577'"]),
            (["--bytes", ",".join(["8"] * 17)], ["--bytes", "at most 16"]),
            (["--consumers", "64"], ["--consumers", "from 1 to 63", "'64'"]),
            (["--rounds", "0"], ["--rounds", "'0'"]),
            (["--repeats", "few"], ["--repeats", "'few'"]),
            (["--json", "--csv"], ["--json", "--csv", "stdout"]),
            (["--csv="], ["--csv=FILE"]),
            (["--way"], ["--way", "expected a value"]),
            (["--fast"], ["--fast", "unknown"]),
            (["x"], ["options only", "'x'"]),
        ):
            self.bad(*args, says=says)

    def test_help(self):
        done = self.bench("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("rankzero bench ring", done.stdout)

    def test_interrupt_ends_all_processes(self):
        args = ["--way", "ring-sleep", "--rounds", 10000000, "--measure", "round-trip"]
        with tempfile.TemporaryFile() as stdout:
            words = [str(w) for w in [RANKZERO, "bench", "ring", *args]]
            process = subprocess.Popen(words, stdout=stdout, stderr=subprocess.PIPE)
            self.addCleanup(command.end, process)
            self.assertTrue(
                command.wait_until(lambda: len(command.children(process.pid)) == 2),
                "it measures",
            )
            children = command.children(process.pid)
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.communicate(timeout=command.PATIENCE), (None, b""))
            self.assertEqual(process.returncode, -signal.SIGINT)
            self.assertTrue(command.wait_until(lambda: all(map(command.is_gone, children))))
            self.assertEqual(os.fstat(stdout.fileno()).st_size, 0)


if __name__ == "__main__":
    unittest.main()
