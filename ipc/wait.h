/* SPDX-License-Identifier: Apache-2.0
 *
 * wait.h - wait until a shared word changes, a deadline passes, or a peer is gone.
 *
 * A waiter spins for some microseconds, where that has been of use (pace.h), and then sleeps on the
 * word with futex(2). Before it sleeps it sets its bit in the job's mask of sleepers; who changes a
 * word makes the system call to wake only if it finds a bit there. Neither can miss the other:
 *
 *     waiter    sleepers |= me (seq_cst)     then  read the word (seq_cst), sleep if unchanged
 *     waker     store the word (seq_cst)     then  read sleepers (seq_cst), wake if any
 *
 * In the single order of these four, either the waiter's read sees the new word or the waker's read
 * sees the bit. The kernel compares the word once more before the waiter sleeps.
 *
 * A waiter also sleeps on its alarms, words that change when there is reason to ask the watch
 * whether a peer is gone (futex_waitv(2)). Sleep is cut into slices besides, and after each the
 * watch is asked: where the kernel has no futex_waitv() that is how alarms are heard at all.
 */
#ifndef RZ_IPC_WAIT_H
#define RZ_IPC_WAIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "internal/error.h"
#include "ipc/pace.h"

/* RZ_OK, or the reason why waiting is useless, recorded in `err`. */
typedef int rz_watch(void *context, struct rz_error *err);

#define RZ_MAX_ALARMS 65u /* one a rank, and one for all */

/* How one process waits. Not shared; one per rank. */
struct rz_waiter {
    _Atomic uint64_t *sleepers; /* shared: bit r % 64 is set while rank r sleeps */
    uint32_t rank;
    uint64_t spin_ns;  /* at most; 0 where it would keep the one waited for from running */
    uint64_t armed_ns; /* rz_wait_arm(), for the next wait; 0: it was not called */
    struct rz_pace pace;
    rz_watch *watch;
    void *watch_context;
    uint64_t sleeps; /* waits that came to sleep */
    uint32_t alarm_count;
    const _Atomic uint32_t *alarms[RZ_MAX_ALARMS];
    bool deaf; /* no futex_waitv() */
};

/* A set of processors. Plain data, for shared memory. */
struct rz_cpus {
    uint64_t bits[16];
};

/* The processors that this process may run on; none if there are too many to tell. */
struct rz_cpus rz_cpus_usable(void);

/* rz_cpus_add - to `cpus` those of `more`. */
void rz_cpus_add(struct rz_cpus *cpus, const struct rz_cpus *more);

/* rz_wait_spin_ns - how long it is worth spinning if `processes` of this host wait for each other,
 * which may run on `cpus`, all of them together: 0 if they cannot all run at once. */
uint64_t rz_wait_spin_ns(uint32_t processes, const struct rz_cpus *cpus);

/* rz_wait_arm - what the next wait is for will not come before `time_ns`, but soon after: until
 * then it sleeps, then it spins for longer than it would by itself. Does nothing for waits after
 * it. */
void rz_wait_arm(struct rz_waiter *waiter, uint64_t time_ns);

/* rz_wait - wait until *word is not `seen`. Acquires what was written before the word changed.
 *
 *   rank     whom the word belongs to, for the error at the deadline
 *   what     what that rank did not do then, in words: "join the job"
 *
 * RZ_OK; RZ_E_TIMEOUT; or what the watch returned. */
int rz_wait(struct rz_waiter *waiter, const _Atomic uint32_t *word, uint32_t seen,
            uint64_t deadline_ns, uint32_t rank, const char *what, struct rz_error *err);

#define RZ_ALL_RANKS UINT64_MAX

/* rz_wake - store `value` in *word, releasing what was written before, and wake whoever sleeps on
 * it. `sleepers` as in the waiters'; `who` has the bits of the ranks that may be waiting for this
 * word. */
void rz_wake(_Atomic uint64_t *sleepers, uint64_t who, _Atomic uint32_t *word, uint32_t value);

/* rz_alarm - wake whoever sleeps on `word`, which has changed. Signal handlers too. */
void rz_alarm(const _Atomic uint32_t *word);

#endif
