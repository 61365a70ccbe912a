/* SPDX-License-Identifier: Apache-2.0
 *
 * sequences.c - the public calls on sequences.
 */
#include "runtime/job.h"
#include "runtime/sampling.h"

/* May this call be made at all? */
static int check_call(rz_job *job, const char *call)
{
    const int status = rz_job_check(job, call);
    if (status != RZ_OK || job->local.rank == 0)
        return status;
    return rz_fail(&job->error, RZ_E_STATE, RZ_NO_RANK, 0,
                   "%s: expected rank 0, which alone knows sequences, got rank %u", call,
                   job->local.rank);
}

static int fail_unknown(rz_job *job, rz_sequence sequence)
{
    return rz_fail(&job->error, RZ_E_SEQUENCE, RZ_NO_RANK, 0, "sequence %#llx: there is none such",
                   (unsigned long long)sequence);
}

/* A sequence of the step under way is neither changed nor closed. */
static int check_idle(rz_job *job, const char *call)
{
    if (!job->begun)
        return RZ_OK;
    return rz_fail(&job->error, RZ_E_STATE, RZ_NO_RANK, 0,
                   "%s: expected the step that was begun to be finished first", call);
}

int rz_sequence_open(rz_job *job, const struct rz_sampling *sampling, const int32_t *prompt_ids,
                     uint32_t prompt_count, rz_sequence *sequence)
{
    struct rz_sampling checked;
    int status = check_call(job, "rz_sequence_open");
    if (status == RZ_OK)
        status = rz_sampling_resolve(sampling, job->plan.vocab_size, &checked, &job->error);
    if (status != RZ_OK)
        return status;
    return rz_sequence_table_add(&job->sequences, &checked, prompt_ids, prompt_count, sequence,
                                 &job->error);
}

int rz_sequence_append(rz_job *job, rz_sequence sequence, const int32_t *ids, uint32_t count)
{
    int status = check_call(job, "rz_sequence_append");
    if (status == RZ_OK)
        status = check_idle(job, "rz_sequence_append");
    if (status == RZ_OK)
        status = rz_ids_check("ids", ids, count, job->plan.vocab_size, &job->error);
    if (status != RZ_OK)
        return status;
    struct rz_sequence_state *state = rz_sequence_table_find(&job->sequences, sequence);
    if (state == NULL)
        return fail_unknown(job, sequence);
    if (!rz_sequence_has_room(state, count))
        return rz_fail(&job->error, RZ_E_SEQUENCE, RZ_NO_RANK, 0,
                       "sequence %#llx: expected at most %u more ids (max_tokens %u), got %u",
                       (unsigned long long)sequence, state->output_limit - state->output_length,
                       state->output_limit, count);
    for (uint32_t i = 0; i < count; i++)
        rz_sequence_push(state, ids[i]);
    return RZ_OK;
}

int rz_sequence_close(rz_job *job, rz_sequence sequence)
{
    int status = check_call(job, "rz_sequence_close");
    if (status == RZ_OK)
        status = check_idle(job, "rz_sequence_close");
    if (status != RZ_OK)
        return status;
    if (rz_sequence_table_find(&job->sequences, sequence) == NULL)
        return fail_unknown(job, sequence);
    rz_sequence_table_remove(&job->sequences, sequence);
    return RZ_OK;
}
