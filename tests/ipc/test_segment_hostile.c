/* SPDX-License-Identifier: Apache-2.0
 *
 * test_segment_hostile.c - what has a segment's name and is none, or is not what it says: refused
 * by ranks that attach, left alone by rank 0, and nothing of it is kept.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/layout.h"
#include "ipc/liveness.h"
#include "ipc/segment.h"
#include "tests/ipc/support.h"

#define NAME "job"
enum { PAGES = 3, OTHER_USER = 12345 };

static size_t segment_bytes(void)
{
    return PAGES * rz_segment_page_bytes();
}

/* A segment of a live job, whose file the test may then spoil. */
static struct rz_segment create_published(void)
{
    struct rz_segment segment;
    struct rz_error err;
    if (rz_segment_create(scratch, NAME, segment_bytes(), &segment, &err) != RZ_OK ||
        rz_segment_publish(&segment, &err) != RZ_OK)
        fail_msg("%s", err.text);
    return segment;
}

/* Attaching fails at once, although there is time, and `text` is in the reason. */
static void expect_refused(const char *text)
{
    const int before = open_fds();
    struct rz_segment segment = RZ_SEGMENT_NONE;
    struct rz_error err = {0};
    assert_int_equal(rz_segment_attach(scratch, NAME, in_seconds(50), &segment, &err),
                     RZ_E_CORRUPT);
    assert_int_equal(err.rank, 0);
    if (strstr(err.text, text) == NULL)
        fail_msg("expected \"%s\", got \"%s\"", text, err.text);
    assert_int_equal(segment.fd, -1);
    assert_int_equal(open_fds(), before);
}

/* Rank 0 finds the name taken and leaves what has it. */
static void expect_in_the_way(void)
{
    const int before = open_fds();
    struct stat was, is;
    assert_int_equal(lstat(segment_path(NAME), &was), 0);
    struct rz_segment segment = RZ_SEGMENT_NONE;
    struct rz_error err = {0};
    assert_int_equal(rz_segment_create(scratch, NAME, segment_bytes(), &segment, NULL), RZ_OK);
    assert_int_equal(rz_segment_publish(&segment, &err), RZ_E_EXISTS);
    if (strstr(err.text, "in the way") == NULL)
        fail_msg("expected what is in the way, got \"%s\"", err.text);
    rz_segment_close(&segment);
    assert_int_equal(lstat(segment_path(NAME), &is), 0);
    assert_int_equal(is.st_ino, was.st_ino);
    assert_int_equal(open_fds(), before);
}

static int make_file(mode_t mode, const void *bytes, size_t count)
{
    const int fd = open(segment_path(NAME), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(write(fd, bytes, count), count);
    return fd;
}

static void remove_file(void)
{
    assert_int_equal(remove(segment_path(NAME)), 0);
}

static void symlink_is_not_followed(void **state)
{
    (void)state;
    /* To a segment that is fine. */
    char target[128];
    struct rz_segment segment = create_published();
    snprintf(target, sizeof target, "%s/elsewhere", scratch);
    assert_int_equal(rename(segment_path(NAME), target), 0);
    assert_int_equal(symlink(target, segment_path(NAME)), 0);
    expect_refused("regular file");
    expect_in_the_way();
    assert_int_equal(access(target, F_OK), 0);
    remove_file();
    assert_int_equal(unlink(target), 0);
    rz_segment_close(&segment);
}

static void directory_is_refused(void **state)
{
    (void)state;
    assert_int_equal(mkdir(segment_path(NAME), 0700), 0);
    expect_refused("regular file");
    expect_in_the_way();
    remove_file();
}

static void fifo_is_refused(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(segment_path(NAME), 0600), 0);
    expect_refused("regular file");
    expect_in_the_way();
    remove_file();
}

static void file_of_something_else_is_refused_and_kept(void **state)
{
    (void)state;
    static const char notes[] = "Notes that somebody keeps in a place of which he is fond.\n";
    close(make_file(0600, notes, sizeof notes));
    expect_refused("expected a segment");
    expect_in_the_way();
    remove_file();
    close(make_file(0600, notes, 3));
    expect_refused("expected a header");
    expect_in_the_way();
    remove_file();
    close(make_file(0600, notes, 0));
    expect_refused("expected a header, got 0 bytes");
    expect_in_the_way();
    remove_file();
}

