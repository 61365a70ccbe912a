/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_gpu_set.c - rows on the GPU, and the plain read of them.
 */
#include "tools/bench_gpu_set.h"

#include <stdlib.h>
#include <string.h>

#include "internal/size_math.h"
#include "tools/bench_read.h"

enum {
    LEAST_INPUTS = 3,
    TIMES_L2 = 3, /* bytes of all inputs: what is replaced need not be what is oldest */
    MOST_BLOCKS_OF_SM = 32,
};

/* ------------------------------------------------------------------------------------------------
 * Rows
 */

size_t rz_bench_gpu_set_bytes(const struct rz_bench_gpu_set *set, uint32_t batch)
{
    return (size_t)batch * set->rows.row_stride * rz_bench_item_bytes(set->rows.dtype);
}

uint32_t rz_bench_gpu_set_inputs(const struct rz_bench_gpu_set *set, uint32_t batch)
{
    const size_t inputs = TIMES_L2 * set->gpu->l2_bytes / rz_bench_gpu_set_bytes(set, batch) + 1;
    return inputs > LEAST_INPUTS ? (uint32_t)inputs : LEAST_INPUTS;
}

static uint32_t rows_needed(const struct rz_bench_gpu_set *set, const uint32_t *batches,
                            uint32_t count)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t rows = batches[i] * rz_bench_gpu_set_inputs(set, batches[i]);
        most = rows > most ? rows : most;
    }
    return most;
}

/* The rows of the host, again and again. */
static int fill(const struct rz_bench_gpu_set *set, struct rz_complaint *complaint)
{
    int status = RZ_EXIT_OK;
    for (uint32_t row = 0; row < set->device_rows && status == RZ_EXIT_OK;
         row += RZ_BENCH_DISTINCT) {
        const uint32_t left = set->device_rows - row;
        const uint32_t some = left < RZ_BENCH_DISTINCT ? left : RZ_BENCH_DISTINCT;
        status = rz_bench_gpu_copy(set->gpu, set->logits + rz_bench_gpu_set_bytes(set, row),
                                   (rz_cuda_ptr)(uintptr_t)set->rows.logits,
                                   rz_bench_gpu_set_bytes(set, some), complaint);
    }
    return status;
}

static int make_workspace(struct rz_bench_gpu_set *set, struct rz_complaint *complaint)
{
    const struct rz_bench_gpu *gpu = set->gpu;
    size_t bytes;
    if (!rz_cuda_workspace_bytes(set->rows.vocab, set->most, &bytes))
        return rz_complain_memory(complaint);
    const int status =
        rz_bench_gpu_allocate(gpu, bytes, "the maxima of tiles", &set->workspace, complaint);
    if (status != RZ_EXIT_OK)
        return status;
    return rz_bench_gpu_check(gpu,
                              gpu->cuda.set_words(set->workspace, 0, bytes / 4, gpu->device.stream),
                              "cuMemsetD32Async", complaint);
}

static int make_results(struct rz_bench_gpu_set *set, struct rz_complaint *complaint)
{
    struct rz_error err;
    if (rz_device_pin(&set->gpu->device, set->most * sizeof(struct rz_result), "results",
                      &set->results, &set->results_at, &err) == RZ_OK)
        return RZ_EXIT_OK;
    return rz_complain(complaint, RZ_EXIT_FAILED, "--backend cuda: %s", err.text);
}

