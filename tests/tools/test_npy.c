/* SPDX-License-Identifier: Apache-2.0
 *
 * test_npy.c - what the reader of .npy files takes, and what it says about the rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/tools/scratch.h"
#include "tools/npy.h"
#include "tools/npy_header.h"

enum { LOGITS = RZ_NPY_F32 | RZ_NPY_F16 | RZ_NPY_U16 };

/* A file of format `major`.0 with this dictionary and `data_bytes` bytes 0, 1, 2, ... */
static struct scratch write_npy(unsigned char major, const char *dictionary, size_t data_bytes)
{
    unsigned char bytes[4096];
    const size_t length = strlen(dictionary);
    memcpy(bytes, "\x93NUMPY", 6);
    bytes[6] = major;
    bytes[7] = 0;
    bytes[8] = (unsigned char)length;
    bytes[9] = (unsigned char)(length >> 8);
    bytes[10] = bytes[11] = 0;
    const size_t at = major == 1 ? 10 : 12;
    memcpy(bytes + at, dictionary, length);
    for (size_t i = 0; i < data_bytes; i++)
        bytes[at + length + i] = (unsigned char)i;
    return scratch_write(bytes, at + length + data_bytes);
}

static void expect_complaint(struct scratch file, unsigned types, const char *text)
{
    struct rz_npy npy;
    struct rz_complaint complaint;
    assert_int_equal(rz_npy_open(file.path, types, &npy, &complaint), RZ_EXIT_FAILED);
    assert_non_null(strstr(complaint.text, file.path));
    if (strstr(complaint.text, text) == NULL)
        fail_msg("expected '%s' in '%s'", text, complaint.text);
    scratch_remove(&file);
}

static void expect_bad(const char *dictionary, size_t data_bytes, const char *text)
{
    expect_complaint(write_npy(1, dictionary, data_bytes), LOGITS, text);
}

