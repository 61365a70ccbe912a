# SPDX-License-Identifier: Apache-2.0
"""The ids are the same for any number of ranks, any split, and either way that logits travel."""

import json
import os
import subprocess
import unittest

import command
import npyfile
from command import RANKZERO

VOCAB = 331  # a prime, and not a multiple of the tiles of 16 that logits are looked at in
DTYPES = (("<f4", "f32"), ("<f2", "f16"), ("<u2", "bf16"))

# Even, uneven, with empty shards at either end and in between, along tiles and across them.
SPLITS = {
    1: ("331",),
    2: ("166,165", "16,315", "15,316", "331,0", "0,331", "1,330"),
    3: ("111,110,110", "17,31,283", "0,331,0", "160,0,171"),
    4: ("83,83,83,82", "5,7,3,316", "328,1,1,1", "0,0,165,166"),
    8: ("42,42,42,41,41,41,41,41", "1,2,3,4,5,6,7,303", "0,0,64,0,64,203,0,0"),
}

# Every filter and every edit, by itself or with others.
PARAMS = (
    {},
    {"temperature": 0},
    {"temperature": 0.7, "top_k": 40, "top_p": 0.9, "min_p": 0.02, "seed": 77},
    {"temperature": 2.5, "top_p": 0.5, "position": 1000},
    {"allowed": [0, 15, 16, 17, 164, 165, 166, 330], "top_k": 3},
    {"banned": list(range(0, 331, 3)), "logit_bias": {"1": 4.5, "166": 6, "330": -3}},
    {"stop_ids": [5, 166, 329], "min_tokens": 4, "output_ids": [7, 7, 9], "min_p": 0.1},
    {
        "prompt_ids": [1, 2, 166, 330],
        "output_ids": [166, 166, 17, 330],
        "repetition_penalty": 1.7,
        "frequency_penalty": 0.6,
        "presence_penalty": -0.4,
    },
    {"bitmask": [0xF0F00FF1] * 11, "temperature": 1.5},
    {
        "temperature": 1.3,
        "top_k": 90,
        "top_p": 0.97,
        "min_p": 0.001,
        "prompt_ids": [300, 12],
        "output_ids": [13, 14, 13],
        "repetition_penalty": 0.8,
        "frequency_penalty": -0.5,
        "presence_penalty": 0.3,
        "logit_bias": [[20, 2.5], [20, 0.5], [310, 3]],
        "banned": [0, 1, 330],
        "stop_ids": [21],
        "min_tokens": 9,
        "bitmask": [0xFFFFFFF7] * 11,
    },
)


class RanksTest(command.CommandTest):
    def setUp(self):
        super().setUp()
        self.data = self.rows(len(PARAMS), VOCAB)
        lines = "".join(json.dumps(line) + "\n" for line in PARAMS)
        self.params = self.text("params.jsonl", lines)
        self.x = npyfile.write_rows(self.path("x.npy"), self.data)

    def args(self, *more, count=20):
        """Arguments, and the lines of ids that they give without ranks."""
        args = [self.x, "--params", self.params, "--seed", 11, "--count", count, *more]
        return args, self.sample(*args)

    def sample_mpi(self, ranks, *args):
        done = self.mpirun(ranks, *args)
        self.assertEqual((done.returncode, command.complaints(done.stderr)), (0, []), done.stderr)
        return command.ids_of(done.stdout)


