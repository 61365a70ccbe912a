/* SPDX-License-Identifier: Apache-2.0
 *
 * pace.h - is it worth spinning for what is waited for, going by how late it came before?
 *
 * A wake by the kernel takes 20 to 80 us. Spinning for longer than that loses against sleeping at
 * once, and if what is waited for comes later every time, a processor is burnt for nothing: then
 * only one wait in some spins, to see whether times have changed. It has to be tried, as a sleeper
 * cannot tell how late a word was from how late its wake was.
 */
#ifndef RZ_IPC_PACE_H
#define RZ_IPC_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum { RZ_PACE_PROBE = 16 }; /* one wait in so many spins while spinning seems in vain */

/* Zero: nothing is known, and spinning is tried. */
struct rz_pace {
    uint64_t late_ns; /* how long waits took: a moving average over some 8 */
    uint32_t idle;    /* waits that did not spin */
};

/* rz_pace_spins - shall this wait spin, for `most_ns`? */
static inline bool rz_pace_spins(struct rz_pace *pace, uint64_t most_ns)
{
    return pace->late_ns <= most_ns || ++pace->idle % RZ_PACE_PROBE == 0;
}

/* rz_pace_learn - it came after `late_ns`, before spinning for `most_ns` ended or after. */
static inline void rz_pace_learn(struct rz_pace *pace, uint64_t late_ns, uint64_t most_ns)
{
    const uint64_t most_counted_ns = 4 * most_ns; /* a night's rest does not count for more */
    const uint64_t late = late_ns < most_counted_ns ? late_ns : most_counted_ns;
    if (pace->late_ns > most_ns && late <= most_ns)
        pace->late_ns = late; /* times have changed */
    else
        pace->late_ns = pace->late_ns - pace->late_ns / 8 + late / 8;
}

#endif
