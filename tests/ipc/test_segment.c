/* SPDX-License-Identifier: Apache-2.0
 *
 * test_segment.c - the life of a segment: made, found, mapped, replaced, gone.
 */
#include "ipc/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "internal/clock.h"
#include "ipc/liveness.h"
#include "tests/ipc/support.h"

#define NAME "job"
enum { PAGES = 5 };

static size_t segment_bytes(void)
{
    return PAGES * rz_segment_page_bytes();
}

static struct rz_segment create(void)
{
    struct rz_segment segment;
    struct rz_error err;
    if (rz_segment_create(scratch, NAME, segment_bytes(), &segment, &err) != RZ_OK)
        fail_msg("%s", err.text);
    return segment;
}

static struct rz_segment create_published(void)
{
    struct rz_segment segment = create();
    struct rz_error err;
    if (rz_segment_publish(&segment, &err) != RZ_OK)
        fail_msg("%s", err.text);
    return segment;
}

static struct rz_segment attach(void)
{
    struct rz_segment segment;
    struct rz_error err;
    if (rz_segment_attach(scratch, NAME, in_seconds(30), &segment, &err) != RZ_OK)
        fail_msg("%s", err.text);
    return segment;
}

static uint32_t *map(const struct rz_segment *segment, size_t page, bool writable)
{
    void *address = NULL;
    struct rz_error err;
    if (rz_segment_map(segment, page * rz_segment_page_bytes(), rz_segment_page_bytes(), writable,
                       &address, &err) != RZ_OK)
        fail_msg("%s", err.text);
    return address;
}

static void unmap(void *address)
{
    assert_int_equal(munmap(address, rz_segment_page_bytes()), 0);
}

/* ------------------------------------------------------------------------------------------------
 * Making and finding
 */

static void segment_is_invisible_until_it_is_published(void **state)
{
    (void)state;
    struct rz_segment first = create();
    struct rz_segment other = RZ_SEGMENT_NONE;
    struct rz_error err = {0};
    assert_int_equal(entries_of(scratch), 0);
    assert_int_equal(rz_segment_attach(scratch, NAME, rz_clock_ns(), &other, &err), RZ_E_TIMEOUT);
    assert_int_equal(err.rank, 0);
    assert_int_equal(other.fd, -1);

    assert_int_equal(rz_segment_publish(&first, NULL), RZ_OK);
    assert_int_equal(access(segment_path(NAME), F_OK), 0);
    other = attach();
    assert_int_equal(other.bytes, first.bytes);
    rz_segment_close(&other);
    rz_segment_close(&first);
}

static void segment_is_private_zeroed_and_has_its_space(void **state)
{
    (void)state;
    struct rz_segment segment = create_published();
    struct stat file_stat;
    assert_int_equal(stat(segment_path(NAME), &file_stat), 0);
    assert_int_equal(file_stat.st_mode, S_IFREG | 0600);
    assert_int_equal(file_stat.st_size, segment_bytes());
    assert_true((size_t)file_stat.st_blocks * 512 >= segment_bytes());
    for (size_t page = 1; page < PAGES; page++) {
        uint32_t *words = map(&segment, page, false);
        for (size_t i = 0; i < rz_segment_page_bytes() / sizeof *words; i++)
            assert_int_equal(words[i], 0);
        unmap(words);
    }
    rz_segment_close(&segment);
}

