/* SPDX-License-Identifier: Apache-2.0
 *
 * gpu_step.c - a rank's part of a step with GPUs.
 */
#include "rankzero/cuda.h"
#include "runtime/gpu_launch.h"
#include "runtime/gpu_watch.h"
#include "runtime/step.h"

static void give_orders(rz_job *job, uint64_t sequence)
{
    struct rz_gpu_told *told = rz_gpu_told(job->gpu);
    told->orders.step = job->step;
    told->orders.sequence = sequence;
    told->orders.logits_rows = job->logits_rows;
    told->orders.patience_ns = job->local.step_timeout_ns;
    told->outcome = (struct rz_cuda_outcome){.state = RZ_CUDA_PENDING};
}

/* RZ_OK if the logits are where a step may have them. */
static int check_place(rz_job *job, const struct rz_batch *batch, bool streamed)
{
    struct rz_gpu *gpu = job->gpu;
    const size_t bytes = rz_plan_logit_bytes(&job->plan);
    int ordinal;
    const int status = rz_device_find(&gpu->device, batch->logits, &ordinal, &job->error);
    if (status != RZ_OK)
        return status;
    if (ordinal < 0 && streamed)
        return rz_fail(&job->error, RZ_E_ARG, RZ_NO_RANK, 0,
                       "batch.logits: expected memory of GPU %d, got memory of the host",
                       gpu->device.ordinal);
    if (ordinal >= 0 && ordinal != gpu->device.ordinal)
        return rz_fail(&job->error, RZ_E_ARG, RZ_NO_RANK, 0,
                       "batch.logits: expected memory of GPU %d, got memory of GPU %d",
                       gpu->device.ordinal, ordinal);
    if ((uintptr_t)batch->logits % bytes != 0)
        return rz_fail(&job->error, RZ_E_ARG, RZ_NO_RANK, 0,
                       "batch.logits: expected an address that is a multiple of %zu, got %p", bytes,
                       batch->logits);
    const size_t columns = job->plan.columns[job->local.rank];
    const size_t needed = ((batch->logits_rows - 1) * batch->row_stride + columns) * bytes;
    const size_t there = ordinal >= 0 ? rz_device_bytes_at(&gpu->device, batch->logits) : SIZE_MAX;
    if (needed > there)
        return rz_fail(&job->error, RZ_E_ARG, RZ_NO_RANK, 0,
                       "batch.logits: expected %zu bytes for %u rows, got an allocation of %zu",
                       needed, batch->logits_rows, there);
    if (ordinal >= 0) {
        gpu->logits = (rz_cuda_ptr)(uintptr_t)batch->logits;
        gpu->row_stride = batch->row_stride;
    }
    return RZ_OK;
}

int rz_gpu_check_batch(rz_job *job, const struct rz_batch *batch, bool streamed)
{
    struct rz_gpu *gpu = job->gpu;
    gpu->logits = 0;
    gpu->row_stride = 0;
    if (batch->logits == NULL)
        return RZ_OK;
    int status = rz_device_enter(&gpu->device, &job->error);
    if (status != RZ_OK)
        return status;
    status = check_place(job, batch, streamed);
    rz_device_leave(&gpu->device);
    return status;
}

/* From memory of the host to this rank's buffer. */
static int copy_to_buffer(rz_job *job, const struct rz_batch *batch)
{
    struct rz_gpu *gpu = job->gpu;
    const size_t bytes = rz_plan_logit_bytes(&job->plan);
    const uint32_t rank = job->local.rank;
    if (job->plan.columns[rank] == 0)
        return RZ_OK;
    const struct rz_cuda_copy_2d copy = {
        .from_type = RZ_CUDA_MEMORY_HOST,
        .from_host = batch->logits,
        .from_pitch = batch->row_stride * bytes,
        .to_type = RZ_CUDA_MEMORY_DEVICE,
        .to_device = gpu->comm_ops->buffer(gpu->comm),
        .to_pitch = rz_plan_row_stride(&job->plan, rank) * bytes,
        .width = job->plan.columns[rank] * bytes,
        .height = batch->logits_rows,
    };
    const int code = gpu->cuda.copy_2d(&copy, gpu->device.stream);
    return code == RZ_CUDA_SUCCESS ? RZ_OK
                                   : rz_cuda_fail(&gpu->cuda, code, "cuMemcpy2DAsync", &job->error);
}

/* Of what this rank has launched, so that it is known when nothing of it uses memory any more. In a
 * graph each launch records the event anew. */
