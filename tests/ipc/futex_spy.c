/* SPDX-License-Identifier: Apache-2.0
 *
 * futex_spy.c - __wrap_syscall().
 */
#include "tests/ipc/futex_spy.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

long __real_syscall(long number, ...);
long __wrap_syscall(long number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d, uintptr_t e,
                    uintptr_t f);

static struct futex_spy *shared;

__attribute__((constructor)) static void share(void)
{
    void *memory =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        abort();
    shared = memory;
}

struct futex_spy *futex_spy(void)
{
    return shared;
}

void futex_spy_reset(void)
{
    atomic_store(&shared->waits, 0);
    atomic_store(&shared->wakes, 0);
    atomic_store(&shared->lost, 0);
    atomic_store(&shared->long_sleep_s, 0);
    atomic_store(&shared->interrupted, 0);
    atomic_store(&shared->old_kernel, 0);
}

/* True, with errno, if this wait shall be interrupted. */
static bool interrupts(void)
{
    atomic_fetch_add(&shared->waits, 1);
    if (atomic_load(&shared->interrupted) <= 0)
        return false;
    atomic_fetch_sub(&shared->interrupted, 1);
    errno = EINTR;
    return true;
}

/* A long sleep came to its end although the word had changed. */
static long judge(long result, const _Atomic uint32_t *word, uint32_t value)
{
    const int code = errno;
    if (result < 0 && code == ETIMEDOUT && atomic_load(&shared->long_sleep_s) > 0 &&
        atomic_load(word) != value)
        atomic_fetch_add(&shared->lost, 1);
    errno = code;
    return result;
}

static long spy_on_wait(const _Atomic uint32_t *word, uintptr_t operation, uint32_t value,
                        uintptr_t timeout)
{
    if (interrupts())
        return -1;
    const int seconds = atomic_load(&shared->long_sleep_s);
    const struct timespec longer = {.tv_sec = seconds};
    return judge(__real_syscall(SYS_futex, word, operation, value,
                                seconds > 0 ? (uintptr_t)&longer : timeout, NULL, 0),
                 word, value);
}

static long spy_on_waitv(const struct futex_waitv *words, uintptr_t count, uintptr_t timeout)
{
    if (atomic_load(&shared->old_kernel) != 0) {
        errno = ENOSYS;
        return -1;
    }
    if (interrupts())
        return -1;
    const int seconds = atomic_load(&shared->long_sleep_s);
    struct timespec longer;
    clock_gettime(CLOCK_MONOTONIC, &longer);
    longer.tv_sec += seconds;
    return judge(__real_syscall(SYS_futex_waitv, words, count, 0,
                                seconds > 0 ? (uintptr_t)&longer : timeout, CLOCK_MONOTONIC),
                 (const _Atomic uint32_t *)(uintptr_t)words[0].uaddr, (uint32_t)words[0].val);
}

/* Only ipc/wait.c and ipc/bell.c call syscall(2) in these programs. */
long __wrap_syscall(long number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d, uintptr_t e,
                    uintptr_t f)
{
    if (number == SYS_futex_waitv)
        return spy_on_waitv((const struct futex_waitv *)a, (uint32_t)b, d);
    if (number != SYS_futex)
        return __real_syscall(number, a, b, c, d, e, f);
    const _Atomic uint32_t *word = (const _Atomic uint32_t *)a;
    const uint32_t operation = (uint32_t)b;
    switch (operation & (uint32_t)FUTEX_CMD_MASK) {
    case FUTEX_WAIT: return spy_on_wait(word, operation, (uint32_t)c, d);
    case FUTEX_WAKE:
        atomic_fetch_add(&shared->wakes, 1);
        return __real_syscall(SYS_futex, word, operation, (uint32_t)c, NULL, NULL, 0);
    default: abort();
    }
}
