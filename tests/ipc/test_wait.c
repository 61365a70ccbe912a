/* SPDX-License-Identifier: Apache-2.0
 *
 * test_wait.c - waiting ends when it should: by the word, the deadline or the watch; no wake is
 * lost.
 */
#include "ipc/wait.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "internal/clock.h"
#include "tests/ipc/futex_spy.h"
#include "tests/ipc/support.h"

enum { ROUNDS = 20000, SPIN_ROUNDS = 200, LONG_SLEEP_S = 10 };

/* What waiters of a test share. */
struct place {
    _Atomic uint64_t sleepers;
    _Atomic uint32_t words[2];
    _Atomic int watched; /* calls of the watch */
    _Atomic int verdict; /* what it returns */
};

static int look(void *context, struct rz_error *err)
{
    struct place *place = context;
    atomic_fetch_add(&place->watched, 1);
    const int verdict = atomic_load(&place->verdict);
    return verdict == RZ_OK ? RZ_OK : rz_fail(err, verdict, 5, 0, "rank 5 is gone");
}

static struct rz_waiter waiter_at(struct place *place, uint32_t rank, uint64_t spin_ns)
{
    return (struct rz_waiter){.sleepers = &place->sleepers,
                              .rank = rank,
                              .spin_ns = spin_ns,
                              .watch = look,
                              .watch_context = place};
}

static void changed_word_is_seen_at_once(void **state)
{
    (void)state;
    futex_spy_reset();
    /* It came in time, whatever else is the matter. */
    struct place place = {.words = {7}, .verdict = RZ_E_PEER_DIED};
    struct rz_waiter waiter = waiter_at(&place, 1, 0);
    assert_int_equal(rz_wait(&waiter, &place.words[0], 6, 0, 0, "come", NULL), RZ_OK);
    assert_int_equal(place.watched, 0);
    assert_int_equal(waiter.sleeps, 0);
    assert_int_equal(futex_spy()->waits, 0);
}

static void deadline_names_the_rank_and_what_it_did_not_do(void **state)
{
    (void)state;
    struct place place = {0};
    struct rz_waiter waiter = waiter_at(&place, 1, 0);
    struct rz_error err = {0};
    const uint64_t deadline = rz_clock_ns() + SECOND_NS / 20;
    assert_int_equal(rz_wait(&waiter, &place.words[0], 0, deadline, 3, "take a nap", &err),
                     RZ_E_TIMEOUT);
    assert_true(rz_clock_ns() >= deadline);
    assert_int_equal(err.rank, 3);
    assert_string_equal(err.text, "rank 3 did not take a nap in time");
    assert_true(place.sleepers == 0);
    assert_int_equal(waiter.sleeps, 1);
    /* Slices of 20 ms in 50 ms: the watch is asked more than once. */
    assert_true(place.watched > 1);
}

static void passed_deadline_does_not_sleep(void **state)
{
    (void)state;
    futex_spy_reset();
    struct place place = {0};
    struct rz_waiter waiter = waiter_at(&place, 1, 1000);
    assert_int_equal(rz_wait(&waiter, &place.words[0], 0, 0, 3, "come", NULL), RZ_E_TIMEOUT);
    assert_int_equal(futex_spy()->waits, 0);
}

static void watch_ends_the_wait_with_its_reason(void **state)
{
    (void)state;
    futex_spy_reset();
    struct place place = {.verdict = RZ_E_PEER_DIED};
    struct rz_waiter waiter = waiter_at(&place, 1, 0);
    struct rz_error err = {0};
    assert_int_equal(rz_wait(&waiter, &place.words[0], 0, in_seconds(30), 0, "come", &err),
                     RZ_E_PEER_DIED);
    assert_int_equal(err.rank, 5);
    assert_int_equal(futex_spy()->waits, 0);
}

/* The last word of a rank that is gone. */
static int change_and_die(void *context, struct rz_error *err)
{
    struct place *place = context;
    atomic_store(&place->words[0], 1);
    return rz_fail(err, RZ_E_PEER_DIED, 5, 0, "rank 5 is gone");
}

static void word_counts_more_than_a_death(void **state)
{
    (void)state;
    struct place place = {0};
    struct rz_waiter waiter = waiter_at(&place, 1, 0);
    waiter.watch = change_and_die;
    assert_int_equal(rz_wait(&waiter, &place.words[0], 0, in_seconds(30), 0, "come", NULL), RZ_OK);
}

