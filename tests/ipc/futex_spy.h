/* SPDX-License-Identifier: Apache-2.0
 *
 * futex_spy.h - watches and disturbs ipc/wait.c's futex calls (-Wl,--wrap=syscall).
 *
 * Waits sleep in slices of 20 ms, which hides a wake that was lost: the sleeper merely wakes up
 * late. With `long_sleep_s` every sleep may last that long, and one that ends by itself although
 * the word had changed is counted in `lost`.
 */
#ifndef RZ_TESTS_IPC_FUTEX_SPY_H
#define RZ_TESTS_IPC_FUTEX_SPY_H

#include <stdatomic.h>

struct futex_spy {
    _Atomic int waits; /* calls so far */
    _Atomic int wakes;
    _Atomic int lost;
    _Atomic int long_sleep_s; /* 0: sleeps last as long as asked for */
    _Atomic int interrupted;  /* so many waits to come return EINTR at once */
    _Atomic int old_kernel;   /* 1: there is no futex_waitv() */
};

/* In memory that children share. */
struct futex_spy *futex_spy(void);
void futex_spy_reset(void);

#endif
