# SPDX-License-Identifier: Apache-2.0
"""What `rankzero sample` draws, and the forms in which it says so."""

import json
import math
import os
import pty
import struct
import subprocess
import unittest

import command
import npyfile
from command import RANKZERO


class Forms(command.CommandTest):
    def test_lines_have_a_row_of_ids_each(self):
        lines = self.sample(self.logits(rows=3), "--seed", 5, "--count", 4)
        self.assertEqual([len(line) for line in lines], [4, 4, 4])
        self.assertTrue(all(0 <= i < 1000 for line in lines for i in line))

    def test_json_has_the_ids_of_the_lines_and_how_they_came_about(self):
        x = self.logits(rows=2)
        args = [x, "--seed", 5, "--count", 3, "--position", 7]
        objects = self.sample_json(*args)
        self.assertEqual([o["ids"] for o in objects], self.sample(*args))
        self.assertEqual([o["row"] for o in objects], [0, 1])
        self.assertEqual([o["seed"] for o in objects], [5, 6])
        self.assertEqual([o["position"] for o in objects], [7, 7])
        self.assertEqual([o["status"] for o in objects], ["ok", "ok"])
        self.assertNotIn("logprob", objects[0])

    def test_file_has_the_ids_of_the_lines_and_stdout_nothing(self):
        x, out = self.logits(rows=3), self.path("ids.npy")
        args = [x, "--seed", 5, "--count", 7]
        lines = self.sample(*args)
        self.assertEqual(self.sample(*args, "-o", out), [])
        self.assertEqual(npyfile.read_i32(out), lines)
        self.assertEqual(os.listdir(self.folder.name).sort(), ["logits.npy", "ids.npy"].sort())
        self.assertEqual(os.stat(out).st_mode & 0o777, 0o666 & ~self.umask())

    def test_file_and_json_go_together(self):
        x, out = self.logits(rows=2), self.path("ids.npy")
        objects = self.sample_json(x, "--seed", 1, "--output", out)
        self.assertEqual(npyfile.read_i32(out), [o["ids"] for o in objects])

    @staticmethod
    def umask():
        mask = os.umask(0)
        os.umask(mask)
        return mask

    def test_file_of_before_stays_if_the_run_fails(self):
        out = self.text("ids.npy", "old")
        self.fails(2, self.logits(), "-o", out, "--top-k", "-1", says="--top-k")
        with open("/dev/full", "w") as full:
            self.fails_writing(full, "-o", out, "--json")
        with open(out) as file:
            self.assertEqual(file.read(), "old")
        self.assertEqual(sorted(os.listdir(self.folder.name)), ["ids.npy", "logits.npy"])

    def fails_writing(self, stdout, *args):
        done = self.run_raw([RANKZERO, "sample", self.logits(), *args], stdout=stdout)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot write to stdout: No space left on device", done.stderr)

    def test_full_device_is_an_error(self):
        with open("/dev/full", "w") as full:
            self.fails_writing(full)
            self.fails_writing(full, "--count", 100000)

    def test_one_dimension_is_one_row(self):
        row = self.rows(1, 500)[0]
        vector = npyfile.write_vector(self.path("v.npy"), row)
        matrix = npyfile.write_rows(self.path("m.npy"), [row])
        self.assertEqual(self.sample(vector, "--seed", 3), self.sample(matrix, "--seed", 3))

    def test_help_and_version(self):
        for words in (["--help"], ["sample", "--help"], ["doctor", "--help"], ["--version"]):
            done = self.run_raw([RANKZERO, *words])
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("rankzero", done.stdout)

    def test_unknown_command_is_bad_usage(self):
        for words in ([], ["draw"], ["doctor", "--fast"]):
            done = self.run_raw([RANKZERO, *words])
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("rankzero", done.stderr)


