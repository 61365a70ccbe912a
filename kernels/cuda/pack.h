/* SPDX-License-Identifier: Apache-2.0
 *
 * pack.h - the requests of a step as the kernels read them: one block of bytes to copy to the
 * device. Plain C: needs no CUDA.
 *
 *     [ struct rz_cuda_row of every task | shards | lists, histories, bitmasks of every task ]
 *
 * Pointers in it are addresses of the device, where the block will be. Where the rows and shards
 * lie depends on the numbers of tasks and shards alone: with the same numbers another block can be
 * copied over it, and a launch repeated.
 */
#ifndef RZ_KERNELS_CUDA_PACK_H
#define RZ_KERNELS_CUDA_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/cuda/kernels.h"

/* The requests: logits in memory of the device, everything else in that of the host. */
struct rz_cuda_batch {
    const struct rz_logits_view *view; /* the array of shards itself is the host's */
    const struct rz_row_task *tasks;   /* [count] */
    uint32_t count;
};

struct rz_cuda_pack_size {
    size_t block_bytes; /* on the host and on the device */
    size_t edit_bytes;  /* on the device: tables of edits, which the kernels fill; may be 0 */
    uint32_t draws;     /* of all rows: ids and results */
    bool edits;         /* is there a row with edits: rz_cuda_shape.edits */
};

/* rz_cuda_pack_measure - what a batch needs; false if that is more than a size_t holds. */
bool rz_cuda_pack_measure(const struct rz_cuda_batch *batch, struct rz_cuda_pack_size *size);

/* All aligned to 16 bytes. What is on the device is not touched here. */
struct rz_cuda_pack_memory {
    void *block;  /* host, [block_bytes] */
    void *device; /* device, [block_bytes]: where the block will be */
    void *edits;  /* device, [edit_bytes] */
};

/* rz_cuda_pack - fill the block, and `logits` and `rows` of the step. Neither can fail nor
 * allocates. The batch is not needed afterwards. */
void rz_cuda_pack(const struct rz_cuda_batch *batch, const struct rz_cuda_pack_memory *memory,
                  struct rz_cuda_step *step);

#endif