int rz_bench_gpu_set_make(const struct rz_bench_gpu *gpu, enum rz_bench_kind kind,
                          enum rz_dtype dtype, uint32_t vocab, const uint32_t *batches,
                          uint32_t count, const struct rz_npy *file, struct rz_bench_gpu_set *set,
                          struct rz_complaint *complaint)
{
    *set = (struct rz_bench_gpu_set){.gpu = gpu};
    int status =
        rz_bench_rows_make(kind, dtype, vocab, RZ_BENCH_DISTINCT, file, &set->rows, complaint);
    if (status != RZ_EXIT_OK)
        return status;
    for (uint32_t i = 0; i < count; i++)
        set->most = batches[i] > set->most ? batches[i] : set->most;
    set->device_rows = rows_needed(set, batches, count);
    const size_t sums = (size_t)gpu->device.multiprocessors * MOST_BLOCKS_OF_SM * sizeof(uint32_t);
    status = rz_bench_gpu_allocate(gpu, rz_bench_gpu_set_bytes(set, set->device_rows), "logits",
                                   &set->logits, complaint);
    if (status == RZ_EXIT_OK)
        status = fill(set, complaint);
    if (status == RZ_EXIT_OK)
        status =
            rz_bench_gpu_allocate(gpu, set->most * sizeof(int32_t), "ids", &set->ids, complaint);
    if (status == RZ_EXIT_OK)
        status = rz_bench_gpu_allocate(gpu, sums, "sums of a plain read", &set->sums, complaint);
    if (status == RZ_EXIT_OK)
        status = make_results(set, complaint);
    return status == RZ_EXIT_OK ? make_workspace(set, complaint) : status;
}

void rz_bench_gpu_set_free(struct rz_bench_gpu_set *set)
{
    if (set->gpu != NULL) {
        const struct rz_device *device = &set->gpu->device;
        struct rz_complaint ignored;
        rz_bench_gpu_wait(set->gpu, &ignored); /* what failed has been said */
        rz_device_free(device, &set->logits);
        rz_device_free(device, &set->workspace);
        rz_device_free(device, &set->ids);
        rz_device_free(device, &set->sums);
        rz_device_unpin(device, &set->results);
    }
    rz_bench_rows_free(&set->rows);
    *set = (struct rz_bench_gpu_set){0};
}

/* ------------------------------------------------------------------------------------------------
 * The plain read
 */

/* The sum of the words of the first input, on the host. */
static uint32_t sum_of_input(const struct rz_bench_gpu_set *set, uint32_t batch)
{
    const size_t words = rz_bench_gpu_set_bytes(set, 1) / sizeof(uint32_t);
    uint32_t all = 0;
    for (uint32_t row = 0; row < batch; row++) {
        const char *from = rz_bench_row(&set->rows, row % RZ_BENCH_DISTINCT);
        for (size_t i = 0; i < words; i++) {
            uint32_t word;
            memcpy(&word, from + i * sizeof word, sizeof word);
            all += word;
        }
    }
    return all;
}

static int check_read(const struct rz_bench_gpu_set *set, uint32_t batch,
                      const struct rz_bench_gpu_work *work, struct rz_complaint *complaint)
{
    uint32_t all = 0;
    const uint32_t count = work->plan.launches[0].grid_x;
    uint32_t *sums = calloc(count, sizeof *sums);
    int status = sums != NULL ? rz_bench_gpu_launch(set->gpu, work, 0, complaint)
                              : rz_complain_memory(complaint);
    if (status == RZ_EXIT_OK)
        status = rz_bench_gpu_copy(set->gpu, (rz_cuda_ptr)(uintptr_t)sums, set->sums,
                                   count * sizeof *sums, complaint);
    for (uint32_t i = 0; i < count && status == RZ_EXIT_OK; i++)
        all += sums[i];
    free(sums);
    if (status == RZ_EXIT_OK && all != sum_of_input(set, batch))
        status =
            rz_complain(complaint, RZ_EXIT_FAILED, "the plain read of %u rows is wrong", batch);
    return status;
}

/* The blocks of a grid with so many on each multiprocessor, but none without a load. */
static uint32_t blocks_of(const struct rz_bench_gpu_set *set, uint32_t of_sm, uint64_t loads)
{
    const uint64_t wanted = (uint64_t)set->gpu->device.multiprocessors * of_sm;
    const uint64_t most = (loads + RZ_BENCH_READ_THREADS - 1) / RZ_BENCH_READ_THREADS;
    return (uint32_t)(wanted < most ? wanted : most);
}