static void matrix_is_read_by_row_and_column(void **state)
{
    (void)state;
    for (unsigned char major = 1; major <= 3; major++) {
        struct scratch file = write_npy(
            major, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n", 24);
        struct rz_npy npy;
        struct rz_complaint complaint;
        assert_int_equal(rz_npy_open(file.path, LOGITS, &npy, &complaint), RZ_EXIT_OK);
        assert_int_equal(npy.type, RZ_NPY_F32);
        assert_int_equal(npy.rows, 2);
        assert_int_equal(npy.columns, 3);
        unsigned char got[8];
        assert_int_equal(rz_npy_read(&npy, 1, 1, 2, got, &complaint), RZ_EXIT_OK);
        for (unsigned i = 0; i < 8; i++)
            assert_int_equal(got[i], 4 * (3 + 1) + i);
        rz_npy_close(&npy);
        scratch_remove(&file);
    }
}

static void vector_is_one_row(void **state)
{
    (void)state;
    struct scratch file =
        write_npy(1, "{\"shape\": (5,), 'fortran_order': False, 'descr': '<u2'}", 10);
    struct rz_npy npy;
    struct rz_complaint complaint;
    assert_int_equal(rz_npy_open(file.path, LOGITS, &npy, &complaint), RZ_EXIT_OK);
    assert_int_equal(npy.rows, 1);
    assert_int_equal(npy.columns, 5);
    assert_int_equal(npy.item_bytes, 2);
    rz_npy_close(&npy);
    scratch_remove(&file);
}

static void truncated_file_is_told_with_both_sizes(void **state)
{
    (void)state;
    expect_bad("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 23,
               "truncated: expected 24 bytes of elements for shape (2, 3), got 23");
    expect_bad("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 25, "too long");
    expect_complaint(scratch_write("\x93NUMPY\x01\x00\x40\x00{'descr'", 18), LOGITS,
                     "truncated: expected a header of 64 bytes, got 8");
    expect_complaint(scratch_write("\x93NUMPY\x01\x00\x40", 9), LOGITS,
                     "truncated: expected a header length of 2 bytes, got 1");
}

static void other_files_are_not_npy(void **state)
{
    (void)state;
    expect_complaint(scratch_write("", 0), LOGITS, "expected a .npy file");
    expect_complaint(scratch_write("PK\x03\x04 and so on", 14), LOGITS, "expected a .npy file");
    expect_complaint(scratch_write("\x93NUMPY\x09\x01\x40\x00", 10), LOGITS,
                     "expected .npy format 1.0, 2.0 or 3.0, got 9.1");
    expect_complaint(scratch_write("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12), LOGITS,
                     "expected a header of at most 1048576 bytes, got 4294967295");
}

static void missing_file_and_directory_are_told(void **state)
{
    (void)state;
    struct rz_npy npy;
    struct rz_complaint complaint;
    assert_int_equal(rz_npy_open("/nonexistent/x.npy", LOGITS, &npy, &complaint), RZ_EXIT_FAILED);
    assert_string_equal(complaint.text,
                        "/nonexistent/x.npy: cannot open: No such file or directory");
    assert_int_equal(rz_npy_open("/tmp", LOGITS, &npy, &complaint), RZ_EXIT_FAILED);
    assert_non_null(strstr(complaint.text, "expected a regular file"));
}

static void wrong_dtype_names_both(void **state)
{
    (void)state;
    expect_bad("{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }", 24,
               "expected dtype float32 ('<f4') or float16 ('<f2') or uint16 ('<u2'), got '<f8'");
    expect_bad("{'descr': '>f4', 'fortran_order': False, 'shape': (3,), }", 12,
               "got '>f4' (big-endian)");
    expect_bad("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }", 12,
               "expected a plain dtype such as '<f4'");
    expect_complaint(write_npy(1, "{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }", 12),
                     RZ_NPY_U32, "expected dtype uint32 ('<u4'), got '<i4'");
}

static void fortran_order_is_refused(void **state)
{
    (void)state;
    expect_bad("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", 24,
               "expected C order (fortran_order False), got Fortran order");
}

static void other_numbers_of_dimensions_are_refused(void **state)
{
    (void)state;
    expect_bad("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", 4,
               "expected 1 or 2 dimensions, got 0");
    expect_bad("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3), }", 24,
               "expected 1 or 2 dimensions, got 3");
    expect_bad("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), }", 0,
               "expected at least one row and one column, got shape (0, 3)");
}

static void absurd_shapes_do_not_wrap_around(void **state)
{
    (void)state;
    /* 2^32 * 2^32 and 2^62 * 4 are both 0 modulo 2^64. */
    expect_bad("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", 0,
               "is larger than any file");
    expect_bad("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,), }", 0,
               "is larger than any file");
    expect_bad("{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551616,), }", 0,
               "expected a whole number that fits 64 bits");
    expect_bad("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", 0,
               "expected a whole number that fits 64 bits");
}

static void malformed_headers_name_what_was_expected(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", "'{'"},
        {"[]", "'{'"},
        {"{'descr': '<f4'", "',' or '}'"},
        {"{'descr': '<f4'}", "the keys 'descr', 'fortran_order' and 'shape'"},
        {"{'descr': '<f4', 'descr': '<f4'}", "each key once"},
        {"{'descr': '<f4}", "a closing quote"},
        {"{'descr' '<f4'}", "':'"},
        {"{'color': 3}", "no keys but 'descr', 'fortran_order' and 'shape'"},
        {"{'fortran_order': 0}", "True or False"},
        {"{'shape': 3}", "a tuple of dimensions"},
        {"{'shape': (3 4)}", "',' or ')'"},
        {"{'shape': (3,}", "a whole number that fits 64 bits"},
        {"{descr: '<f4'}", "a key: 'descr', 'fortran_order' or 'shape'"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,)} x", "nothing after '}'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rz_npy_header header;
        size_t at;
        const char *expected = rz_npy_header_parse(cases[i].text, &header, &at);
        assert_non_null(expected);
        assert_string_equal(expected, cases[i].expected);
        assert_true(at <= strlen(cases[i].text));
    }
}

static void every_prefix_of_a_header_is_refused(void **state)
{
    (void)state;
    static const char text[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
    struct rz_npy_header header;
    size_t at;
    assert_null(rz_npy_header_parse(text, &header, &at));
    for (size_t length = 0; length < sizeof text - 1; length++) {
        char prefix[sizeof text];
        memcpy(prefix, text, length);
        prefix[length] = '\0';
        assert_non_null(rz_npy_header_parse(prefix, &header, &at));
    }
}

static void nul_in_a_header_is_refused(void **state)
{
    (void)state;
    static const char bytes[] = "\x93NUMPY\x01\x00\x3e\x00"
                                "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\0    "
                                "abcd";
    expect_complaint(scratch_write(bytes, 10 + 0x3e + 4), LOGITS, "got a NUL");
}

static void written_header_is_read_back(void **state)
{
    (void)state;
    char bytes[RZ_NPY_HEADER_BYTES + 24] = {0};
    rz_npy_header_i32(3, 2, bytes);
    struct scratch file = scratch_write(bytes, sizeof bytes);
    struct rz_npy npy;
    struct rz_complaint complaint;
    assert_int_equal(rz_npy_open(file.path, RZ_NPY_I32, &npy, &complaint), RZ_EXIT_OK);
    assert_int_equal(npy.rows, 3);
    assert_int_equal(npy.columns, 2);
    assert_int_equal(npy.data_at, RZ_NPY_HEADER_BYTES);
    rz_npy_close(&npy);
    scratch_remove(&file);
}

static void file_that_shrinks_while_open_is_an_error(void **state)
{
    (void)state;
    struct scratch file =
        write_npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 24);
    struct rz_npy npy;
    struct rz_complaint complaint;
    assert_int_equal(rz_npy_open(file.path, LOGITS, &npy, &complaint), RZ_EXIT_OK);
    assert_int_equal(truncate(file.path, (off_t)npy.data_at + 20), 0);
    unsigned char got[12];
    assert_int_equal(rz_npy_read(&npy, 0, 0, 3, got, &complaint), RZ_EXIT_OK);
    assert_int_equal(rz_npy_read(&npy, 1, 0, 3, got, &complaint), RZ_EXIT_FAILED);
    assert_non_null(strstr(complaint.text, "truncated: expected elements of 12 bytes, got 8"));
    rz_npy_close(&npy);
    scratch_remove(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matrix_is_read_by_row_and_column),
        cmocka_unit_test(vector_is_one_row),
        cmocka_unit_test(truncated_file_is_told_with_both_sizes),
        cmocka_unit_test(other_files_are_not_npy),
        cmocka_unit_test(missing_file_and_directory_are_told),
        cmocka_unit_test(wrong_dtype_names_both),
        cmocka_unit_test(fortran_order_is_refused),
        cmocka_unit_test(other_numbers_of_dimensions_are_refused),
        cmocka_unit_test(absurd_shapes_do_not_wrap_around),
        cmocka_unit_test(malformed_headers_name_what_was_expected),
        cmocka_unit_test(every_prefix_of_a_header_is_refused),
        cmocka_unit_test(nul_in_a_header_is_refused),
        cmocka_unit_test(written_header_is_read_back),
        cmocka_unit_test(file_that_shrinks_while_open_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
