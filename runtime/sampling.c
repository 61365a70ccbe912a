/* SPDX-License-Identifier: Apache-2.0
 *
 * sampling.c - are these sampling parameters ones that a row can be drawn with?
 */
#include "runtime/sampling.h"

#include <math.h>

#include "internal/size_math.h"

static int fail_number(struct rz_error *err, const char *field, const char *expected, double got)
{
    return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0, "%s: expected %s, got %g", field, expected, got);
}

static int check_numbers(const struct rz_sampling *s, struct rz_error *err)
{
    /* Written so that a NaN fails every one of them. */
    if (!(s->temperature >= 0.0f && isfinite(s->temperature)))
        return fail_number(err, "temperature", "a finite number >= 0", (double)s->temperature);
    if (!(s->top_p > 0.0f && s->top_p <= 1.0f))
        return fail_number(err, "top_p", "a number in (0, 1]", (double)s->top_p);
    if (!(s->min_p >= 0.0f && s->min_p < 1.0f))
        return fail_number(err, "min_p", "a number in [0, 1)", (double)s->min_p);
    if (!(s->repetition_penalty > 0.0f && s->repetition_penalty <= 100.0f))
        return fail_number(err, "repetition_penalty", "a number in (0, 100]",
                           (double)s->repetition_penalty);
    if (!(fabsf(s->frequency_penalty) <= 100.0f))
        return fail_number(err, "frequency_penalty", "a number in [-100, 100]",
                           (double)s->frequency_penalty);
    if (!(fabsf(s->presence_penalty) <= 100.0f))
        return fail_number(err, "presence_penalty", "a number in [-100, 100]",
                           (double)s->presence_penalty);
    if (s->top_logprobs > RZ_MAX_TOP_LOGPROBS)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0, "top_logprobs: expected 0 to %u, got %u",
                       RZ_MAX_TOP_LOGPROBS, s->top_logprobs);
    if (s->logprobs_mode > RZ_LOGPROBS_PROCESSED)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "logprobs_mode: expected 0 (raw) or 1 (processed), got %u",
                       s->logprobs_mode);
    if ((s->flags & ~(RZ_SAMPLING_SEED | RZ_SAMPLING_LOGPROBS)) != 0)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "flags: expected RZ_SAMPLING_SEED and RZ_SAMPLING_LOGPROBS at most, got %#x",
                       s->flags);
    return RZ_OK;
}

static int check_bias(const struct rz_bias *bias, uint32_t count, uint32_t vocab_size,
                      struct rz_error *err)
{
    if (count > 0 && bias == NULL)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0, "bias: expected %u entries, got NULL", count);
    for (uint32_t i = 0; i < count; i++) {
        const int status = rz_ids_check("bias", &bias[i].id, 1, vocab_size, err);
        if (status != RZ_OK)
            return status;
        if (!isfinite(bias[i].bias))
            return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                           "bias of id %d: expected a finite number, got %g", (int)bias[i].id,
                           (double)bias[i].bias);
    }
    return RZ_OK;
}

int rz_ids_check(const char *field, const int32_t *ids, uint32_t count, uint32_t vocab_size,
                 struct rz_error *err)
{
    if (count > 0 && ids == NULL)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0, "%s: expected %u ids, got NULL", field, count);
    for (uint32_t i = 0; i < count; i++)
        if (ids[i] < 0 || (uint32_t)ids[i] >= vocab_size)
            return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0, "%s: expected ids from 0 to %u, got %d",
                           field, vocab_size - 1, (int)ids[i]);
    return RZ_OK;
}

int rz_sampling_resolve(const struct rz_sampling *given, uint32_t vocab_size,
                        struct rz_sampling *sampling, struct rz_error *err)
{
    if (given == NULL || !rz_struct_read(sampling, sizeof *sampling, given, sizeof given->size))
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "sampling: expected a struct made by rz_sampling_init() of this version");
    const struct rz_sampling *s = sampling;
    int status = check_numbers(s, err);
    if (status == RZ_OK)
        status = rz_ids_check("allowed_ids", s->allowed_ids, s->allowed_count, vocab_size, err);
    if (status == RZ_OK)
        status = rz_ids_check("banned_ids", s->banned_ids, s->banned_count, vocab_size, err);
    if (status == RZ_OK)
        status = rz_ids_check("stop_ids", s->stop_ids, s->stop_count, vocab_size, err);
    if (status == RZ_OK)
        status = check_bias(s->bias, s->bias_count, vocab_size, err);
    return status;
}

int rz_sampling_check(const struct rz_sampling *sampling, uint32_t vocab_size, struct rz_error *err)
{
    struct rz_sampling resolved;
    return rz_sampling_resolve(sampling, vocab_size, &resolved, err);
}
