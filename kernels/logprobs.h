/* SPDX-License-Identifier: Apache-2.0
 *
 * logprobs.h - the log-share of the drawn id, its rank, and the most likely ids.
 *
 * Masses are integers here too, so the figures are the same for every split.
 */
#ifndef RZ_KERNELS_LOGPROBS_H
#define RZ_KERNELS_LOGPROBS_H

#include "kernels/edit.h"
#include "kernels/sampler.h"

/* The distribution asked about: of the logits as they came, or of those that were drawn from. */
struct rz_logprobs {
    const struct rz_edits *edits;
    bool raw;
    uint32_t tiles;
    float scale;
    float threshold; /* ids below have no share */
    bool infinite;   /* a logit is +inf: those that are share all, equally */
    double exponent;
    uint64_t mass_of_all;
    uint32_t top_count;
    float top_y[RZ_MAX_TOP_LOGPROBS];
    int32_t top_ids[RZ_MAX_TOP_LOGPROBS];
};

/* rz_logprobs_begin_raw, rz_logprobs_begin_processed - sum up a row, once for all its draws.
 * `largest` is the largest logit as it came, resp. the largest y. */
void rz_logprobs_begin_raw(struct rz_logprobs *logprobs, const struct rz_edits *edits,
                           uint32_t tiles, float largest, uint32_t top_count);
void rz_logprobs_begin_processed(struct rz_logprobs *logprobs, const struct rz_edits *edits,
                                 uint32_t tiles, float scale, float threshold, float largest,
                                 uint32_t top_count);

/* rz_logprobs_report - fill logprob, rank and the top list of result->id. */
void rz_logprobs_report(const struct rz_logprobs *logprobs, struct rz_result *result);

#endif
