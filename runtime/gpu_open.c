/* SPDX-License-Identifier: Apache-2.0
 *
 * gpu_open.c - what a rank with a GPU allocates, registers and loads, and how it is freed.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal/clock.h"
#include "internal/size_math.h"
#include "kernels/cuda/image.h"
#include "runtime/gpu_launch.h"

/* ------------------------------------------------------------------------------------------------
 * Kernels
 */

static int load_kernels(struct rz_gpu *gpu, struct rz_error *err)
{
    const int status = rz_gpu_kernels_load(&gpu->loaded, &gpu->device, rz_cuda_images, err);
    if (status != RZ_OK)
        return status;
    return rz_gpu_kernels_find(gpu, err);
}

/* ------------------------------------------------------------------------------------------------
 * Memory
 */

/* Room for the requests of ordinary steps; more is made when a step needs it. */
static size_t usual_block_bytes(const struct rz_plan *plan)
{
    const size_t bitmask = (plan->vocab_size + 31) / 32 * sizeof(uint32_t);
    const size_t lists = 1024; /* a row's: history, bias, stop ids */
    return rz_round_up(plan->max_rows * (sizeof(struct rz_cuda_row) + bitmask + lists) +
                           plan->world * sizeof(struct rz_shard_view) + 4 * plan->vocab_size,
                       16);
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

int rz_gpu_make_room(rz_job *job, const struct rz_cuda_pack_size *size)
{
    struct rz_gpu *gpu = job->gpu;
    if (size->block_bytes <= gpu->block_bytes && size->edit_bytes <= gpu->edit_bytes)
        return RZ_OK;
    if (gpu->captured.any)
        return rz_fail(&job->error, RZ_E_NOMEM, RZ_NO_RANK, 0,
                       "rows: expected at most %zu bytes of parameters and %zu of edits, as there "
                       "was room for when a step was captured, got %zu and %zu",
                       gpu->block_bytes, gpu->edit_bytes, size->block_bytes, size->edit_bytes);
    int status = RZ_OK;
    if (size->block_bytes > gpu->block_bytes) {
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
        status = make_block(job, usual_block_bytes(plan), err);
    if (status == RZ_OK)
        status = make_edits(job, USUAL_EDIT_BYTES, err);
    if (status == RZ_OK)
        status = make_workspace(job, err);
    job->results = gpu->results.host;
    return status;
}

static int allocate(rz_job *job, struct rz_error *err)
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

/* What needs no other rank. */
static int open_device(rz_job *job, struct rz_error *err)
{
    struct rz_gpu *gpu = job->gpu;
    int status = rz_cuda_open(&gpu->cuda, err);
    if (status == RZ_OK)
        status = rz_device_open(&gpu->device, &gpu->cuda, job->local.device, job->local.rank, err);
    return status;
}

/* ------------------------------------------------------------------------------------------------
 * With the other ranks
 */

static int share(struct rz_gpu *gpu, void *host, size_t bytes, unsigned flags, rz_cuda_ptr *at,
                 struct rz_error *err)
{
    const struct rz_cuda *cuda = &gpu->cuda;
    int code = cuda->host_register(host, rz_round_up(bytes, rz_segment_page_bytes()),
                                   RZ_CUDA_HOST_PORTABLE | RZ_CUDA_HOST_MAPPED | flags);
    if (code != RZ_CUDA_SUCCESS)
        return rz_cuda_fail(cuda, code, "cuMemHostRegister", err);
    code = cuda->host_device_pointer(at, host, 0);
    if (code == RZ_CUDA_SUCCESS)
        return RZ_OK;
    cuda->host_unregister(host);
    return rz_cuda_fail(cuda, code, "cuMemHostGetDevicePointer", err);
}

/* Let the device use the job's shared memory: what a rank may only read, its device may only read
 * too, if it knows the difference. */
static int share_memory(rz_job *job, struct rz_error *err)
{
    struct rz_gpu *gpu = job->gpu;
    struct rz_meeting *meeting = &job->meeting;
    int knows_read_only = 0;
    unsigned flags = 0;
    int status = share(gpu, meeting->control, sizeof *meeting->control, 0, &gpu->control, err);
    if (status != RZ_OK)
        return status;
    gpu->ring_host = meeting->ring_data;
    const int code = gpu->cuda.device_attribute(&knows_read_only, RZ_CUDA_READ_ONLY_HOST_REGISTER,
                                                gpu->device.device);
    if (code != RZ_CUDA_SUCCESS)
        return rz_cuda_fail(&gpu->cuda, code, "cuDeviceGetAttribute", err);
    if (job->local.rank != 0 && knows_read_only)
        flags = RZ_CUDA_HOST_READ_ONLY;
    else if (job->local.rank != 0)
        status = rz_meeting_map_ring(meeting, &gpu->ring_host, err);
    if (status != RZ_OK)
        return status;
    return share(gpu, gpu->ring_host, meeting->ring_data_bytes, flags, &gpu->ring_data, err);
}

static int peers_wait(void *context, uint32_t rank, const _Atomic uint32_t *word, uint32_t seen,
                      uint64_t deadline_ns, struct rz_error *err)
{
    struct rz_meeting *meeting = context;
    return rz_wait(&meeting->waiter, word, seen, deadline_ns, rank, "tell of its GPU", err);
}

static void peers_raise(void *context, _Atomic uint32_t *word, uint32_t value)
{
    struct rz_meeting *meeting = context;
    rz_wake(&meeting->control->sleepers, RZ_ALL_RANKS, word, value);
}

static int peers_check(void *context, struct rz_error *err)
{
    return rz_meeting_check(context, err);
}

static bool same_device(const struct rz_cuda_uuid *a, const struct rz_cuda_uuid *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* Can this device read the memory of the one with that UUID? It must be visible to this process. */
static bool reaches(const struct rz_gpu *gpu, const struct rz_cuda_uuid *uuid)
{
    const struct rz_cuda *cuda = &gpu->cuda;
    int count = 0, can = 0;
    if (same_device(uuid, &gpu->device.uuid))
        return true;
    if (cuda->device_count(&count) != RZ_CUDA_SUCCESS)
        return false;
    for (int i = 0; i < count; i++) {
        struct rz_cuda_uuid other;
        int device;
        if (cuda->device(&device, i) == RZ_CUDA_SUCCESS &&
            cuda->device_uuid(&other, device) == RZ_CUDA_SUCCESS && same_device(uuid, &other))
            return cuda->device_can_access(&can, gpu->device.device, device) == RZ_CUDA_SUCCESS &&
                   can != 0;
    }
    return false;
}

/* Rank 0, once all have a GPU: what it can read by CUDA IPC it does. */
static int choose_comm(rz_job *job, uint64_t deadline_ns, uint32_t *kind, struct rz_error *err)
{
    struct rz_job_control *control = job->meeting.control;
    bool all = true;
    for (uint32_t r = 1; r < job->plan.world; r++) {
        struct rz_rank_control *rank = &control->ranks[r];
        const int status = peers_wait(&job->meeting, r, &rank->gpu_here, 0, deadline_ns, err);
        if (status != RZ_OK)
            return status;
        const struct rz_cuda_uuid uuid = rank->gpu_uuid;
        all = all && reaches(job->gpu, &uuid);
    }
    *kind = job->plan.comm;
    if (*kind == RZ_COMM_AUTO)
        *kind = all ? RZ_COMM_CUDA_IPC : RZ_COMM_NCCL;
    peers_raise(&job->meeting, &control->gpu_comm, 1 + *kind);
    return RZ_OK;
}

/* The others do as it says. */
static int agree_on_comm(rz_job *job, uint64_t deadline_ns, uint32_t *kind, struct rz_error *err)
{
    struct rz_job_control *control = job->meeting.control;
    struct rz_rank_control *mine = &control->ranks[job->local.rank];
    if (job->local.rank == 0)
        return choose_comm(job, deadline_ns, kind, err);
    mine->gpu_uuid = job->gpu->device.uuid;
    peers_raise(&job->meeting, &mine->gpu_here, 1);
    const int status = peers_wait(&job->meeting, 0, &control->gpu_comm, 0, deadline_ns, err);
    if (status != RZ_OK)
        return status;
    /* relaxed: rz_wait() has acquired. */
    *kind = atomic_load_explicit(&control->gpu_comm, memory_order_relaxed) - 1;
    if (*kind != RZ_COMM_NCCL && *kind != RZ_COMM_CUDA_IPC)
        return rz_fail(err, RZ_E_CORRUPT, 0, 0, "comm: expected nccl or cuda_ipc, got %u", *kind);
    return RZ_OK;
}

static int open_comm(rz_job *job, struct rz_error *err)
{
    const struct rz_plan *plan = &job->plan;
    struct rz_gpu *gpu = job->gpu;
    struct rz_stream_comm_config config = {
        .rank = job->local.rank,
        .world = plan->world,
        .max_rows = plan->max_rows,
        .logit_bytes = rz_plan_logit_bytes(plan),
        .peers = {.context = &job->meeting,
                  .wait = peers_wait,
                  .raise = peers_raise,
                  .check = peers_check},
        .cuda = &gpu->cuda,
        .device = gpu->device.device,
        .open_deadline_ns = rz_clock_ns() + job->local.open_timeout_ns,
    };
    for (uint32_t r = 0; r < plan->world; r++) {
        config.columns[r] = plan->columns[r];
        config.row_stride[r] = rz_plan_row_stride(plan, r);
        config.lines[r] = &job->meeting.control->ranks[r].gpu;
    }
    uint32_t kind;
    int status = agree_on_comm(job, config.open_deadline_ns, &kind, err);
    if (status != RZ_OK)
        return status;
    gpu->comm_ops = kind == RZ_COMM_NCCL ? &rz_stream_comm_nccl : &rz_stream_comm_ipc;
    return gpu->comm_ops->open(&config, &gpu->comm, err);
}

/* A rank that waits for another one is in vain if its own GPU has failed. */
static int watch(void *context, struct rz_error *err)
{
    rz_job *job = context;
    const int status = rz_meeting_check(&job->meeting, err);
    return status == RZ_OK ? rz_gpu_check(job, err) : status;
}

int rz_gpu_open(rz_job *job, struct rz_error *err)
{
    job->gpu = calloc(1, sizeof *job->gpu);
    if (job->gpu == NULL)
        return rz_fail(err, RZ_E_NOMEM, RZ_NO_RANK, 0, "no memory for a GPU's part of a job");
    struct rz_gpu *gpu = job->gpu;
    int status = open_device(job, err);
    if (status == RZ_OK)
        status = rz_device_enter(&gpu->device, err);
    if (status != RZ_OK)
        return status;
    status = load_kernels(gpu, err);
    if (status == RZ_OK)
        status = allocate(job, err);
    if (status == RZ_OK)
        status = share_memory(job, err);
    if (status == RZ_OK)
        status = open_comm(job, err);
    rz_device_leave(&gpu->device);
    if (status == RZ_OK) {
        job->meeting.waiter.watch = watch;
        job->meeting.waiter.watch_context = job;
    }
    return status;
}

/* ------------------------------------------------------------------------------------------------
 * The end
 */

/* Is all that was launched done? */
static bool is_idle(const struct rz_gpu *gpu)
{
    /* Anything but "not ready" is an end: also that the context is broken. The event is recorded on
     * whatever stream the last step was. */
    if (gpu->stream != NULL && gpu->cuda.stream_query(*gpu->stream) == RZ_CUDA_NOT_READY)
        return false;
    return gpu->cuda.stream_query(gpu->device.stream) != RZ_CUDA_NOT_READY &&
           gpu->cuda.event_query(gpu->device.done) != RZ_CUDA_NOT_READY;
}

/* The job is over: kernels that wait for others see it, and NCCL is told. */
static void stop(struct rz_gpu *gpu)
{
    enum { PATIENCE_MS = 2000 };
    const struct timespec moment = {.tv_nsec = 1000000};
    if (gpu->comm != NULL)
        gpu->comm_ops->abort(gpu->comm);
    for (uint32_t ms = 0; ms < PATIENCE_MS && !is_idle(gpu); ms++)
        nanosleep(&moment, NULL);
    gpu->stuck = gpu->stuck || !is_idle(gpu);
}

void rz_gpu_stop(rz_job *job)
{
    if (job->gpu == NULL || rz_device_enter(&job->gpu->device, NULL) != RZ_OK)
        return;
    stop(job->gpu);
    rz_device_leave(&job->gpu->device);
}

static void free_memory(struct rz_gpu *gpu, struct rz_meeting *meeting)
{
    const struct rz_device *device = &gpu->device;
    rz_device_free(device, &gpu->ids);
    rz_device_free(device, &gpu->block_copy);
    rz_device_free(device, &gpu->edits);
    rz_device_free(device, &gpu->workspace);
    rz_device_unpin(device, &gpu->told.host);
    rz_device_unpin(device, &gpu->block.host);
    rz_device_unpin(device, &gpu->results.host);
    if (gpu->control != 0)
        gpu->cuda.host_unregister(meeting->control);
    if (gpu->ring_data != 0)
        gpu->cuda.host_unregister(gpu->ring_host);
    rz_gpu_kernels_unload(&gpu->loaded);
}

void rz_gpu_close(rz_job *job)
{
    struct rz_gpu *gpu = job->gpu;
    if (gpu == NULL)
        return;
    job->gpu = NULL;
    if (gpu->device.context != NULL) {
        if (rz_device_enter(&gpu->device, NULL) != RZ_OK)
            return; /* nothing can be freed, nor can be told what is in use */
        stop(gpu);
        if (!gpu->stuck) {
            if (gpu->comm != NULL)
                gpu->comm_ops->close(gpu->comm);
            free_memory(gpu, &job->meeting);
        }
        rz_device_leave(&gpu->device);
    }
    if (gpu->stuck)
        return;
    rz_device_close(&gpu->device);
    free(gpu);
}

void *rz_gpu_logits(const rz_job *job)
{
    return (void *)(uintptr_t)job->gpu->comm_ops->buffer(job->gpu->comm);
}
