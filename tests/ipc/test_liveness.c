/* SPDX-License-Identifier: Apache-2.0
 *
 * test_liveness.c - who is alive is what the kernel says.
 */
#include "ipc/liveness.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/ipc/support.h"

/* A file, and openings of it that have nothing to do with each other. */
static int file_fd;

static int open_again(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file_fd);
    return open(path, O_RDWR | O_CLOEXEC);
}

static int make_file(void **state)
{
    (void)state;
    file_fd = memfd_create("liveness", MFD_CLOEXEC);
    return file_fd >= 0 ? 0 : -1;
}

static int close_file(void **state)
{
    (void)state;
    return close(file_fd);
}

static void claimed_rank_is_held_for_others_until_it_closes(void **state)
{
    (void)state;
    const int mine = open_again();
    assert_false(rz_liveness_held(file_fd, 3));
    assert_int_equal(rz_liveness_claim(mine, 3, NULL), RZ_OK);
    assert_true(rz_liveness_held(file_fd, 3));
    assert_false(rz_liveness_held(file_fd, 2));
    assert_false(rz_liveness_held(file_fd, 4));
    close(mine);
    assert_false(rz_liveness_held(file_fd, 3));
}

static void rank_is_claimed_once(void **state)
{
    (void)state;
    const int first = open_again();
    const int second = open_again();
    struct rz_error err = {0};
    assert_int_equal(rz_liveness_claim(first, 63, NULL), RZ_OK);
    assert_int_equal(rz_liveness_claim(second, 63, &err), RZ_E_EXISTS);
    assert_int_equal(err.rank, 63);
    assert_string_equal(err.text, "another process already is rank 63 of this job");
    assert_int_equal(rz_liveness_claim(second, 62, NULL), RZ_OK);
    close(first);
    assert_int_equal(rz_liveness_claim(second, 63, NULL), RZ_OK);
    close(second);
}

/* POSIX's own locks are lost when a process closes any descriptor of the file. */
static void closing_another_opening_keeps_the_claim(void **state)
{
    (void)state;
    const int mine = open_again();
    assert_int_equal(rz_liveness_claim(mine, 0, NULL), RZ_OK);
    close(open_again());
    assert_true(rz_liveness_held(file_fd, 0));
    close(mine);
}

struct shared {
    _Atomic int claimed;
};

static bool claim_and_stay(void *argument)
{
    struct shared *shared = argument;
    const int fd = open_again();
    child_expect(rz_liveness_claim(fd, 1, NULL) == RZ_OK);
    shared->claimed = 1;
    for (;;)
        pause();
}

static void killed_rank_is_gone(void **state)
{
    (void)state;
    struct shared *shared = shared_memory(sizeof *shared);
    const pid_t pid = child_start(claim_and_stay, shared);
    await(shared->claimed != 0);
    assert_true(rz_liveness_held(file_fd, 1));
    kill(pid, SIGSTOP);
    assert_true(rz_liveness_held(file_fd, 1));
    kill(pid, SIGKILL);
    assert_int_equal(child_wait(pid), 1000 + SIGKILL);
    assert_false(rz_liveness_held(file_fd, 1));
    shared_memory_free(shared, sizeof *shared);
}

static void failing_to_ask_is_not_a_death(void **state)
{
    (void)state;
    struct rz_error err = {0};
    assert_true(rz_liveness_held(-1, 1));
    assert_int_equal(rz_liveness_claim(-1, 1, &err), RZ_E_SYS);
    assert_int_equal(err.rank, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(claimed_rank_is_held_for_others_until_it_closes, make_file,
                                        close_file),
        cmocka_unit_test_setup_teardown(rank_is_claimed_once, make_file, close_file),
        cmocka_unit_test_setup_teardown(closing_another_opening_keeps_the_claim, make_file,
                                        close_file),
        cmocka_unit_test_setup_teardown(killed_rank_is_gone, make_file, close_file),
        cmocka_unit_test_setup_teardown(failing_to_ask_is_not_a_death, make_file, close_file),
    };
    return cmocka_run_group_tests_name("liveness", tests, NULL, NULL);
}
