# SPDX-License-Identifier: Apache-2.0
"""`rankzero top`: a job that runs, one that ends, and what is no job."""

import os
import pty
import signal
import subprocess
import unittest

import command
from command import RANKZERO

HEAD = ["published", "steps/s", "ids/s", "ranks", "last", "behind", "asleep"]
FAST = ["--interval", 50]


class TopTest(command.CommandTest):
    def top(self, *args, **kwargs):
        return self.run_raw([RANKZERO, "top", *args], **kwargs)

    def start_job(self):
        x = self.logits(rows=2, vocab=500)
        return self.start(RANKZERO, "sample", x, "--ranks", 3, "--seed", 1, "--count", 10**12)


class Job(TopTest):
    def setUp(self):
        super().setUp()
        self.job = self.start_job()

    def test_one_line_an_interval(self):
        for pid in (self.job.pid, *command.children(self.job.pid)):
            done = self.top("--pid", pid, "--count", 3, *FAST)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            head, *lines = done.stdout.splitlines()
            self.assertEqual((head.split(), len(lines)), (HEAD, 3))
            self.assertEqual({len(line) for line in lines}, {len(head)})
            published = [int(line.split()[0]) for line in lines]
            self.assertEqual(published, sorted(published))
            self.assertEqual({line.split()[3] for line in lines}, {"3"})

    def test_it_ends_with_the_job(self):
        words = [RANKZERO, "top", "--pid", str(self.job.pid), "--interval", "50"]
        top = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(top.kill)
        self.assertEqual(top.stdout.readline().split(), HEAD)
        self.job.send_signal(signal.SIGTERM)
        _, said = top.communicate(timeout=command.PATIENCE)
        self.assertEqual((top.returncode, said), (0, ""))

    def test_the_job_goes_on_after_it(self):
        before = int(self.top("--pid", self.job.pid, "--count", 1, *FAST).stdout.split()[-7])

        def goes_on():
            done = self.top("--pid", self.job.pid, "--count", 1, *FAST)
            return int(done.stdout.split()[-7]) > before

        self.assertTrue(command.wait_until(goes_on))

    def test_a_terminal_has_a_line_for_each_rank(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        done = self.top("--pid", self.job.pid, "--count", 1, *FAST, stdout=theirs)
        os.close(theirs)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        lines = os.read(ours, 65536).decode().split("\r\n")
        self.assertTrue(lines[0].startswith("\033[H\033[J/"))
        self.assertIn("steps/s", lines[1])
        self.assertEqual([line.split()[0] for line in lines[3:7]], ["rank", "0", "1", "2"])


class Refusals(TopTest):
    def bad(self, status, *args, says):
        done = self.top(*args)
        self.assertEqual((done.returncode, done.stdout), (status, ""))
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("rankzero top: "), done.stderr)
        self.assertIn(says, done.stderr)

    def test_command_lines(self):
        for words, says in (
            ([], "a name, a path or --pid"),
            (["a", "b"], "got 'b' too"),
            (["a", "--pid", 1], "a name, a path or --pid"),
            (["--pid"], "--pid: expected a whole number"),
            (["--pid", "x"], "got 'x'"),
            (["a", "--count", 0], "--count: expected a whole number from 1"),
            (["a", "--interval", "soon"], "--interval: expected"),
            (["a", "--shm-dir"], "--shm-dir"),
            (["-x", "a"], "-x: not expected"),
        ):
            with self.subTest(words=words):
                self.bad(2, *words, says=says)

    def test_what_is_no_job(self):
        self.bad(1, "--pid", os.getpid(), says="has no segment open")
        self.bad(1, self.text("file", "text"), says="the end of the file")
        self.bad(1, "no-such-job-%d" % os.getpid(), says="neither in /dev/shm nor open")

    def test_help(self):
        done = self.top("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("rankzero top --pid PID", done.stdout)


if __name__ == "__main__":
    unittest.main()
