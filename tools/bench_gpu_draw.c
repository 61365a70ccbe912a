/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_gpu_draw.c - draws from inputs, launched as a job launches them, and what comes of them.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "internal/size_math.h"
#include "kernels/cuda/pack.h"
#include "tools/bench_gpu_set.h"

/* The row of that number on the device. Seeds repeat with the rows, and so do results. */
static struct rz_row_task task_of(const struct rz_bench_tasks *tasks, uint32_t row)
{
    return rz_bench_tasks_row(tasks, row % RZ_BENCH_DISTINCT, 0);
}

/* ------------------------------------------------------------------------------------------------
 * Requests
 */

/* All that the packing of an input needs. */
struct packing {
    struct rz_shard_view shard;
    struct rz_logits_view view;
    struct rz_row_task *tasks; /* [batch] */
    struct rz_cuda_batch batch;
};

static void fill_packing(const struct rz_bench_gpu_draw *draw, uint32_t input, struct packing *p)
{
    const struct rz_bench_gpu_set *set = draw->set;
    const size_t bytes = rz_bench_gpu_set_bytes(set, draw->batch);
    p->shard =
        (struct rz_shard_view){.logits = (const void *)(uintptr_t)(set->logits + input * bytes),
                               .row_stride = set->rows.row_stride,
                               .count = set->rows.vocab};
    p->view = (struct rz_logits_view){.dtype = set->rows.dtype,
                                      .vocab_size = set->rows.vocab,
                                      .shard_count = 1,
                                      .shards = &p->shard};
    p->batch = (struct rz_cuda_batch){.view = &p->view, .tasks = p->tasks, .count = draw->batch};
    for (uint32_t r = 0; r < draw->batch; r++) {
        p->tasks[r] = task_of(draw->tasks, input * draw->batch + r);
        p->tasks[r].logits_row = r;
    }
}

static void pack_input(struct rz_bench_gpu_draw *draw, uint32_t input, const struct packing *p)
{
    const struct rz_bench_gpu_set *set = draw->set;
    const size_t offset = input * draw->block_bytes;
    const struct rz_cuda_pack_memory memory = {.block = (char *)draw->block + offset,
                                               .device =
                                                   (void *)(uintptr_t)(draw->block_copy + offset),
                                               .edits = (void *)(uintptr_t)draw->edits};
    struct rz_cuda_step *step = (struct rz_cuda_step *)(void *)draw->work.arguments + input;
    *step = (struct rz_cuda_step){.ids = (int32_t *)(uintptr_t)set->ids,
                                  .results = (struct rz_result *)(uintptr_t)set->results_at};
    rz_cuda_workspace_place(step, set->rows.vocab, set->most, (void *)(uintptr_t)set->workspace);
    rz_cuda_pack(&p->batch, &memory, step);
}

static int allocate(struct rz_bench_gpu_draw *draw, const struct rz_cuda_pack_size *size,
                    struct rz_complaint *complaint)
{
    const struct rz_bench_gpu *gpu = draw->set->gpu;
    const size_t bytes = draw->work.inputs * draw->block_bytes;
    draw->block = malloc(bytes);
    draw->work.argument_bytes = sizeof(struct rz_cuda_step);
    draw->work.arguments = malloc(draw->work.inputs * draw->work.argument_bytes);
    if (draw->block == NULL || draw->work.arguments == NULL)
        return rz_complain_memory(complaint);
    const int status =
        rz_bench_gpu_allocate(gpu, bytes, "parameters", &draw->block_copy, complaint);
    if (status != RZ_EXIT_OK)
        return status;
    return rz_bench_gpu_allocate(gpu, size->edit_bytes, "edited logits", &draw->edits, complaint);
}

static void plan(struct rz_bench_gpu_draw *draw, bool edits)
{
    const struct rz_bench_gpu_set *set = draw->set;
    const struct rz_cuda_shape shape = {
        .dtype = set->rows.dtype,
        .vocab_size = set->rows.vocab,
        .rows = draw->batch,
        .edits = edits,
        .multiprocessors = (uint32_t)set->gpu->device.multiprocessors,
    };
    rz_cuda_plan_make(&draw->work.plan, &shape);
}

static int pack_all(struct rz_bench_gpu_draw *draw, struct packing *p,
                    struct rz_complaint *complaint)
{
    struct rz_cuda_pack_size size;
    fill_packing(draw, 0, p);
    if (!rz_cuda_pack_measure(&p->batch, &size))
        return rz_complain_memory(complaint);
    draw->block_bytes = rz_round_up(size.block_bytes, 16);
    const int status = allocate(draw, &size, complaint);
    if (status != RZ_EXIT_OK)
        return status;
    for (uint32_t i = 0; i < draw->work.inputs; i++) {
        fill_packing(draw, i, p);
        pack_input(draw, i, p);
    }
    plan(draw, size.edits);
    return rz_bench_gpu_copy(draw->set->gpu, draw->block_copy, (rz_cuda_ptr)(uintptr_t)draw->block,
                             draw->work.inputs * draw->block_bytes, complaint);
}

