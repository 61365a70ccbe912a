/* SPDX-License-Identifier: Apache-2.0
 *
 * test_ring_processes.c - one producer and up to seven consumers as processes, some of which are
 * killed or stopped in the middle of it.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "internal/clock.h"
#include "tests/ipc/futex_spy.h"
#include "tests/ipc/ring_job.h"
#include "tests/ipc/support.h"

enum { RECORDS = 100000, LONG_SLEEP_S = 10, KILLS = 40 };

/* What the ranks do, and how it ended for each of them. */
struct show {
    uint32_t world;
    uint32_t slots;
    uint64_t first;
    uint32_t publish;     /* records that rank 0 publishes */
    uint32_t consume;     /* that each other rank takes */
    uint32_t lazy;        /* a rank that takes none, 0: none is */
    uint64_t deadline_ns; /* from then on */
    int end_with;         /* rank 1 ends the job so when it is done, 0: it does not */
    _Atomic int opened;   /* ranks that are about to begin */
    _Atomic int stay;     /* ranks wait in the end until it is 0 */
    struct {
        pid_t pid;
        _Atomic int status;
        _Atomic int about;         /* the rank in the error */
        _Atomic uint32_t done;     /* records */
        _Atomic uint64_t ended_ns; /* 0: not yet */
    } ranks[JOB_MOST];
};

struct actor {
    struct show *show;
    uint32_t rank;
};

static bool act(void *argument)
{
    const struct actor *actor = argument;
    struct show *show = actor->show;
    const uint32_t rank = actor->rank;
    struct ring_job job;
    job_open(&job, rank, show->world, show->slots, show->first);
    show->opened++;

    const uint32_t wanted = rank == 0 ? show->publish : rank == show->lazy ? 0 : show->consume;
    struct rz_error err = {.rank = RZ_NO_RANK};
    int status = RZ_OK;
    while (status == RZ_OK && show->ranks[rank].done < wanted) {
        const uint64_t deadline = rz_clock_ns() + show->deadline_ns;
        status = rank == 0 ? job_publish(&job, deadline, &err) : job_consume(&job, deadline, &err);
        show->ranks[rank].done += status == RZ_OK;
    }
    if (rank == 1 && show->end_with != RZ_OK)
        job_end(&job, show->end_with);
    show->ranks[rank].status = status;
    show->ranks[rank].about = err.rank;
    show->ranks[rank].ended_ns = rz_clock_ns();
    while (show->stay != 0)
        usleep(1000);
    job_close(&job);
    return true;
}

static struct show *show_start(const struct show *plan)
{
    struct show *show = shared_memory(sizeof *show);
    *show = *plan;
    for (uint32_t r = 0; r < show->world; r++) {
        struct actor actor = {.show = show, .rank = r};
        show->ranks[r].pid = child_start(act, &actor);
    }
    return show;
}

static void wait_until_open(struct show *show)
{
    await(show->opened == (int)show->world);
}

/* Let all ranks go and expect that they end well, but for `killed`. */
static void show_end(struct show *show, uint32_t killed)
{
    show->stay = 0;
    for (uint32_t r = 0; r < show->world; r++)
        assert_int_equal(child_wait(show->ranks[r].pid), r == killed ? 1000 + SIGKILL : 0);
    shared_memory_free(show, sizeof *show);
}

enum { NOBODY = UINT32_MAX >> 1 };

static void every_process_gets_every_record(void **state)
{
    (void)state;
    const uint32_t consumers[] = {1, 2, 3, 7};
    for (size_t c = 0; c < sizeof consumers / sizeof consumers[0]; c++) {
        futex_spy_reset();
        atomic_store(&futex_spy()->long_sleep_s, LONG_SLEEP_S);
        const uint32_t records = RECORDS / consumers[c];
        const struct show plan = {.world = consumers[c] + 1,
                                  .slots = 8,
                                  .first = UINT32_MAX - 1000ull,
                                  .publish = records,
                                  .consume = records,
                                  .deadline_ns = 50 * SECOND_NS,
                                  .stay = 1};
        struct show *show = show_start(&plan);
        for (uint32_t r = 0; r < show->world; r++) {
            await(show->ranks[r].ended_ns != 0);
            assert_int_equal(show->ranks[r].status, RZ_OK);
            assert_int_equal(show->ranks[r].done, records);
        }
        show_end(show, NOBODY);
        assert_int_equal(futex_spy()->lost, 0);
    }
    futex_spy_reset();
}

/* Kill `victim` and expect that each other rank learns within a second whom it has lost. */
static void kill_and_expect_all_to_know(struct show *show, uint32_t victim)
{
    const uint64_t killed_ns = rz_clock_ns();
    kill(show->ranks[victim].pid, SIGKILL);
    for (uint32_t r = 0; r < show->world; r++) {
        if (r == victim)
            continue;
        await(show->ranks[r].ended_ns != 0);
        assert_int_equal(show->ranks[r].status, RZ_E_PEER_DIED);
        assert_int_equal(show->ranks[r].about, victim);
        assert_true(show->ranks[r].ended_ns < killed_ns + SECOND_NS);
    }
    show_end(show, victim);
}

/* Rank `rank` is through with `records` and sleeps, as the ring is empty or full for it. */
static void wait_until_done(struct show *show, uint32_t rank, uint32_t records)
{
    await(show->ranks[rank].done == records);
    usleep(50000); /* to fall asleep; whether they have makes no difference to what is expected */
}