static int mark_end(rz_job *job, rz_cuda_stream stream, bool captured)
{
    struct rz_gpu *gpu = job->gpu;
    const int code = gpu->cuda.event_record_flags(gpu->device.done, stream,
                                                  captured ? RZ_CUDA_EVENT_RECORD_EXTERNAL : 0);
    return code == RZ_CUDA_SUCCESS ? RZ_OK
                                   : rz_cuda_fail(&gpu->cuda, code, "cuEventRecord", &job->error);
}

static int hand_in(rz_job *job, const struct rz_batch *batch)
{
    struct rz_gpu *gpu = job->gpu;
    int status = RZ_OK;
    gpu->streamed = gpu->replayed = false;
    if (batch->logits != NULL && gpu->logits == 0)
        status = copy_to_buffer(job, batch);
    /* Rank 0 takes part once all others have come: only then is it known that all have as many
     * rows. */
    if (status != RZ_OK || job->local.rank == 0)
        return status;
    status = rz_gpu_gather(job, gpu->device.stream, job->logits_rows);
    if (status != RZ_OK)
        return status;
    return mark_end(job, gpu->device.stream, false);
}

int rz_gpu_hand_in(rz_job *job, const struct rz_batch *batch)
{
    int status = rz_device_enter(&job->gpu->device, &job->error);
    if (status != RZ_OK)
        return status;
    give_orders(job, 0);
    status = hand_in(job, batch);
    rz_device_leave(&job->gpu->device);
    return status;
}

int rz_gpu_draw(rz_job *job)
{
    struct rz_gpu *gpu = job->gpu;
    int status = rz_device_enter(&gpu->device, &job->error);
    if (status != RZ_OK)
        return status;
    status = rz_gpu_launch_step(job, gpu->device.stream, job->logits_rows, gpu->any_edits, false);
    if (status == RZ_OK)
        status = mark_end(job, gpu->device.stream, false);
    rz_device_leave(&gpu->device);
    return status == RZ_OK ? rz_gpu_wait(job) : status;
}

/* ------------------------------------------------------------------------------------------------
 * A step on a stream of the caller's
 */

/* What is launched is the same whether the stream does it or a graph records it. */
static int launch_all(rz_job *job, rz_cuda_stream stream, uint32_t rows, bool captured)
{
    int status;
    if (job->local.rank == 0) {
        status = rz_gpu_launch_step(job, stream, rows, captured || job->gpu->any_edits, true);
    } else {
        status = rz_gpu_gather(job, stream, rows);
        if (status == RZ_OK)
            status = rz_gpu_launch_take(job, stream, captured);
    }
    const int marked = mark_end(job, stream, captured); /* also of what came before a failure */
    return status == RZ_OK ? marked : status;
}

/* The number of this step's record in the ring. */
static int find_sequence(rz_job *job, uint64_t *sequence)
{
    if (job->local.rank == 0)
        return rz_ring_reserve(&job->meeting.ring, job->deadline_ns, sequence, &job->error);
    *sequence = job->meeting.ring.next;
    return RZ_OK;
}

/* A step has begun: what kernels will be told. */
static int begin_streamed(rz_job *job, bool replayed)
{
    uint64_t sequence = 0;
    const int status = find_sequence(job, &sequence);
    if (status != RZ_OK)
        return status;
    give_orders(job, sequence);
    job->gpu->streamed = true;
    job->gpu->replayed = replayed;
    return RZ_OK;
}

static int enqueue(rz_job *job, const struct rz_batch *batch, rz_cuda_stream stream)
{
    int status = rz_gpu_watch_open(job, &job->error);
    if (status == RZ_OK)
        status = rz_step_start(job, batch);
    if (status != RZ_OK)
        return status;
    status = begin_streamed(job, false);
    if (status == RZ_OK)
        status = launch_all(job, stream, job->logits_rows, false);
    job->gpu->stream = &stream; /* if this fails, it is asked whether it is done with what it has */
    status = rz_step_post(job, NULL, 0, status);
    job->gpu->stream = NULL;
    if (status == RZ_OK)
        rz_gpu_watch_begin(job);
    return status;
}

static bool is_alike(const struct rz_gpu_captured *a, const struct rz_gpu_captured *b)
{
    return a->logits_rows == b->logits_rows && a->row_count == b->row_count &&
           a->logits == b->logits && a->row_stride == b->row_stride;
}

static struct rz_gpu_captured shape_of(const rz_job *job, const struct rz_batch *batch)
{
    return (struct rz_gpu_captured){.logits_rows = batch->logits_rows,
                                    .row_count = job->local.rank == 0 ? batch->row_count : 0,
                                    .logits = job->gpu->logits,
                                    .row_stride = job->gpu->row_stride};
}