class Draws(command.CommandTest):
    def test_greedy_is_the_largest_of_every_dtype(self):
        rows = [[float(v % 97) for v in range(i, i + 300)] for i in (0, 50, 90)]
        best = [[row.index(max(row))] for row in rows]
        for descr, options in (("<f4", []), ("<f2", []), ("<u2", ["--dtype", "bf16"])):
            x = npyfile.write_rows(self.path("x.npy"), rows, descr)
            self.assertEqual(self.sample(x, "--temperature", 0, *options), best)

    def test_dtypes_with_the_same_values_draw_the_same(self):
        rows = [[self.random.randrange(-32, 32) / 8 for _ in range(700)] for _ in range(3)]
        ids = []
        for descr, dtype in (("<f4", "f32"), ("<f2", "f16"), ("<u2", "bf16")):
            x = npyfile.write_rows(self.path("x.npy"), rows, descr)
            ids.append(self.sample(x, "--dtype", dtype, "--seed", 9, "--count", 20))
        self.assertEqual(ids[0], ids[1])
        self.assertEqual(ids[0], ids[2])

    def test_back_ends_draw_the_same(self):
        args = [self.logits(rows=4), "--seed", 2, "--count", 50, "--top-p", 0.9, "--min-p", 0.01]
        ids = [self.sample(*args, "--backend", b) for b in ("reference", "scalar", "auto")]
        self.assertEqual(ids[0], ids[1])
        self.assertEqual(ids[0], ids[2])

    def test_row_r_draws_with_seed_plus_r(self):
        rows = self.rows(3, 400)
        x = npyfile.write_rows(self.path("x.npy"), rows)
        lines = self.sample(x, "--seed", 18446744073709551614, "--count", 9)
        for r, seed in enumerate((18446744073709551614, 18446744073709551615, 0)):
            one = npyfile.write_vector(self.path("one.npy"), rows[r])
            self.assertEqual(self.sample(one, "--seed", seed, "--count", 9), [lines[r]])

    def test_count_walks_the_positions(self):
        x = self.logits(rows=2)
        lines = self.sample(x, "--seed", 4, "--position", 11, "--count", 5)
        for i in range(5):
            one = self.sample(x, "--seed", 4, "--position", 11 + i)
            self.assertEqual([line[0] for line in one], [line[i] for line in lines])
        self.assertGreater(len({i for line in lines for i in line}), 2)

    def test_draws_do_not_depend_on_where_a_step_ends(self):
        x = self.logits(rows=3, vocab=33)
        lines = self.sample(x, "--seed", 4, "--count", 5000)  # several steps
        later = self.sample(x, "--seed", 4, "--position", 4000, "--count", 1000)
        self.assertEqual([line[4000:] for line in lines], later)

    def test_position_is_the_length_of_the_history_unless_given(self):
        x = self.logits(rows=1)
        history = ["--prompt-ids", "1,2", "--output-ids", "3"]
        (row,) = self.sample_json(x, "--seed", 1, *history)
        self.assertEqual(row["position"], 3)
        self.assertEqual(self.sample(x, "--seed", 1, "--position", 3), [row["ids"]])

    def test_chosen_seed_is_reported_and_repeats_the_draws(self):
        x = self.logits(rows=3)
        objects = self.sample_json(x, "--count", 20)
        seed = objects[0]["seed"]
        self.assertEqual([o["seed"] for o in objects], [seed, seed + 1, seed + 2])
        again = self.sample(x, "--count", 20, "--seed", seed)
        self.assertEqual([o["ids"] for o in objects], again)
        self.assertNotEqual(seed, self.sample_json(x)[0]["seed"])

    def test_filters_keep_what_they_should(self):
        # Masses 16, 8, 8, 4, 2, 1, 1 of 40.
        x = npyfile.write_vector(
            self.path("x.npy"), [math.log(m) for m in (4, 8, 1, 16, 2, 8, 1)]
        )
        for option, kept in (
            (["--top-k", 1], {3}),
            (["--top-k", 2], {3, 1, 5}),  # ties stay together
            (["--top-p", 0.39], {3}),
            (["--top-p", 0.41], {3, 1, 5}),
            (["--top-p", 0.81], {3, 1, 5, 0}),
            (["--min-p", 0.2], {3, 1, 5, 0}),
            (["--min-p", 0.3], {3, 1, 5}),
            ([], set(range(7))),
        ):
            (line,) = self.sample(x, "--seed", 1, "--count", 2000, *option)
            self.assertEqual(set(line), kept, option)

    def test_edits_change_what_can_be_drawn(self):
        x = npyfile.write_vector(self.path("x.npy"), [5.0, 4.0, 3.0, 2.0])
        mask = npyfile.write_vector(self.path("mask.npy"), [0b1010], "<u4")
        for options, best in (
            ([], 0),
            (["--banned", "0"], 1),
            (["--allowed", "3,2"], 2),
            (["--logit-bias", "3:2.5,3:2.5"], 3),
            (["--bitmask", mask], 1),
            (["--stop-ids", "0,1", "--min-tokens", 1], 2),
            (["--stop-ids", "0", "--min-tokens", 1, "--output-ids", "3"], 0),
            (["--repetition-penalty", 2, "--prompt-ids", "0"], 1),
            (["--frequency-penalty", 0.6, "--output-ids", "0,0"], 1),
            (["--presence-penalty", 1.5, "--output-ids", "0"], 1),
            (["--vocab-size", 1, "--logit-bias", "0:-100"], 0),
        ):
            self.assertEqual(self.sample(x, "--temperature", 0, *options), [[best]], options)

    def test_padding_is_never_drawn(self):
        x = npyfile.write_vector(self.path("x.npy"), [0.0] * 8 + [50.0] * 8)
        (line,) = self.sample(x, "--seed", 1, "--count", 500, "--vocab-size", 8)
        self.assertEqual(set(line), set(range(8)))


