/* SPDX-License-Identifier: Apache-2.0
 *
 * plan.h - which kernels of kernels.h a step launches, with which grids, and the device memory that
 * they work in. Plain C: needs no CUDA.
 */
#ifndef RZ_KERNELS_CUDA_PLAN_H
#define RZ_KERNELS_CUDA_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/cuda/kernels.h"

enum { RZ_CUDA_MOST_LAUNCHES = 3 };

struct rz_cuda_launch {
    const char *kernel; /* a name of kernels.h; static */
    uint32_t grid_x, grid_y;
    uint32_t threads; /* of a block */
};

/* Launches, one after the other in one stream, each with the same struct rz_cuda_step. */
struct rz_cuda_plan {
    uint32_t count;
    struct rz_cuda_launch launches[RZ_CUDA_MOST_LAUNCHES];
};

/* What the choice of launches depends on; results don't. */
struct rz_cuda_shape {
    enum rz_dtype dtype;
    uint32_t vocab_size;
    uint32_t rows;            /* 1 .. RZ_CUDA_MOST_ROWS */
    bool edits;               /* some row has edit_slots */
    uint32_t multiprocessors; /* of the device */
};

void rz_cuda_plan_make(struct rz_cuda_plan *plan, const struct rz_cuda_shape *shape);

/* rz_cuda_workspace_bytes - device memory that steps of up to `rows` rows work in, whatever their
 * plans; false if that is more than a size_t holds. All of it is set to zero once, before the first
 * step. It belongs to one step at a time. */
bool rz_cuda_workspace_bytes(uint32_t vocab_size, uint32_t rows, size_t *bytes);

/* rz_cuda_workspace_place - let a step work in this memory, which is aligned to 16 bytes, with the
 * numbers that its bytes were counted for. */
void rz_cuda_workspace_place(struct rz_cuda_step *step, uint32_t vocab_size, uint32_t rows,
                             void *memory);

#endif
