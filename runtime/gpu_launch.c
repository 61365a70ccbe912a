/* SPDX-License-Identifier: Apache-2.0
 *
 * gpu_launch.c - what is enqueued on a GPU in a step.
 *
 *     rank 0    fetch -> gather -> (await) -> scan, edit, resolve -> publish
 *     others             gather -> (hand_in) -> take
 *
 * In brackets where the gather does not order the streams of processes itself.
 */
#include "runtime/gpu_launch.h"

#include <string.h>

#include "internal/clock.h"
#include "internal/size_math.h"

/* ------------------------------------------------------------------------------------------------
 * Kernels by name
 */

static const char *const names[] = {RZ_GPU_KERNEL_NAMES};
static_assert(sizeof names / sizeof names[0] == RZ_GPU_KERNELS, "as many as there is room for");

int rz_gpu_kernels_find(struct rz_gpu *gpu, struct rz_error *err)
{
    for (uint32_t i = 0; i < RZ_GPU_KERNELS; i++) {
        const int status = rz_gpu_kernels_get(&gpu->loaded, names[i], &gpu->kernels[i], err);
        if (status != RZ_OK)
            return status;
    }
    return RZ_OK;
}

/* With its one argument, a struct by value. */
static int launch_kernel(const struct rz_gpu *gpu, rz_cuda_stream stream,
                         const struct rz_cuda_launch *launch, void *argument, struct rz_error *err)
{
    uint32_t i = 0;
    while (i + 1 < RZ_GPU_KERNELS && strcmp(names[i], launch->kernel) != 0)
        i++;
    const int code = gpu->cuda.launch(gpu->kernels[i], launch->grid_x, launch->grid_y, 1,
                                      launch->threads, 1, 1, 0, stream, &argument, NULL);
    return code == RZ_CUDA_SUCCESS ? RZ_OK : rz_cuda_fail(&gpu->cuda, code, launch->kernel, err);
}

/* ------------------------------------------------------------------------------------------------
 * Exchange with the host and other ranks
 */

/* Where the device finds what the host has at `member` of a struct that both see. */
#define ON_DEVICE(base, type, member) ((void *)(uintptr_t)((base) + offsetof(type, member)))

static struct rz_cuda_orders *orders_of(const struct rz_gpu *gpu)
{
    return ON_DEVICE(gpu->told.at, struct rz_gpu_told, orders);
}

static struct rz_cuda_outcome *outcome_of(const struct rz_gpu *gpu)
{
    return ON_DEVICE(gpu->told.at, struct rz_gpu_told, outcome);
}

static const uint32_t *ended_of(const struct rz_gpu *gpu)
{
    return ON_DEVICE(gpu->control, struct rz_job_control, ended);
}

static rz_cuda_ptr rank_control(const struct rz_gpu *gpu, uint32_t rank)
{
    return gpu->control + offsetof(struct rz_job_control, ranks) +
           rank * sizeof(struct rz_rank_control);
}

/* The ring's data begin with its tail. */
static struct rz_cuda_ring ring_of(const rz_job *job)
{
    const struct rz_ring *ring = &job->meeting.ring;
    return (struct rz_cuda_ring){
        .slots = ON_DEVICE(job->gpu->ring_data + sizeof(struct rz_ring_tail), struct rz_ring_slot,
                           stamp),
        .slot_bytes = ring->slot_bytes,
        .slot_mask = ring->config.slots - 1,
        .tail = ON_DEVICE(job->gpu->ring_data, struct rz_ring_tail, published),
    };
}

static_assert(offsetof(struct rz_ring_slot, kind) == RZ_CUDA_SLOT_KIND, "as kernels have it");
static_assert(offsetof(struct rz_ring_slot, payload) == RZ_CUDA_SLOT_PAYLOAD, "as kernels have it");
static_assert(offsetof(struct rz_record, ids) == RZ_CUDA_RECORD_BYTES &&
                  offsetof(struct rz_record, count) == 8,
              "as kernels have it");

/* ------------------------------------------------------------------------------------------------
 * Launches
 */

static int launch_one(const struct rz_gpu *gpu, rz_cuda_stream stream, const char *kernel,
                      uint32_t blocks, void *argument, struct rz_error *err)
{
    const struct rz_cuda_launch launch = {
        .kernel = kernel, .grid_x = blocks, .grid_y = 1, .threads = RZ_CUDA_EXCHANGE_THREADS};
    return launch_kernel(gpu, stream, &launch, argument, err);
}

