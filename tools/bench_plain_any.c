/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_plain_any.c - a processor that has no plain maximum of its own.
 */
#include "tools/bench_plain.h"

const struct rz_bench_plain *rz_bench_plain_find(void)
{
    return &rz_bench_plain_any;
}
