/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench_gpu_step.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "internal/size_math.h"
#include "kernels/cuda/exchange.h"
#include "runtime/record.h"
#include "tools/bench_read.h"

/* In pinned memory, and after it the parameters. The ring has one slot. */
struct told {
    struct rz_cuda_orders orders;
    alignas(64) struct rz_cuda_outcome published;
    alignas(64) struct rz_cuda_outcome taken;
    alignas(64) uint32_t ended;
    alignas(64) uint32_t ready;
    alignas(64) uint32_t tail;
    alignas(
        64) char slot[RZ_CUDA_SLOT_PAYLOAD + RZ_CUDA_RECORD_BYTES + RZ_MAX_ROWS * sizeof(int32_t)];
    alignas(64) char block[];
};

static const uint64_t kind = (uint64_t)RZ_RECORD_IDS << 32;

static struct told *told(const struct rz_bench_gpu_step *step)
{
    return step->pinned;
}

/* Where the device finds what the host has at `member`. */
#define ON_DEVICE(step, member) \
    ((void *)(uintptr_t)((step)->pinned_at + offsetof(struct told, member)))

/* ------------------------------------------------------------------------------------------------
 * Begin and end
 */

static int pin(struct rz_bench_gpu_step *step, struct rz_complaint *complaint)
{
    struct rz_error err;
    const struct rz_bench_gpu_draw *draw = step->draw;
    if (rz_device_pin(&draw->set->gpu->device, sizeof(struct told) + draw->block_bytes,
                      "a step's orders", &step->pinned, &step->pinned_at, &err) != RZ_OK)
        return rz_complain(complaint, RZ_EXIT_FAILED, "--backend cuda: %s", err.text);
    memcpy(told(step)->block, draw->block, draw->block_bytes);
    told(step)->orders = (struct rz_cuda_orders){.patience_ns = 10000000000u,
                                                 .fetch_from = ON_DEVICE(step, block),
                                                 .fetch_to = (void *)(uintptr_t)draw->block_copy,
                                                 .fetch_bytes = draw->block_bytes,
                                                 .logits_rows = draw->batch,
                                                 .draw_count = draw->batch,
                                                 .row_count = draw->batch};
    return RZ_EXIT_OK;
}

static int find(const struct rz_bench_gpu_step *step, const char *name, rz_cuda_function *function,
                struct rz_complaint *complaint)
{
    struct rz_error err;
    if (rz_gpu_kernels_get(&step->draw->set->gpu->kernels, name, function, &err) == RZ_OK)
        return RZ_EXIT_OK;
    return rz_complain(complaint, RZ_EXIT_FAILED, "--backend cuda: %s", err.text);
}

static int find_all(struct rz_bench_gpu_step *step, struct rz_complaint *complaint)
{
    int status = find(step, "rz_cuda_fetch", &step->fetch, complaint);
    if (status == RZ_EXIT_OK)
        status = find(step, "rz_cuda_publish", &step->publish, complaint);
    return status == RZ_EXIT_OK ? find(step, "rz_cuda_take", &step->take, complaint) : status;
}

static int make_events(struct rz_bench_gpu_step *step, struct rz_complaint *complaint)
{
    const struct rz_cuda_plan *plan = &step->draw->work.plan;
    const struct rz_bench_gpu *gpu = step->draw->set->gpu;
    step->stages[step->stage_count++] = "fetch";
    for (uint32_t i = 0; i < plan->count; i++)
        step->stages[step->stage_count++] = plan->launches[i].kernel + strlen("rz_cuda_");
    step->stages[step->stage_count++] = "publish";
    step->stages[step->stage_count++] = "take";
    step->stages[step->stage_count++] = "nothing";
    int code = RZ_CUDA_SUCCESS;
    for (uint32_t i = 0; i <= step->stage_count && code == RZ_CUDA_SUCCESS; i++)
        code = gpu->cuda.event_create(&step->events[i], RZ_CUDA_EVENT_TIMED);
    return rz_bench_gpu_check(gpu, code, "cuEventCreate", complaint);
}

