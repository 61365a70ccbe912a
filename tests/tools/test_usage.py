# SPDX-License-Identifier: Apache-2.0
"""What `rankzero sample` refuses: the command line with exit status 2, files with 1; in both cases
with one line that says what was expected and what was got, before a rank is started."""

import os
import re
import stat
import unittest

import command
import npyfile
from command import RANKZERO

BAD_NUMBERS = (
    # option, value, what was expected, what was got
    ("temperature", "-0.5", "a finite number >= 0", "got -0.5"),
    ("temperature", "nan", "a finite number", "got 'nan'"),
    ("temperature", "inf", "a finite number", "got 'inf'"),
    ("temperature", "1e39", "a finite number", "got '1e39'"),
    ("temperature", "hot", "a finite number", "got 'hot'"),
    ("temperature", "", "a finite number", "got ''"),
    ("top-p", "0", "a number in (0, 1]", "got 0"),
    ("top-p", "-0.1", "a number in (0, 1]", "got -0.1"),
    ("top-p", "1.01", "a number in (0, 1]", "got 1.01"),
    ("top-p", "NaN", "a finite number", "got 'NaN'"),
    ("min-p", "1", "a number in [0, 1)", "got 1"),
    ("min-p", "-0.25", "a number in [0, 1)", "got -0.25"),
    ("min-p", "-nan", "a finite number", "got '-nan'"),
    ("top-k", "-1", "a whole number from 0 to 4294967295", "got '-1'"),
    ("top-k", "4294967296", "a whole number from 0 to 4294967295", "got '4294967296'"),
    ("top-k", "2.5", "a whole number", "got '2.5'"),
    ("repetition-penalty", "0", "a number in (0, 100]", "got 0"),
    ("repetition-penalty", "-1", "a number in (0, 100]", "got -1"),
    ("repetition-penalty", "100.5", "a number in (0, 100]", "got 100.5"),
    ("repetition-penalty", "nan", "a finite number", "got 'nan'"),
    ("frequency-penalty", "100.5", "a number in [-100, 100]", "got 100.5"),
    ("frequency-penalty", "-101", "a number in [-100, 100]", "got -101"),
    ("frequency-penalty", "nan", "a finite number", "got 'nan'"),
    ("presence-penalty", "101", "a number in [-100, 100]", "got 101"),
    ("presence-penalty", "-inf", "a finite number", "got '-inf'"),
    ("presence-penalty", "nan", "a finite number", "got 'nan'"),
    ("min-tokens", "-1", "a whole number from 0 to 4294967295", "got '-1'"),
    ("seed", "18446744073709551616", "a whole number below 2^64", "got '18446744073709551616'"),
    ("position", "-1", "a whole number below 2^64", "got '-1'"),
    ("count", "0", "a whole number from 1 to", "got '0'"),
    ("ranks", "0", "a whole number from 1 to 64", "got '0'"),
    ("ranks", "65", "a whole number from 1 to 64", "got '65'"),
    ("threads", "0", "a whole number from 1 to 256", "got '0'"),
    ("threads", "257", "a whole number from 1 to 256", "got '257'"),
    ("threads", "all", "a whole number from 1 to 256", "got 'all'"),
    ("vocab-size", "0", "a whole number from 1 to 262144", "got '0'"),
    ("vocab-size", "11", "at most the 10 columns of ", "got 11"),
)

BAD_WORDS = (
    ("dtype", "f64", "one of f32, f16, bf16", "got 'f64'"),
    ("mode", "scatter", "gather", "got 'scatter'"),
    ("backend", "gpu", "one of auto, reference, scalar, avx2, avx512, cuda", "got 'gpu'"),
    ("comm", "tcp", "one of auto, shm, mpi, nccl, cuda_ipc", "got 'tcp'"),
    ("comm", "mpi", "auto or shm without mpirun", "got mpi"),
    ("comm", "nccl", "auto, shm or mpi without --backend cuda", "got nccl"),
    ("device", "64", "a whole number from 0 to 63", "got '64'"),
    ("device", "0", "", "--backend cuda with it"),
    ("logprobs-mode", "cooked", "raw or processed", "got 'cooked'"),
    ("job", "a/b", "1 to 63 characters of [A-Za-z0-9._-]", "got 'a/b'"),
    ("job", "x" * 64, "1 to 63 characters of [A-Za-z0-9._-]", "got 'xxx"),
)