static int launch_fetch(rz_job *job, rz_cuda_stream stream)
{
    struct rz_gpu *gpu = job->gpu;
    struct rz_cuda_fetch_args args = {.orders = orders_of(gpu),
                                      .head = (void *)(uintptr_t)gpu->head};
    return launch_one(gpu, stream, "rz_cuda_fetch", RZ_CUDA_FETCH_BLOCKS, &args, &job->error);
}

static int launch_hand_in(rz_job *job, rz_cuda_stream stream)
{
    struct rz_gpu *gpu = job->gpu;
    struct rz_cuda_hand_in_args args = {
        .orders = orders_of(gpu),
        .handed = ON_DEVICE(rank_control(gpu, job->local.rank), struct rz_rank_control, handed)};
    return launch_one(gpu, stream, "rz_cuda_hand_in", 1, &args, &job->error);
}

static int launch_await(rz_job *job, rz_cuda_stream stream)
{
    struct rz_gpu *gpu = job->gpu;
    struct rz_cuda_await_args args = {
        .orders = orders_of(gpu),
        .outcome = outcome_of(gpu),
        .ended = ended_of(gpu),
        .handed = ON_DEVICE(rank_control(gpu, 0), struct rz_rank_control, handed),
        .stride = sizeof(struct rz_rank_control),
        .world = job->plan.world};
    return launch_one(gpu, stream, "rz_cuda_await", 1, &args, &job->error);
}

/* `into_ring`: publish the ids there; in any case say that the step is done. */
static int launch_publish(rz_job *job, rz_cuda_stream stream, bool into_ring)
{
    struct rz_gpu *gpu = job->gpu;
    struct rz_cuda_publish_args args = {
        .orders = orders_of(gpu),
        .outcome = outcome_of(gpu),
        .ended = ended_of(gpu),
        .ids = (const int32_t *)(uintptr_t)gpu->ids,
        .kind = (uint64_t)RZ_RECORD_IDS << 32,
        .ready = ON_DEVICE(rank_control(gpu, 0), struct rz_rank_control, ready),
        .stride = sizeof(struct rz_rank_control),
        .world = job->plan.world,
        .row_count = job->request.row_count};
    if (into_ring)
        args.ring = ring_of(job);
    return launch_one(gpu, stream, "rz_cuda_publish", 1, &args, &job->error);
}

int rz_gpu_gather(rz_job *job, rz_cuda_stream stream, uint32_t rows)
{
    struct rz_gpu *gpu = job->gpu;
    const uint64_t deadline_ns = rz_clock_ns() + job->local.step_timeout_ns;
    int status = gpu->comm_ops->enqueue(gpu->comm, stream, gpu->logits, gpu->row_stride, rows,
                                        deadline_ns, &job->error);
    if (status != RZ_OK || gpu->comm_ops->orders_streams || job->plan.world == 1)
        return status;
    return job->local.rank == 0 ? launch_await(job, stream) : launch_hand_in(job, stream);
}

/* ------------------------------------------------------------------------------------------------
 * Rank 0: the request, as kernels read it
 */

/* Where the shards will be. Only rank 0's own can be elsewhere in another step. */
static void find_parts(rz_job *job, uint32_t rows)
{
    struct rz_gpu *gpu = job->gpu;
    for (uint32_t r = 0; r < job->plan.world; r++) {
        struct rz_stream_comm_part part = gpu->comm_ops->part(gpu->comm, r, rows);
        if (r == 0 && gpu->logits != 0)
            part = (struct rz_stream_comm_part){gpu->logits, gpu->row_stride};
        job->shards[r].logits = (const void *)(uintptr_t)part.logits;
        job->shards[r].row_stride = part.row_stride;
    }
}

/* The block may lie elsewhere in the next step; its beginning, rows and shards, is copied to where
 * a captured launch looks for them. */
static void lead_to_head(struct rz_gpu *gpu, struct rz_cuda_orders *orders)
{
    struct rz_cuda_step *step = &gpu->step;
    const rz_cuda_ptr moved = gpu->head - gpu->block_copy; /* modulo 2^64 */
    const rz_cuda_ptr shards = (rz_cuda_ptr)(uintptr_t)step->logits.shards;
    const size_t end =
        shards - gpu->block_copy + step->logits.shard_count * sizeof *step->logits.shards;
    orders->head_bytes = rz_round_up(end, 16);
    step->logits.shards = (const struct rz_shard_view *)(uintptr_t)(shards + moved);
    step->rows =
        (const struct rz_cuda_row *)(uintptr_t)((rz_cuda_ptr)(uintptr_t)step->rows + moved);
}