static void interrupted_sleep_goes_on(void **state)
{
    (void)state;
    futex_spy_reset();
    atomic_store(&futex_spy()->interrupted, 1000);
    struct place place = {0};
    struct rz_waiter waiter = waiter_at(&place, 1, 0);
    const uint64_t deadline = rz_clock_ns() + SECOND_NS / 20;
    assert_int_equal(rz_wait(&waiter, &place.words[0], 0, deadline, 3, "come", NULL), RZ_E_TIMEOUT);
    assert_true(rz_clock_ns() >= deadline);
    assert_true(atomic_load(&futex_spy()->waits) > 1);
    assert_int_equal(waiter.sleeps, 1);
}

static void wake_calls_the_kernel_only_for_a_sleeper_it_may_concern(void **state)
{
    (void)state;
    futex_spy_reset();
    struct place place = {0};
    rz_wake(&place.sleepers, RZ_ALL_RANKS, &place.words[0], 1);
    assert_int_equal(futex_spy()->wakes, 0);
    place.sleepers = 1u << 2;
    rz_wake(&place.sleepers, 1u << 1, &place.words[0], 2);
    assert_int_equal(futex_spy()->wakes, 0);
    rz_wake(&place.sleepers, 1u << 2, &place.words[0], 3);
    assert_int_equal(futex_spy()->wakes, 1);
    rz_wake(&place.sleepers, RZ_ALL_RANKS, &place.words[0], 4);
    assert_int_equal(futex_spy()->wakes, 2);
    assert_int_equal(place.words[0], 4);
}

/* What rings has its reason told by the watch. */
static void *ring_alarm(void *argument)
{
    struct place *place = argument;
    while (atomic_load(&place->sleepers) == 0)
        usleep(100);
    atomic_store(&place->verdict, RZ_E_PEER_DIED);
    atomic_fetch_add(&place->words[1], 1);
    rz_alarm(&place->words[1]);
    return NULL;
}

static void alarm_ends_the_sleep(void **state)
{
    (void)state;
    for (int old_kernel = 0; old_kernel < 2; old_kernel++) {
        futex_spy_reset();
        /* An old one hears it at the end of the slice. */
        atomic_store(&futex_spy()->old_kernel, old_kernel);
        atomic_store(&futex_spy()->long_sleep_s, old_kernel ? 0 : LONG_SLEEP_S);
        struct place place = {0};
        struct rz_waiter waiter = waiter_at(&place, 1, 0);
        waiter.alarms[waiter.alarm_count++] = &place.words[1];
        struct rz_error err = {0};
        pthread_t thread;
        const uint64_t limit = in_seconds(LONG_SLEEP_S);
        assert_int_equal(pthread_create(&thread, NULL, ring_alarm, &place), 0);
        assert_int_equal(rz_wait(&waiter, &place.words[0], 0, in_seconds(50), 0, "come", &err),
                         RZ_E_PEER_DIED);
        assert_int_equal(err.rank, 5);
        assert_true(rz_clock_ns() < limit);
        pthread_join(thread, NULL);
        assert_int_equal(waiter.deaf, old_kernel);
        assert_true(place.sleepers == 0);
    }
    futex_spy_reset();
}

/* ------------------------------------------------------------------------------------------------
 * Two that wait for each other in turn
 */

struct player {
    struct place *place;
    uint32_t rank; /* 0 moves first */
    uint32_t rounds;
    uint64_t spin_ns;
    uint64_t random;
    uint64_t sleeps;
};

static bool play(void *argument)
{
    struct player *player = argument;
    struct place *place = player->place;
    struct rz_waiter waiter = waiter_at(place, player->rank, player->spin_ns);
    _Atomic uint32_t *mine = &place->words[player->rank];
    const _Atomic uint32_t *theirs = &place->words[1 - player->rank];
    for (uint32_t round = 1; round <= player->rounds; round++) {
        for (uint64_t i = random_next(&player->random) % 256; i > 0; i--)
            atomic_signal_fence(memory_order_seq_cst); /* now sooner, now later */
        if (player->rank == 0)
            rz_wake(&place->sleepers, 1u << 1, mine, round);
        struct rz_error err;
        const int status =
            rz_wait(&waiter, theirs, round - 1, in_seconds(50), 1 - player->rank, "move", &err);
        child_expect_ok(status, err);
        child_expect(atomic_load(theirs) == round);
        if (player->rank == 1)
            rz_wake(&place->sleepers, 1u << 0, mine, round);
    }
    player->sleeps = waiter.sleeps;
    return true;
}

static void *play_in_thread(void *argument)
{
    play(argument);
    return NULL;
}