LISTS = ("prompt-ids", "output-ids", "allowed", "banned", "stop-ids")


class CommandLine(command.CommandTest):
    def setUp(self):
        super().setUp()
        self.x = self.logits(rows=2, vocab=10)

    def bad_value(self, option, value, expected, got):
        with self.subTest(option=option, value=value):
            says = ("--%s: expected %s" % (option, expected), got)
            self.fails(2, self.x, "--%s=%s" % (option, value), says=says)

    def test_numbers_out_of_range(self):
        for case in BAD_NUMBERS:
            self.bad_value(*case)

    def test_unknown_words(self):
        for case in BAD_WORDS:
            self.bad_value(*case)

    def test_ids_out_of_the_vocabulary_in_every_list(self):
        for name in LISTS:
            self.bad_value(name, "3,10", "ids of the vocabulary, 0 to 9", "got 10")
            self.bad_value(name, "-1", "ids from 0 to 2147483647", "got '-1'")
            self.bad_value(name, "1,,2", "ids from 0 to 2147483647", "got '1,,2'")
        self.bad_value("logit-bias", "3:1,10:1", "ids of the vocabulary, 0 to 9", "got 10")

    def test_padding_is_out_of_the_vocabulary(self):
        for name in LISTS:
            says = ("--%s: expected ids of the vocabulary, 0 to 7" % name, "got 8")
            self.fails(2, self.x, "--vocab-size", 8, "--" + name, "8", says=says)

    def test_malformed_biases(self):
        for value in ("", "3", "3:", ":1", "3:nan", "3:inf", "3:1e39", "-3:1", "3:1,", "3:1;4:1"):
            expected = "ID:B pairs separated by commas, B a finite number"
            self.bad_value("logit-bias", value, expected, "got '%s'" % value)

    def test_splits_that_do_not_fit(self):
        for ranks, split, expected, got in (
            (3, "4,5,2", "numbers that add up to the 10 columns", "got 11"),
            (3, "4,5,0", "numbers that add up to the 10 columns", "got 9"),
            (3, "2147483647,2147483647,12", "add up to the 10 columns", "got 4294967306"),
            (3, "5,5", "one number a rank, 3 in all", "got 2"),
            (1, "5,5", "one number a rank, 1 in all", "got 2"),
            (2, "5,5,", "columns of each rank separated by commas", "got '5,5,'"),
            (2, "-5,15", "columns of each rank separated by commas", "got '-5,15'"),
        ):
            with self.subTest(ranks=ranks, split=split):
                says = ("--split: expected ", expected, got)
                self.fails(2, self.x, "--ranks", ranks, "--split", split, says=says)

    def test_positions_past_the_last(self):
        args = [self.x, "--position", 2**64 - 2, "--count", 3]
        self.fails(2, *args, says=("--position: expected", "got 18446744073709551614 and 3 draws"))

    def test_logprobs_have_no_place_outside_json(self):
        self.fails(2, self.x, "--logprobs", 3, says="--logprobs: expected --json with it")
        self.fails(2, self.x, "--json", "--logprobs", 21, says=("from 0 to 20", "got '21'"))

    def test_logits_travel_between_gpus_in_ways_of_their_own(self):
        for comm in ("shm", "mpi"):
            says = ("--comm: expected auto, nccl or cuda_ipc with --backend cuda, got " + comm,)
            self.fails(2, self.x, "--backend", "cuda", "--comm", comm, says=says)

    def test_unknown_options(self):
        for words, says in (
            (["--colour"], "--colour: unknown or ambiguous option"),
            (["--top", "1"], "--top: unknown or ambiguous option"),
            (["-q"], "-q: unknown option"),
            (["--json=1"], "--json=1: expected no value, got one"),
            (["--top-k"], "--top-k: expected a value, got none"),
            (["-o"], "-o: expected a value, got none"),
        ):
            with self.subTest(words=words):
                self.fails(2, self.x, *words, says=says)

    def test_one_file_of_logits_is_needed(self):
        self.fails(2, says="expected LOGITS.npy, got no file")
        self.fails(2, self.x, "--json", self.x, says=("expected one file of logits", self.x))

    def test_unknown_commands(self):
        for words, got in ((["draw"], "'draw'"), ([""], "''"), (["x" * 999], "'xxx")):
            done = self.run_raw([RANKZERO, *words])
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertEqual(len(done.stderr.splitlines()), 1)
            self.assertIn("rankzero: expected a command, sample, bench, doctor, ring or top, got " + got, done.stderr)

    def test_what_would_break_the_line_or_the_terminal_is_replaced(self):
        self.fails(1, self.path("a\nb\x1b[2J"), says="a?b?[2J: cannot open")
        self.fails(2, self.x, "--dtype", "f\n64", says="got 'f?64'")


