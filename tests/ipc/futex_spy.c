/* SPDX-License-Identifier: Apache-2.0
 *
 * futex_spy.c - __wrap_syscall().
 */
#include "tests/ipc/futex_spy.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

long __real_syscall(long number, ...);
long __wrap_syscall(long number, const _Atomic uint32_t *word, int operation, uint32_t value,
                    const struct timespec *timeout, void *word2, uint32_t value3);

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
}

static long spy_on_wait(const _Atomic uint32_t *word, int operation, uint32_t value,
                        const struct timespec *timeout)
{
    atomic_fetch_add(&shared->waits, 1);
    if (atomic_load(&shared->interrupted) > 0) {
        atomic_fetch_sub(&shared->interrupted, 1);
        errno = EINTR;
        return -1;
    }
    const int seconds = atomic_load(&shared->long_sleep_s);
    const struct timespec longer = {.tv_sec = seconds};
    const long result =
        __real_syscall(SYS_futex, word, operation, value, seconds > 0 ? &longer : timeout, NULL, 0);
    const int code = errno;
    if (result != 0 && code == ETIMEDOUT && seconds > 0 && atomic_load(word) != value)
        atomic_fetch_add(&shared->lost, 1);
    errno = code;
    return result;
}

/* Only ipc/wait.c calls syscall(2) in these programs, and only for futexes. */
long __wrap_syscall(long number, const _Atomic uint32_t *word, int operation, uint32_t value,
                    const struct timespec *timeout, void *word2, uint32_t value3)
{
    (void)word2, (void)value3;
    if (number != SYS_futex)
        abort();
    switch (operation & FUTEX_CMD_MASK) {
    case FUTEX_WAIT: return spy_on_wait(word, operation, value, timeout);
    case FUTEX_WAKE:
        atomic_fetch_add(&shared->wakes, 1);
        return __real_syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
    default: abort();
    }
}
