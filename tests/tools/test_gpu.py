# SPDX-License-Identifier: Apache-2.0
"""The command with GPUs, which doubles stand in for (tests/fakes/cuda/fake.h): what it prints is what
processors print, for any number of ranks."""

import json
import os
import unittest

import command
import npyfile
import test_ranks
from command import RANKZERO

CUDA = ["--backend", "cuda"]


class Doctor(command.CommandTest):
    def gpu(self, **variables):
        env = {**os.environ, **{"RZ_FAKE_" + name: str(v) for name, v in variables.items()}}
        done = self.run_raw([RANKZERO, "doctor", "--json"], env=env)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        report = json.loads(done.stdout)
        self.assertEqual(report["problems"], [])
        return report["gpu"]

    def test_it_tells_of_every_gpu_and_that_it_is_used(self):
        gpu = self.gpu(CUDA_DEVICES=2, CUDA_MEMORY=3 << 30)
        self.assertEqual((gpu["devices"], gpu["driver_cuda"]), (2, "13.0"))
        self.assertEqual(gpu["nccl"], "2.28.9")
        for i in range(2):
            expected = "Fake GPU %d, compute capability 9.0, 132 multiprocessors, 3.0 GiB" % i
            self.assertEqual(gpu["device_%d" % i], expected)
        self.assertTrue(gpu["kernels_in_this_build"])
        self.assertEqual(gpu["used"], "yes, with --backend cuda")

    def test_it_says_what_is_missing(self):
        old = self.gpu(CUDA_DRIVER=11080)
        self.assertIn("no: the driver is one for CUDA 11.8: expected 13.0 or later", old["used"])
        self.assertEqual(old["driver_cuda"], "11.8")
        self.assertIn("no: no GPU that can be used", self.gpu(CUDA_DEVICES=0)["used"])
        self.assertIn("no: libnccl.so.2: expected version", self.gpu(NCCL_VERSION=21800)["nccl"])


class Sample(test_ranks.RanksTest):
    def printed(self, *args):
        done = self.run_raw([RANKZERO, "sample", *args])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_text_is_that_of_the_reference(self):
        args, _ = self.args()
        expected = self.printed(*args, "--backend", "reference")
        for more in ([], ["--ranks", 1], ["--ranks", 2], ["--ranks", 4, "--comm", "cuda_ipc"]):
            self.assertEqual(self.printed(*args, *CUDA, *more), expected, more)

    def test_any_split_draws_the_same(self):
        args, lines = self.args(count=5)
        for ranks, split in ((2, "15,316"), (2, "0,331"), (3, "160,0,171"), (4, "5,7,3,316")):
            more = ["--ranks", ranks, "--split", split]
            self.assertEqual(self.sample(*args, *CUDA, *more), lines, split)

    def test_every_dtype_draws_the_same(self):
        for descr, dtype in test_ranks.DTYPES:
            npyfile.write_rows(self.x, self.data, descr)
            args, lines = self.args("--dtype", dtype, count=5)
            for ranks in (1, 3):
                got = self.sample(*args, *CUDA, "--ranks", ranks)
                self.assertEqual(got, lines, (dtype, ranks))

    def test_json_and_the_file_are_those_of_the_reference(self):
        out = self.path("ids.npy")
        args, lines = self.args(count=5)
        expected = self.printed(*args, "--json", "--backend", "reference")
        for ranks in (1, 2):
            more = [*CUDA, "--ranks", ranks]
            self.assertEqual(self.printed(*args, "--json", *more), expected)
            self.assertEqual(self.sample(*args, *more, "-o", out), [])
            self.assertEqual(npyfile.read_i32(out), lines)
            os.unlink(out)

    def test_logprobs_are_those_of_the_reference(self):
        for mode in ("raw", "processed"):
            args = [*self.args(count=3)[0], "--json", "--logprobs", 7, "--logprobs-mode", mode]
            expected = self.printed(*args, "--backend", "reference")
            for ranks in (1, 3):
                self.assertEqual(self.printed(*args, *CUDA, "--ranks", ranks), expected)

    def test_padding_and_bitmasks_of_a_file(self):
        words = [[self.random.getrandbits(32) for _ in range(11)] for _ in self.data]
        mask = npyfile.write_rows(self.path("mask.npy"), words, "<u4")
        args = [self.x, "--seed", 5, "--count", 5, "--bitmask", mask, "--vocab-size", 330]
        lines = self.sample(*args)
        for ranks in (1, 2):
            self.assertEqual(self.sample(*args, *CUDA, "--ranks", ranks), lines, ranks)

    def test_a_run_of_several_steps_draws_the_same(self):
        x = self.logits(rows=1, vocab=20, name="small.npy")
        args = [x, "--seed", 5, "--count", 4100]  # a step has 4,096 at most
        self.assertEqual(self.sample(*args, *CUDA, "--ranks", 2), self.sample(*args))

    @command.needs_mpi
    def test_under_mpirun(self):
        args, lines = self.args(count=5)
        for ranks, more in ((1, []), (2, []), (4, ["--comm", "cuda_ipc"])):
            self.assertEqual(self.sample_mpi(ranks, *args, *CUDA, *more), lines, ranks)

    def test_nccl_brings_the_same(self):
        args, lines = self.args(count=5)
        env = {**os.environ, "RZ_FAKE_CUDA_DEVICES": "4"}
        for more in (["--ranks", 1], ["--ranks", 2], ["--ranks", 4, "--split", "5,7,3,316"]):
            got = self.sample(*args, *CUDA, "--comm", "nccl", *more, env=env)
            self.assertEqual(got, lines, more)
        says = "have the same GPU, which NCCL cannot do"
        self.fails(1, *args, *CUDA, "--comm", "nccl", "--ranks", 2, says=says)

    def test_device_is_chosen(self):
        args, lines = self.args(count=5)
        env = {**os.environ, "RZ_FAKE_CUDA_DEVICES": "2"}
        for more in (["--device", 1], ["--device", 0, "--ranks", 2], ["--ranks", 3]):
            self.assertEqual(self.sample(*args, *CUDA, *more, env=env), lines, more)

    def test_what_cannot_be_is_said_once(self):
        for ranks in (1, 3):
            more = [self.x, *CUDA, "--ranks", ranks]
            self.fails(1, *more, "--device", 5, says="device: expected 0 to 0, got 5")
            env = {**os.environ, "RZ_FAKE_CUDA_DRIVER": "11080"}
            self.fails(1, *more, env=env, says="the driver is one for CUDA 11.8")
            env = {**os.environ, "RZ_FAKE_CUDA_MEMORY": "100000"}
            self.fails(1, *more, env=env, says="no memory for")


if __name__ == "__main__":
    unittest.main()