/* The grid of the fewest blocks that no other is faster than by a hundredth. */
static int choose_grid(const struct rz_bench_gpu_set *set, struct rz_bench_gpu_mode mode,
                       uint64_t loads, struct rz_bench_gpu_work *work,
                       struct rz_complaint *complaint)
{
    uint32_t *blocks = &work->plan.launches[0].grid_x, best = 0;
    double least = 0.0;
    int status = RZ_EXIT_OK;
    for (uint32_t of_sm = 1; of_sm <= MOST_BLOCKS_OF_SM && status == RZ_EXIT_OK; of_sm *= 2) {
        struct rz_bench_gpu_timer timer;
        double ns = 0.0;
        *blocks = blocks_of(set, of_sm, loads);
        status = rz_bench_gpu_timer_make(set->gpu, work, mode, &timer, complaint);
        if (status == RZ_EXIT_OK)
            status = rz_bench_gpu_timer_run(&timer, &ns, complaint);
        rz_bench_gpu_timer_free(&timer);
        if (best == 0 || ns < 0.99 * least) {
            least = ns;
            best = *blocks;
        }
        if (*blocks == blocks_of(set, 2 * of_sm, loads))
            break;
    }
    *blocks = best;
    return status;
}

/* Of inputs of so many bytes that follow one another, but for the grid. */
static int begin_read(const struct rz_bench_gpu_set *set, uint32_t inputs, size_t bytes,
                      struct rz_bench_gpu_work *work, struct rz_complaint *complaint)
{
    struct rz_bench_read_args *arguments = calloc(inputs, sizeof *arguments);
    *work = (struct rz_bench_gpu_work){.plan = {.count = 1,
                                                .launches = {{.kernel = "rz_bench_read",
                                                              .grid_x = 1,
                                                              .grid_y = 1,
                                                              .threads = RZ_BENCH_READ_THREADS}}},
                                       .arguments = (char *)arguments,
                                       .argument_bytes = sizeof *arguments,
                                       .inputs = inputs};
    if (arguments == NULL)
        return rz_complain_memory(complaint);
    for (uint32_t i = 0; i < inputs; i++)
        arguments[i] =
            (struct rz_bench_read_args){.from = (const void *)(uintptr_t)(set->logits + i * bytes),
                                        .loads = bytes / RZ_BENCH_READ_BYTES,
                                        .sums = (uint32_t *)(uintptr_t)set->sums};
    return rz_bench_gpu_find(set->gpu, work, complaint);
}

int rz_bench_gpu_read_make(const struct rz_bench_gpu_set *set, uint32_t batch,
                           struct rz_bench_gpu_mode mode, struct rz_bench_gpu_work *work,
                           struct rz_complaint *complaint)
{
    const size_t bytes = rz_bench_gpu_set_bytes(set, batch);
    int status = begin_read(set, rz_bench_gpu_set_inputs(set, batch), bytes, work, complaint);
    if (status == RZ_EXIT_OK)
        status = choose_grid(set, mode, bytes / RZ_BENCH_READ_BYTES, work, complaint);
    if (status == RZ_EXIT_OK)
        status = check_read(set, batch, work, complaint);
    if (status != RZ_EXIT_OK)
        rz_bench_gpu_read_free(work);
    return status;
}

int rz_bench_gpu_flush_make(const struct rz_bench_gpu_set *set, struct rz_bench_gpu_work *work,
                            struct rz_complaint *complaint)
{
    enum { BLOCKS_OF_SM = 8 };
    const size_t bytes = rz_bench_gpu_set_bytes(set, set->device_rows);
    const int status = begin_read(set, 1, bytes, work, complaint);
    work->plan.launches[0].grid_x = blocks_of(set, BLOCKS_OF_SM, bytes / RZ_BENCH_READ_BYTES);
    if (status != RZ_EXIT_OK)
        rz_bench_gpu_read_free(work);
    return status;
}

void rz_bench_gpu_read_free(struct rz_bench_gpu_work *work)
{
    free(work->arguments);
    *work = (struct rz_bench_gpu_work){0};
}