class Logits(command.CommandTest):
    def refused(self, says, *args, status=1, **kwargs):
        path = self.path("x.npy")
        if kwargs:
            npyfile.write(path, **kwargs)
        self.fails(status, path, *args, says=(path + ": ", *says))

    def test_other_dtypes(self):
        expected = "expected dtype float32 ('<f4') or float16 ('<f2') or uint16 ('<u2')"
        for descr in ("<f8", "<i4", "<i8", ">f4", "|b1", "<c8", "|O"):
            self.refused((expected, "got '%s'" % descr), descr=descr, shape=(1, 2), data=bytes(16))

    def test_uint16_needs_to_be_called_bf16(self):
        file = dict(descr="<u2", shape=(1, 2), data=bytes(4))
        self.refused(("expected dtype float32 or float16, got uint16", "--dtype bf16"), **file)
        self.refused(("expected dtype float16 for --dtype f16, got uint16",), "--dtype=f16", **file)
        file = dict(descr="<f4", shape=(1, 2), data=bytes(8))
        says = ("expected dtype uint16 for --dtype bf16, got float32",)
        self.refused(says, "--dtype=bf16", **file)

    def test_other_shapes(self):
        for shape, says in (
            ((), ("expected 1 or 2 dimensions, got 0",)),
            ((1, 1, 2), ("expected 1 or 2 dimensions, got 3",)),
            ((0, 2), ("expected at least one row and one column", "got shape (0, 2)")),
            ((2, 0), ("expected at least one row and one column", "got shape (2, 0)")),
            ((0,), ("expected at least one row and one column",)),
        ):
            with self.subTest(shape=shape):
                count = 2 if 0 not in shape else 0
                self.refused(says, descr="<f4", shape=shape, data=bytes(4 * count))

    def test_fortran_order(self):
        says = ("expected C order", "got Fortran order")
        self.refused(says, descr="<f4", shape=(2, 2), data=bytes(16), fortran=True)

    def test_too_many_rows_and_columns(self):
        says = ("expected at most 65536 rows, got 65537",)
        self.refused(says, descr="<f2", shape=(65537, 1), data=bytes(2 * 65537))
        says = ("expected a vocabulary of at most 262144 columns, got 262145",)
        self.refused(says, descr="<f2", shape=(1, 262145), data=bytes(2 * 262145))

    def test_files_of_another_length_than_their_shape_says(self):
        says = "truncated: expected 24 bytes of elements for shape (2, 3), got %d"
        for bytes_left in (0, 1, 23):
            file = dict(descr="<f4", shape=(2, 3), data=bytes(bytes_left))
            self.refused((says % bytes_left,), **file)
        says = ("too long: expected 24 bytes of elements", "got 25")
        self.refused(says, descr="<f4", shape=(2, 3), data=bytes(25))
        says = ("(9223372036854775807, 4) is larger than any file",)
        self.refused(says, descr="<f4", shape=(2**63 - 1, 4), data=bytes(4))

    def test_headers_cut_short(self):
        whole = npyfile.header("<f4", (1, 2)) + bytes(8)
        for length in (0, 1, 7, 8, 9, 10, 40, 127):
            with self.subTest(length=length), open(self.path("x.npy"), "wb") as file:
                file.write(whole[:length])
                file.flush()
                self.refused(("expected a .npy file" if length < 8 else "truncated: expected ",))

    def test_headers_that_numpy_does_not_write(self):
        for old, new, expected in (
            (b"'descr'", b"'dtype'", "no keys but 'descr', 'fortran_order' and 'shape'"),
            (b"False", b"Maybe", "True or False"),
            (b"(1, 2)", b"[1, 2]", "a tuple of dimensions"),
            (b"(1, 2)", b"(1,-2)", "a whole number that fits 64 bits"),
            (b"'<f4'", b"'<f4 ", "',' or '}'"),
            (b"NUMPY\x01", b"NUMPY\x09", "expected .npy format 1.0, 2.0 or 3.0, got 9.0"),
            (b"\x93NUMPY", b"\x93NUMPA", "expected a .npy file"),
        ):
            with self.subTest(new=new):
                whole = npyfile.header("<f4", (1, 2)) + bytes(8)
                self.assertIn(old, whole)
                with open(self.path("x.npy"), "wb") as file:
                    file.write(whole.replace(old, new))
                self.refused((expected,))

    def test_what_is_no_npy_file(self):
        self.text("x.npy", "logits: 1, 2, 3\n" * 100)
        self.refused(("expected a .npy file", "got something else"))

    def test_what_is_no_file(self):
        for path, says in (
            (self.path("missing.npy"), "cannot open: No such file or directory"),
            (self.path("missing/x.npy"), "cannot open: No such file or directory"),
            (self.folder.name, "expected a regular file, got a directory, pipe or device"),
            ("/dev/zero", "expected a regular file, got a directory, pipe or device"),
            ("", "cannot open: No such file or directory"),
        ):
            with self.subTest(path=path):
                self.fails(1, path, says=path + ": " + says)

    def test_a_pipe_that_nobody_writes_to_is_not_waited_for(self):
        os.mkfifo(self.path("x.npy"))
        self.refused(("expected a regular file, got a directory, pipe or device",))

    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_a_file_that_may_not_be_read(self):
        os.chmod(self.logits(name="x.npy"), 0)
        self.refused(("cannot open: Permission denied",))