static void sleeping_consumers_learn_that_the_producer_was_killed(void **state)
{
    (void)state;
    const struct show plan = {.world = 4,
                              .slots = 8,
                              .first = 1,
                              .publish = 10,
                              .consume = 20,
                              .deadline_ns = 50 * SECOND_NS,
                              .stay = 1};
    struct show *show = show_start(&plan);
    for (uint32_t r = 1; r < show->world; r++)
        wait_until_done(show, r, 10);
    kill_and_expect_all_to_know(show, 0);
}

static void deaths_are_noticed_where_the_kernel_has_no_futex_waitv(void **state)
{
    futex_spy_reset();
    atomic_store(&futex_spy()->old_kernel, 1);
    sleeping_consumers_learn_that_the_producer_was_killed(state);
    futex_spy_reset();
}

static void sleeping_producer_learns_that_a_consumer_was_killed(void **state)
{
    (void)state;
    const struct show plan = {.world = 3,
                              .slots = 8,
                              .first = 1,
                              .publish = 20,
                              .consume = 20,
                              .lazy = 2,
                              .deadline_ns = 50 * SECOND_NS,
                              .stay = 1};
    struct show *show = show_start(&plan);
    wait_until_done(show, 0, 8);
    wait_until_done(show, 1, 8); /* and rank 1 waits for what rank 0 cannot publish */
    kill_and_expect_all_to_know(show, 2);
}

static void killing_at_any_moment_is_noticed_by_all(void **state)
{
    (void)state;
    uint64_t seed = random_seed();
    for (int i = 0; i < KILLS; i++) {
        const struct show plan = {.world = 2 + (uint32_t)(random_next(&seed) % 3),
                                  .slots = 4,
                                  .first = 1,
                                  .publish = UINT32_MAX,
                                  .consume = UINT32_MAX,
                                  .deadline_ns = 50 * SECOND_NS,
                                  .stay = 1};
        struct show *show = show_start(&plan);
        wait_until_open(show);
        usleep((useconds_t)(random_next(&seed) % 5000));
        kill_and_expect_all_to_know(show, (uint32_t)(random_next(&seed) % plan.world));
    }
}

static void records_from_before_a_death_can_still_be_taken(void **state)
{
    (void)state;
    const struct show plan = {.world = 2,
                              .slots = 8,
                              .first = 1,
                              .publish = 8,
                              .consume = 9,
                              .deadline_ns = 50 * SECOND_NS,
                              .stay = 1};
    struct show *show = show_start(&plan);
    wait_until_open(show);
    kill(show->ranks[1].pid, SIGSTOP);
    await(show->ranks[0].ended_ns != 0);
    kill(show->ranks[0].pid, SIGKILL);
    siginfo_t gone;
    assert_int_equal(waitid(P_PID, (id_t)show->ranks[0].pid, &gone, WEXITED | WNOWAIT), 0);
    kill(show->ranks[1].pid, SIGCONT);
    await(show->ranks[1].ended_ns != 0);
    assert_int_equal(show->ranks[1].done, 8);
    assert_int_equal(show->ranks[1].status, RZ_E_PEER_DIED);
    assert_int_equal(show->ranks[1].about, 0);
    show_end(show, 0);
}

static void stopped_rank_runs_into_the_deadline(void **state)
{
    (void)state;
    for (uint32_t stopped = 0; stopped < 2; stopped++) {
        const struct show plan = {.world = 2,
                                  .slots = 4,
                                  .first = 1,
                                  .publish = UINT32_MAX,
                                  .consume = UINT32_MAX,
                                  .deadline_ns = SECOND_NS / 2,
                                  .stay = 1};
        struct show *show = show_start(&plan);
        wait_until_open(show);
        kill(show->ranks[stopped].pid, SIGSTOP);
        await(show->ranks[1 - stopped].ended_ns != 0);
        assert_int_equal(show->ranks[1 - stopped].status, RZ_E_TIMEOUT);
        assert_int_equal(show->ranks[1 - stopped].about, stopped);
        kill(show->ranks[stopped].pid, SIGKILL);
        show_end(show, stopped);
    }
}

static void ended_job_ends_all_waits(void **state)
{
    (void)state;
    /* Rank 1 takes half and ends the job; 0 is stuck with a full ring, 2 with an empty one. */
    const struct show plan = {.world = 3,
                              .slots = 4,
                              .first = 1,
                              .publish = UINT32_MAX,
                              .consume = 100,
                              .end_with = RZ_E_CLOSED,
                              .deadline_ns = 50 * SECOND_NS,
                              .stay = 1};
    struct show *show = show_start(&plan);
    await(show->ranks[0].ended_ns != 0);
    assert_int_equal(show->ranks[0].status, RZ_E_CLOSED);
    show_end(show, NOBODY);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_process_gets_every_record),
        TEST(sleeping_consumers_learn_that_the_producer_was_killed),
        TEST(deaths_are_noticed_where_the_kernel_has_no_futex_waitv),
        TEST(sleeping_producer_learns_that_a_consumer_was_killed),
        TEST(killing_at_any_moment_is_noticed_by_all),
        TEST(records_from_before_a_death_can_still_be_taken),
        TEST(stopped_rank_runs_into_the_deadline),
        TEST(ended_job_ends_all_waits),
    };
    return cmocka_run_group_tests_name("ring_processes", tests, NULL, NULL);
}
