/* SPDX-License-Identifier: Apache-2.0
 *
 * job.c - open and close a job.
 */
#include "runtime/job.h"

#include <stdlib.h>
#include <unistd.h>

static const struct rz_comm_ops *comm_for(const struct rz_plan *plan, struct rz_transport transport)
{
    /* Between GPUs it only tells who has come, with how many rows: no buffers. */
    return plan->comm == RZ_COMM_MPI ? transport.mpi_ops : &rz_comm_shm;
}

/* How a comm back end waits: on words of the meeting. */
static int peers_wait(void *context, uint32_t rank, const _Atomic uint32_t *word, uint32_t seen,
                      uint64_t deadline_ns, struct rz_error *err)
{
    struct rz_meeting *meeting = context;
    return rz_wait(&meeting->waiter, word, seen, deadline_ns, rank, "hand in its logits", err);
}

static void peers_raise(void *context, _Atomic uint32_t *word, uint32_t value)
{
    struct rz_meeting *meeting = context;
    const uint64_t rank_0 = 1; /* nobody else waits for logits */
    rz_wake(&meeting->control->sleepers, rank_0, word, value);
}

static int peers_check(void *context, struct rz_error *err)
{
    return rz_meeting_check(context, err);
}

static int open_comm(rz_job *job, struct rz_error *err)
{
    const struct rz_plan *plan = &job->plan;
    struct rz_comm_config config = {
        .rank = job->local.rank,
        .world = plan->world,
        .max_rows = plan->max_rows,
        .logit_bytes = rz_plan_logit_bytes(plan),
        .peers = {.context = &job->meeting,
                  .wait = peers_wait,
                  .raise = peers_raise,
                  .check = peers_check},
    };
    for (uint32_t r = 0; r < plan->world; r++) {
        config.columns[r] = plan->columns[r];
        config.row_stride[r] = rz_plan_row_stride(plan, r);
        config.buffers[r] = job->meeting.logits[r];
        config.lines[r] = &job->meeting.control->ranks[r].comm;
        if (r > 0)
            job->remote_row_bytes += plan->columns[r] * rz_plan_logit_bytes(plan);
    }
    job->comm_ops = comm_for(plan, job->transport);
    return job->comm_ops->open(&config, job->transport.handle, &job->comm, err);
}

/* What only rank 0 needs: samplers, and room for what they are asked to draw. */
static int open_samplers(rz_job *job, struct rz_error *err)
{
    const struct rz_plan *plan = &job->plan;
    if (plan->backend != RZ_BACKEND_CUDA) {
        const int status = rz_samplers_open(&job->samplers, plan, job->local.threads, err);
        if (status != RZ_OK)
            return status;
        job->results = job->samplers.results;
    }
    for (uint32_t r = 0; r < plan->world; r++)
        job->shards[r] =
            (struct rz_shard_view){.first = rz_plan_first(plan, r), .count = plan->columns[r]};
    job->view = (struct rz_logits_view){.dtype = (enum rz_dtype)plan->dtype,
                                        .vocab_size = plan->vocab_size,
                                        .shard_count = plan->world,
                                        .shards = job->shards};
    rz_sequence_table_init(&job->sequences, plan->vocab_size);
    return rz_request_create(&job->request, plan->max_rows, err);
}

/* Everything but the meeting and the transport. */
static void close_parts(rz_job *job)
{
    if (job->comm_ops != NULL)
        job->comm_ops->close(job->comm);
    rz_gpu_close(job);
    rz_samplers_close(&job->samplers);
    rz_sequence_table_free(&job->sequences);
    rz_request_destroy(&job->request);
    free(job->record);
}

static int agree(struct rz_transport transport, int status, struct rz_error *err)
{
    return transport.agree != NULL ? transport.agree(transport.handle, status, err) : status;
}

/* Ranks that can agree do so at the end: until then rank 0 keeps the meeting, so that one that
 * comes late finds out there why it failed; and what fails on one rank alone is known to all. */
static int meet(rz_job *job, const struct rz_local *local, const char *name, struct rz_error *err)
{
    int status = rz_meeting_join(&job->meeting, &job->plan, local, name, err);
    if (status == RZ_OK)
        status = open_comm(job, err);
    if (status == RZ_OK && job->plan.backend == RZ_BACKEND_CUDA)
        status = rz_gpu_open(job, err);
    if (status != RZ_OK)
        rz_meeting_end(&job->meeting, status, err->rank); /* others may be waiting there */
    return agree(job->transport, status, err);
}

int rz_job_open(const struct rz_plan *plan, const struct rz_local *local, const char *name,
                struct rz_transport transport, rz_job **out, struct rz_error *err)
{
    struct rz_error nobody_asked;
    if (err == NULL)
        err = &nobody_asked;
    *err = (struct rz_error){.rank = RZ_NO_RANK};