static void descriptors_do_not_pass_through_exec(void **state)
{
    (void)state;
    struct rz_segment first = create_published();
    struct rz_segment other = attach();
    assert_true(fcntl(first.fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(first.dir_fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(other.fd, F_GETFD) & FD_CLOEXEC);
    rz_segment_close(&other);
    rz_segment_close(&first);
}

static void ranks_share_what_they_map(void **state)
{
    (void)state;
    struct rz_segment first = create_published();
    struct rz_segment other = attach();
    uint32_t *written = map(&first, 2, true);
    uint32_t *read = map(&other, 2, false);
    written[7] = 42;
    assert_int_equal(read[7], 42);
    assert_int_equal(read[6], 0);
    unmap(written);
    unmap(read);
    rz_segment_close(&other);
    rz_segment_close(&first);
}

static bool write_to(void *argument)
{
    signal(SIGSEGV, SIG_DFL); /* not what cmocka or a sanitizer does with it */
    *(uint32_t *)argument = 1;
    return true;
}

static void read_only_mapping_cannot_be_written(void **state)
{
    (void)state;
    struct rz_segment segment = create_published();
    uint32_t *words = map(&segment, 1, false);
    assert_int_equal(child_wait(child_start(write_to, words)), 1000 + SIGSEGV);
    unmap(words);
    rz_segment_close(&segment);
}

static void mapping_stays_within_the_segment(void **state)
{
    (void)state;
    struct rz_segment segment = create();
    const size_t page = rz_segment_page_bytes();
    const struct {
        size_t offset, bytes;
    } outside[] = {
        {0, (PAGES + 1) * page},     {PAGES * page, page},        {(PAGES + 1) * page, 0},
        {SIZE_MAX - page + 1, page}, {page, SIZE_MAX - page + 1},
    };
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        void *address = &segment;
        assert_int_equal(
            rz_segment_map(&segment, outside[i].offset, outside[i].bytes, false, &address, NULL),
            RZ_E_CORRUPT);
        assert_ptr_equal(address, &segment);
    }
    rz_segment_close(&segment);
}

static void names_are_plain(void **state)
{
    (void)state;
    char longest[65];
    memset(longest, 'x', sizeof longest);
    longest[64] = '\0';
    const char *bad[] = {NULL,   "",    ".",   "..",       ".hidden", "a/b",
                         "../a", "a b", "a\n", "\xc3\xa4", longest};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct rz_error err = {0};
        assert_int_equal(rz_segment_check_name(bad[i], &err), RZ_E_ARG);
        assert_non_null(strstr(err.text, "job name"));
    }
    const char *good[] = {"a", "A.b_c-9", "-", longest + 1};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(rz_segment_check_name(good[i], NULL), RZ_OK);
}

static void missing_directory_is_an_error(void **state)
{
    (void)state;
    struct rz_segment segment = RZ_SEGMENT_NONE;
    struct rz_error err = {0};
    char missing[96];
    snprintf(missing, sizeof missing, "%s/missing", scratch);
    assert_int_equal(rz_segment_create(missing, NAME, segment_bytes(), &segment, &err), RZ_E_SYS);
    assert_int_equal(err.detail, ENOENT);
    assert_non_null(strstr(err.text, missing));
    assert_int_equal(rz_segment_attach(missing, NAME, in_seconds(30), &segment, &err), RZ_E_SYS);
    assert_int_equal(err.detail, ENOENT);
    assert_int_equal(segment.fd, -1);
}

/* ------------------------------------------------------------------------------------------------
 * Going
 */

static void closing_takes_the_name_away(void **state)
{
    (void)state;
    const int before = open_fds();
    struct rz_segment first = create_published();
    struct rz_segment other = attach();
    uint32_t *words = map(&other, 1, false);
    rz_segment_close(&first);
    assert_int_equal(entries_of(scratch), 0);
    assert_int_equal(words[0], 0); /* who has it mapped keeps it */
    rz_segment_close(&other);
    assert_int_equal(words[0], 0);
    unmap(words);
    rz_segment_close(&first);
    rz_segment_close(&other);
    assert_int_equal(open_fds(), before);
}

static void attached_rank_that_closes_leaves_the_name(void **state)
{
    (void)state;
    struct rz_segment first = create_published();
    struct rz_segment other = attach();
    rz_segment_close(&other);
    assert_int_equal(entries_of(scratch), 1);
    rz_segment_close(&first);
}

static void unlinked_name_belongs_to_the_next_job(void **state)
{
    (void)state;
    struct rz_segment first = create_published();
    rz_segment_unlink(&first);
    assert_int_equal(entries_of(scratch), 0);
    struct rz_segment second = create_published();
    rz_segment_unlink(&first);
    rz_segment_close(&first);
    assert_int_equal(entries_of(scratch), 1);
    rz_segment_close(&second);
}

static void file_of_another_job_is_not_unlinked(void **state)
{
    (void)state;
    struct rz_segment first = create_published();
    assert_int_equal(unlink(segment_path(NAME)), 0); /* somebody tidies up by hand */
    struct rz_segment second = create_published();
    rz_segment_close(&first);
    assert_int_equal(entries_of(scratch), 1);
    rz_segment_close(&second);
}

/* ------------------------------------------------------------------------------------------------
 * One name, two jobs
 */

static bool publish_and_die(void *argument)
{
    (void)argument;
    struct rz_segment segment;
    struct rz_error err;
    child_expect_ok(rz_segment_create(scratch, NAME, segment_bytes(), &segment, &err), err);
    child_expect_ok(rz_segment_publish(&segment, &err), err);
    raise(SIGKILL);
    return false;
}

