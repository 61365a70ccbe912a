/* SPDX-License-Identifier: Apache-2.0
 *
 * test_bell.c - a bell tolls when a process dies, whatever else goes on in it: not when a thread
 * ends, not when a child does.
 */
#include "ipc/bell.h"

#include <linux/futex.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/process.h"
#include "ipc/segment.h"
#include "tests/ipc/support.h"

static struct rz_segment segment;
static const char *page; /* of the bell, as others see it */

static int make_segment(void **state)
{
    struct rz_error err;
    void *address = NULL;
    const size_t header = rz_segment_page_bytes();
    if (scratch_setup(state) != 0 ||
        rz_segment_create(scratch, "bell", header + rz_bell_bytes(), &segment, &err) != RZ_OK ||
        rz_segment_map(&segment, header, rz_bell_bytes(), false, &address, &err) != RZ_OK)
        return -1;
    page = address;
    return 0;
}

static int close_segment(void **state)
{
    munmap((void *)(uintptr_t)page, rz_bell_bytes());
    rz_segment_close(&segment);
    return scratch_teardown(state);
}

static uint32_t word(void)
{
    return atomic_load(rz_bell_word(page));
}

static struct rz_bell hang(void)
{
    struct rz_bell bell = {0};
    struct rz_error err;
    child_expect_ok(rz_bell_hang(&bell, &segment, rz_segment_page_bytes(), &err), err);
    child_expect(bell.pages != NULL && (word() & FUTEX_WAITERS) != 0);
    return bell;
}

static void removed_bell_is_no_death(void **state)
{
    (void)state;
    for (int again = 0; again < 3; again++) {
        struct rz_bell bell = hang();
        assert_false(rz_bell_tolls(page));
        rz_bell_remove(&bell);
        assert_int_equal(word(), 0);
        assert_false(rz_bell_tolls(page));
        rz_bell_remove(&bell);
    }
}

static bool hang_and_stay(void *argument)
{
    (void)argument;
    hang();
    pause();
    return false;
}

static bool hang_and_exit(void *argument)
{
    (void)argument;
    hang();
    return true;
}

static bool hang_and_exec(void *argument)
{
    (void)argument;
    hang();
    execl("/bin/sleep", "sleep", "30", (char *)NULL);
    return false;
}

static void bell_tolls_for_a_process_that_was_killed(void **state)
{
    (void)state;
    const pid_t pid = child_start(hang_and_stay, NULL);
    await((word() & FUTEX_WAITERS) != 0);
    assert_false(rz_bell_tolls(page));
    kill(pid, SIGKILL);
    await(rz_bell_tolls(page));
    assert_int_equal(child_wait(pid), 1000 + SIGKILL);
    assert_true(rz_bell_tolls(page));
}

static void bell_tolls_for_a_process_that_ended(void **state)
{
    (void)state;
    assert_int_equal(child_wait(child_start(hang_and_exit, NULL)), 0);
    assert_true(rz_bell_tolls(page));
}

/* Its lock is what tells that it is gone. */
static void bell_rings_but_does_not_toll_for_a_process_that_has_become_another(void **state)
{
    (void)state;
    const pid_t pid = child_start(hang_and_exec, NULL);
    await((word() & FUTEX_OWNER_DIED) != 0);
    assert_false(rz_bell_tolls(page));
    kill(pid, SIGKILL);
    await(rz_bell_tolls(page));
    assert_int_equal(child_wait(pid), 1000 + SIGKILL);
}

static bool hang_and_fork(void *argument)
{
    _Atomic int *let_go = argument;
    hang();
    if (fork() == 0) {
        alarm(60);
        while (*let_go == 0)
            usleep(1000);
        _exit(0);
    }
    pause();
    return false;
}

/* They hold the lock of the dead. */
static void bell_tolls_while_children_live(void **state)
{
    (void)state;
    void *memory = shared_memory(sizeof(int));
    const pid_t pid = child_start(hang_and_fork, memory);
    await((word() & FUTEX_WAITERS) != 0);
    usleep(1000);
    kill(pid, SIGKILL);
    await(rz_bell_tolls(page));
    *(_Atomic int *)memory = 1;
    assert_int_equal(child_wait(pid), 1000 + SIGKILL);
    shared_memory_free(memory, sizeof(int));
}

static void *hang_in_thread(void *argument)
{
    struct rz_bell *bell = argument;
    *bell = hang();
    return NULL;
}

static bool end_the_thread_then_stay(void *argument)
{
    _Atomic int *minded = argument;
    struct rz_bell bell;
    pthread_t thread;
    child_expect(pthread_create(&thread, NULL, hang_in_thread, &bell) == 0);
    pthread_join(thread, NULL);
    child_expect((word() & FUTEX_OWNER_DIED) != 0);
    *minded = 1;
    while (*minded == 1)
        usleep(100);
    rz_bell_mind(&bell);
    child_expect((word() & FUTEX_OWNER_DIED) == 0 && (word() & FUTEX_WAITERS) != 0);
    *minded = 3;
    pause();
    return false;
}