    rz_job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return agree(transport, rz_fail(err, RZ_E_NOMEM, RZ_NO_RANK, 0, "no memory for a job"),
                     err);
    job->meeting = RZ_MEETING_NONE;
    job->plan = *plan;
    job->local = *local;
    job->local.shm_dir = NULL; /* the caller's, until open returns */
    job->transport = transport;
    job->error.rank = RZ_NO_RANK;

    /* What can fail on this rank alone comes before the meeting, where others would wait for it. */
    int status = local->rank == 0 ? open_samplers(job, err) : RZ_OK;
    job->record = status == RZ_OK ? calloc(1, rz_record_bytes(plan->max_rows)) : NULL;
    if (status == RZ_OK && job->record == NULL)
        status = rz_fail(err, RZ_E_NOMEM, RZ_NO_RANK, 0, "no memory for %u ids", plan->max_rows);
    if (status == RZ_OK)
        status = rz_meeting_begin(&job->meeting, plan, local, name, err);
    status = agree(transport, status, err);
    if (status == RZ_OK)
        status = meet(job, local, name, err);
    if (status == RZ_OK) {
        *out = job;
        return RZ_OK;
    }
    rz_meeting_end(&job->meeting, status, err->rank);
    close_parts(job);
    rz_meeting_close(&job->meeting);
    free(job);
    return status;
}

int rz_open_local(const struct rz_options *options, const char *name, uint32_t rank, uint32_t world,
                  rz_job **job, struct rz_error *err)
{
    if (job == NULL)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0, "job: expected a pointer, got NULL");
    struct rz_plan plan;
    struct rz_local local;
    const int status = rz_options_resolve(options, rank, world, RZ_COMM_SHM, &plan, &local, err);
    if (status != RZ_OK)
        return status;
    if (plan.comm == RZ_COMM_MPI)
        return rz_fail(err, RZ_E_UNSUPPORTED, RZ_NO_RANK, 0,
                       "comm: RZ_COMM_MPI needs a job opened by rz_open_mpi()");
    return rz_job_open(&plan, &local, name, (struct rz_transport){0}, job, err);
}

bool rz_job_is_forked(const rz_job *job)
{
    return getpid() != job->local.pid;
}

int rz_job_check(rz_job *job, const char *call)
{
    if (rz_job_is_forked(job))
        return rz_fail(&job->error, RZ_E_STATE, RZ_NO_RANK, 0,
                       "%s: expected the process that opened the job, %ld, got %ld forked from it",
                       call, (long)job->local.pid, (long)getpid());
    return job->over;
}

int rz_job_end(rz_job *job, int status)
{
    /* A rank that waits for ids cannot tell who is late; the lines of all ranks can. */
    if (status == RZ_E_TIMEOUT && job->local.rank != 0 && job->error.rank == 0) {
        const uint32_t late = rz_meeting_late(&job->meeting, (uint32_t)job->step);
        if (late != 0)
            rz_fail(&job->error, status, (int)late, 0, "rank %u did not hand in its logits in time",
                    late);
    }
    rz_meeting_end(&job->meeting, status, job->error.rank);
    rz_gpu_stop(job);
    job->over = status; /* from here on nothing but rz_job_check() writes to job->error */
    job->begun = false;
    return status;
}

int rz_abort(rz_job *job)
{
    if (rz_job_is_forked(job))
        return RZ_E_STATE;
    rz_meeting_end(&job->meeting, RZ_E_CLOSED, (int)job->local.rank);
    return RZ_OK;
}

void rz_close(rz_job *job)
{
    if (job == NULL)
        return;
    struct rz_transport transport = job->transport;
    if (rz_job_is_forked(job)) { /* the job goes on; MPI and CUDA know nothing of this process */
        job->comm_ops = NULL;
        free(job->gpu);
        job->gpu = NULL;
        transport.release = NULL;
    } else {
        rz_meeting_end(&job->meeting, RZ_E_CLOSED, (int)job->local.rank);
    }
    const bool idle = job->step == job->counters.steps; /* rank 0 had all logits of each step */
    close_parts(job); /* the comm uses the meeting's memory: it goes first */
    rz_meeting_close(&job->meeting);
    free(job);
    if (transport.release != NULL)
        transport.release(transport.handle, idle);
}

const struct rz_error *rz_last_error(const rz_job *job)
{
    return &job->error;
}

uint32_t rz_rank(const rz_job *job)
{
    return job->local.rank;
}

uint32_t rz_world(const rz_job *job)
{
    return job->plan.world;
}

void rz_shard(const rz_job *job, uint32_t *first, uint32_t *count)
{
    *first = rz_plan_first(&job->plan, job->local.rank);
    *count = job->plan.columns[job->local.rank];
}

void *rz_logits(rz_job *job, size_t *row_stride)
{
    *row_stride = rz_plan_row_stride(&job->plan, job->local.rank);
    if (job->gpu != NULL)
        return rz_gpu_logits(job);
    return job->comm_ops->buffer(job->comm);
}