class Params(command.CommandTest):
    def setUp(self):
        super().setUp()
        self.x = self.logits(rows=2, vocab=10)

    def refused(self, text, *says):
        params = self.text("p.jsonl", text)
        with self.subTest(text=text[:80]):
            return self.fails(1, self.x, "--params", params, says=(params + ":", *says))

    def test_malformed_json_has_a_line_and_a_column(self):
        for text in ('{"top_k": 5', '{"top_k": 5}}', '{"top_k": 05}', "{'top_k': 5}", "", "\\"):
            for line in (1, 2):
                lines = ["{}", "{}"]
                lines[line - 1] = text
                said = self.refused("\n".join(lines) + "\n", ": malformed JSON: ")
                where = re.search(r"p\.jsonl:(\d+):(\d+): ", said)
                self.assertEqual(int(where[1]), line, said)
                self.assertLessEqual(int(where[2]), len(text), said)
        self.refused("{}\n" + '{"top_k": [' * 100000 + "\n", ":2:", "malformed JSON: ")

    def test_keys_come_once(self):
        self.refused('{}\n{"top_k": 1, "top_k": 1}\n', ":2:", 'duplicate object key near \'"top_k"')

    def test_a_line_is_an_object(self):
        for value in ("[1]", "7", '"top_p"', "null", "true"):
            self.refused("{}\n%s\n" % value, ":2:1: expected an object such as", "got " + value)

    def test_unknown_keys(self):
        expected = "unknown key; expected an option of a row with underscores"
        self.refused('{}\n{"top-k": 5}\n', ':2: "top-k": ' + expected)
        self.refused('{"Top_k": 5}\n{}\n', ':1: "Top_k": ' + expected)

    def test_parameters_of_the_whole_run_belong_on_the_command_line(self):
        for name in ("vocab_size", "dtype", "ranks", "split", "backend", "comm", "mode", "params"):
            expected = "expected a parameter of a row, got one of the whole run"
            self.refused('{"%s": 5}\n{}\n' % name, ':1: "%s": %s' % (name, expected))

    def test_wrong_types(self):
        for name, value, expected in (
            ("top_p", '"0.5"', "a finite number"),
            ("top_p", "null", "a finite number"),
            ("temperature", "true", "a finite number"),
            ("temperature", "1e39", "a finite number"),
            ("top_k", "5.0", "a whole number from 0 to 4294967295"),
            ("top_k", "-1", "a whole number from 0 to 4294967295"),
            ("count", "0", "a whole number from 1 to 1099511627776"),
            ("seed", "-1", "a whole number below 2^64"),
            ("seed", '"18446744073709551616"', "a whole number below 2^64"),
            ("logprobs_mode", "1", '"raw" or "processed"'),
            ("logit_bias", "5", 'an object {"ID": B, ...} or an array [[ID, B], ...]'),
            ("logit_bias", '{"a":1}', 'an object {"ID": B, ...}'),
            ("logit_bias", "[[1]]", 'an object {"ID": B, ...}'),
            ("bitmask", "5", "an array of words from 0 to 4294967295"),
            ("bitmask", "[4294967296]", "an array of words from 0 to 4294967295"),
        ):
            says = (':2: "%s": expected %s' % (name, expected), "got ")
            self.refused('{}\n{"%s": %s}\n' % (name, value), *says)
        for name in LISTS:
            name = name.replace("-", "_")
            for value in ("5", '"5"', "[1.0]", "[[1]]", "[-1]"):
                says = ':1: "%s": expected an array of ids from 0 to 2147483647' % name
                self.refused('{"%s": %s}\n{}\n' % (name, value), says, "got " + value)

    def test_values_out_of_range(self):
        for name, value, says in (
            ("temperature", "-1", "expected a finite number >= 0, got -1"),
            ("top_p", "0", "expected a number in (0, 1], got 0"),
            ("min_p", "1", "expected a number in [0, 1), got 1"),
            ("repetition_penalty", "0", "expected a number in (0, 100], got 0"),
            ("frequency_penalty", "-101", "expected a number in [-100, 100], got -101"),
            ("presence_penalty", "101", "expected a number in [-100, 100], got 101"),
            ("logprobs", "21", "expected a whole number from 0 to 20, got 21"),
            ("allowed", "[10]", "expected ids of the vocabulary, 0 to 9, got 10"),
            ("logit_bias", '{"10": 1}', "expected ids of the vocabulary, 0 to 9, got 10"),
            ("bitmask", "[1, 2]", "expected 1 words, a bit an id, got 2"),
        ):
            self.refused('{}\n{"%s": %s}\n' % (name, value), ':2: "%s": %s' % (name, says))

    def test_there_is_a_line_for_each_row(self):
        for lines in (0, 1, 3, 50):
            says = " expected a line for each row of logits, 2, got %d" % lines
            self.refused("{}\n" * lines, says)

    def test_rows_of_a_file_of_ids_have_as_many_draws_each(self):
        params = self.text("p.jsonl", '{"count": 2}\n{"count": 3}\n')
        says = (':2: "count": expected 2 as in the first row', "got 3")
        self.fails(1, self.x, "--params", params, "-o", self.path("ids.npy"), says=says)
        self.assertFalse(os.path.exists(self.path("ids.npy")))

    def test_a_file_is_needed(self):
        for path, says in (
            (self.path("missing"), "cannot open: No such file or directory"),
            (self.folder.name, "cannot read: Is a directory"),
        ):
            self.fails(1, self.x, "--params", path, says=path + ": " + says)