class Forked(RanksTest):
    def test_any_number_of_ranks_draws_the_same(self):
        args, lines = self.args()
        self.assertGreater(len({i for line in lines for i in line}), 60, "the draws vary")
        for ranks in SPLITS:
            self.assertEqual(self.sample("--ranks", ranks, *args), lines, ranks)

    def test_any_split_draws_the_same(self):
        args, lines = self.args()
        for ranks, splits in SPLITS.items():
            for split in splits:
                got = self.sample("--ranks", ranks, "--split", split, "--comm", "shm", *args)
                self.assertEqual(got, lines, split)

    def test_random_splits_draw_the_same(self):
        args, lines = self.args(count=5)
        for _ in range(20):
            ranks = self.random.randrange(2, 9)
            cuts = sorted(self.random.randrange(VOCAB + 1) for _ in range(ranks - 1))
            split = ",".join(str(b - a) for a, b in zip([0, *cuts], [*cuts, VOCAB]))
            got = self.sample("--ranks", ranks, "--split", split, *args)
            self.assertEqual(got, lines, (split, command.SEED))

    def test_every_dtype_and_back_end_draws_the_same(self):
        for descr, dtype in DTYPES:
            npyfile.write_rows(self.x, self.data, descr)
            args, lines = self.args("--dtype", dtype)
            for backend in ("reference", "scalar", "auto"):
                for ranks, split in ((1, "331"), (3, "17,31,283"), (4, "0,0,165,166")):
                    more = ["--ranks", ranks, "--split", split, "--backend", backend]
                    self.assertEqual(self.sample(*more, *args), lines, (dtype, more))

    def test_a_run_of_several_steps_draws_the_same(self):
        args, lines = self.args(count=1500)
        for ranks in (2, 4):
            self.assertEqual(self.sample("--ranks", ranks, *args), lines, ranks)

    @command.needs_threads
    def test_any_number_of_threads_draws_the_same(self):
        for more in ([], ["--json", "--logprobs", 3]):
            words = [RANKZERO, "sample", *self.args()[0], *more]
            printed = self.run_raw([*words, "--threads", 1]).stdout
            self.assertEqual(len(printed.splitlines()), len(PARAMS))
            for ranks, threads in ((1, 3), (1, 64), (3, 3)):
                done = self.run_raw([*words, "--ranks", ranks, "--threads", threads])
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertEqual(done.stdout, printed, (ranks, threads))

    def test_padding_may_be_whole_shards(self):
        args, lines = self.args("--vocab-size", 331)
        rows = [row + [99.0] * 100 for row in self.data]
        npyfile.write_rows(self.x, rows)
        for ranks, split in ((2, "331,100"), (3, "300,100,31"), (8, "47,47,47,47,47,96,50,50")):
            self.assertEqual(self.sample("--ranks", ranks, "--split", split, *args), lines, split)

    def test_a_vocabulary_smaller_than_the_number_of_ranks(self):
        for vocab in (1, 2, 5):
            x = self.logits(rows=3, vocab=vocab, name="small.npy")
            args = [x, "--seed", 3, "--count", 50]
            lines = self.sample(*args)
            self.assertEqual({i for line in lines for i in line}, set(range(vocab)))
            for ranks in (1, 2, 3, 4, 8, 64):
                self.assertEqual(self.sample("--ranks", ranks, *args), lines, (vocab, ranks))

    def test_bitmasks_of_a_file_draw_the_same(self):
        words = [[self.random.getrandbits(32) for _ in range(11)] for _ in PARAMS]
        mask = npyfile.write_rows(self.path("mask.npy"), words, "<u4")
        args = [self.x, "--seed", 5, "--count", 30, "--bitmask", mask]
        lines = self.sample(*args)
        for row, line in zip(words, lines):
            self.assertTrue(all(row[i // 32] >> i % 32 & 1 for i in line))
        for ranks in (2, 3, 8):
            self.assertEqual(self.sample("--ranks", ranks, *args), lines, ranks)

    def test_json_is_the_same_with_logprobs_too(self):
        for mode in ("raw", "processed"):
            args = [self.x, "--params", self.params, "--seed", 11, "--count", 9]
            args += ["--logprobs", 7, "--logprobs-mode", mode]
            rows = self.sample_json(*args)
            self.assertEqual([row["row"] for row in rows], list(range(len(PARAMS))))
            for ranks, split in ((2, "15,316"), (4, "0,0,165,166")):
                got = self.sample_json("--ranks", ranks, "--split", split, *args)
                self.assertEqual(got, rows, split)

    def test_the_file_is_the_same_and_written_once(self):
        out = self.path("ids.npy")
        args, lines = self.args()
        for ranks in (1, 3, 8):
            self.assertEqual(self.sample("--ranks", ranks, *args, "-o", out), [])
            self.assertEqual(npyfile.read_i32(out), lines)
            os.unlink(out)
        self.assertEqual(sorted(os.listdir(self.folder.name)), ["params.jsonl", "x.npy"])

    def test_runs_side_by_side_do_not_meet(self):
        args, lines = self.args(count=200)
        words = [str(w) for w in [command.RANKZERO, "sample", "--ranks", 3, *args]]
        runs = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(6)]
        for run in runs:
            self.assertEqual(command.ids_of(run.communicate()[0]), lines)
            self.assertEqual(run.returncode, 0)


@command.needs_mpi
class Mpi(RanksTest):
    def test_any_number_of_ranks_draws_the_same(self):
        args, lines = self.args()
        for ranks in (1, 2, 3, 4):
            for comm in ("shm", "mpi"):
                got = self.sample_mpi(ranks, *args, "--comm", comm)
                self.assertEqual(got, lines, (ranks, comm))

    def test_any_split_draws_the_same(self):
        args, lines = self.args()
        for ranks, split in ((2, "15,316"), (2, "0,331"), (3, "160,0,171"), (4, "5,7,3,316")):
            for comm in ("shm", "mpi"):
                got = self.sample_mpi(ranks, *args, "--split", split, "--comm", comm)
                self.assertEqual(got, lines, (split, comm))

    def test_every_dtype_and_back_end_draws_the_same(self):
        for (descr, dtype), backend in zip(DTYPES, ("auto", "reference", "scalar")):
            npyfile.write_rows(self.x, self.data, descr)
            args, lines = self.args("--dtype", dtype)
            for comm in ("shm", "mpi"):
                more = ["--split", "17,31,283", "--comm", comm, "--backend", backend]
                self.assertEqual(self.sample_mpi(3, *args, *more), lines, (dtype, more))

    def test_a_run_of_several_steps_draws_the_same(self):
        args, lines = self.args(count=1500)
        for comm in ("shm", "mpi"):
            self.assertEqual(self.sample_mpi(3, *args, "--comm", comm), lines, comm)

    def test_a_vocabulary_smaller_than_the_number_of_ranks(self):
        args = [self.logits(rows=2, vocab=1), "--count", 3]
        for comm in ("shm", "mpi"):
            self.assertEqual(self.sample_mpi(3, *args, "--comm", comm), [[0, 0, 0], [0, 0, 0]])

    def test_json_and_the_file_come_from_rank_0_alone(self):
        args, lines = self.args()
        args += ["--json", "--logprobs", 4]
        rows, out = self.sample_json(*args), self.path("ids.npy")
        for comm in ("shm", "mpi"):
            done = self.mpirun(3, *args, "-o", out, "--comm", comm)
            self.assertEqual([json.loads(line) for line in done.stdout.splitlines()], rows)
            self.assertEqual(npyfile.read_i32(out), lines)
            os.unlink(out)
        self.assertEqual(sorted(os.listdir(self.folder.name)), ["params.jsonl", "x.npy"])

    def test_help_is_printed_once(self):
        done = self.mpirun(3, "--help")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stdout, self.run_raw([command.RANKZERO, "sample", "--help"]).stdout)


if __name__ == "__main__":
    unittest.main()
