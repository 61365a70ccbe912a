/* SPDX-License-Identifier: Apache-2.0
 *
 * gpu_open.c - what a rank with a GPU allocates, registers and loads, and how it is freed.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal/clock.h"
#include "internal/size_math.h"
#include "ipc/liveness.h"
#include "kernels/cuda/image.h"
#include "runtime/gpu_launch.h"
#include "runtime/gpu_watch.h"

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
 * This rank's own
 */

/* What needs no other rank. */
static int open_device(rz_job *job, struct rz_error *err)
{
    struct rz_gpu *gpu = job->gpu;
    /* First what no driver or GPU would help against. */
    int status = rz_gpu_kernels_exist(rz_cuda_images, err);
    if (status == RZ_OK)
        status = rz_cuda_open(&gpu->cuda, err);
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
    struct rz_meeting *meeting = context;
    struct rz_error why = {.rank = RZ_NO_RANK};
    const int status = rz_meeting_check(meeting, &why);
    /* A death is told before all that the process had open is closed, memory of other ranks' GPUs
     * too: for who is about to free that, it is over when the lock is gone. */
    if (status == RZ_E_PEER_DIED && why.rank >= 0 &&
        rz_liveness_held(meeting->segment.fd, (uint32_t)why.rank))
        return RZ_OK;
    if (status != RZ_OK && err != NULL)
        *err = why;
    return status;
}

/* Can this device read the memory of the one with that UUID? It must be visible to this process. */
static bool reaches(const struct rz_gpu *gpu, const struct rz_cuda_uuid *uuid)
{
    const struct rz_cuda *cuda = &gpu->cuda;
    if (memcmp(uuid, &gpu->device.uuid, sizeof *uuid) == 0)
        return true;
    const int device = rz_device_of_uuid(cuda, uuid);
    int can = 0;
    return device >= 0 &&
           cuda->device_can_access(&can, gpu->device.device, device) == RZ_CUDA_SUCCESS && can != 0;
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
        status = rz_gpu_allocate(job, err);
    if (status == RZ_OK)
        status = share_memory(job, err);
    if (status == RZ_OK)
        status = open_comm(job, err);
    /* Steps on other streams come after what was done to memory here. */
    const int code = status == RZ_OK ? gpu->cuda.stream_synchronize(gpu->device.stream) : 0;
    if (code != RZ_CUDA_SUCCESS)
        status = rz_cuda_fail(&gpu->cuda, code, "cuStreamSynchronize", err);
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

/* The job is over: kernels that wait for others see it, and NCCL is told. A stream that waits by
 * value is released here too: who ended the job may have died before it did, and rank 0's GPU may
 * have put back the number of the last step. */
static void stop(rz_job *job)
{
    enum { PATIENCE_MS = 2000 };
    const struct timespec moment = {.tv_nsec = 1000000};
    struct rz_gpu *gpu = job->gpu;
    rz_gpu_watch_lock(gpu);
    if (gpu->comm != NULL)
        gpu->comm_ops->abort(gpu->comm);
    rz_gpu_watch_unlock(gpu);
    for (uint32_t ms = 0; ms < PATIENCE_MS && !rz_gpu_is_idle(gpu); ms++) {
        rz_meeting_release(&job->meeting, (uint32_t)rz_gpu_told(gpu)->orders.sequence);
        nanosleep(&moment, NULL);
    }
    gpu->stuck = !rz_gpu_is_idle(gpu);
}

void rz_gpu_stop(rz_job *job)
{
    if (job->gpu == NULL || rz_device_enter(&job->gpu->device, NULL) != RZ_OK)
        return;
    stop(job);
    rz_device_leave(&job->gpu->device);
}

/* In the device's context. */
static void free_all(rz_job *job)
{
    struct rz_gpu *gpu = job->gpu;
    if (gpu->comm != NULL)
        gpu->comm_ops->close(gpu->comm);
    rz_gpu_free(gpu);
    if (gpu->control != 0)
        gpu->cuda.host_unregister(job->meeting.control);
    if (gpu->ring_data != 0)
        gpu->cuda.host_unregister(gpu->ring_host);
    rz_gpu_kernels_unload(&gpu->loaded);
}

void rz_gpu_close(rz_job *job)
{
    struct rz_gpu *gpu = job->gpu;
    if (gpu == NULL)
        return;
    rz_gpu_watch_close(gpu);
    if (gpu->device.context != NULL) {
        gpu->stuck = rz_device_enter(&gpu->device, NULL) != RZ_OK;
        if (!gpu->stuck) {
            if (gpu->told.host != NULL)
                stop(job);
            if (!gpu->stuck)
                free_all(job);
            rz_device_leave(&gpu->device);
        }
    }
    job->gpu = NULL;
    if (gpu->stuck) { /* what the GPU still uses stays, shared memory too */
        job->meeting.mapped_count = 0;
        return;
    }
    rz_device_close(&gpu->device);
    free(gpu);
}

void *rz_gpu_logits(const rz_job *job)
{
    return (void *)(uintptr_t)job->gpu->comm_ops->buffer(job->gpu->comm);
}
