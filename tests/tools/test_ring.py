# SPDX-License-Identifier: Apache-2.0
"""`rankzero bench ring`, and `rankzero ring inspect`: rings of jobs that run, hang or are over, from outside; and files that are
none, which are refused with a reason. RZ_TEST_SEED in the environment repeats the random ones."""

import json
import os
import signal
import struct
import subprocess
import unittest

import command
from command import RANKZERO, SEED

PAGE = os.sysconf("SC_PAGESIZE")
HOLDER = os.environ["RING_HOLDER"]


def setUpModule():
    print("RZ_TEST_SEED=%d" % SEED)


class RingTest(command.CommandTest):
    def inspect_raw(self, *args):
        return self.run_raw([RANKZERO, "ring", "inspect", *args])

    def inspect(self, *args):
        done = self.inspect_raw(*args)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def inspect_json(self, *args):
        return json.loads(self.inspect("--json", *args))

    def refused(self, status, *args, says=""):
        done = self.inspect_raw(*args)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("rankzero ring: "), done.stderr)
        self.assertIn(says, done.stderr)


class Job(RingTest):
    def setUp(self):
        super().setUp()
        x = self.logits(rows=2, vocab=500)
        endless = ["--seed", 1, "--count", 10**12]
        self.job = self.start(RANKZERO, "sample", x, "--ranks", 3, *endless)
        self.pids = [self.job.pid, *command.children(self.job.pid)]

    def stop(self):
        for pid in self.pids:
            os.kill(pid, signal.SIGSTOP)
        for pid in self.pids:
            command.wait_until(lambda: state_of(pid) in "tT")

    def test_a_job_that_hangs_is_seen_by_any_of_its_processes_and_goes_on_then(self):
        self.stop()
        views = [self.inspect_json("--pid", pid) for pid in self.pids]
        for view in views:
            view.pop("segment")
        self.assertEqual(views[1:], views[:1] * 2)
        view = views[0]
        self.assertEqual((view["kind"], view["state"], view["ended"]), ("job", "running", None))
        self.assertEqual([rank["pid"] for rank in view["ranks"]], self.pids)
        self.assertTrue(all(rank["alive"] for rank in view["ranks"]))
        for rank in view["ranks"][1:]:
            self.assertEqual(rank["taken"] + rank["behind"], view["published"])
        self.assertEqual(view["records"][0]["sequence"], view["published"])

        for pid in self.pids:
            os.kill(pid, signal.SIGCONT)

        def goes_on():
            return self.inspect_json("--pid", self.pids[0])["published"] > view["published"]

        self.assertTrue(command.wait_until(goes_on))

    def test_a_dead_rank_is_shown_as_such(self):
        self.stop()
        os.kill(self.pids[1], signal.SIGKILL)

        def states():
            return [r["state"] for r in self.inspect_json("--pid", self.pids[0])["ranks"]]

        self.assertTrue(command.wait_until(lambda: states()[1] == "dead"), states())
        self.assertNotIn("dead", [states()[0], states()[2]])
        self.assertRegex(self.inspect("--pid", self.pids[2]), r"(?m)^ +1 +\d+ +dead ")

    def test_a_name_that_is_gone_is_found_among_open_files(self):
        path = os.readlink(self.segment_link(self.pids[1]))
        name = os.path.basename(path).split("-", 2)[2].split(" ")[0]
        self.assertNotIn(path.split(" ")[0], command.segments())
        self.assertEqual(self.inspect_json(name)["kind"], "job")

    def segment_link(self, pid):
        folder = "/proc/%d/fd" % pid
        links = [os.path.join(folder, fd) for fd in os.listdir(folder)]
        return next(link for link in links if "/dev/shm/rankzero-" in os.readlink(link))

    def test_mangled_segments_are_shown_or_refused_and_never_end_the_command(self):
        self.stop()
        with open(self.segment_link(self.pids[1]), "rb") as file:
            whole = file.read()
        for _ in range(60):
            mangled = bytearray(whole)
            for _ in range(self.random.choice([1, 5, 500])):
                at = self.random.choice([4 * PAGE, len(mangled)])
                mangled[self.random.randrange(at)] = self.random.choice([0, 1, 127, 255])
            if self.random.random() < 0.2:
                del mangled[self.random.randrange(len(mangled)) :]
            with open(self.path("mangled"), "wb") as file:
                file.write(mangled)
            done = self.inspect_raw(self.path("mangled"))
            self.assertIn(done.returncode, (0, 1), done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), done.returncode)


