/* SPDX-License-Identifier: Apache-2.0
 *
 * logprobs.h - the log-share of the drawn id, its rank, and the most likely ids.
 *
 * Masses are integers here too, so the figures are the same for every split.
 */
#ifndef RZ_KERNELS_LOGPROBS_H
#define RZ_KERNELS_LOGPROBS_H

#include "kernels/cpu/filters.h"

/* The distribution asked about: of the logits as they came, or of those that were drawn from. */
struct rz_logprobs {
    const struct rz_filter_row *row;
    bool raw;
    bool infinite;   /* a logit is +inf: those that are share all, equally */
    float threshold; /* ids of less y have no share */
    double exponent;
    struct rz_mass_bounds all; /* the mass of all; bounds that are the same once it is summed */
    float counted_y;           /* so many ids are above it; NaN: not counted */
    uint32_t counted_above;
    struct rz_sampler_counters *counters;
    uint32_t top_count;
    float top_y[RZ_MAX_TOP_LOGPROBS];
    int32_t top_ids[RZ_MAX_TOP_LOGPROBS];
};

/* rz_logprobs_begin - weigh a row, once for all its draws, of which `drawn` is the first. `raw`: of
 * the logits as they came, with `row` made of their tile maxima and the temperature of 1;
 * `infinite` if one of them is +inf. Otherwise of the edited logits, without the ids below
 * `threshold`. The row stays until the last report. */
void rz_logprobs_begin(struct rz_logprobs *logprobs, const struct rz_filter_row *row, bool raw,
                       bool infinite, float threshold, uint32_t drawn, uint32_t top_count,
                       struct rz_filter_scratch *scratch, struct rz_sampler_counters *counters);

/* rz_logprobs_report - fill logprob, rank and the top list of result->id. */
void rz_logprobs_report(struct rz_logprobs *logprobs, struct rz_result *result);

#endif
