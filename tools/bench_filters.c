/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_filters.c - from the cheapest request to those that engines send.
 */
#include "tools/bench_filters.h"

const struct rz_bench_filter rz_bench_filters[RZ_BENCH_FILTERS] = {
    {.name = "greedy", .label = "greedy"},
    {.name = "temperature", .label = "temperature", .temperature = 1.0f},
    {.name = "min-p", .label = "min-p 0.05", .temperature = 1.0f, .min_p = 0.05f},
    {.name = "top-k", .label = "top-k 50", .temperature = 1.0f, .top_k = 50},
    {.name = "top-p", .label = "top-p 0.95", .temperature = 1.0f, .top_p = 0.95f},
    {.name = "top-p+top-k",
     .label = "top-p 0.95 + top-k 50",
     .temperature = 1.0f,
     .top_p = 0.95f,
     .top_k = 50},
    {.name = "logprobs", .label = "temperature, logprobs", .temperature = 1.0f, .logprobs = true},
    {.name = "penalties",
     .label = "penalties, 128 ids",
     .temperature = 1.0f,
     .repetition_penalty = 1.1f,
     .has_prompt = true},
    {.name = "bitmask", .label = "bitmask, half", .temperature = 1.0f, .has_bitmask = true},
};

void rz_bench_filter_sampling(const struct rz_bench_filter *filter, struct rz_sampling *sampling)
{
    rz_sampling_init(sampling);
    sampling->temperature = filter->temperature;
    sampling->min_p = filter->min_p;
    sampling->top_k = filter->top_k;
    sampling->top_p = filter->top_p > 0.0f ? filter->top_p : 1.0f;
    sampling->repetition_penalty =
        filter->repetition_penalty > 0.0f ? filter->repetition_penalty : 1.0f;
    sampling->flags = RZ_SAMPLING_SEED | (filter->logprobs ? RZ_SAMPLING_LOGPROBS : 0);
    sampling->top_logprobs = filter->logprobs ? RZ_BENCH_TOP_LOGPROBS : 0;
}
