# SPDX-License-Identifier: Apache-2.0
"""Runs of `rankzero sample` that do not come to their end: ranks killed or interrupted, names that
are taken, no space, readers that leave, ranks that disagree. All ranks end, soon, one says why, and
nothing is left. When to strike is chosen at random; RZ_TEST_SEED in the environment repeats it."""

import glob
import os
import signal
import subprocess
import time
import unittest

import command
import npyfile
from command import RANKZERO, SEED

ENDLESS = ["--seed", 1, "--count", 10**12]


def setUpModule():
    print("RZ_TEST_SEED=%d" % SEED)


class FaultTest(command.CommandTest):
    def setUp(self):
        super().setUp()
        self.x = self.logits(rows=2, vocab=2000)

    def start_forked(self, ranks, *args):
        """A run that goes on, and the processes of its ranks."""
        process = self.start(RANKZERO, "sample", self.x, "--ranks", ranks, *ENDLESS, *args)
        return process, [process.pid, *command.children(process.pid)]

    def start_mpi(self, ranks, *args):
        words = command.mpi_words(ranks, [self.x, *ENDLESS, *args])
        process = self.start(os.environ["MPIRUN"], *words, env=command.hasty_mpi())
        return process, sorted(command.children(process.pid), key=mpi_rank)

    def start_unread(self, *args):
        """A run whose stdout is a pipe."""
        process = subprocess.Popen(
            [RANKZERO, "sample", *map(str, args)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.addCleanup(command.end, process)
        return process

    def rounds(self, count):
        """Numbers from 0; in each round strike() waits for a moment of another length."""
        for i in range(count):
            self.delay = self.random.uniform(0, 0.03)
            yield i

    def strike(self, pid, number, kill=os.kill):
        time.sleep(self.delay)
        kill(pid, number)

    def expect_end(self, process, pids):
        """Of the whole run, within a time that only something that hangs would take. Its status and
        what it said."""
        try:
            said = process.communicate(timeout=20)[1]
        except subprocess.TimeoutExpired:
            self.fail("the run goes on")
        self.assertTrue(command.wait_until(lambda: all(map(command.is_gone, pids))), pids)
        self.expect_nothing_left()
        return process.returncode, said


def stop_reading(process):
    process.stdout.close()
    process.stdout = None  # communicate() leaves it alone


def mpi_rank(pid):
    with open("/proc/%d/environ" % pid) as file:
        variables = dict(item.partition("=")[::2] for item in file.read().split("\0"))
    return int(variables.get("PMIX_RANK") or variables["OMPI_COMM_WORLD_RANK"])


class Kill(FaultTest):
    def test_a_killed_rank_ends_the_others_and_is_named(self):
        for i in self.rounds(6):
            victim = 1 + i % 3
            process, pids = self.start_forked(4)
            self.strike(pids[victim], signal.SIGKILL)
            status, said = self.expect_end(process, pids)
            self.assertEqual(status, 1, said)
            self.assertIn("rankzero sample: rank %d was ended by signal 9" % victim, said)
            self.assertLessEqual(len(said.splitlines()), 2, said)

    def test_rank_0_killed_ends_the_others_and_leaves_no_file(self):
        for _ in self.rounds(4):
            process, pids = self.start_forked(4, "--json", "-o", self.path("ids.npy"))
            self.strike(pids[0], signal.SIGKILL)
            status, said = self.expect_end(process, pids)
            self.assertEqual(status, -signal.SIGKILL)
            for line in said.splitlines():
                self.assertIn("rank 0: its process is gone", line)
            self.assertEqual([n for n in os.listdir(self.folder.name) if "ids.npy" in n], [])

    @command.needs_mpi
    def test_a_killed_rank_of_mpirun_ends_the_others_and_is_named(self):
        for victim in self.rounds(3):
            process, pids = self.start_mpi(3)
            self.strike(pids[victim], signal.SIGKILL)
            status, said = self.expect_end(process, pids)
            self.assertNotEqual(status, 0)
            self.assertIn("rank %d" % victim, said, "by us, or by mpirun if it was faster")

    def test_rank_0_killed_as_it_starts_takes_the_others_along(self):
        for _ in self.rounds(10):
            process = self.start_unread(self.x, "--ranks", 8, *ENDLESS)
            self.delay /= 5  # it takes a few milliseconds
            self.strike(process.pid, signal.SIGKILL)
            stop_reading(process)
            process.communicate(timeout=20)  # until all have closed their stderr
            # Only rank 0 could remove the file by which the others find it.
            for path in glob.glob("/dev/shm/rankzero-*-sample-%d-*" % process.pid):
                os.unlink(path)


class Interrupt(FaultTest):
    def test_control_c_ends_all_ranks_quietly(self):
        for i in self.rounds(4):
            number = (signal.SIGINT, signal.SIGTERM)[i % 2]
            out = self.path("ids.npy")
            process, pids = self.start_forked(4, "--json", "-o", out)
            self.strike(process.pid, number, kill=os.killpg)
            self.assertEqual(self.expect_end(process, pids), (-number, ""))
            self.assertEqual([n for n in os.listdir(self.folder.name) if "ids.npy" in n], [])

    def test_a_signal_to_rank_0_alone_ends_all(self):
        for _ in self.rounds(2):
            process, pids = self.start_forked(4)
            self.strike(process.pid, signal.SIGTERM)
            self.assertEqual(self.expect_end(process, pids), (-signal.SIGTERM, ""))

    def test_a_signal_to_another_rank_alone_ends_all_and_names_it(self):
        for _ in self.rounds(2):
            process, pids = self.start_forked(4)
            self.strike(pids[2], signal.SIGTERM)
            status, said = self.expect_end(process, pids)
            self.assertEqual(status, 1)
            self.assertIn("rank 2 left the job", said)
            self.assertEqual(len(said.splitlines()), 1, said)

    def test_a_signal_ends_a_run_whose_reader_sleeps(self):
        for _ in self.rounds(2):
            process = self.start_unread(self.x, "--ranks", 3, *ENDLESS)
            self.assertEqual(len(process.stdout.read(1)), 1)
            self.delay += 0.2  # by then it waits in write(2); if not, it ends all the same
            pids = [process.pid, *command.children(process.pid)]
            self.strike(process.pid, signal.SIGTERM, kill=os.killpg)
            process.wait(timeout=20)
            stop_reading(process)
            self.assertEqual(self.expect_end(process, pids), (-signal.SIGTERM, ""))

    @command.needs_mpi
    def test_control_c_to_mpirun_ends_all_ranks_and_leaves_no_file(self):
        for _ in self.rounds(2):
            process, pids = self.start_mpi(3, "--json", "-o", self.path("ids.npy"))
            self.strike(process.pid, signal.SIGINT, kill=os.killpg)
            status, said = self.expect_end(process, pids)
            self.assertNotEqual(status, 0)
            for line in command.complaints(said):  # mpirun kills one rank after the other
                self.assertIn("its process is gone", line)
            self.assertEqual([n for n in os.listdir(self.folder.name) if "ids.npy" in n], [])


class Names(FaultTest):
    def test_a_name_is_refused_while_a_run_has_it(self):
        name = "test-%d" % os.getpid()
        few = [self.x, "--seed", 1, "--ranks", 3]
        for number in (signal.SIGINT, signal.SIGKILL):
            process, pids = self.start_forked(2, "--job", name)
            for ranks in (1, 3):
                args = [self.x, "--ranks", ranks, "--job", name]
                says = "--job: expected a name of its own, got '%s': a live run has it" % name
                self.fails(1, *args, says=says)
            lines = self.sample(*few, "--job", name + "-2")
            os.kill(pids[0], number)
            self.expect_end(process, pids)
            self.assertEqual(self.sample(*few, "--job", name), lines, "the name is free again")

    def test_what_is_no_segment_of_ours_is_in_the_way_and_stays(self):
        path = "/dev/shm/rankzero-%d-test-%d" % (os.geteuid(), os.getpid())
        with open(path, "w") as file:
            file.write("mine")
        self.addCleanup(os.unlink, path)
        args = [self.x, "--ranks", 4, "--job", "test-%d" % os.getpid()]
        done = self.run_raw([RANKZERO, "sample", *args])
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("rankzero sample: in the way is " + os.path.basename(path), done.stderr)
        self.assertLessEqual(len(done.stderr.splitlines()), 2, done.stderr)
        with open(path) as file:
            self.assertEqual(file.read(), "mine")


class Space(FaultTest):
    def with_shm_of(self, size, *words, **kwargs):
        """Run where /dev/shm is so small; in a mount namespace, so that nobody else sees it."""
        script = 'mount -t tmpfs -o size=%s tmpfs /dev/shm && "$@"; status=$?; ' % size
        script += "ls /dev/shm >&2; exit $status"
        for unshare in (["unshare", "-m"], ["unshare", "-rm"]):
            base = [*unshare, "sh", "-c", script, "sh"]
            if subprocess.run([*base, "true"], capture_output=True).returncode == 0:
                return self.run_raw([*base, *words], **kwargs)
        self.skipTest("unshare(1) may not mount a /dev/shm of its own here")

    def test_no_space_is_an_error_that_says_how_much_is_needed(self):
        for ranks in (1, 3):
            words = [RANKZERO, "sample", self.x, "--ranks", ranks]
            done = self.with_shm_of("64k", *words)
            # Not all 65536: clang's OpenMP has a page of its own there while it is loaded.
            room = r"/dev/shm: expected room for \d+ bytes, got No space left on device"
            self.expect_failure(done, 1, "No space left on device")
            self.assertRegex(done.stderr, room + r" \((61440|65536) free\)")

    @command.needs_mpi
    def test_no_space_under_mpirun_is_an_error_too(self):
        words = command.mpi_words(2, [self.x, "--seed", 1, "--count", 10000])
        done = self.with_shm_of("16m", os.environ["MPIRUN"], *words, env=command.hasty_mpi())
        self.expect_failure(done, 1, "got No space left on device")

    def test_a_little_space_is_enough_for_a_little_run(self):
        done = self.with_shm_of("1m", RANKZERO, "sample", self.x, "--seed", 1, "--ranks", 3)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(command.ids_of(done.stdout), self.sample(self.x, "--seed", 1))


class Readers(FaultTest):
    def test_a_reader_that_leaves_ends_the_run(self):
        for form in ([], ["--json"]):
            for ranks in (1, 3):
                process = self.start_unread(self.x, "--ranks", ranks, *ENDLESS, *form)
                self.assertEqual(len(process.stdout.read(10)), 10)
                pids = [process.pid, *command.children(process.pid)]
                stop_reading(process)
                status, said = self.expect_end(process, pids)
                self.assertEqual(status, 1)
                self.assertEqual(said, "rankzero sample: cannot write to stdout: Broken pipe\n")


@command.needs_mpi
class Disagreement(FaultTest):
    """Each rank of mpirun has a command line of its own; only by mistake do they differ."""

    def expect_disagreement(self, mine, other, says):
        pair = [mine, other]
        self.random.shuffle(pair)
        self.mpi_fails(1, None, *pair, says=says)

    def test_about_the_logits_is_named_with_rank_and_values(self):
        y = self.logits(rows=2, vocab=1999, name="y.npy")
        half = npyfile.write_rows(self.path("half.npy"), self.rows(2, 2000), "<f2")
        rows = self.logits(rows=3, vocab=2000, name="rows.npy")
        for other, says in (
            ([y], ("vocab_size: rank 0 has ", "1999", "rank 1 has ", "2000")),
            ([half], ("dtype: rank 0 has ", "rank 1 has ")),
            ([rows], ("rows of logits: rank 0 has ", "rank 1 has ", "2", "3")),
            ([self.x, "--vocab-size", 1990], ("vocab_size: rank 0 has ", "1990", "2000")),
        ):
            with self.subTest(says=says):
                self.expect_disagreement([self.x], other, says)

    def test_about_the_run_is_named_with_rank_and_values(self):
        for option, value, says in (
            ("--count", 5000, ("draws: rank 0 has ", "rank 1 has ", "10000")),
            ("--split", "1,1999", ("split: rank 0 gives rank 0 ", "1000", "rank 1 gives it ")),
            ("--backend", "reference", ("backend: rank 0 has ", "rank 1 has ")),
            ("--comm", "mpi", ("comm: rank 0 has ", "rank 1 has ")),
        ):
            with self.subTest(option=option):
                self.expect_disagreement([self.x], [self.x, option, value], says)

    def test_of_steps_is_found_before_the_first(self):
        x = self.logits(rows=1, vocab=50, name="one.npy")
        mine, other = ([x, "--count", count] for count in (5000, 9000))
        self.expect_disagreement(mine, other, ("draws: rank 0 has ", "5000", "9000"))

    def test_a_rank_that_cannot_start_ends_the_others(self):
        for status, other, says in (
            (2, [self.x, "--mode", "scatter"], "rank 1: --mode: expected gather, got 'scatter'"),
            (2, [self.x, "--top-p", 7], "rank 1: --top-p: expected a number in (0, 1], got 7"),
            (1, [self.path("no.npy")], "no.npy: cannot open: No such file or directory"),
            (1, ["--help"], "rows of logits: rank 0 has 2, rank 1 has 0"),
        ):
            with self.subTest(other=other):
                self.mpi_fails(status, None, [self.x], other, says=says)


if __name__ == "__main__":
    unittest.main()
