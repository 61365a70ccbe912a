/* SPDX-License-Identifier: Apache-2.0
 *
 * clock.h - the one clock of deadlines and counters: CLOCK_MONOTONIC in nanoseconds.
 */
#ifndef RZ_INTERNAL_CLOCK_H
#define RZ_INTERNAL_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t rz_clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock and a valid pointer */
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

#endif