int rz_bench_gpu_draw_make(const struct rz_bench_gpu_set *set, const struct rz_bench_tasks *tasks,
                           uint32_t batch, struct rz_bench_gpu_draw *draw,
                           struct rz_complaint *complaint)
{
    *draw = (struct rz_bench_gpu_draw){.set = set, .tasks = tasks, .batch = batch};
    draw->work.inputs = rz_bench_gpu_set_inputs(set, batch);
    struct packing p = {.tasks = malloc(batch * sizeof *p.tasks)};
    if (p.tasks == NULL)
        return rz_complain_memory(complaint);
    const int status = pack_all(draw, &p, complaint);
    free(p.tasks);
    return status == RZ_EXIT_OK ? rz_bench_gpu_find(set->gpu, &draw->work, complaint) : status;
}

void rz_bench_gpu_draw_free(struct rz_bench_gpu_draw *draw)
{
    if (draw->set != NULL) {
        rz_device_free(&draw->set->gpu->device, &draw->block_copy);
        rz_device_free(&draw->set->gpu->device, &draw->edits);
    }
    free(draw->block);
    free(draw->work.arguments);
    *draw = (struct rz_bench_gpu_draw){0};
}

/* ------------------------------------------------------------------------------------------------
 * Results
 */

int rz_bench_gpu_expect(const struct rz_bench_gpu_set *set, const struct rz_bench_tasks *tasks,
                        struct rz_result expected[RZ_BENCH_DISTINCT],
                        struct rz_complaint *complaint)
{
    const struct rz_sampler_ops *ops = &rz_sampler_reference;
    const struct rz_shard_view shard = {
        .logits = set->rows.logits, .row_stride = set->rows.row_stride, .count = set->rows.vocab};
    const struct rz_logits_view view = {.dtype = set->rows.dtype,
                                        .vocab_size = set->rows.vocab,
                                        .shard_count = 1,
                                        .shards = &shard};
    struct rz_sampler *sampler = ops->create(set->rows.vocab);
    if (sampler == NULL)
        return rz_complain_memory(complaint);
    for (uint32_t row = 0; row < RZ_BENCH_DISTINCT; row++) {
        const struct rz_row_task task = task_of(tasks, row);
        expected[row].row = 0;
        ops->draw(sampler, &view, &task, &expected[row]);
    }
    ops->destroy(sampler);
    return RZ_EXIT_OK;
}

static_assert(sizeof(struct rz_result) == 200, "no padding: results are compared as bytes");

static bool same_bits(const struct rz_result *a, const struct rz_result *b)
{
    const unsigned char *x = (const void *)a, *y = (const void *)b;
    size_t i = 0;
    while (i < sizeof *a && x[i] == y[i])
        i++;
    return i == sizeof *a;
}

static int check_input(const struct rz_bench_gpu_draw *draw, uint32_t input,
                       const struct rz_result *expected, struct rz_complaint *complaint)
{
    const struct rz_result *results = draw->set->results;
    for (uint32_t r = 0; r < draw->batch; r++) {
        const uint32_t row = (input * draw->batch + r) % RZ_BENCH_DISTINCT;
        struct rz_result result = results[r];
        result.row = expected[row].row; /* the job's, which kernels know nothing of */
        if (same_bits(&result, &expected[row]))
            continue;
        return rz_complain(complaint, RZ_EXIT_FAILED,
                           "%s, batch %u, row %u: expected id %d and all that goes with it, as the "
                           "reference has it, got id %d",
                           draw->tasks->filter->name, draw->batch, row, (int)expected[row].id,
                           (int)result.id);
    }
    return RZ_EXIT_OK;
}

int rz_bench_gpu_draw_check(const struct rz_bench_gpu_draw *draw, const struct rz_result *expected,
                            struct rz_complaint *complaint)
{
    const struct rz_bench_gpu *gpu = draw->set->gpu;
    int status = RZ_EXIT_OK;
    for (uint32_t i = 0; i < draw->work.inputs && status == RZ_EXIT_OK; i++) {
        memset(draw->set->results, 0xff, draw->batch * sizeof(struct rz_result));
        status = rz_bench_gpu_launch(gpu, &draw->work, i, complaint);
        if (status == RZ_EXIT_OK)
            status = rz_bench_gpu_wait(gpu, complaint);
        if (status == RZ_EXIT_OK)
            status = check_input(draw, i, expected, complaint);
    }
    return status;
}