static ino_t leave_leftover(void)
{
    assert_int_equal(child_wait(child_start(publish_and_die, NULL)), 1000 + SIGKILL);
    struct stat file_stat;
    assert_int_equal(stat(segment_path(NAME), &file_stat), 0);
    return file_stat.st_ino;
}

static void live_job_keeps_its_name(void **state)
{
    (void)state;
    struct rz_segment first = create_published();
    struct rz_segment second = create();
    struct rz_error err = {0};
    assert_int_equal(rz_segment_publish(&second, &err), RZ_E_EXISTS);
    assert_string_equal(err.text, "a live job already has the name " NAME);
    rz_segment_close(&second);

    struct stat named, made;
    assert_int_equal(stat(segment_path(NAME), &named), 0);
    assert_int_equal(fstat(first.fd, &made), 0);
    assert_int_equal(named.st_ino, made.st_ino);
    rz_segment_close(&first);
}

static void leftover_of_a_dead_job_is_replaced(void **state)
{
    (void)state;
    leave_leftover();
    struct rz_segment segment = create_published();
    struct rz_segment other = attach();
    struct stat attached, made;
    assert_int_equal(fstat(other.fd, &attached), 0);
    assert_int_equal(fstat(segment.fd, &made), 0);
    assert_int_equal(attached.st_ino, made.st_ino);
    rz_segment_close(&other);
    rz_segment_close(&segment);
}

/* A rank that still is attached to a dead job does not make it live. */
static void leftover_with_a_survivor_is_replaced(void **state)
{
    (void)state;
    leave_leftover();
    const int survivor = open(segment_path(NAME), O_RDWR | O_CLOEXEC);
    assert_int_equal(rz_liveness_claim(survivor, 1, NULL), RZ_OK);
    struct rz_segment segment = create_published();
    rz_segment_close(&segment);
    close(survivor);
}

static void leftover_is_not_attached(void **state)
{
    (void)state;
    const int before = open_fds();
    leave_leftover();
    struct rz_segment other = RZ_SEGMENT_NONE;
    struct rz_error err = {0};
    const uint64_t deadline = rz_clock_ns() + SECOND_NS / 50;
    assert_int_equal(rz_segment_attach(scratch, NAME, deadline, &other, &err), RZ_E_TIMEOUT);
    assert_true(rz_clock_ns() >= deadline);
    assert_int_equal(err.rank, 0);
    assert_int_equal(open_fds(), before);
    assert_int_equal(unlink(segment_path(NAME)), 0);
}

struct late {
    _Atomic int attached;
};

static bool publish_late(void *argument)
{
    struct late *late = argument;
    usleep(20000);
    struct rz_segment segment;
    struct rz_error err;
    child_expect_ok(rz_segment_create(scratch, NAME, segment_bytes(), &segment, &err), err);
    child_expect_ok(rz_segment_publish(&segment, &err), err);
    while (late->attached == 0)
        usleep(1000);
    rz_segment_close(&segment);
    return true;
}

static void rank_that_comes_first_waits_past_a_leftover(void **state)
{
    (void)state;
    struct late *late = shared_memory(sizeof *late);
    const ino_t leftover = leave_leftover();
    const pid_t pid = child_start(publish_late, late);
    struct rz_segment other = attach();
    struct stat attached;
    assert_int_equal(fstat(other.fd, &attached), 0);
    assert_int_not_equal(attached.st_ino, leftover);
    late->attached = 1;
    assert_int_equal(child_wait(pid), 0);
    rz_segment_close(&other);
    shared_memory_free(late, sizeof *late);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(segment_is_invisible_until_it_is_published),
        TEST(segment_is_private_zeroed_and_has_its_space),
        TEST(descriptors_do_not_pass_through_exec),
        TEST(ranks_share_what_they_map),
        TEST(read_only_mapping_cannot_be_written),
        TEST(mapping_stays_within_the_segment),
        TEST(names_are_plain),
        TEST(missing_directory_is_an_error),
        TEST(closing_takes_the_name_away),
        TEST(attached_rank_that_closes_leaves_the_name),
        TEST(unlinked_name_belongs_to_the_next_job),
        TEST(file_of_another_job_is_not_unlinked),
        TEST(live_job_keeps_its_name),
        TEST(leftover_of_a_dead_job_is_replaced),
        TEST(leftover_with_a_survivor_is_replaced),
        TEST(leftover_is_not_attached),
        TEST(rank_that_comes_first_waits_past_a_leftover),
    };
    return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
