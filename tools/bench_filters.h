/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_filters.h - the requests that `rankzero bench sample` times.
 */
#ifndef RZ_TOOLS_BENCH_FILTERS_H
#define RZ_TOOLS_BENCH_FILTERS_H

#include <stdbool.h>

#include "rankzero/rankzero.h"

enum { RZ_BENCH_FILTERS = 9, RZ_BENCH_PROMPT_IDS = 128, RZ_BENCH_TOP_LOGPROBS = 5 };

struct rz_bench_filter {
    const char *name;  /* on the command line and in files */
    const char *label; /* in the table */
    bool has_prompt;   /* a row brings RZ_BENCH_PROMPT_IDS ids of a prompt */
    bool has_bitmask;  /* a row brings a mask that allows half of the ids */
    float temperature; /* the rest as in struct rz_sampling, but that 0 is off for all */
    float min_p;
    float top_p;
    float repetition_penalty;
    uint32_t top_k;
    bool logprobs;
};

extern const struct rz_bench_filter rz_bench_filters[RZ_BENCH_FILTERS];

void rz_bench_filter_sampling(const struct rz_bench_filter *filter, struct rz_sampling *sampling);

#endif
