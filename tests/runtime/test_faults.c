/* SPDX-License-Identifier: Apache-2.0
 *
 * test_faults.c - a rank dies, leaves, stops or disagrees in the middle of a job: every other rank
 * gets an error that names it, soon, and nothing is left behind.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/job.h"
#include "tests/runtime/faults.h"
#include "tests/runtime/ranks.h"

enum { WORLD = 4, VOCAB = 500 };

static int play(uint32_t rank, uint32_t world, const char *name, void *argument)
{
    const struct fault_scene *scene = argument;
    const struct rz_options options = fault_options(scene);
    fault_play(scene, rank_open(&options, name, rank, world));
    return 0;
}

/* The others end first; then the rank that has stopped is let go. */
static void wait_for_others(const struct ranks *ranks, uint32_t culprit)
{
    for (uint32_t r = 0; r < WORLD; r++) {
        siginfo_t ended;
        if (r != culprit)
            assert_int_equal(waitid(P_PID, (id_t)ranks->pid[r], &ended, WEXITED | WNOWAIT), 0);
    }
}

static void expect_scene(enum fault fault, uint32_t culprit)
{
    for (int polls = 0; polls <= 1; polls++) {
        struct fault_scene scene = {
            .fault = fault, .culprit = culprit, .vocab_size = VOCAB, .polls = polls};
        struct ranks ranks;
        int status[RZ_MAX_WORLD];
        ranks_start(&ranks, WORLD, play, &scene);
        if (fault == STOPS) {
            wait_for_others(&ranks, culprit);
            assert_int_equal(kill(ranks.pid[culprit], SIGCONT), 0);
        }
        ranks_wait(&ranks, status);
        for (uint32_t r = 0; r < WORLD; r++)
            assert_int_equal(status[r], fault == DIES && r == culprit ? RANK_DIED + SIGKILL : 0);
        assert_int_equal(shm_leftovers(), 0);
    }
}

static void a_killed_rank_is_named_by_all(void **state)
{
    (void)state;
    for (uint32_t culprit = 0; culprit < WORLD; culprit++)
        expect_scene(DIES, culprit);
}

static void a_rank_that_leaves_is_named_by_all(void **state)
{
    (void)state;
    for (uint32_t culprit = 0; culprit < WORLD; culprit += 3)
        expect_scene(LEAVES, culprit);
}

static void a_stopped_rank_is_a_timeout_that_names_it(void **state)
{
    (void)state;
    for (uint32_t culprit = 0; culprit < WORLD; culprit += 2)
        expect_scene(STOPS, culprit);
}

static void different_numbers_of_rows_are_a_mismatch_on_every_rank(void **state)
{
    (void)state;
    expect_scene(BRINGS_MORE_ROWS, 2);
}

/* Another process may have written anything where it says why the job ended. */
static void an_end_without_a_reason_is_corrupt(void **state)
{
    (void)state;
    const uint32_t words[] = {0x0000FFFF, 0x00FF0000, 0x00080101, 0x80000000, 0x01210101};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct fault_scene scene = {.vocab_size = VOCAB};
        const struct rz_options options = fault_options(&scene);
        char name[RZ_MAX_NAME];
        snprintf(name, sizeof name, "test-%d-end-%zu", (int)getpid(), i);
        rz_job *job = NULL;
        assert_int_equal(rz_open_local(&options, name, 0, 1, &job, NULL), RZ_OK);
        atomic_store(&job->meeting.control->ended, words[i]);
        struct rz_error err = {0};
        assert_int_equal(rz_meeting_check(&job->meeting, &err), RZ_E_CORRUPT);
        assert_int_equal(err.status, RZ_E_CORRUPT);
        assert_non_null(strstr(err.text, "why the job ended"));
        rz_close(job);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_rank_is_named_by_all),
        cmocka_unit_test(a_rank_that_leaves_is_named_by_all),
        cmocka_unit_test(a_stopped_rank_is_a_timeout_that_names_it),
        cmocka_unit_test(different_numbers_of_rows_are_a_mismatch_on_every_rank),
        cmocka_unit_test(an_end_without_a_reason_is_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