static void no_wake_is_lost_between_threads(void **state)
{
    (void)state;
    uint64_t seed = random_seed();
    const uint64_t spins[] = {0, 200, 2000};
    for (size_t i = 0; i < sizeof spins / sizeof spins[0]; i++) {
        futex_spy_reset();
        atomic_store(&futex_spy()->long_sleep_s, LONG_SLEEP_S);
        struct place place = {0};
        struct player players[2];
        pthread_t threads[2];
        for (uint32_t r = 0; r < 2; r++) {
            players[r] = (struct player){.place = &place,
                                         .rank = r,
                                         .rounds = ROUNDS,
                                         .spin_ns = spins[i],
                                         .random = random_next(&seed)};
            assert_int_equal(pthread_create(&threads[r], NULL, play_in_thread, &players[r]), 0);
        }
        for (uint32_t r = 0; r < 2; r++)
            pthread_join(threads[r], NULL);
        assert_int_equal(futex_spy()->lost, 0);
        assert_true(place.sleepers == 0);
        if (spins[i] == 0)
            assert_true(atomic_load(&futex_spy()->waits) > 0);
    }
}

static void no_wake_is_lost_between_processes(void **state)
{
    (void)state;
    uint64_t seed = random_seed();
    futex_spy_reset();
    atomic_store(&futex_spy()->long_sleep_s, LONG_SLEEP_S);
    struct place *place = shared_memory(sizeof *place);
    pid_t pids[2];
    for (uint32_t r = 0; r < 2; r++) {
        struct player player = {
            .place = place, .rank = r, .rounds = ROUNDS, .random = random_next(&seed)};
        pids[r] = child_start(play, &player);
    }
    assert_int_equal(child_wait(pids[0]), 0);
    assert_int_equal(child_wait(pids[1]), 0);
    assert_int_equal(futex_spy()->lost, 0);
    assert_true(atomic_load(&futex_spy()->waits) > 0);
    shared_memory_free(place, sizeof *place);
}

static void spinning_waiter_does_not_sleep(void **state)
{
    (void)state;
    futex_spy_reset();
    struct place place = {0};
    struct player players[2];
    pthread_t threads[2];
    for (uint32_t r = 0; r < 2; r++) {
        players[r] = (struct player){
            .place = &place, .rank = r, .rounds = SPIN_ROUNDS, .spin_ns = 50 * SECOND_NS};
        assert_int_equal(pthread_create(&threads[r], NULL, play_in_thread, &players[r]), 0);
    }
    for (uint32_t r = 0; r < 2; r++)
        pthread_join(threads[r], NULL);
    assert_int_equal(players[0].sleeps + players[1].sleeps, 0);
    assert_int_equal(futex_spy()->waits + futex_spy()->wakes, 0);
}

static void waits_spin_as_long_as_that_is_of_use(void **state)
{
    (void)state;
    enum { MOST_NS = 1000 };
    struct rz_pace pace = {0};
    /* One that is late does not change what has been right before. */
    for (int i = 0; i < 100; i++) {
        assert_true(rz_pace_spins(&pace, MOST_NS));
        rz_pace_learn(&pace, i == 50 ? SECOND_NS : 300, MOST_NS);
    }
    /* Always late: soon nearly no wait spins. */
    int spun = 0;
    for (int i = 0; i < 10 * RZ_PACE_PROBE; i++) {
        spun += rz_pace_spins(&pace, MOST_NS);
        rz_pace_learn(&pace, SECOND_NS, MOST_NS);
    }
    assert_in_range(spun, 10, 20);
    /* Soon again, which shows when it is tried; what has slept was late because of that. */
    int until = 0;
    while (!rz_pace_spins(&pace, MOST_NS)) {
        rz_pace_learn(&pace, MOST_NS + 200, MOST_NS);
        until++;
    }
    assert_true(until < RZ_PACE_PROBE);
    rz_pace_learn(&pace, 200, MOST_NS);
    assert_true(rz_pace_spins(&pace, MOST_NS));
    /* Just too late, every time, is too late. */
    spun = 0;
    for (int i = 0; i < 10 * RZ_PACE_PROBE; i++) {
        spun += rz_pace_spins(&pace, MOST_NS);
        rz_pace_learn(&pace, MOST_NS + MOST_NS / 2, MOST_NS);
    }
    assert_true(spun < 4 * RZ_PACE_PROBE);
}

static void *wake_later(void *argument)
{
    struct place *place = argument;
    usleep(20000);
    rz_wake(&place->sleepers, RZ_ALL_RANKS, &place->words[0], 1);
    return NULL;
}

