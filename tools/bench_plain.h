/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_plain.h - what every time is compared with: the largest of many numbers, and nothing else.
 *
 * For numbers of two bytes the maximum is that of integers in the same order as the floats, so
 * bfloat16 and float16 are the same work: what the fastest argmax would do at least.
 */
#ifndef RZ_TOOLS_BENCH_PLAIN_H
#define RZ_TOOLS_BENCH_PLAIN_H

#include <stddef.h>
#include <stdint.h>

struct rz_bench_plain {
    const char *name; /* of the registers */

    /* The largest of `count` numbers of two bytes, as rz_bench_key16() of it. */
    int16_t (*max16)(const void *numbers, size_t count);

    /* The largest of `count` floats, none of them NaN. */
    float (*max32)(const void *numbers, size_t count);

    /* Bitwise or of all whole cache lines in `bytes`: reads and hardly more. */
    uint64_t (*read)(const void *bytes, size_t count);
};

/* A whole number that is in the order of the floats of two bytes whose bits `bits` are. */
static inline int16_t rz_bench_key16(uint16_t bits)
{
    return (int16_t)((bits & 0x8000u) != 0 ? bits ^ 0x7fffu : bits);
}

extern const struct rz_bench_plain rz_bench_plain_any; /* bench_plain.c */

/* rz_bench_plain_find - the widest that this processor has. bench_plain_x86.c or
 * bench_plain_any.c. */
const struct rz_bench_plain *rz_bench_plain_find(void);

#endif
