/* SPDX-License-Identifier: Apache-2.0
 *
 * test_segment_race.c - several jobs want one name at once, often one that a dead job has left.
 */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/segment.h"
#include "tests/ipc/support.h"

#define NAME "job"
enum { CREATORS = 4, ROUNDS = 300 };

struct race {
    _Atomic int ready;
    _Atomic int done;
    _Atomic int won; /* how many */
    _Atomic int refused;
    _Atomic int robbed; /* winners whose name was not theirs in the end */
    int die;            /* the winner leaves a leftover for the next round */
};

static bool has_name(const struct rz_segment *segment)
{
    struct stat made, named;
    return fstat(segment->fd, &made) == 0 && stat(segment_path(NAME), &named) == 0 &&
           made.st_ino == named.st_ino;
}

static bool want_name(void *argument)
{
    struct race *race = argument;
    struct rz_segment segment;
    struct rz_error err;
    child_expect_ok(rz_segment_create(scratch, NAME, 2 * rz_segment_page_bytes(), &segment, &err),
                    err);
    race->ready++;
    while (race->ready < CREATORS)
        sched_yield();
    const int status = rz_segment_publish(&segment, &err);
    if (status == RZ_OK)
        race->won++;
    else if (status == RZ_E_EXISTS)
        race->refused++;
    else
        child_expect_ok(status, err);
    race->done++;
    while (race->done < CREATORS)
        usleep(100);
    if (status == RZ_OK && !has_name(&segment))
        race->robbed++;
    if (status == RZ_OK && race->die)
        raise(SIGKILL);
    rz_segment_close(&segment);
    return true;
}

static void one_of_several_creators_gets_the_name(void **state)
{
    (void)state;
    struct race *race = shared_memory(sizeof *race);
    int replaced = 0;
    for (int round = 0; round < ROUNDS; round++) {
        *race = (struct race){.die = round % 4 != 3};
        replaced += entries_of(scratch);
        pid_t pids[CREATORS];
        for (int i = 0; i < CREATORS; i++)
            pids[i] = child_start(want_name, race);
        int killed = 0;
        for (int i = 0; i < CREATORS; i++) {
            const int status = child_wait(pids[i]);
            killed += status == 1000 + SIGKILL;
            assert_true(status == 0 || status == 1000 + SIGKILL);
        }
        assert_int_equal(killed, race->die);
        assert_int_equal(race->won, 1);
        assert_int_equal(race->refused, CREATORS - 1);
        assert_int_equal(race->robbed, 0);
        assert_int_equal(entries_of(scratch), race->die);
    }
    assert_int_equal(replaced, ROUNDS * 3 / 4);
    shared_memory_free(race, sizeof *race);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_of_several_creators_gets_the_name, scratch_setup,
                                        scratch_teardown),
    };
    return cmocka_run_group_tests_name("segment_race", tests, NULL, NULL);
}