class Rows(command.CommandTest):
    PARAMS = (
        {"temperature": 0.5, "seed": 100, "top_k": 50},
        {"top_p": 0.7, "allowed": [1, 5, 9, 400], "position": 12},
        {"min_p": 0.1, "logit_bias": {"7": 9.5}, "seed": "18446744073709551615"},
        {},
        {"repetition_penalty": 1.3, "prompt_ids": [1, 2], "output_ids": [3, 3], "banned": [4]},
        {"bitmask": [0xFFFF0000] * 13 + [0]},
    )

    def test_each_row_is_drawn_as_if_it_were_alone(self):
        rows = self.rows(len(self.PARAMS), 448)
        x = npyfile.write_rows(self.path("x.npy"), rows)
        params = self.text("p.jsonl", "".join(json.dumps(p) + "\n" for p in self.PARAMS))
        lines = self.sample(x, "--params", params, "--seed", 3, "--count", 30)
        for r, row in enumerate(rows):
            one = npyfile.write_vector(self.path("one.npy"), row)
            alone = self.text("one.jsonl", json.dumps(self.PARAMS[r]))
            args = [one, "--params", alone, "--seed", 3 + r, "--count", 30]
            self.assertEqual(self.sample(*args), [lines[r]], self.PARAMS[r])

    def test_a_line_overrides_the_command_line(self):
        x = self.logits(rows=2)
        params = self.text("p.jsonl", '{"top_k": 1}\n{}\n')
        lines = self.sample(x, "--params", params, "--seed", 3, "--count", 40, "--top-k", 5)
        self.assertEqual(len(set(lines[0])), 1)
        self.assertGreater(len(set(lines[1])), 1)

    def test_rows_may_differ_in_their_number_of_draws(self):
        x = self.logits(rows=3)
        params = self.text("p.jsonl", '{"count": 1}\n{"count": 9000}\n{}\n')
        lines = self.sample(x, "--params", params, "--seed", 3, "--count", 2)
        self.assertEqual([len(line) for line in lines], [1, 9000, 2])
        self.assertEqual(lines[2], self.sample(x, "--seed", 3, "--count", 2)[2])

    def test_bitmask_has_a_row_for_each(self):
        x = npyfile.write_rows(self.path("x.npy"), [[0.0] * 40] * 3)
        words = [[1 << 31, 0], [0, 1 << 7], [1, 0]]
        mask = npyfile.write_rows(self.path("mask.npy"), words, "<u4")
        self.assertEqual(self.sample(x, "--bitmask", mask), [[31], [39], [0]])

    def test_row_without_a_logit_draws_none_and_others_go_on(self):
        inf, nan = math.inf, math.nan
        rows = [[1.0, 2.0], [-inf, -inf], [nan, nan], [nan, 0.0], [inf, 9.0]]
        x = npyfile.write_rows(self.path("x.npy"), rows)
        objects = self.sample_json(x, "--seed", 1, "--logprobs", 1, "--temperature", 0)
        self.assertEqual([o["ids"][0] for o in objects], [1, -1, -1, 1, 0])
        self.assertEqual(
            [o["status"] for o in objects], ["ok", "no_token", "no_token+nan", "nan", "ok"]
        )


