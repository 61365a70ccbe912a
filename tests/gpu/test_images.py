# SPDX-License-Identifier: Apache-2.0
"""The command with the kernels that nvcc made in it: without a GPU, and on the double of one."""

import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
import command  # noqa: E402

has_gpu = subprocess.run([os.environ["ON_GPU"]], stdout=subprocess.DEVNULL).returncode == 0


class Images(command.CommandTest):
    @unittest.skipIf(has_gpu, "this machine has a GPU")
    def test_without_a_gpu_it_says_so(self):
        x = self.logits()
        for ranks in (1, 2):
            self.fails(1, x, "--backend", "cuda", "--ranks", ranks)
        done = self.run_raw([command.RANKZERO, "doctor"])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertTrue(re.search("^ +used +no", done.stdout, re.MULTILINE), done.stdout)

    def test_the_double_of_the_driver_takes_them(self):
        args = [self.logits(), "--seed", 7, "--count", 2]
        folders = [os.environ["FAKES"], os.environ.get("LD_LIBRARY_PATH", "")]
        env = {**os.environ, "LD_LIBRARY_PATH": ":".join(filter(None, folders))}
        for ranks in (1, 3):
            got = self.sample(*args, "--backend", "cuda", "--ranks", ranks, env=env)
            self.assertEqual(got, self.sample(*args, "--backend", "reference"))


if __name__ == "__main__":
    unittest.main()
