/* SPDX-License-Identifier: Apache-2.0
 *
 * kernels.h - what is launched on a GPU to draw ids, with what, in which order.
 *
 *   rz_cuda_scan_<dtype>   maxima of tiles, bitmasks applied     grid (any, rows)
 *   rz_cuda_edit_rows      lists and penalties, sparse           grid (rows)
 *   rz_cuda_resolve        thresholds, the race, the pick        grid (rows)
 *   rz_cuda_sample_<dtype> all of that                           grid (any, rows)
 *
 * The first three one after the other in one stream, rz_cuda_edit_rows left out where no row has
 * edits; or the last alone. A row is scanned by fewer than RZ_CUDA_SAW_NAN blocks. Every kernel
 * takes one struct rz_cuda_step by value. A block has whole warps, RZ_CUDA_MOST_THREADS threads at
 * most, and no dynamic shared memory. Results don't depend on any of these numbers; plan.h has some
 * that are made to be fast.
 *
 * Everything that a pointer in here leads to is read from device memory when a kernel runs, so that
 * what was captured in a graph can be replayed with other rows, parameters, seeds and positions.
 * The kernels allocate nothing and wait for nobody. Logits are not written to.
 *
 * The kernels check nothing: as of struct rz_row_task, every id is in 0 .. vocab_size-1 and every
 * parameter in its range.
 */
#ifndef RZ_KERNELS_CUDA_KERNELS_H
#define RZ_KERNELS_CUDA_KERNELS_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/numerics.h"
#include "kernels/sampler.h"

#define RZ_CUDA_WARP 32u
#define RZ_CUDA_MOST_THREADS 512u /* with more there are too few registers for rz_cuda_resolve */
#define RZ_CUDA_MOST_ROWS 65535u  /* of a step: a grid has no more in y */

/* An id that edits touch; a slot of a hash table that the kernels own. */
struct rz_cuda_edit {
    uint32_t id_plus_1; /* 0: the slot is free */
    uint32_t flags;     /* in which lists the id is */
    uint32_t output_count;
    uint32_t bias_done; /* 1 + the index of the last of its biases that was added */
    uint32_t bias_next; /* the index of the next */
    float logit;        /* after all edits */
};

/* What a row's results tell besides the id. */
enum rz_cuda_logprobs {
    RZ_CUDA_LOGPROBS_NONE,
    RZ_CUDA_LOGPROBS_RAW,
    RZ_CUDA_LOGPROBS_PROCESSED,
};

/* One row's request. pack.h makes it of a struct rz_row_task. */
struct rz_cuda_row {
    uint64_t seed;
    uint64_t position;   /* of the first draw */
    uint32_t logits_row; /* several rows may name the same */
    uint32_t draws;      /* >= 1 */
    uint32_t first_id;   /* of the draws, in step.ids and step.results */
    float temperature;
    float top_p;
    float min_p;
    uint32_t top_k;
    uint32_t logprobs; /* enum rz_cuda_logprobs */
    uint32_t top_logprobs;
    float repetition_penalty;
    float frequency_penalty;
    float presence_penalty;
    uint32_t allowed_count; /* 0: every id is allowed */
    uint32_t banned_count;
    uint32_t stop_count; /* 0 once enough ids are out */
    uint32_t bias_count;
    uint32_t
        history_count; /* of ids that count for penalties; 0 in these three if there are none */
    uint32_t prompt_count;
    uint32_t output_count;
    uint32_t edit_slots; /* a power of two, at least twice as many as ids are named in lists, so
                            that chains are short; 0: no edits, but for the bitmask */
    const int32_t *allowed_ids;
    const int32_t *banned_ids;
    const int32_t *stop_ids;
    const struct rz_bias *bias;
    const struct rz_history_entry *history;
    const int32_t *prompt_ids;
    const int32_t *output_ids;
    const uint32_t *bitmask;    /* [ceil(vocab_size / 32)] or NULL */
    struct rz_cuda_edit *edits; /* [edit_slots], this row's own; overwritten */
};

/* One launch of all kernels. Arrays are in device memory, but that `ids` and `results` may be in
 * memory of the host that the device can write to. */
struct rz_cuda_step {
    struct rz_logits_view logits;   /* shards, and what they point to, in device memory. Any split:
                                       loads are of 16 bytes where tiles are whole and aligned */
    const struct rz_cuda_row *rows; /* [rows] */

    /* Workspace, of which `scanned` alone is zero before the first launch, and again after every
     * one. rz_cuda_workspace_place() sets these. */
    uint32_t *scanned;      /* [rows] how many blocks have scanned their part of the row, and
                               RZ_CUDA_SAW_NAN for each that saw one */
    float *tile_max;        /* [rows][tiles] of the edited logits */
    float *raw_max;         /* [rows][tiles] of the logits as they came, for raw logprobs of rows
                               with edits or a bitmask */
    uint32_t *edited_tiles; /* [rows][rz_cuda_tile_words()], a bit a tile */

    int32_t *ids;              /* the draws of all rows: the id, or -1 */
    struct rz_result *results; /* the same, all fields but `row` */
};

/* In step.scanned; more than a row has blocks. */
#define RZ_CUDA_SAW_NAN 0x10000u

/* The host and the device lay them out alike. */
static_assert(sizeof(struct rz_cuda_edit) == 24, "6 words");
static_assert(sizeof(struct rz_cuda_row) == 168, "2 seeds, 20 words, 9 pointers");
static_assert(sizeof(struct rz_cuda_step) == 80, "a view of 24 bytes, 7 pointers");
static_assert(sizeof(struct rz_result) % 4 == 0, "results are written by words");

/* Words of a row in step.edited_tiles. */
RZ_HD uint32_t rz_cuda_tile_words(uint32_t vocab_size)
{
    return (vocab_size + 32 * RZ_TILE - 1) / (32 * RZ_TILE);
}

/* The entry points, as they are compiled by nvcc; a host program finds them by name. */
#ifdef __cplusplus
#ifdef RZ_CUDA_SOURCE
extern "C" {
__global__ void rz_cuda_scan_f32(const struct rz_cuda_step step);
__global__ void rz_cuda_scan_f16(const struct rz_cuda_step step);
__global__ void rz_cuda_scan_bf16(const struct rz_cuda_step step);
__global__ void rz_cuda_edit_rows(const struct rz_cuda_step step);
__global__ void rz_cuda_resolve(const struct rz_cuda_step step);
__global__ void rz_cuda_sample_f32(const struct rz_cuda_step step);
__global__ void rz_cuda_sample_f16(const struct rz_cuda_step step);
__global__ void rz_cuda_sample_bf16(const struct rz_cuda_step step);
}
#endif
#endif

#endif
