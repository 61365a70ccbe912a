/* SPDX-License-Identifier: Apache-2.0
 *
 * wait.c - spin, then futex.
 */
#include "ipc/wait.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "internal/clock.h"

enum {
    SPIN_NS = 100000,            /* what a wake by the kernel costs, or little more */
    ARMED_SPINS = 4,             /* times as long: who arms a wait knows that it is worth it */
    WAKE_NS = 80000,             /* an armed sleeper is woken so much before the time */
    PAUSES_A_LOOK = 32,          /* pauses between looks at the clock */
    SLICE_NS = 20 * 1000 * 1000, /* a death is noticed within this, whatever alarms there are */
    ALARMED_SLICE_NS = 250 * 1000,
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

/* True as soon as *word is not `seen`, false if it still is at end_ns. */
static bool spin(const _Atomic uint32_t *word, uint32_t seen, uint64_t end_ns)
{
    while (rz_clock_ns() < end_ns) {
        for (int i = 0; i < PAUSES_A_LOOK; i++) {
            /* acquire: pairs with the store in rz_wake(). */
            if (atomic_load_explicit(word, memory_order_acquire) != seen)
                return true;
            cpu_pause();
        }
    }
    return false;
}

/* futex(2) on one word, until `until_ns`. Not FUTEX_PRIVATE: the word is shared between processes.
 */
static void sleep_on_word(const _Atomic uint32_t *word, uint32_t seen, uint64_t now_ns,
                          uint64_t until_ns)
{
    const uint64_t rest = until_ns - now_ns;
    const struct timespec timeout = {.tv_sec = (time_t)(rest / 1000000000),
                                     .tv_nsec = (long)(rest % 1000000000)};
    syscall(SYS_futex, word, FUTEX_WAIT, seen, &timeout, NULL, 0);
}

/* futex_waitv(2) on the word and the alarms. False if the kernel has no such call. */
static bool sleep_on_all(const struct rz_waiter *waiter, const _Atomic uint32_t *word,
                         uint32_t seen, const uint32_t *heard, uint64_t until_ns)
{
    struct futex_waitv words[1 + RZ_MAX_ALARMS];
    words[0] = (struct futex_waitv){.val = seen, .uaddr = (uintptr_t)word, .flags = FUTEX_32};
    for (uint32_t i = 0; i < waiter->alarm_count; i++)
        words[1 + i] = (struct futex_waitv){
            .val = heard[i], .uaddr = (uintptr_t)waiter->alarms[i], .flags = FUTEX_32};
    const struct timespec timeout = {.tv_sec = (time_t)(until_ns / 1000000000),
                                     .tv_nsec = (long)(until_ns % 1000000000)};
    const long result =
        syscall(SYS_futex_waitv, words, 1 + waiter->alarm_count, 0, &timeout, CLOCK_MONOTONIC);
    /* Sandboxes refuse calls that they do not know with EPERM. */
    return result >= 0 || (errno != ENOSYS && errno != EPERM);
}

/* Sleep until the word or an alarm changes, at most until `until_ns`. Returns early now and then:
 * every way in which the kernel's calls return (woken, changed, timeout, signal) is answered by
 * looking again. */
static void sleep_on(struct rz_waiter *waiter, const _Atomic uint32_t *word, uint32_t seen,
                     const uint32_t *heard, uint64_t until_ns)
{
    const uint64_t bit = UINT64_C(1) << waiter->rank % 64;
    /* seq_cst: see wait.h; pairs with rz_wake(). */
    atomic_fetch_or_explicit(waiter->sleepers, bit, memory_order_seq_cst);
    const uint64_t now = rz_clock_ns();
    if (atomic_load_explicit(word, memory_order_seq_cst) == seen && now < until_ns) {
        if (waiter->alarm_count == 0 || waiter->deaf)
            sleep_on_word(word, seen, now, until_ns);
        else
            waiter->deaf = !sleep_on_all(waiter, word, seen, heard, until_ns);
    }
    /* relaxed: at worst a waker makes a call for nobody. */
    atomic_fetch_and_explicit(waiter->sleepers, ~bit, memory_order_relaxed);
}

/* Note what the alarms are now. True if any is not what it was. */
static bool listen(const struct rz_waiter *waiter, uint32_t *heard)
{
    bool changed = false;
    for (uint32_t i = 0; i < waiter->alarm_count; i++) {
        /* acquire: the watch looks at what was written before the alarm. */
        const uint32_t now = atomic_load_explicit(waiter->alarms[i], memory_order_acquire);
        changed = changed || now != heard[i];
        heard[i] = now;
    }
    return changed;
}

/* What a wait that came to sleep knows. */
struct sleep {
    const _Atomic uint32_t *word;
    uint32_t seen;
    uint64_t deadline_ns;
    uint64_t armed_ns; /* 0: no time to spin again */
    uint64_t slice_ns;
    uint32_t heard[RZ_MAX_ALARMS];
};

/* Until when to sleep at the most. */
static uint64_t sleep_end(const struct sleep *sleep, uint64_t now_ns)
{
    uint64_t end = now_ns + sleep->slice_ns;
    end = end < sleep->deadline_ns ? end : sleep->deadline_ns;
    if (sleep->armed_ns != 0 && sleep->armed_ns - WAKE_NS < end)
        end = sleep->armed_ns - WAKE_NS;
    return end;
}

/* If it is about time, spin. True if that was of use. */
static bool spin_armed(const struct rz_waiter *waiter, struct sleep *sleep)
{
    if (sleep->armed_ns == 0 || rz_clock_ns() + WAKE_NS < sleep->armed_ns)
        return false;
    const uint64_t end_ns = sleep->armed_ns + ARMED_SPINS * waiter->spin_ns;
    sleep->armed_ns = 0;
    return waiter->spin_ns > 0 && spin(sleep->word, sleep->seen, end_ns);
}

static int wait_asleep(struct rz_waiter *waiter, struct sleep *sleep, uint32_t rank,
                       const char *what, struct rz_error *err)
{
    waiter->sleeps++;
    listen(waiter, sleep->heard);
    for (;;) {
        /* The watch first: a rank that is gone already is not waited for. It comes after the look
         * at the alarms: one that it did not see ends the sleep. */
        const int status = waiter->watch(waiter->watch_context, err);
        const uint64_t now = rz_clock_ns();
        if (status == RZ_OK && now < sleep->deadline_ns)
            sleep_on(waiter, sleep->word, sleep->seen, sleep->heard, sleep_end(sleep, now));
        /* The word decides: what was waited for may have come just before its rank ended.
         * acquire: pairs with the store in rz_wake(). */
        if (atomic_load_explicit(sleep->word, memory_order_acquire) != sleep->seen)
            return RZ_OK;
        if (status != RZ_OK)
            return status;
        if (now >= sleep->deadline_ns)
            return rz_fail(err, RZ_E_TIMEOUT, (int)rank, 0, "rank %u did not %s in time", rank,
                           what);
        if (spin_armed(waiter, sleep))
            return RZ_OK;
        /* What an alarm is about may not be seen at once: a process does not end in an instant. */
        if (listen(waiter, sleep->heard))
            sleep->slice_ns = ALARMED_SLICE_NS;
        else
            sleep->slice_ns = sleep->slice_ns < SLICE_NS / 2 ? 2 * sleep->slice_ns : SLICE_NS;
    }
}

void rz_wait_arm(struct rz_waiter *waiter, uint64_t time_ns)
{
    waiter->armed_ns = time_ns > WAKE_NS ? time_ns : WAKE_NS + 1;
}

int rz_wait(struct rz_waiter *waiter, const _Atomic uint32_t *word, uint32_t seen,
            uint64_t deadline_ns, uint32_t rank, const char *what, struct rz_error *err)
{
    const uint64_t armed_ns = waiter->armed_ns;
    waiter->armed_ns = 0;
    /* Without a look at the clock. acquire: pairs with the store in rz_wake(). */
    if (atomic_load_explicit(word, memory_order_acquire) != seen)
        return RZ_OK;
    struct sleep sleep = {.word = word,
                          .seen = seen,
                          .deadline_ns = deadline_ns,
                          .armed_ns = armed_ns,
                          .slice_ns = SLICE_NS};
    if (armed_ns != 0)
        return spin_armed(waiter, &sleep) ? RZ_OK : wait_asleep(waiter, &sleep, rank, what, err);
    if (waiter->spin_ns == 0)
        return wait_asleep(waiter, &sleep, rank, what, err);

    const uint64_t begun_ns = rz_clock_ns();
    int status = RZ_OK;
    if (!rz_pace_spins(&waiter->pace, waiter->spin_ns) ||
        !spin(word, seen, begun_ns + waiter->spin_ns))
        status = wait_asleep(waiter, &sleep, rank, what, err);
    rz_pace_learn(&waiter->pace, rz_clock_ns() - begun_ns, waiter->spin_ns);
    return status;
}

void rz_wake(_Atomic uint64_t *sleepers, uint64_t who, _Atomic uint32_t *word, uint32_t value)
{
    /* seq_cst: see wait.h. Pairs with sleep_on(); also the release for acquires of the word. */
    atomic_store_explicit(word, value, memory_order_seq_cst);
    if ((atomic_load_explicit(sleepers, memory_order_seq_cst) & who) != 0)
        rz_alarm(word);
}

void rz_alarm(const _Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}