static void end_of_a_thread_is_no_death(void **state)
{
    (void)state;
    void *memory = shared_memory(sizeof(int));
    _Atomic int *minded = memory;
    const pid_t pid = child_start(end_the_thread_then_stay, memory);
    await(*minded == 1);
    assert_false(rz_bell_tolls(page)); /* rung, and nobody has minded it yet */
    *minded = 2;
    await(*minded == 3);
    assert_false(rz_bell_tolls(page));
    kill(pid, SIGKILL);
    await(rz_bell_tolls(page));
    assert_int_equal(child_wait(pid), 1000 + SIGKILL);
    shared_memory_free(memory, sizeof(int));
}

static void *stay_alone(void *argument)
{
    *(_Atomic int *)argument = 1;
    pause();
    return NULL;
}

/* The first thread has the bell and ends; the process goes on. */
static bool leave_another_thread(void *argument)
{
    pthread_t thread;
    hang();
    child_expect(pthread_create(&thread, NULL, stay_alone, argument) == 0);
    pthread_exit(NULL);
}

static void end_of_the_first_thread_is_no_death(void **state)
{
    (void)state;
    void *memory = shared_memory(sizeof(int));
    _Atomic int *stays = memory;
    const pid_t pid = child_start(leave_another_thread, memory);
    await(*stays == 1 && (word() & FUTEX_OWNER_DIED) != 0);
    for (int i = 0; i < 50; i++) {
        assert_false(rz_bell_tolls(page));
        usleep(1000);
    }
    kill(pid, SIGKILL);
    await(rz_bell_tolls(page));
    assert_int_equal(child_wait(pid), 1000 + SIGKILL);
    shared_memory_free(memory, sizeof(int));
}

static void *lock_others(void *argument)
{
    (void)argument;
    enum { MUTEXES = 3 };
    pthread_mutexattr_t robust;
    pthread_mutex_t mutexes[MUTEXES];
    struct rz_bell bell = {0};
    pthread_mutexattr_init(&robust);
    pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
    for (int i = 0; i < MUTEXES; i++) {
        pthread_mutex_init(&mutexes[i], &robust);
        if (i == 1)
            bell = hang();
        pthread_mutex_lock(&mutexes[i]);
    }
    for (int i = 0; i < MUTEXES; i++) {
        if (i == 1)
            rz_bell_remove(&bell);
        child_expect(pthread_mutex_unlock(&mutexes[i]) == 0);
    }
    return NULL;
}

static void bell_is_one_of_the_robust_mutexes_of_its_thread(void **state)
{
    (void)state;
    lock_others(NULL);
    assert_int_equal(word(), 0);
}

/* Removed by another thread than the one that has it, whose list stays whole. */
static void *hang_then_lock(void *argument)
{
    struct rz_bell *bell = argument;
    pthread_mutexattr_t robust;
    pthread_mutex_t mutex;
    *bell = hang();
    pthread_mutexattr_init(&robust);
    pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&mutex, &robust);
    await(bell->pages == NULL);
    for (int i = 0; i < 2; i++) {
        pthread_mutex_lock(&mutex);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void bell_can_be_removed_by_another_thread(void **state)
{
    (void)state;
    struct rz_bell bell = {0};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, hang_then_lock, &bell), 0);
    await((word() & FUTEX_WAITERS) != 0);
    usleep(1000);
    rz_bell_remove(&bell);
    assert_int_equal(word(), 0);
    pthread_join(thread, NULL);
    assert_int_equal(word(), 0);
    assert_false(rz_bell_tolls(page));
}

static void another_process_of_the_same_pid_is_not_the_same(void **state)
{
    (void)state;
    const struct rz_process self = rz_process_self();
    assert_int_equal(self.pid, getpid());
    assert_false(rz_process_is_gone(&self));
    struct rz_process before = self; /* it had our pid */
    before.started--;
    assert_true(rz_process_is_gone(&before));
    before.pid_namespace++; /* which of another namespace cannot be told */
    assert_false(rz_process_is_gone(&before));
    const struct rz_process none = {0};
    assert_false(rz_process_is_gone(&none));
    const struct rz_process absurd = {.pid = -1, .pid_namespace = self.pid_namespace};
    assert_false(rz_process_is_gone(&absurd));
}

static void child_leaves_the_bell_of_its_parent_alone(void **state)
{
    (void)state;
    struct rz_bell bell = hang();
    const uint32_t before = word();
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        rz_bell_remove(&bell);
        _exit(word() == before ? 0 : 1);
    }
    assert_int_equal(child_wait(pid), 0);
    assert_int_equal(word(), before);
    assert_false(rz_bell_tolls(page));
    rz_bell_remove(&bell);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_segment, close_segment)
    const struct CMUnitTest tests[] = {
        TEST(removed_bell_is_no_death),
        TEST(bell_tolls_for_a_process_that_was_killed),
        TEST(bell_tolls_for_a_process_that_ended),
        TEST(bell_rings_but_does_not_toll_for_a_process_that_has_become_another),
        TEST(bell_tolls_while_children_live),
        TEST(end_of_a_thread_is_no_death),
        TEST(end_of_the_first_thread_is_no_death),
        TEST(bell_is_one_of_the_robust_mutexes_of_its_thread),
        TEST(bell_can_be_removed_by_another_thread),
        TEST(another_process_of_the_same_pid_is_not_the_same),
        TEST(child_leaves_the_bell_of_its_parent_alone),
    };
    return cmocka_run_group_tests_name("bell", tests, NULL, NULL);
}
