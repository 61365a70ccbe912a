/* SPDX-License-Identifier: Apache-2.0
 *
 * gpu_memory.c - what a rank with a GPU allocates, and when that is free to go.
 */
#include <time.h>

#include "internal/clock.h"
#include "internal/size_math.h"
#include "runtime/gpu_launch.h"

/* Is all that was launched done? */
bool rz_gpu_is_idle(const struct rz_gpu *gpu)
{
    /* Of a graph only the step's outcome tells; it may have been launched or not. */
    if (gpu->replayed && !rz_gpu_is_done(gpu))
        return false;
    /* Anything but "not ready" is an end: also that the context is broken. The event is recorded on
     * whatever stream the last step was. */
    if (gpu->stream != NULL && gpu->cuda.stream_query(*gpu->stream) == RZ_CUDA_NOT_READY)
        return false;
    return gpu->cuda.stream_query(gpu->device.stream) != RZ_CUDA_NOT_READY &&
           gpu->cuda.event_query(gpu->device.done) != RZ_CUDA_NOT_READY;
}

/* Room for the requests of ordinary steps; more is made when a step needs it. */
static size_t usual_block_bytes(const struct rz_plan *plan)
{
    const size_t bitmask = (plan->vocab_size + 31) / 32 * sizeof(uint32_t);
    const size_t lists = 1024; /* a row's: history, bias, stop ids */
    return rz_round_up(plan->max_rows * (sizeof(struct rz_cuda_row) + bitmask + lists) +
                           plan->world * sizeof(struct rz_shard_view) + 4 * plan->vocab_size,
                       16);
}

/* Of rows and shards, each begun at a multiple of 16. */
static size_t head_bytes(const struct rz_plan *plan)
{
    return rz_round_up(plan->max_rows * sizeof(struct rz_cuda_row), 16) +
           rz_round_up(plan->world * sizeof(struct rz_shard_view), 16) + 16;
}

enum { USUAL_EDIT_BYTES = 4 << 20 };

static int make_block(rz_job *job, size_t bytes, struct rz_error *err)
{
    struct rz_gpu *gpu = job->gpu;
    gpu->block_bytes = 0;
    int status = rz_device_pin(&gpu->device, bytes, "the parameters of rows", &gpu->block.host,
                               &gpu->block.at, err);
    if (status == RZ_OK)
        status = rz_device_allocate(&gpu->device, bytes, "the parameters of rows", &gpu->block_copy,
                                    err);
    if (status == RZ_OK)
        gpu->block_bytes = bytes;
    return status;
}

static int make_edits(rz_job *job, size_t bytes, struct rz_error *err)
{
    struct rz_gpu *gpu = job->gpu;
    gpu->edit_bytes = 0;
    const int status = rz_device_allocate(&gpu->device, bytes, "edited logits", &gpu->edits, err);
    if (status == RZ_OK)
        gpu->edit_bytes = bytes;
    return status;
}

/* What it replaces may be in use by a step that is over for the host, and soon will be for the GPU.
 */
static int await_idle(rz_job *job)
{
    const uint64_t deadline_ns = rz_clock_ns() + job->local.step_timeout_ns;
    const struct timespec moment = {.tv_nsec = 100000};
    while (!rz_gpu_is_idle(job->gpu)) {
        if (rz_clock_ns() > deadline_ns)
            return rz_fail(&job->error, RZ_E_TIMEOUT, (int)job->local.rank, 0,
                           "rank %u's GPU is not done with the last step", job->local.rank);
        nanosleep(&moment, NULL);
    }
    return RZ_OK;
}

static int make_room(rz_job *job, const struct rz_cuda_pack_size *size)
{
    struct rz_gpu *gpu = job->gpu;
    int status = await_idle(job);
    if (status == RZ_OK && size->block_bytes > gpu->block_bytes) {
        rz_device_unpin(&gpu->device, &gpu->block.host);
        rz_device_free(&gpu->device, &gpu->block_copy);
        status = make_block(job, 2 * size->block_bytes, &job->error);
    }
    if (status == RZ_OK && size->edit_bytes > gpu->edit_bytes) {
        rz_device_free(&gpu->device, &gpu->edits);
        status = make_edits(job, 2 * size->edit_bytes, &job->error);
    }
    return status;
}

int rz_gpu_make_room(rz_job *job, const struct rz_cuda_pack_size *size)
{
    struct rz_gpu *gpu = job->gpu;
    if (size->block_bytes <= gpu->block_bytes && size->edit_bytes <= gpu->edit_bytes)
        return RZ_OK;
    int status = rz_device_enter(&gpu->device, &job->error);
    if (status != RZ_OK)
        return status;
    status = make_room(job, size);
    rz_device_leave(&gpu->device);
    return status;
}

static int make_workspace(rz_job *job, struct rz_error *err)
{
    const struct rz_plan *plan = &job->plan;
    struct rz_gpu *gpu = job->gpu;
    size_t bytes;
    if (!rz_cuda_workspace_bytes(plan->vocab_size, plan->max_rows, &bytes))
        return rz_fail(err, RZ_E_NOMEM, RZ_NO_RANK, 0,
                       "%u rows of %u ids: more than can be counted", plan->max_rows,
                       plan->vocab_size);
    const int status =
        rz_device_allocate(&gpu->device, bytes, "the maxima of tiles", &gpu->workspace, err);
    if (status != RZ_OK)
        return status;
    const int code = gpu->cuda.set_words(gpu->workspace, 0, bytes / 4, gpu->device.stream);
    return code == RZ_CUDA_SUCCESS ? RZ_OK
                                   : rz_cuda_fail(&gpu->cuda, code, "cuMemsetD32Async", err);
}

static int allocate_for_rank_0(rz_job *job, struct rz_error *err)
{
    const struct rz_plan *plan = &job->plan;
    struct rz_gpu *gpu = job->gpu;
    int status = rz_device_pin(&gpu->device, plan->max_rows * sizeof(struct rz_result), "results",
                               &gpu->results.host, &gpu->results.at, err);
    if (status == RZ_OK)
        status = rz_device_allocate(&gpu->device, head_bytes(plan), "rows", &gpu->head, err);
    if (status == RZ_OK)
        status = make_block(job, usual_block_bytes(plan), err);
    if (status == RZ_OK)
        status = make_edits(job, USUAL_EDIT_BYTES, err);
    if (status == RZ_OK)
        status = make_workspace(job, err);
    job->results = gpu->results.host;
    return status;
}

int rz_gpu_allocate(rz_job *job, struct rz_error *err)
{
    struct rz_gpu *gpu = job->gpu;
    int status = rz_device_pin(&gpu->device, sizeof(struct rz_gpu_told), "a step's orders",
                               &gpu->told.host, &gpu->told.at, err);
    if (status == RZ_OK)
        status = rz_device_allocate(&gpu->device, job->plan.max_rows * sizeof(int32_t), "ids",
                                    &gpu->ids, err);
    if (status == RZ_OK && job->local.rank == 0)
        status = allocate_for_rank_0(job, err);
    return status;
}

void rz_gpu_free(struct rz_gpu *gpu)
{
    const struct rz_device *device = &gpu->device;
    rz_device_free(device, &gpu->ids);
    rz_device_free(device, &gpu->head);
    rz_device_free(device, &gpu->block_copy);
    rz_device_free(device, &gpu->edits);
    rz_device_free(device, &gpu->workspace);
    rz_device_unpin(device, &gpu->told.host);
    rz_device_unpin(device, &gpu->block.host);
    rz_device_unpin(device, &gpu->results.host);
}
