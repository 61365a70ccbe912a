# SPDX-License-Identifier: Apache-2.0
"""Run the rankzero command from tests: what they share.

The environment says where things are: RANKZERO (the command) and, where there is an MPI, MPIRUN.
What tests choose at random follows from RZ_TEST_SEED.
"""

import glob
import json
import os
import random
import re
import signal
import subprocess
import tempfile
import time
import unittest

import npyfile

RANKZERO = os.environ["RANKZERO"]
SEED = int(os.environ.get("RZ_TEST_SEED", "1"))
PATIENCE = 60  # seconds; only a hang takes so long

needs_mpi = unittest.skipUnless("MPIRUN" in os.environ, "MPIRUN is not set: no MPI in this build")


def has_threads():
    report = subprocess.run([RANKZERO, "doctor", "--json"], stdout=subprocess.PIPE).stdout
    return json.loads(report)["library"]["threads"] == "OpenMP"


needs_threads = unittest.skipUnless(has_threads(), "no OpenMP in this build")


def segments():
    return set(glob.glob("/dev/shm/rankzero-*"))


def wait_until(condition):
    """True as soon as the condition is, False if that takes far longer than it should."""
    deadline = time.monotonic() + 20
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


class CommandTest(unittest.TestCase):
    maxDiff = 2000

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="rankzero-test-")
        self.addCleanup(self.folder.cleanup)
        self.random = random.Random(SEED)
        self.segments = segments()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def rows(self, rows, vocab, scale=3.0):
        return [[self.random.gauss(0, scale) for _ in range(vocab)] for _ in range(rows)]

    def logits(self, rows=3, vocab=1000, name="logits.npy"):
        return npyfile.write_rows(self.path(name), self.rows(rows, vocab))

    def text(self, name, content):
        with open(self.path(name), "w") as file:
            file.write(content)
        return self.path(name)

    def run_raw(self, words, **kwargs):
        kwargs.setdefault("stdout", subprocess.PIPE)
        done = subprocess.run(
            [str(w) for w in words], stderr=subprocess.PIPE, text=True, timeout=PATIENCE, **kwargs
        )
        # AddressSanitizer says so once of every process in which emulated kernels run.
        done.stderr = re.sub(r"==\d+==WARNING: ASan doesn't fully support makecontext.*\n", "", done.stderr)
        return done

    def sample(self, *args, **kwargs):
        """Lines of ids of a run that must succeed."""
        done = self.run_raw([RANKZERO, "sample", *args], **kwargs)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return ids_of(done.stdout)

    def sample_json(self, *args):
        done = self.run_raw([RANKZERO, "sample", "--json", *args])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return [json.loads(line) for line in done.stdout.splitlines()]

    def mpirun(self, ranks, *args):
        """A run under mpirun. With `ranks` None, args are lists, each of the words of one rank."""
        if ranks is not None:
            return self.run_raw([os.environ["MPIRUN"], *mpi_words(ranks, args)], env=hasty_mpi())
        words = mpi_words(1, args[0])
        for rank in args[1:]:
            words += [":", *mpi_words(1, rank)]
        return self.run_raw([os.environ["MPIRUN"], *words], env=hasty_mpi())

    def expect_nothing_left(self):
        """Other tests may have segments of their own for a moment."""
        self.assertTrue(wait_until(lambda: segments() <= self.segments), segments())

    def expect_failure(self, done, status, says=()):
        """It has failed and said, in one line, each of `says`; mpirun may say more around it."""
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        lines = complaints(done.stderr)
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertTrue(lines[0].startswith("rankzero sample: "), lines[0])
        for part in [says] if isinstance(says, str) else says:
            self.assertIn(part, lines[0])
        self.expect_nothing_left()
        return lines[0]

    def fails(self, status, *args, says=(), **kwargs):
        """A run that must fail, and say why in one line and no more."""
        done = self.run_raw([RANKZERO, "sample", *args], **kwargs)
        line = self.expect_failure(done, status, says)
        self.assertEqual(done.stderr, line + "\n")
        return line

    def mpi_fails(self, status, ranks, *args, says=()):
        self.expect_failure(self.mpirun(ranks, *args), status, says)

    def start(self, *words, **kwargs):
        """A run in the background, in a process group of its own, that has begun to draw."""
        self.starts = getattr(self, "starts", 0) + 1
        stdout = self.path("stdout-%d" % self.starts)
        with open(stdout, "w") as file:
            process = subprocess.Popen(
                [str(w) for w in words],
                stdout=file,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
                **kwargs,
            )
        self.addCleanup(end, process)
        drawn = wait_until(lambda: os.stat(stdout).st_size > 0 or process.poll() is not None)
        self.assertTrue(drawn and process.poll() is None, "it draws, and goes on")
        return process


def mpi_words(ranks, args):
    return ["-np", ranks, RANKZERO, "sample", *args]


def hasty_mpi():
    """Once a rank has failed, mpirun gives the others no second to end in."""
    patience = "MCA_odls_base_sigkill_timeout"
    return {**os.environ, "OMPI_" + patience: "0", "PRTE_" + patience: "0"}


def ids_of(text):
    return [[int(word) for word in line.split(" ")] for line in text.splitlines()]


def complaints(text):
    """What the command itself has said."""
    return [line for line in text.splitlines() if line.startswith("rankzero")]


def end(process):
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def children(pid):
    """In the order in which they were started: forked ranks from 1 on."""
    found = []
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/children" % (pid, task)) as file:
            found += [int(word) for word in file.read().split()]
    return found


def is_gone(pid):
    """Ended; an orphan may stay a zombie for as long as nobody asks for it."""
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True