class OtherFiles(command.CommandTest):
    def test_bitmasks_of_another_shape_or_dtype(self):
        x, mask = self.logits(rows=2, vocab=40), self.path("mask.npy")
        for descr, shape, data_bytes, says in (
            ("<u4", (3, 2), 24, "expected shape (2, 2), a bit an id, got (3, 2)"),
            ("<u4", (2, 1), 8, "expected shape (2, 2), a bit an id, got (2, 1)"),
            ("<u4", (2, 3), 24, "expected shape (2, 2), a bit an id, got (2, 3)"),
            ("<u4", (2,), 8, "expected shape (2, 2), a bit an id, got (1, 2)"),
            ("<i4", (2, 2), 16, "expected dtype uint32 ('<u4'), got '<i4'"),
            ("<u2", (2, 2), 8, "expected dtype uint32 ('<u4'), got '<u2'"),
            ("|b1", (2, 40), 80, "expected dtype uint32 ('<u4'), got '|b1'"),
        ):
            with self.subTest(descr=descr, shape=shape):
                npyfile.write(mask, descr, shape, bytes(data_bytes))
                self.fails(1, x, "--bitmask", mask, says=mask + ": " + says)
        self.fails(1, x, "--bitmask", self.path("no.npy"), says="no.npy: cannot open")

    def test_ids_cannot_go_where_no_file_can_be(self):
        x = self.logits()
        for path, says in (
            (self.path("missing/ids.npy"), "cannot write: No such file or directory"),
            (x + "/ids.npy", "cannot write: Not a directory"),
        ):
            self.fails(1, x, "-o", path, says=path + ": " + says)

    def test_ids_do_not_replace_what_is_no_file(self):
        x, pipe = self.logits(), self.path("pipe")
        os.mkfifo(pipe)
        for path in (pipe, self.folder.name):  # no device: to root it would be lost
            says = "expected a regular file, or none yet, got a directory, pipe or device"
            self.fails(1, x, "-o", path, says=path + ": " + says)
        self.assertTrue(stat.S_ISFIFO(os.stat(pipe).st_mode))


