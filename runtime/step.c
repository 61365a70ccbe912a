/* SPDX-License-Identifier: Apache-2.0
 *
 * step.c - one decode step, from logits to ids. START READING HERE.
 *
 *     every rank    begin: check the batch, post this rank's logits
 *     rank 0        finish: collect the logits, draw, publish the ids
 *     others        finish: see the logits off, take the ids from the ring
 *
 * The calls behind the names: comm/ (post, collect, settle), samplers (draw), ipc/ring (publish,
 * consume). Whatever a rank waits for has a deadline, and ends when a peer dies or leaves.
 */
#include <string.h>

#include "internal/clock.h"
#include "runtime/gpu_watch.h"
#include "runtime/step.h"

static int collect_logits(rz_job *job)
{
    const int status =
        job->comm_ops->collect(job->comm, (uint32_t)job->step, job->deadline_ns, &job->error);
    if (status != RZ_OK)
        return status;
    for (uint32_t r = 0; r < job->plan.world && job->gpu == NULL; r++) {
        const struct rz_comm_part part = job->comm_ops->part(job->comm, r);
        job->shards[r].logits = part.logits;
        job->shards[r].row_stride = part.row_stride;
    }
    job->counters.bytes_gathered += job->logits_rows * job->remote_row_bytes;
    return RZ_OK;
}

/* Copy a result into the caller's array, whose struct may be another version's: of a shorter one
 * what it has, of a longer one what there is and zeros behind. */
static void write_result(void *results, size_t size, uint32_t index, const struct rz_result *result)
{
    char *theirs = (char *)results + index * size;
    const size_t known = size < sizeof *result ? size : sizeof *result;
    memcpy(theirs, result, known);
    memset(theirs + known, 0, size - known);
}

static int draw_rows(rz_job *job)
{
    if (job->gpu != NULL)
        return job->gpu->streamed ? rz_gpu_wait(job) : rz_gpu_draw(job);
    rz_samplers_draw(&job->samplers, &job->view, &job->request);
    return RZ_OK;
}

/* What was drawn: ids go to the record that is published, in the order of the rows. Histories grow
 * when all rows are drawn: a draft may look at one that another row adds to. */
static void keep_results(rz_job *job, void *results)
{
    const struct rz_request *request = &job->request;
    for (uint32_t row = 0; row < request->row_count; row++) {
        const uint32_t first = request->first_draws[row];
        struct rz_result *drawn = &job->results[first];
        for (uint32_t i = 0; i < request->tasks[row].draws; i++) {
            drawn[i].row = row;
            job->record->ids[first + i] = drawn[i].id;
            if (results != NULL)
                write_result(results, job->result_size, first + i, &drawn[i]);
        }
        if (request->histories[row] != NULL && drawn[0].id >= 0)
            rz_sequence_push(request->histories[row], drawn[0].id);
    }
    job->record->count = request->draw_count;
}

