/* SPDX-License-Identifier: Apache-2.0
 *
 * test_ring_system_calls.c - a record that is waited for by spinning takes no system call, on
 * either side.
 *
 * The kernel is asked to kill a process that makes one: seccomp's strict mode allows read, write
 * and exit, and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal/clock.h"
#include "ipc/ring.h"

enum { RECORDS = 2000, SLOTS = 16, BYTES = 1024, CONSUMERS = 2, WORLD = 1 + CONSUMERS };

#define FOR_EVER_NS (UINT64_C(1000000000) * 3600)

/* Shared by all processes; the ring's parts after it. */
struct shared {
    alignas(RZ_LINE_BYTES) _Atomic uint64_t sleepers;
};

static int watch_nobody(void *context, struct rz_error *err)
{
    (void)context, (void)err;
    return RZ_OK;
}

/* ------------------------------------------------------------------------------------------------
 * In the traced process
 */

enum { LEFT_WELL, LEFT_BADLY, LEFT_UNTRACED };

/* Stops until the tracer goes on. kill() and not raise(), which makes more system calls. */
static void be_traced(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(LEFT_UNTRACED);
    kill(getpid(), SIGSTOP);
}

static void produce(struct rz_ring *ring)
{
    uint64_t payload[BYTES / sizeof(uint64_t)] = {0};
    struct rz_error err;
    be_traced();
    for (uint64_t i = 0; i < RECORDS; i++) {
        payload[i % (BYTES / sizeof(uint64_t))] = i;
        if (rz_ring_publish(ring, 1, payload, BYTES, UINT64_MAX, &err) != RZ_OK)
            _exit(LEFT_BADLY);
    }
    _exit(LEFT_WELL);
}

static void consume(struct rz_ring *ring)
{
    uint64_t payload[BYTES / sizeof(uint64_t)];
    struct rz_error err;
    be_traced();
    for (uint64_t i = 0; i < RECORDS; i++) {
        uint32_t type;
        size_t bytes;
        if (rz_ring_consume(ring, &type, payload, BYTES, &bytes, UINT64_MAX, &err) != RZ_OK ||
            bytes != BYTES || payload[i % (BYTES / sizeof(uint64_t))] != i)
            _exit(LEFT_BADLY);
    }
    _exit(LEFT_WELL);
}

/* ------------------------------------------------------------------------------------------------
 * In the tracer
 */

struct traced {
    pid_t pid; /* 0: it has ended */
    int status;
    int calls; /* entries of system calls, and returns from them: an end has no return */
};

static struct traced *traced_of(struct traced *all, uint32_t count, pid_t pid)
{
    for (uint32_t i = 0; i < count; i++)
        if (all[i].pid == pid)
            return &all[i];
    fail_msg("process %d is not ours", (int)pid);
    return NULL;
}

/* Until all have ended. The first stop is be_traced()'s. */
static void trace(struct traced *all, uint32_t count)
{
    for (uint32_t left = count; left > 0;) {
        int status;
        const pid_t pid = waitpid(-1, &status, 0);
        assert_true(pid > 0);
        struct traced *one = traced_of(all, count, pid);
        if (!WIFSTOPPED(status)) {
            one->pid = 0;
            one->status = status;
            left--;
            continue;
        }
        if (WSTOPSIG(status) == SIGSTOP)
            ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD);
        else if (WSTOPSIG(status) == (SIGTRAP | 0x80))
            one->calls++;
        ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
    }
}

static void skip_untraced(const struct traced *one)
{
    if (WIFEXITED(one->status) && WEXITSTATUS(one->status) == LEFT_UNTRACED)
        skip(); /* a sandbox may forbid it */
}

/* A process that reads the clock and ends. More than its end where that is no vDSO's: then those
 * who spin make system calls, too, and not by our doing. */
static int calls_of_clock(void)
{
    struct traced one = {.pid = fork()};
    if (one.pid == 0) {
        be_traced();
        _exit(rz_clock_ns() > 0 ? LEFT_WELL : LEFT_BADLY);
    }
    trace(&one, 1);
    skip_untraced(&one);
    return one.calls;
}

static struct rz_ring_config config_of(struct shared *shared, struct rz_waiter *waiter,
                                       uint32_t rank)
{
    char *control = (char *)(shared + 1);
    *waiter = (struct rz_waiter){
        .sleepers = &shared->sleepers, .rank = rank, .spin_ns = FOR_EVER_NS, .watch = watch_nobody};
    return (struct rz_ring_config){.control = control,
                                   .data = control + rz_ring_control_bytes(WORLD),
                                   .slots = SLOTS,
                                   .payload_bytes = BYTES,
                                   .rank = rank,
                                   .producer = 0,
                                   .world = WORLD,
                                   .first_sequence = 1,
                                   .waiter = waiter};
}

/* The ring is small, so that the producer waits, too. */
static void spinning_makes_no_system_call(void **state)
{
    (void)state;
    if (calls_of_clock() > 1)
        skip();
    const size_t bytes =
        sizeof(struct shared) + rz_ring_control_bytes(WORLD) + rz_ring_data_bytes(SLOTS, BYTES);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    struct rz_waiter waiters[WORLD];
    struct rz_ring rings[WORLD];
    for (uint32_t r = 0; r < WORLD; r++) {
        const struct rz_ring_config config = config_of(memory, &waiters[r], r);
        rz_ring_open(&rings[r], &config);
    }
    struct traced ranks[WORLD] = {{0}};
    for (uint32_t r = 0; r < WORLD; r++) {
        ranks[r].pid = fork();
        assert_true(ranks[r].pid >= 0);
        if (ranks[r].pid == 0 && r == 0)
            produce(&rings[r]);
        else if (ranks[r].pid == 0)
            consume(&rings[r]);
    }
    trace(ranks, WORLD);
    munmap(memory, bytes);
    for (uint32_t r = 0; r < WORLD; r++) {
        assert_true(WIFEXITED(ranks[r].status));
        assert_int_equal(WEXITSTATUS(ranks[r].status), LEFT_WELL);
        assert_int_equal(ranks[r].calls, 1);
    }
}

/* The counting counts: a wait that sleeps, once, until its deadline. */
static void sleeping_is_counted(void **state)
{
    (void)state;
    struct shared shared = {0};
    struct traced one = {.pid = fork()};
    if (one.pid == 0) {
        struct rz_waiter waiter = {.sleepers = &shared.sleepers, .watch = watch_nobody};
        struct rz_error err;
        const _Atomic uint32_t word = 7;
        be_traced();
        const int status = rz_wait(&waiter, &word, 7, rz_clock_ns() + 1000000, 0, "wake", &err);
        _exit(status == RZ_E_TIMEOUT ? LEFT_WELL : LEFT_BADLY);
    }
    trace(&one, 1);
    skip_untraced(&one);
    assert_true(WIFEXITED(one.status));
    assert_int_equal(WEXITSTATUS(one.status), LEFT_WELL);
    assert_true(one.calls >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spinning_makes_no_system_call),
        cmocka_unit_test(sleeping_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