int rz_gpu_pack(rz_job *job, uint32_t rows)
{
    struct rz_gpu *gpu = job->gpu;
    struct rz_cuda_pack_size size;
    find_parts(job, rows);
    const struct rz_cuda_batch batch = {
        .view = &job->view, .tasks = job->request.tasks, .count = job->request.row_count};
    if (!rz_cuda_pack_measure(&batch, &size))
        return rz_fail(&job->error, RZ_E_NOMEM, RZ_NO_RANK, 0,
                       "rows: more bytes of parameters than can be counted");
    const int status = rz_gpu_make_room(job, &size);
    if (status != RZ_OK)
        return status;
    const struct rz_cuda_pack_memory memory = {.block = gpu->block.host,
                                               .device = (void *)(uintptr_t)gpu->block_copy,
                                               .edits = (void *)(uintptr_t)gpu->edits};
    gpu->step = (struct rz_cuda_step){.ids = (int32_t *)(uintptr_t)gpu->ids,
                                      .results = (struct rz_result *)(uintptr_t)gpu->results.at};
    rz_cuda_workspace_place(&gpu->step, job->plan.vocab_size, job->plan.max_rows,
                            (void *)(uintptr_t)gpu->workspace);
    rz_cuda_pack(&batch, &memory, &gpu->step);
    gpu->any_edits = size.edits;
    struct rz_cuda_orders *orders = &rz_gpu_told(gpu)->orders;
    orders->fetch_from = (const void *)(uintptr_t)gpu->block.at;
    orders->fetch_to = (void *)(uintptr_t)gpu->block_copy;
    orders->fetch_bytes = rz_round_up(size.block_bytes, 16);
    orders->draw_count = job->request.draw_count;
    orders->row_count = job->request.row_count;
    lead_to_head(gpu, orders);
    return RZ_OK;
}

/* Everything that rank 0's GPU does in a step. */
int rz_gpu_launch_step(rz_job *job, rz_cuda_stream stream, uint32_t rows, bool edits,
                       bool into_ring)
{
    struct rz_gpu *gpu = job->gpu;
    struct rz_cuda_step step = gpu->step;
    const struct rz_cuda_shape shape = {
        .dtype = (enum rz_dtype)job->plan.dtype,
        .vocab_size = job->plan.vocab_size,
        .rows = job->request.row_count,
        .edits = edits,
        .multiprocessors = (uint32_t)gpu->device.multiprocessors,
    };
    struct rz_cuda_plan plan;
    rz_cuda_plan_make(&plan, &shape);
    int status = launch_fetch(job, stream);
    if (status == RZ_OK)
        status = rz_gpu_gather(job, stream, rows);
    for (uint32_t i = 0; i < plan.count && status == RZ_OK; i++)
        status = launch_kernel(gpu, stream, &plan.launches[i], &step, &job->error);
    return status == RZ_OK ? launch_publish(job, stream, into_ring) : status;
}

/* ------------------------------------------------------------------------------------------------
 * Other ranks
 */

/* Without a kernel that waits, where the driver can. A replayed graph would wait for the number
 * that it was captured with: there the kernel waits. */
static int wait_for_ready(rz_job *job, rz_cuda_stream stream)
{
    enum { NOT_SUPPORTED = 801 };
    struct rz_gpu *gpu = job->gpu;
    const rz_cuda_ptr ready =
        rank_control(gpu, job->local.rank) + offsetof(struct rz_rank_control, ready);
    const int code = gpu->cuda.stream_wait_value(
        stream, ready, (uint32_t)rz_gpu_told(gpu)->orders.sequence, RZ_CUDA_WAIT_AT_LEAST);
    if (code == RZ_CUDA_SUCCESS || code == NOT_SUPPORTED)
        return RZ_OK;
    return rz_cuda_fail(&gpu->cuda, code, "cuStreamWaitValue32", &job->error);
}

int rz_gpu_launch_take(rz_job *job, rz_cuda_stream stream, bool captured)
{
    struct rz_gpu *gpu = job->gpu;
    const int status = captured ? RZ_OK : wait_for_ready(job, stream);
    if (status != RZ_OK)
        return status;
    struct rz_cuda_take_args args = {.orders = orders_of(gpu),
                                     .outcome = outcome_of(gpu),
                                     .ended = ended_of(gpu),
                                     .ids = (int32_t *)(uintptr_t)gpu->ids,
                                     .ring = ring_of(job),
                                     .kind = (uint64_t)RZ_RECORD_IDS << 32,
                                     .max_rows = job->plan.max_rows,
                                     .vocab_size = job->plan.vocab_size};
    return launch_one(gpu, stream, "rz_cuda_take", 1, &args, &job->error);
}
