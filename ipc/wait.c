/* SPDX-License-Identifier: Apache-2.0
 *
 * wait.c - spin, then futex.
 */
#include "ipc/wait.h"

#include <assert.h>
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "internal/clock.h"

enum {
    SPIN_NS = 20000,             /* about what a futex wake costs, so at worst twice the best */
    PAUSES_A_LOOK = 32,          /* pauses between looks at the clock */
    SLICE_NS = 20 * 1000 * 1000, /* a death is noticed within this */
};

static void cpu_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

struct rz_cpus rz_cpus_usable(void)
{
    static_assert(sizeof(cpu_set_t) == sizeof(struct rz_cpus), "copied as it is");
    struct rz_cpus usable = {0};
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
        memcpy(&usable, &cpus, sizeof usable);
    return usable;
}

void rz_cpus_add(struct rz_cpus *cpus, const struct rz_cpus *more)
{
    for (size_t i = 0; i < sizeof cpus->bits / sizeof cpus->bits[0]; i++)
        cpus->bits[i] |= more->bits[i];
}

uint64_t rz_wait_spin_ns(uint32_t processes, const struct rz_cpus *cpus)
{
    uint32_t count = 0;
    for (size_t i = 0; i < sizeof cpus->bits / sizeof cpus->bits[0]; i++)
        count += (uint32_t)__builtin_popcountll(cpus->bits[i]);
    return processes <= count ? SPIN_NS : 0;
}

/* True as soon as *word is not `seen`, false if it still is after spin_ns. */
static bool spin(const _Atomic uint32_t *word, uint32_t seen, uint64_t spin_ns)
{
    /* acquire: pairs with the store in rz_wake(). */
    if (atomic_load_explicit(word, memory_order_acquire) != seen)
        return true;
    if (spin_ns == 0)
        return false;
    const uint64_t end = rz_clock_ns() + spin_ns;
    do {
        for (int i = 0; i < PAUSES_A_LOOK; i++) {
            cpu_pause();
            if (atomic_load_explicit(word, memory_order_acquire) != seen)
                return true;
        }
    } while (rz_clock_ns() < end);
    return false;
}

/* Sleep until the word changes, at most until `until_ns`. Returns early now and then. */
static void sleep_on(struct rz_waiter *waiter, const _Atomic uint32_t *word, uint32_t seen,
                     uint64_t until_ns)
{
    const uint64_t bit = UINT64_C(1) << waiter->rank;
    /* seq_cst: see wait.h; pairs with rz_wake(). */
    atomic_fetch_or_explicit(waiter->sleepers, bit, memory_order_seq_cst);
    const uint64_t now = rz_clock_ns();
    if (atomic_load_explicit(word, memory_order_seq_cst) == seen && now < until_ns) {
        const uint64_t rest = until_ns - now;
        const struct timespec timeout = {.tv_sec = (time_t)(rest / 1000000000),
                                         .tv_nsec = (long)(rest % 1000000000)};
        /* Not FUTEX_PRIVATE: the word is shared between processes. Every way in which this returns
         * (woken, changed, timeout, signal) is answered by looking at the word again. */
        syscall(SYS_futex, word, FUTEX_WAIT, seen, &timeout, NULL, 0);
    }
    /* relaxed: at worst a waker makes a call for nobody. */
    atomic_fetch_and_explicit(waiter->sleepers, ~bit, memory_order_relaxed);
}

int rz_wait(struct rz_waiter *waiter, const _Atomic uint32_t *word, uint32_t seen,
            uint64_t deadline_ns, uint32_t rank, const char *what, struct rz_error *err)
{
    if (spin(word, seen, waiter->spin_ns))
        return RZ_OK;
    waiter->sleeps++;
    for (;;) {
        /* The watch first: a rank that is gone already is not waited for. */
        const int status = waiter->watch(waiter->watch_context, err);
        const uint64_t now = rz_clock_ns();
        if (status == RZ_OK && now < deadline_ns) {
            const uint64_t slice = now + SLICE_NS;
            sleep_on(waiter, word, seen, slice < deadline_ns ? slice : deadline_ns);
        }
        /* The word decides: what was waited for may have come just before its rank ended.
         * acquire: pairs with the store in rz_wake(). */
        if (atomic_load_explicit(word, memory_order_acquire) != seen)
            return RZ_OK;
        if (status != RZ_OK)
            return status;
        if (now >= deadline_ns)
            return rz_fail(err, RZ_E_TIMEOUT, (int)rank, 0, "rank %u did not %s in time", rank,
                           what);
    }
}

void rz_wake(_Atomic uint64_t *sleepers, uint64_t who, _Atomic uint32_t *word, uint32_t value)
{
    /* seq_cst: see wait.h. Pairs with sleep_on(); also the release for acquires of the word. */
    atomic_store_explicit(word, value, memory_order_seq_cst);
    if ((atomic_load_explicit(sleepers, memory_order_seq_cst) & who) != 0)
        syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}
