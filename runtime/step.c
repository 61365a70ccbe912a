/* SPDX-License-Identifier: Apache-2.0
 *
 * step.c - one decode step, from logits to ids. START READING HERE.
 *
 *     every rank    begin: check the batch, post this rank's logits
 *     rank 0        finish: collect the logits, draw, publish the ids
 *     others        finish: see the logits off, take the ids from the ring
 *
 * The calls behind the names: comm/ (post, collect, settle), kernels/ (draw), ipc/ring (publish,
 * consume). Whatever a rank waits for has a deadline, and ends when a peer dies or leaves.
 */
#include <string.h>

#include "internal/clock.h"
#include "runtime/job.h"

static int collect_logits(rz_job *job)
{
    const int status =
        job->comm_ops->collect(job->comm, (uint32_t)job->step, job->deadline_ns, &job->error);
    if (status != RZ_OK)
        return status;
    for (uint32_t r = 0; r < job->plan.world; r++) {
        const struct rz_comm_part part = job->comm_ops->part(job->comm, r);
        job->shards[r].logits = part.logits;
        job->shards[r].row_stride = part.row_stride;
    }
    job->counters.bytes_gathered += job->logits_rows * job->remote_row_bytes;
    return RZ_OK;
}

/* Draw every row of the request; ids go to the record that is published, in the order of the rows.
 */
static void draw_rows(rz_job *job, struct rz_result *results)
{
    const struct rz_request *request = &job->request;
    uint32_t drawn = 0;
    for (uint32_t row = 0; row < request->row_count; row++) {
        const struct rz_row_task *task = &request->tasks[row];
        struct rz_result *out = results != NULL ? results + drawn : job->results;
        job->sampler_ops->draw(job->sampler, &job->view, task, out);
        for (uint32_t i = 0; i < task->draws; i++) {
            out[i].row = row;
            job->record->ids[drawn + i] = out[i].id;
        }
        if (request->histories[row] != NULL && out[0].id >= 0)
            rz_sequence_push(request->histories[row], out[0].id);
        drawn += task->draws;
    }
    job->record->count = drawn;
}

static int publish_ids(rz_job *job)
{
    job->record->step = job->step;
    const size_t bytes = rz_record_bytes(job->record->count);
    const int status = rz_ring_publish(&job->meeting.ring, RZ_RECORD_IDS, job->record, bytes,
                                       job->deadline_ns, &job->error);
    if (status == RZ_OK)
        job->counters.bytes_published += bytes;
    return status;
}

static int receive_ids(rz_job *job)
{
    uint32_t type;
    size_t bytes;
    const int status =
        rz_ring_consume(&job->meeting.ring, &type, job->record, rz_record_bytes(job->plan.max_rows),
                        &bytes, job->deadline_ns, &job->error);
    if (status != RZ_OK)
        return status;
    return rz_record_check(job->record, type, bytes, job->step, &job->plan, &job->error);
}

/* 1 if the ids are there, 0 if they may still come, or why they will not. */
static int poll_ids(rz_job *job)
{
    if (rz_ring_poll(&job->meeting.ring))
        return 1;
    const int status = rz_meeting_check(&job->meeting, &job->error);
    /* They may have come just before a rank left, and then they are what counts. */
    if (status != RZ_OK && rz_ring_poll(&job->meeting.ring))
        return 1;
    return status == RZ_OK ? 0 : status;
}

/* Adds the time since *since to a counter and starts the next interval. */
static void lap(uint64_t *counter, uint64_t *since)
{
    const uint64_t now = rz_clock_ns();
    *counter += now - *since;
    *since = now;
}

static int finish_on_rank_0(rz_job *job, struct rz_result *results)
{
    uint64_t since = rz_clock_ns();
    int status = collect_logits(job);
    lap(&job->counters.gather_ns, &since);
    if (status != RZ_OK)
        return status;
    draw_rows(job, results);
    lap(&job->counters.sample_ns, &since);
    status = publish_ids(job);
    lap(&job->counters.publish_ns, &since);
    return status;
}

static int finish_elsewhere(rz_job *job)
{
    uint64_t since = rz_clock_ns();
    int status = job->comm_ops->settle(job->comm, job->deadline_ns, &job->error);
    lap(&job->counters.gather_ns, &since);
    if (status != RZ_OK)
        return status;
    status = receive_ids(job);
    lap(&job->counters.wait_ns, &since);
    return status;
}

int rz_step_begin(rz_job *job, const struct rz_batch *batch)
{
    if (job->over != RZ_OK)
        return job->over;
    if (job->begun)
        return rz_fail(&job->error, RZ_E_STATE, RZ_NO_RANK, 0,
                       "rz_step_begin: expected rz_step_finish of the step before");

    struct rz_batch checked;
    int status = rz_batch_read(batch, &job->plan, job->local.rank, &checked, &job->error);
    if (status == RZ_OK && job->local.rank == 0)
        status = rz_request_read(&job->request, &checked, &job->plan, &job->sequences,
                                 job->step + 1, &job->error);
    if (status != RZ_OK)
        return status;

    uint64_t since = rz_clock_ns();
    job->step++;
    job->begun = true;
    job->logits_rows = checked.logits_rows;
    job->deadline_ns = since + job->local.step_timeout_ns;
    status = job->comm_ops->post(job->comm, (uint32_t)job->step, checked.logits, checked.row_stride,
                                 checked.logits_rows, &job->error);
    lap(&job->counters.gather_ns, &since);
    return status == RZ_OK ? RZ_OK : rz_job_end(job, status);
}

int rz_step_ready(rz_job *job)
{
    if (job->over != RZ_OK)
        return job->over;
    if (!job->begun)
        return rz_fail(&job->error, RZ_E_STATE, RZ_NO_RANK, 0,
                       "rz_step_ready: expected rz_step_begin before it");
    int ready = job->comm_ops->ready(job->comm, (uint32_t)job->step, &job->error);
    if (ready == 1 && job->local.rank != 0)
        ready = poll_ids(job);
    return ready >= 0 ? ready : rz_job_end(job, ready);
}

int rz_step_finish(rz_job *job, int32_t *ids, uint32_t *count, struct rz_result *results)
{
    if (job->over != RZ_OK)
        return job->over;
    if (!job->begun)
        return rz_fail(&job->error, RZ_E_STATE, RZ_NO_RANK, 0,
                       "rz_step_finish: expected rz_step_begin before it");
    if (ids == NULL || count == NULL || (results != NULL && job->local.rank != 0))
        return rz_fail(&job->error, RZ_E_ARG, RZ_NO_RANK, 0,
                       "rz_step_finish: expected ids and count, and results on rank 0 only");

    const int status =
        job->local.rank == 0 ? finish_on_rank_0(job, results) : finish_elsewhere(job);
    job->begun = false;
    if (status != RZ_OK)
        return rz_job_end(job, status);
    memcpy(ids, job->record->ids, job->record->count * sizeof *ids);
    *count = job->record->count;
    job->counters.steps++;
    job->counters.ids += job->record->count;
    return RZ_OK;
}

int rz_step(rz_job *job, const struct rz_batch *batch, int32_t *ids, uint32_t *count,
            struct rz_result *results)
{
    /* Before anything is handed in, so that a refused call leaves nothing half done. */
    if (ids == NULL || count == NULL || (results != NULL && job->local.rank != 0))
        return rz_fail(&job->error, RZ_E_ARG, RZ_NO_RANK, 0,
                       "rz_step: expected ids and count, and results on rank 0 only");
    const int status = rz_step_begin(job, batch);
    return status == RZ_OK ? rz_step_finish(job, ids, count, results) : status;
}