static void armed_wait_sleeps_until_its_time(void **state)
{
    (void)state;
    struct place place = {0};
    struct rz_waiter waiter = waiter_at(&place, 1, SECOND_NS);
    pthread_t thread;
    /* Not due for an hour: it sleeps, and is woken all the same. */
    futex_spy_reset();
    rz_wait_arm(&waiter, in_seconds(3600));
    assert_int_equal(pthread_create(&thread, NULL, wake_later, &place), 0);
    assert_int_equal(rz_wait(&waiter, &place.words[0], 0, in_seconds(50), 0, "come", NULL), RZ_OK);
    pthread_join(thread, NULL);
    assert_int_equal(waiter.sleeps, 1);
    assert_true(atomic_load(&futex_spy()->waits) > 0);
    /* Due now: it does not sleep, although the past would have it so. */
    for (int i = 0; i < 10; i++)
        rz_pace_learn(&waiter.pace, 4 * SECOND_NS, SECOND_NS);
    futex_spy_reset();
    place.words[0] = 0;
    rz_wait_arm(&waiter, 0);
    assert_int_equal(waiter.armed_ns != 0, 1);
    rz_wait_arm(&waiter, rz_clock_ns());
    assert_int_equal(pthread_create(&thread, NULL, wake_later, &place), 0);
    assert_int_equal(rz_wait(&waiter, &place.words[0], 0, in_seconds(50), 0, "come", NULL), RZ_OK);
    pthread_join(thread, NULL);
    assert_int_equal(waiter.sleeps, 1);
    assert_int_equal(futex_spy()->waits, 0);
    assert_int_equal(waiter.armed_ns, 0);
    /* Where spinning is of no use it never does, and the deadline holds. */
    waiter.spin_ns = 0;
    rz_wait_arm(&waiter, rz_clock_ns());
    assert_int_equal(
        rz_wait(&waiter, &place.words[0], 1, rz_clock_ns() + SECOND_NS / 100, 0, "come", NULL),
        RZ_E_TIMEOUT);
    assert_int_equal(waiter.sleeps, 2);
}

static void spinning_is_for_processes_that_can_all_run_at_once(void **state)
{
    (void)state;
    struct rz_cpus all = {0};
    assert_int_equal(rz_wait_spin_ns(1, &all), 0);
    const struct rz_cpus own[] = {{.bits = {1}}, {.bits = {[15] = UINT64_C(1) << 63}}};
    rz_cpus_add(&all, &own[0]);
    assert_true(rz_wait_spin_ns(1, &all) > 0);
    rz_cpus_add(&all, &own[0]); /* pinned to the same one */
    assert_int_equal(rz_wait_spin_ns(2, &all), 0);
    rz_cpus_add(&all, &own[1]); /* one each */
    assert_true(rz_wait_spin_ns(2, &all) > 0);
    assert_int_equal(rz_wait_spin_ns(3, &all), 0);
}

static bool be_pinned(void *argument)
{
    (void)argument;
    cpu_set_t usable;
    cpu_set_t one;
    child_expect(sched_getaffinity(0, sizeof usable, &usable) == 0);
    struct rz_cpus cpus = rz_cpus_usable();
    child_expect(memcmp(&cpus, &usable, sizeof cpus) == 0);
    CPU_ZERO(&one);
    for (size_t cpu = 0; CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &usable))
            CPU_SET(cpu, &one);
    child_expect(sched_setaffinity(0, sizeof one, &one) == 0);
    cpus = rz_cpus_usable();
    child_expect(memcmp(&cpus, &one, sizeof cpus) == 0);
    return true;
}

static void usable_processors_are_those_of_the_affinity_mask(void **state)
{
    (void)state;
    assert_int_equal(child_wait(child_start(be_pinned, NULL)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changed_word_is_seen_at_once),
        cmocka_unit_test(deadline_names_the_rank_and_what_it_did_not_do),
        cmocka_unit_test(passed_deadline_does_not_sleep),
        cmocka_unit_test(watch_ends_the_wait_with_its_reason),
        cmocka_unit_test(word_counts_more_than_a_death),
        cmocka_unit_test(interrupted_sleep_goes_on),
        cmocka_unit_test(wake_calls_the_kernel_only_for_a_sleeper_it_may_concern),
        cmocka_unit_test(alarm_ends_the_sleep),
        cmocka_unit_test(no_wake_is_lost_between_threads),
        cmocka_unit_test(no_wake_is_lost_between_processes),
        cmocka_unit_test(spinning_waiter_does_not_sleep),
        cmocka_unit_test(waits_spin_as_long_as_that_is_of_use),
        cmocka_unit_test(armed_wait_sleeps_until_its_time),
        cmocka_unit_test(spinning_is_for_processes_that_can_all_run_at_once),
        cmocka_unit_test(usable_processors_are_those_of_the_affinity_mask),
    };
    return cmocka_run_group_tests_name("wait", tests, NULL, NULL);
}