static int publish_ids(rz_job *job)
{
    job->record->step = job->step;
    const size_t bytes = rz_record_bytes(job->record->count);
    int status = RZ_OK;
    if (job->gpu != NULL && job->gpu->streamed) /* the GPU has */
        rz_ring_announce(&job->meeting.ring);
    else
        status = rz_ring_publish(&job->meeting.ring, RZ_RECORD_IDS, job->record, bytes,
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
    const struct rz_waiter *waiter = &job->meeting.waiter;
    const int status = waiter->watch(waiter->watch_context, &job->error);
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

static int finish_on_rank_0(rz_job *job, void *results)
{
    const bool streamed = job->gpu != NULL && job->gpu->streamed;
    uint64_t since = rz_clock_ns();
    int status = streamed ? RZ_OK : collect_logits(job);
    lap(&job->counters.gather_ns, &since);
    if (status == RZ_OK)
        status = draw_rows(job);
    lap(&job->counters.sample_ns, &since);
    if (status != RZ_OK)
        return status;
    keep_results(job, results);
    status = publish_ids(job);
    lap(&job->counters.publish_ns, &since);
    return status;
}

/* Did this rank's logits fail to get to rank 0? Not if the ids are there: rank 0 may have had all
 * it needs, published and left before the sender heard that its message was taken. */
static int check_settled(rz_job *job, int status, const struct rz_error *why)
{
    const bool gone = status == RZ_E_CLOSED || status == RZ_E_PEER_DIED;
    if (status >= 0 || (gone && rz_ring_poll(&job->meeting.ring)))
        return RZ_OK;
    job->error = *why;
    return status;
}

static int finish_elsewhere(rz_job *job)
{
    uint64_t since = rz_clock_ns();
    struct rz_error why;
    int status = job->comm_ops->settle(job->comm, job->deadline_ns, &why);
    lap(&job->counters.gather_ns, &since);
    status = check_settled(job, status, &why);
    if (status == RZ_OK && job->gpu != NULL && job->gpu->streamed)
        status = rz_gpu_wait(job);
    if (status == RZ_OK)
        status = receive_ids(job);
    lap(&job->counters.wait_ns, &since);
    return status;
}

/* A status of the job's group is its end, wherever in a call it came from. */
static int end_if_over(rz_job *job, int status)
{
    return status <= RZ_E_TIMEOUT && job->over == RZ_OK ? rz_job_end(job, status) : status;
}

/* What begins a step is checked, and copied, before anything is handed in, so that a refused call
 * leaves nothing half done. */
int rz_step_read(rz_job *job, const struct rz_batch *batch, bool streamed, struct rz_batch *checked)
{
    if (job->begun)
        return rz_fail(&job->error, RZ_E_STATE, RZ_NO_RANK, 0,
                       "a step is under way: expected rz_step_finish first");
    int status = rz_batch_read(batch, &job->plan, job->local.rank, checked, &job->error);
    if (status == RZ_OK && job->gpu != NULL)
        status = rz_gpu_check_batch(job, checked, streamed);
    return end_if_over(job, status);
}

static int check_outputs(rz_job *job, size_t result_size, const int32_t *ids, const uint32_t *count,
                         const struct rz_result *results)
{
    if (ids == NULL || count == NULL || (results != NULL && job->local.rank != 0))
        return rz_fail(&job->error, RZ_E_ARG, RZ_NO_RANK, 0,
                       "expected ids and count, and results on rank 0 only");
    if (results != NULL && result_size == 0)
        return rz_fail(&job->error, RZ_E_ARG, RZ_NO_RANK, 0,
                       "batch.result_size: expected sizeof(struct rz_result), as results are asked "
                       "for, got 0");
    return RZ_OK;
}

static int read_rows(rz_job *job, const struct rz_batch *batch, uint64_t step)
{
    int status = rz_meeting_ended(&job->meeting, &job->error);
    if (status == RZ_OK && job->local.rank == 0)
        status =
            rz_request_read(&job->request, batch, &job->plan, &job->sequences, step, &job->error);
    if (status == RZ_OK && job->local.rank == 0 && job->gpu != NULL)
        status = rz_gpu_pack(job, batch->logits_rows);
    return end_if_over(job, status);
}

int rz_step_read_rows(rz_job *job, const struct rz_batch *batch)
{
    /* A number that no step will have, so that a sequence is not taken for named twice in one. */
    return read_rows(job, batch, UINT64_MAX - job->captures++);
}

int rz_step_start(rz_job *job, const struct rz_batch *batch)
{
    const int status = read_rows(job, batch, job->step + 1);
    if (status != RZ_OK)
        return status;
    job->step++;
    job->begun = true;
    job->logits_rows = batch->logits_rows;
    job->result_size = batch->result_size;
    job->deadline_ns = rz_clock_ns() + job->local.step_timeout_ns;
    return RZ_OK;
}

int rz_step_post(rz_job *job, const void *logits, size_t row_stride, int status)
{
    if (status == RZ_OK)
        status = job->comm_ops->post(job->comm, (uint32_t)job->step, logits, row_stride,
                                     job->logits_rows, &job->error);
    return status == RZ_OK ? RZ_OK : rz_job_end(job, status);
}

static int hand_in(rz_job *job, const struct rz_batch *batch)
{
    int status = rz_step_start(job, batch);
    if (status != RZ_OK)
        return status;
    uint64_t since = rz_clock_ns();
    if (job->gpu != NULL)
        status = rz_step_post(job, NULL, 0, rz_gpu_hand_in(job, batch));
    else
        status = rz_step_post(job, batch->logits, batch->row_stride, RZ_OK);
    lap(&job->counters.gather_ns, &since);
    return status;
}

static int finish(rz_job *job, int32_t *ids, uint32_t *count, struct rz_result *results)
{
    int status = job->local.rank == 0 ? finish_on_rank_0(job, results) : finish_elsewhere(job);
    if (job->gpu != NULL)
        rz_gpu_watch_end(job);
    if (status == RZ_OK && job->gpu != NULL)
        status = rz_gpu_settle(job);
    job->begun = false;
    if (status != RZ_OK)
        return rz_job_end(job, status);
    memcpy(ids, job->record->ids, job->record->count * sizeof *ids);
    *count = job->record->count;
    job->counters.steps++;
    job->counters.ids += job->record->count;
    return RZ_OK;
}

int rz_step_begin(rz_job *job, const struct rz_batch *batch)
{
    struct rz_batch checked;
    int status = rz_job_check(job, "rz_step_begin");
    if (status == RZ_OK)
        status = rz_step_read(job, batch, false, &checked);
    return status == RZ_OK ? hand_in(job, &checked) : status;
}

/* 1 if there is nothing to wait for on account of the logits, 0 if there is, or a status. */
static int poll_comm(rz_job *job)
{
    struct rz_error why;
    const int ready = job->comm_ops->ready(job->comm, (uint32_t)job->step, &why);
    if (ready >= 0)
        return ready;
    if (job->local.rank == 0) {
        job->error = why;
        return ready;
    }
    const int status = check_settled(job, ready, &why);
    return status == RZ_OK ? 1 : status;
}

int rz_step_ready(rz_job *job)
{
    const int status = rz_job_check(job, "rz_step_ready");
    if (status != RZ_OK)
        return status;
    if (!job->begun)
        return rz_fail(&job->error, RZ_E_STATE, RZ_NO_RANK, 0,
                       "rz_step_ready: expected a step that was begun");
    const bool streamed = job->gpu != NULL && job->gpu->streamed;
    int ready = streamed ? rz_gpu_poll(job) : poll_comm(job);
    if (ready == 1 && job->local.rank != 0)
        ready = poll_ids(job);
    if (ready == 0 && rz_clock_ns() >= job->deadline_ns)
        return 1; /* finish does not wait any more: it says who is late */
    return ready >= 0 ? ready : rz_job_end(job, ready);
}

int rz_step_finish(rz_job *job, int32_t *ids, uint32_t *count, struct rz_result *results)
{
    int status = rz_job_check(job, "rz_step_finish");
    if (status == RZ_OK && !job->begun)
        status = rz_fail(&job->error, RZ_E_STATE, RZ_NO_RANK, 0,
                         "rz_step_finish: expected a step that was begun");
    if (status == RZ_OK)
        status = check_outputs(job, job->result_size, ids, count, results);
    return status == RZ_OK ? finish(job, ids, count, results) : status;
}

int rz_step(rz_job *job, const struct rz_batch *batch, int32_t *ids, uint32_t *count,
            struct rz_result *results)
{
    struct rz_batch checked;
    int status = rz_job_check(job, "rz_step");
    if (status == RZ_OK)
        status = rz_step_read(job, batch, false, &checked);
    if (status == RZ_OK)
        status = check_outputs(job, checked.result_size, ids, count, results);
    if (status == RZ_OK)
        status = hand_in(job, &checked);
    return status == RZ_OK ? finish(job, ids, count, results) : status;
}