static bool was_captured(const struct rz_gpu *gpu, const struct rz_gpu_captured *shape)
{
    for (uint32_t i = 0; i < gpu->captured_count; i++)
        if (is_alike(&gpu->captured[i], shape))
            return true;
    return false;
}

/* Nothing begins. The request is packed for the launches, and forgotten. */
static int capture(rz_job *job, const struct rz_batch *batch, rz_cuda_stream stream)
{
    struct rz_gpu *gpu = job->gpu;
    const struct rz_gpu_captured shape = shape_of(job, batch);
    const bool known = was_captured(gpu, &shape);
    if (!known && gpu->captured_count == RZ_GPU_MOST_CAPTURED)
        return rz_fail(
            &job->error, RZ_E_NOMEM, RZ_NO_RANK, 0,
            "rz_step_enqueue: %u steps that differ have been captured, and no more can be",
            gpu->captured_count);
    int status = rz_step_read_rows(job, batch);
    if (status != RZ_OK)
        return status;
    status = launch_all(job, stream, batch->logits_rows, true);
    if (status != RZ_OK)
        return rz_job_end(job, status);
    if (!known)
        gpu->captured[gpu->captured_count++] = shape;
    return RZ_OK;
}

static int check_job(rz_job *job, const char *call)
{
    const int status = rz_job_check(job, call);
    if (status != RZ_OK || job->gpu != NULL)
        return status;
    return rz_fail(&job->error, RZ_E_UNSUPPORTED, RZ_NO_RANK, 0,
                   "%s: expected a job with backend cuda", call);
}

int rz_step_enqueue(rz_job *job, const struct rz_batch *batch, struct CUstream_st *stream,
                    const int32_t **ids)
{
    struct rz_batch checked;
    bool capturing = false;
    int status = check_job(job, "rz_step_enqueue");
    if (status == RZ_OK && ids == NULL)
        status = rz_fail(&job->error, RZ_E_ARG, RZ_NO_RANK, 0, "ids: expected a pointer, got NULL");
    if (status == RZ_OK)
        status = rz_step_read(job, batch, true, &checked);
    if (status == RZ_OK)
        status = rz_device_enter(&job->gpu->device, &job->error);
    if (status != RZ_OK)
        return status;
    status = rz_device_check_stream(&job->gpu->device, stream, &capturing, &job->error);
    if (status == RZ_E_GPU)
        rz_job_end(job, status);
    if (status == RZ_OK)
        status = capturing ? capture(job, &checked, stream) : enqueue(job, &checked, stream);
    rz_device_leave(&job->gpu->device);
    if (status == RZ_OK)
        *ids = (const int32_t *)(uintptr_t)job->gpu->ids;
    return status;
}

static int check_captured(rz_job *job, const struct rz_batch *batch)
{
    const struct rz_gpu *gpu = job->gpu;
    const struct rz_gpu_captured shape = shape_of(job, batch);
    struct rz_error *err = &job->error;
    if (was_captured(gpu, &shape))
        return RZ_OK;
    const struct rz_gpu_captured *last = &gpu->captured[gpu->captured_count - 1];
    if (shape.logits_rows != last->logits_rows)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "batch.logits_rows: expected %u, as captured, got %u", last->logits_rows,
                       shape.logits_rows);
    if (shape.row_count != last->row_count)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "batch.row_count: expected %u, as captured, got %u", last->row_count,
                       shape.row_count);
    return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                   "batch.logits: expected those that were captured, with the same row_stride");
}

int rz_step_prepare(rz_job *job, const struct rz_batch *batch)
{
    struct rz_batch checked;
    int status = check_job(job, "rz_step_prepare");
    if (status == RZ_OK && job->gpu->captured_count == 0)
        status = rz_fail(&job->error, RZ_E_STATE, RZ_NO_RANK, 0,
                         "rz_step_prepare: expected rz_step_enqueue on a stream that is captured "
                         "before it");
    if (status == RZ_OK)
        status = rz_step_read(job, batch, true, &checked);
    if (status == RZ_OK)
        status = check_captured(job, &checked);
    if (status == RZ_OK)
        status = rz_gpu_watch_open(job, &job->error);
    if (status == RZ_OK)
        status = rz_step_start(job, &checked);
    if (status == RZ_OK)
        status = rz_step_post(job, NULL, 0, begin_streamed(job, true));
    if (status == RZ_OK)
        rz_gpu_watch_begin(job);
    return status;
}