class Ranks(command.CommandTest):
    """One message, not one a rank."""

    def cases(self):
        x = self.logits(rows=2, vocab=10)
        bad = self.text("p.jsonl", '{}\n{"top_p": 2}\n')
        long = npyfile.write(self.path("long.npy"), "<f2", (65537, 1), bytes(2 * 65537))
        return (
            (2, [x, "--top-p", 2], "--top-p: expected a number in (0, 1], got 2"),
            (2, [x, "--banned", 10], "--banned: expected ids of the vocabulary, 0 to 9, got 10"),
            (2, [x, "--split", "1,2,3,4"], "--split: expected one number a rank"),
            (2, [x, "--colour"], "--colour: unknown or ambiguous option"),
            (2, [], "expected LOGITS.npy, got no file"),
            (1, [self.path("missing.npy")], "cannot open: No such file or directory"),
            (1, [long], "expected at most 65536 rows, got 65537"),
            (1, [x, "--params", bad], ':2: "top_p": expected a number in (0, 1], got 2'),
            (1, [x, "-o", self.path("missing/ids.npy")], "cannot write: No such file"),
            (1, [x, "-o", self.folder.name], "expected a regular file, or none yet"),
        )

    def test_forked_ranks(self):
        for status, args, says in self.cases():
            with self.subTest(args=args):
                self.fails(status, "--ranks", 3, *args, says=says)

    @command.needs_mpi
    def test_ranks_of_mpirun(self):
        x = self.logits()
        for status, args, says in self.cases() + (
            (2, [x, "--ranks", 2], "--ranks: expected without mpirun, which has started 2 ranks"),
            (2, [x, "--job", "a"], "--job: expected without mpirun"),
        ):
            with self.subTest(args=args):
                self.mpi_fails(status, 2, *args, says=says)


if __name__ == "__main__":
    unittest.main()