int rz_bench_gpu_step_make(const struct rz_bench_gpu_draw *draw, struct rz_bench_gpu_step *step,
                           struct rz_complaint *complaint)
{
    *step = (struct rz_bench_gpu_step){.draw = draw};
    int status = pin(step, complaint);
    if (status == RZ_EXIT_OK)
        status = rz_bench_gpu_allocate(draw->set->gpu, draw->batch * sizeof(int32_t), "ids",
                                       &step->taken, complaint);
    if (status == RZ_EXIT_OK)
        status = find_all(step, complaint);
    if (status == RZ_EXIT_OK)
        status = make_events(step, complaint);
    return status == RZ_EXIT_OK ? rz_bench_gpu_flush_make(draw->set, &step->flush, complaint)
                                : status;
}

void rz_bench_gpu_step_free(struct rz_bench_gpu_step *step)
{
    const struct rz_device *device = &step->draw->set->gpu->device;
    struct rz_complaint ignored;
    rz_bench_gpu_wait(step->draw->set->gpu, &ignored); /* what failed has been said */
    for (uint32_t i = 0; i <= RZ_BENCH_MOST_STAGES; i++)
        if (step->events[i] != NULL)
            device->cuda->event_destroy(step->events[i]);
    rz_device_free(device, &step->taken);
    rz_device_unpin(device, &step->pinned);
    rz_bench_gpu_read_free(&step->flush);
    *step = (struct rz_bench_gpu_step){0};
}

/* ------------------------------------------------------------------------------------------------
 * A step
 */

static int launch(const struct rz_bench_gpu *gpu, rz_cuda_function function, uint32_t blocks,
                  void *argument, const char *name, struct rz_complaint *complaint)
{
    const int code = gpu->cuda.launch(function, blocks, 1, 1, RZ_CUDA_EXCHANGE_THREADS, 1, 1, 0,
                                      gpu->device.stream, &argument, NULL);
    return rz_bench_gpu_check(gpu, code, name, complaint);
}

static int fetch(const struct rz_bench_gpu_step *step, struct rz_complaint *complaint)
{
    struct rz_cuda_fetch_args args = {.orders = ON_DEVICE(step, orders)};
    return launch(step->draw->set->gpu, step->fetch, RZ_CUDA_FETCH_BLOCKS, &args, "rz_cuda_fetch",
                  complaint);
}

static struct rz_cuda_ring ring_of(const struct rz_bench_gpu_step *step)
{
    return (struct rz_cuda_ring){.slots = ON_DEVICE(step, slot),
                                 .slot_bytes = sizeof told(step)->slot,
                                 .tail = ON_DEVICE(step, tail)};
}

static int publish(const struct rz_bench_gpu_step *step, struct rz_complaint *complaint)
{
    struct rz_cuda_publish_args args = {.orders = ON_DEVICE(step, orders),
                                        .outcome = ON_DEVICE(step, published),
                                        .ended = ON_DEVICE(step, ended),
                                        .ids = (const int32_t *)(uintptr_t)step->draw->set->ids,
                                        .ring = ring_of(step),
                                        .kind = kind,
                                        .ready = ON_DEVICE(step, ready),
                                        .world = 1,
                                        .row_count = step->draw->batch};
    return launch(step->draw->set->gpu, step->publish, 1, &args, "rz_cuda_publish", complaint);
}

static int take(const struct rz_bench_gpu_step *step, struct rz_complaint *complaint)
{
    struct rz_cuda_take_args args = {.orders = ON_DEVICE(step, orders),
                                     .outcome = ON_DEVICE(step, taken),
                                     .ended = ON_DEVICE(step, ended),
                                     .ids = (int32_t *)(uintptr_t)step->taken,
                                     .ring = ring_of(step),
                                     .kind = kind,
                                     .max_rows = step->draw->batch,
                                     .vocab_size = step->draw->set->rows.vocab};
    return launch(step->draw->set->gpu, step->take, 1, &args, "rz_cuda_take", complaint);
}