class Logprobs(command.CommandTest):
    def test_raw_ones_are_those_of_the_logits(self):
        row = self.rows(1, 300)[0]
        row = list(struct.unpack("<300f", struct.pack("<300f", *row)))
        x = npyfile.write_vector(self.path("x.npy"), row)
        args = ["--seed", 8, "--count", 40, "--logprobs", 5, "--temperature", 2, "--top-k", 30]
        (got,) = self.sample_json(x, *args)
        expected = npyfile.log_softmax(row)
        order = sorted(range(300), key=lambda i: (-row[i], i))
        self.assertEqual([t["id"] for t in got["top_logprobs"]], order[:5])
        for top in got["top_logprobs"]:
            self.assertAlmostEqual(top["logprob"], expected[top["id"]], places=5)
        self.assertEqual([len(got[k]) for k in ("ids", "logprob", "rank")], [40] * 3)
        for i, logprob, rank in zip(got["ids"], got["logprob"], got["rank"]):
            self.assertAlmostEqual(logprob, expected[i], places=5)
            self.assertEqual(rank, 1 + order.index(i))

    def test_processed_ones_are_those_of_what_was_kept(self):
        row = [math.log(m) for m in (4, 8, 1, 16, 2, 8, 1)]
        x = npyfile.write_vector(self.path("x.npy"), row)
        args = ["--seed", 8, "--count", 20, "--logprobs", 4, "--logprobs-mode", "processed"]
        (got,) = self.sample_json(x, *args, "--top-k", 2)
        expected = {3: math.log(16 / 32), 1: math.log(8 / 32), 5: math.log(8 / 32)}
        for i, logprob in zip(got["ids"], got["logprob"]):
            self.assertAlmostEqual(logprob, expected[i], places=5)
        top = [(t["id"], t["logprob"]) for t in got["top_logprobs"]]
        self.assertEqual([i for i, _ in top[:3]], [3, 1, 5])
        for i, logprob in top[:3]:
            self.assertAlmostEqual(logprob, expected[i], places=5)
        self.assertTrue(all(logprob is None for _, logprob in top[3:]), "-infinity is null")

    def test_arrays_go_on_from_step_to_step(self):
        x = self.logits(rows=1, vocab=20)
        args = ["--seed", 1, "--logprobs", 0]
        (all_at_once,) = self.sample_json(x, *args, "--count", 9000)
        (tail,) = self.sample_json(x, *args, "--position", 8990, "--count", 10)
        self.assertEqual(len(all_at_once["rank"]), 9000)
        for key in ("ids", "logprob", "rank"):
            self.assertEqual(all_at_once[key][8990:], tail[key])


class Terminal(command.CommandTest):
    def run_on_terminal(self, *args):
        """What appears on a terminal that both stdout and stderr are."""
        master, slave = pty.openpty()
        words = [RANKZERO, "sample", *map(str, args)]
        process = subprocess.Popen(words, stdout=slave, stderr=slave)
        os.close(slave)
        shown = b""
        try:
            while some := os.read(master, 65536):
                shown += some
        except OSError:  # how Linux says that nobody is at the other end
            pass
        os.close(master)
        self.assertEqual(process.wait(), 0)
        return shown.decode().replace("\r\n", "\n")

    def test_progress_comes_before_the_ids_and_is_gone_after(self):
        args = [self.logits(rows=2), "--seed", 1, "--count", 300000]
        lines = self.sample(*args)
        shown = self.run_on_terminal(*args)  # fast machines may have no time to show progress
        progress, _, ids = shown.rpartition("\r\033[K")
        self.assertEqual(command.ids_of(ids), lines)
        for update in progress.split("\r")[1:]:
            self.assertRegex(update, r"^  [\d,]+ of 600,000 draws  \d+%  [\d,]+/s.*\033\[K$")


class Doctor(command.CommandTest):
    def test_json_and_columns_tell_of_the_same_sections(self):
        done = self.run_raw([RANKZERO, "doctor", "--json"])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        report = json.loads(done.stdout)
        self.assertEqual(report["problems"], [])
        self.assertTrue(report["library"]["a_step"].startswith("works"))
        self.assertIn(report["library"]["threads"], ("OpenMP", "one: this build has no OpenMP"))
        self.assertGreaterEqual(report["cpu"]["cores_usable"], 1)
        self.assertTrue(report["shared_memory"]["tmpfs"])
        columns = self.run_raw([RANKZERO, "doctor"])
        self.assertEqual((columns.returncode, columns.stderr), (0, ""))
        sections = [line for line in columns.stdout.splitlines() if not line.startswith(" ")]
        names = [name.replace("_", " ") for name in report]
        self.assertEqual(sections + ["problems"], names)

    def test_leftovers_are_listed(self):
        leftover = "/dev/shm/rankzero-test-leftover-%d" % os.getpid()
        with open(leftover, "w"):
            pass
        self.addCleanup(os.unlink, leftover)
        report = json.loads(self.run_raw([RANKZERO, "doctor", "--json"]).stdout)
        self.assertIn(os.path.basename(leftover), report["shared_memory"]["leftovers"])

    def test_full_device_is_an_error(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([RANKZERO, "doctor"], stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)


if __name__ == "__main__":
    unittest.main()