class SharedRing(RingTest):
    def setUp(self):
        super().setUp()
        self.name = "inspect-%d" % os.getpid()
        self.holder = subprocess.Popen(
            [HOLDER, self.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(self.holder.communicate)
        self.assertEqual(self.holder.stdout.readline(), "ready\n")

    def test_consumers_are_shown_with_what_they_have_yet_to_take(self):
        view = self.inspect_json(self.name)
        self.assertEqual((view["kind"], view["state"], view["published"]), ("ring", "running", 12))
        self.assertEqual((view["slots"], view["record_bytes"]), (16, 64))
        self.assertEqual([r["state"] for r in view["ranks"]], ["awake"] * 3 + ["free"])
        self.assertEqual([r.get("behind") for r in view["ranks"]], [None, 0, 10, None])
        self.assertEqual([r["pid"] for r in view["ranks"][:3]], [self.holder.pid] * 3)
        self.assertEqual([r["sequence"] for r in view["records"]], [12, 11, 10, 9])
        newest = view["records"][0]
        self.assertEqual((newest["type"], newest["bytes"]), (7, 12))
        self.assertEqual(bytes.fromhex(newest["begins"]), b"twelve bytes")
        self.assertEqual(len(self.inspect_json(self.name, "--records", 64)["records"]), 12)
        self.assertEqual(self.inspect_json(self.name, "--records", 0)["records"], [])

    def test_a_process_with_several_openings_of_one_segment_has_one(self):
        self.assertEqual(self.inspect_json("--pid", self.holder.pid)["kind"], "ring")

    def test_shapes_that_cannot_be_are_refused(self):
        with open("/dev/shm/rankzero-%d-%s" % (os.geteuid(), self.name), "rb") as file:
            whole = file.read()
        for at, form, value, says in (
            (PAGE + 16, "<I", 3, "the shape"),
            (PAGE + 16, "<I", 1 << 31, "the shape"),
            (PAGE + 20, "<I", 0, "the shape"),
            (PAGE + 24, "<I", 65, "the shape"),
            (PAGE + 16, "<I", 32, "bytes of a ring of this shape"),
            (PAGE, "<Q", 0, "ranks of the job"),
        ):
            with self.subTest(at=at, value=value):
                changed = bytearray(whole)
                struct.pack_into(form, changed, at, value)
                with open(self.path("changed"), "wb") as file:
                    file.write(changed)
                self.refused(1, self.path("changed"), says=says)


class Refusals(RingTest):
    def write(self, content):
        with open(self.path("file"), "wb") as file:
            file.write(content)
        return self.path("file")

    def header(self, magic=b"RRANKZ00", version=1, page=PAGE, total=4 * PAGE, size=4 * PAGE):
        return struct.pack("<8sIIQ", magic, version, page, total).ljust(size, b"\0")

    def test_files_that_are_no_segments(self):
        for content, says in (
            (b"", "the end of the file"),
            (b"\0" * 65536, "no segment of rankzero's"),
            (self.header(version=9), "version: expected 1, got 9"),
            (self.header(page=17), "bytes of a page"),
            (self.header(total=5 * PAGE), "bytes of the file"),
            (self.header(total=PAGE, size=PAGE), "the end of the file"),
            (self.header(), "ranks of the job: expected 1 to 64, got 0"),
        ):
            with self.subTest(says=says):
                self.refused(1, self.write(content), says=says)

    def test_what_is_no_file(self):
        os.mkfifo(self.path("fifo"))
        self.refused(1, self.path("fifo"), says="expected a regular file")
        self.refused(1, self.folder.name + "/", says="expected a regular file")
        self.refused(1, self.path("nothing"), says="No such file")
        self.refused(1, "no-such-job-%d" % os.getpid(), says="neither in /dev/shm nor open")

    def test_processes_without_a_segment(self):
        self.refused(1, "--pid", os.getpid(), says="has no segment open")
        self.refused(1, "--pid", 2**31 - 1, says="No such file")

    def test_command_lines(self):
        for words in ([], ["a", "b"], ["a", "--pid", 1], ["--pid"], ["--pid", "x"], ["-x", "a"],
                      ["a", "--records", 65]):  # fmt: skip
            with self.subTest(words=words):
                self.refused(2, *words)
        done = self.run_raw([RANKZERO, "ring"])
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        done = self.run_raw([RANKZERO, "ring", "--help"])
        self.assertEqual((done.returncode, done.stderr), (0, ""))


def state_of(pid):
    with open("/proc/%d/stat" % pid) as file:
        return file.read().rpartition(")")[2].split()[0]


if __name__ == "__main__":
    unittest.main()
