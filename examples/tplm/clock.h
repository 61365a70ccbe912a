/* SPDX-License-Identifier: Apache-2.0
 *
 * clock.h - the monotonic clock, in nanoseconds.
 */
#ifndef TPLM_CLOCK_H
#define TPLM_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t tplm_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

#endif
