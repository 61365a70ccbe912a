# SPDX-License-Identifier: Apache-2.0
"""What the command says where NVIDIA's driver is missing."""

import ctypes
import json
import sys
import unittest

import command
from command import RANKZERO

NO_KERNELS = "this build has no kernels for GPUs"
MISSING = "no libcuda.so.1, which comes with NVIDIA's driver"


def has_driver():
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


class WithoutDriver(command.CommandTest):
    def doctor(self):
        done = self.run_raw([RANKZERO, "doctor", "--json"])
        self.assertEqual((done.returncode, done.stderr), (0, ""), "it is no problem")
        return json.loads(done.stdout)

    def reason(self):
        """What is said first is what no driver would help against."""
        return MISSING if self.doctor()["gpu"]["kernels_in_this_build"] else NO_KERNELS

    def test_sample_says_so_once(self):
        args = [self.logits(), "--backend", "cuda"]
        for more in ([], ["--ranks", 2], ["--ranks", 4], ["--device", 3]):
            self.fails(1, *args, *more, says=self.reason())

    @command.needs_mpi
    def test_sample_under_mpirun_says_so_once(self):
        for ranks in (1, 3):
            self.mpi_fails(1, ranks, self.logits(), "--backend", "cuda",
                           says=self.reason())

    def test_doctor_says_so(self):
        report = self.doctor()
        self.assertEqual(report["problems"], [])
        self.assertEqual(report["gpu"]["used"], "no: " + MISSING)
        self.assertIsNone(report["gpu"]["driver_cuda"])


if __name__ == "__main__":
    if has_driver():
        print("skipped: this machine has libcuda.so.1")
        sys.exit(77)
    unittest.main()
