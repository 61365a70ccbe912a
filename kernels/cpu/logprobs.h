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
    uint64_t mass_of_all;
    uint32_t top_count;
    float top_y[RZ_MAX_TOP_LOGPROBS];
    int32_t top_ids[RZ_MAX_TOP_LOGPROBS];
};

/* rz_logprobs_begin - sum up a row, once for all its draws. `raw`: of the logits as they came, with
 * `row` made of their tile maxima and the temperature of 1; `infinite` if one of them is +inf.
 * Otherwise of the edited logits, without the ids below `threshold`. */
void rz_logprobs_begin(struct rz_logprobs *logprobs, const struct rz_filter_row *row, bool raw,
                       bool infinite, float threshold, uint32_t top_count,
                       struct rz_filter_scratch *scratch);

/* rz_logprobs_report - fill logprob, rank and the top list of result->id. */
void rz_logprobs_report(const struct rz_logprobs *logprobs, struct rz_result *result);

#endif
