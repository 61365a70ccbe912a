/* SPDX-License-Identifier: Apache-2.0
 *
 * plan.c - launches of a step, and the memory that it works in.
 */
#include "kernels/cuda/plan.h"

#include <assert.h>

#include "internal/size_math.h"
#include "kernels/floats.h"

/* ------------------------------------------------------------------------------------------------
 * Launches
 */

static uint32_t ceil_div(uint32_t a, uint32_t b)
{
    return (a + b - 1) / b;
}

static uint32_t between(uint32_t least, uint32_t value, uint32_t most)
{
    return value < least ? least : value > most ? most : value;
}

enum {
    FEW_THREADS = 512,  /* of a block where a multiprocessor has one at most: rows end sooner */
    MANY_THREADS = 256, /* where it has several: while one draws, others read */
    BLOCKS_OF_SM = 8,   /* where it has several, one after the other, so that the last end early */
    LEAST_LOADS = 64,   /* of 16 bytes, that make a block */
    MOST_LOADS = 8192,  /* that a block has where there are enough of them */
    ROWS_OF_SM = 16,    /* with so many it no longer matters that drawing and reading overlap; the
                           kernels that do one thing have more threads on a multiprocessor */
};

/* Blocks that a row is divided over: few rows over all multiprocessors, many over as few as keep
 * all of them busy to the end. */
static uint32_t blocks_of_row(const struct rz_cuda_shape *shape)
{
    const uint32_t loads = rz_tile_count(shape->vocab_size) * (shape->dtype == RZ_F32 ? 4 : 2);
    const uint32_t most = ceil_div(loads, LEAST_LOADS);
    if (shape->rows <= shape->multiprocessors)
        return between(1, shape->multiprocessors / shape->rows, most);
    return between(ceil_div(loads, MOST_LOADS),
                   ceil_div(shape->multiprocessors * BLOCKS_OF_SM, shape->rows), most);
}

static void add(struct rz_cuda_plan *plan, const char *kernel, uint32_t grid_x, uint32_t grid_y,
                uint32_t threads)
{
    assert(plan->count < RZ_CUDA_MOST_LAUNCHES);
    plan->launches[plan->count++] = (struct rz_cuda_launch){
        .kernel = kernel, .grid_x = grid_x, .grid_y = grid_y, .threads = threads};
}

void rz_cuda_plan_make(struct rz_cuda_plan *plan, const struct rz_cuda_shape *shape)
{
    static const char *const scans[] = {[RZ_F32] = "rz_cuda_scan_f32",
                                        [RZ_F16] = "rz_cuda_scan_f16",
                                        [RZ_BF16] = "rz_cuda_scan_bf16"};
    static const char *const samples[] = {[RZ_F32] = "rz_cuda_sample_f32",
                                          [RZ_F16] = "rz_cuda_sample_f16",
                                          [RZ_BF16] = "rz_cuda_sample_bf16"};
    const uint32_t blocks = blocks_of_row(shape), rows = shape->rows;
    const uint32_t threads = rows <= shape->multiprocessors ? FEW_THREADS : MANY_THREADS;
    *plan = (struct rz_cuda_plan){.count = 0};
    if (rows / shape->multiprocessors < ROWS_OF_SM) {
        add(plan, samples[shape->dtype], blocks, rows, threads);
        return;
    }
    add(plan, scans[shape->dtype], blocks, rows, threads);
    if (shape->edits)
        add(plan, "rz_cuda_edit_rows", rows, 1, threads);
    add(plan, "rz_cuda_resolve", rows, 1, threads);
}

/* ------------------------------------------------------------------------------------------------
 * Workspace
 */

enum { ARRAYS = 4, ALIGNMENT = 16 };

/* Bytes of one row, in the order in which the arrays lie. All elements have 4. */
static void bytes_of_row(uint32_t vocab_size, size_t bytes[ARRAYS])
{
    bytes[0] = sizeof(uint32_t);
    bytes[1] = bytes[2] = rz_tile_count(vocab_size) * sizeof(float);
    bytes[3] = rz_cuda_tile_words(vocab_size) * sizeof(uint32_t);
}

bool rz_cuda_workspace_bytes(uint32_t vocab_size, uint32_t rows, size_t *bytes)
{
    size_t of_row[ARRAYS], total, one = ARRAYS * ALIGNMENT;
    bytes_of_row(vocab_size, of_row);
    for (uint32_t i = 0; i < ARRAYS; i++)
        one += of_row[i];
    if (!rz_size_mul(one, rows, &total))
        return false;
    *bytes = total;
    return true;
}

void rz_cuda_workspace_place(struct rz_cuda_step *step, uint32_t vocab_size, uint32_t rows,
                             void *memory)
{
    size_t of_row[ARRAYS];
    char *at[ARRAYS + 1];
    bytes_of_row(vocab_size, of_row);
    at[0] = memory;
    for (uint32_t i = 0; i < ARRAYS; i++)
        at[i + 1] = at[i] + rz_round_up(of_row[i] * rows, ALIGNMENT);
    step->scanned = (void *)at[0];
    step->tile_max = (void *)at[1];
    step->raw_max = (void *)at[2];
    step->edited_tiles = (void *)at[3];
}