static int launch_stage(const struct rz_bench_gpu_step *step, uint32_t stage,
                        struct rz_complaint *complaint)
{
    const uint32_t kernels = step->draw->work.plan.count;
    if (stage == 0)
        return fetch(step, complaint);
    if (stage <= kernels)
        return rz_bench_gpu_launch_one(step->draw->set->gpu, &step->draw->work, stage - 1, 0,
                                       complaint);
    if (stage == kernels + 1)
        return publish(step, complaint);
    return stage == kernels + 2 ? take(step, complaint) : RZ_EXIT_OK;
}

static int enqueue(struct rz_bench_gpu_step *step, struct rz_complaint *complaint)
{
    const struct rz_bench_gpu *gpu = step->draw->set->gpu;
    struct told *t = told(step);
    t->orders.sequence = t->orders.step = ++step->sequence;
    t->published.state = t->taken.state = RZ_CUDA_PENDING;
    int status = RZ_EXIT_OK;
    for (uint32_t i = 0; i < 2 && status == RZ_EXIT_OK; i++)
        status = rz_bench_gpu_launch(gpu, &step->flush, 0, complaint);
    for (uint32_t stage = 0; stage <= step->stage_count && status == RZ_EXIT_OK; stage++) {
        status =
            rz_bench_gpu_check(gpu, gpu->cuda.event_record(step->events[stage], gpu->device.stream),
                               "cuEventRecord", complaint);
        if (status == RZ_EXIT_OK && stage < step->stage_count)
            status = launch_stage(step, stage, complaint);
    }
    const int waited = rz_bench_gpu_wait(gpu, complaint);
    return status == RZ_EXIT_OK ? waited : status;
}

static int check_taken(const struct rz_bench_gpu_step *step, const struct rz_result *expected,
                       struct rz_complaint *complaint)
{
    const struct told *t = told(step);
    const struct rz_bench_gpu_draw *draw = step->draw;
    int32_t *ids = malloc(draw->batch * sizeof *ids);
    if (ids == NULL)
        return rz_complain_memory(complaint);
    int status = rz_bench_gpu_copy(draw->set->gpu, (rz_cuda_ptr)(uintptr_t)ids, step->taken,
                                   draw->batch * sizeof *ids, complaint);
    bool same = t->published.state == RZ_CUDA_DONE && t->taken.state == RZ_CUDA_DONE &&
                t->taken.count == draw->batch;
    for (uint32_t r = 0; r < draw->batch && status == RZ_EXIT_OK; r++)
        same = same && ids[r] == expected[r % RZ_BENCH_DISTINCT].id;
    free(ids);
    if (status == RZ_EXIT_OK && !same)
        status = rz_complain(complaint, RZ_EXIT_FAILED,
                             "%s, batch %u: the ids that came out of the ring are not those of the "
                             "reference",
                             draw->tasks->filter->name, draw->batch);
    return status;
}

int rz_bench_gpu_step_run(struct rz_bench_gpu_step *step, const struct rz_result *expected,
                          double ns[RZ_BENCH_MOST_STAGES], struct rz_complaint *complaint)
{
    const struct rz_bench_gpu *gpu = step->draw->set->gpu;
    int status = enqueue(step, complaint);
    for (uint32_t stage = 0; stage < step->stage_count && status == RZ_EXIT_OK; stage++) {
        float ms = 0.0f;
        status = rz_bench_gpu_check(
            gpu, gpu->cuda.event_elapsed_ms(&ms, step->events[stage], step->events[stage + 1]),
            "cuEventElapsedTime", complaint);
        ns[stage] = (double)ms * 1e6;
    }
    return status == RZ_EXIT_OK ? check_taken(step, expected, complaint) : status;
}