static void random_bytes_are_refused(void **state)
{
    (void)state;
    uint64_t seed = random_seed();
    for (int i = 0; i < 200; i++) {
        uint64_t words[64];
        for (size_t w = 0; w < 64; w++)
            words[w] = random_next(&seed);
        const int fd = make_file(0600, words, (size_t)(random_next(&seed) % sizeof words));
        assert_int_equal(rz_liveness_claim(fd, 0, NULL), RZ_OK);
        expect_refused("expected a");
        close(fd);
        remove_file();
    }
}

static void segment_that_others_may_open_is_refused(void **state)
{
    (void)state;
    struct rz_segment segment = create_published();
    const mode_t modes[] = {0601, 0602, 0604, 0610, 0620, 0640, 0666};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(fchmod(segment.fd, modes[i]), 0);
        expect_refused("expected mode 0600");
        expect_in_the_way();
    }
    rz_segment_close(&segment);
}

static void segment_of_another_user_is_refused(void **state)
{
    (void)state;
    struct rz_segment segment = create_published();
    if (fchown(segment.fd, OTHER_USER, (gid_t)-1) != 0) {
        rz_segment_close(&segment);
        skip(); /* only root can give a file away */
    }
    expect_refused("expected owner 0, got 12345");
    expect_in_the_way();
    rz_segment_close(&segment);
}

/* A live job's segment whose header or size somebody has changed. */

static void put_header(int fd, const struct rz_segment_header *header)
{
    assert_int_equal(pwrite(fd, header, sizeof *header, 0), sizeof *header);
}

static void header_that_lies_is_refused(void **state)
{
    (void)state;
    struct rz_segment segment = create_published();
    struct rz_segment_header right;
    assert_int_equal(pread(segment.fd, &right, sizeof right, 0), sizeof right);

    struct rz_segment_header wrong = right;
    wrong.magic ^= 1;
    put_header(segment.fd, &wrong);
    expect_refused("expected a segment");

    wrong = right;
    wrong.version++;
    put_header(segment.fd, &wrong);
    expect_refused("version 1, got 2");

    wrong = right;
    wrong.page_bytes = 0;
    put_header(segment.fd, &wrong);
    expect_refused("pages of");

    const uint64_t sizes[] = {0,
                              1,
                              right.total_bytes - 1,
                              right.total_bytes + right.page_bytes,
                              UINT64_MAX,
                              UINT64_MAX - right.page_bytes + 1};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        wrong = right;
        wrong.total_bytes = sizes[i];
        put_header(segment.fd, &wrong);
        expect_refused("bytes of its header");
    }

    put_header(segment.fd, &right);
    struct rz_segment other = RZ_SEGMENT_NONE;
    assert_int_equal(rz_segment_attach(scratch, NAME, in_seconds(50), &other, NULL), RZ_OK);
    rz_segment_close(&other);
    rz_segment_close(&segment);
}

static void file_of_another_size_is_refused(void **state)
{
    (void)state;
    struct rz_segment segment = create_published();
    const size_t sizes[] = {segment_bytes() - 1, segment_bytes() + 1, 2 * segment_bytes(),
                            sizeof(struct rz_segment_header)};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(ftruncate(segment.fd, (off_t)sizes[i]), 0);
        expect_refused("bytes of its header");
    }
    for (size_t bytes = 0; bytes < sizeof(struct rz_segment_header); bytes++) {
        assert_int_equal(ftruncate(segment.fd, (off_t)bytes), 0);
        expect_refused("expected a header");
    }
    rz_segment_close(&segment);
}

static void dead_segment_of_another_version_is_replaced(void **state)
{
    (void)state;
    const struct rz_segment_header header = {.magic = RZ_SEGMENT_MAGIC,
                                             .version = RZ_SEGMENT_VERSION + 1};
    close(make_file(0600, &header, sizeof header));
    struct rz_segment other = RZ_SEGMENT_NONE;
    assert_int_equal(rz_segment_attach(scratch, NAME, 0, &other, NULL), RZ_E_TIMEOUT);
    struct rz_segment segment = create_published();
    rz_segment_close(&segment);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(symlink_is_not_followed),
        TEST(directory_is_refused),
        TEST(fifo_is_refused),
        TEST(file_of_something_else_is_refused_and_kept),
        TEST(random_bytes_are_refused),
        TEST(segment_that_others_may_open_is_refused),
        TEST(segment_of_another_user_is_refused),
        TEST(header_that_lies_is_refused),
        TEST(file_of_another_size_is_refused),
        TEST(dead_segment_of_another_version_is_replaced),
    };
    return cmocka_run_group_tests_name("segment_hostile", tests, NULL, NULL);
}
