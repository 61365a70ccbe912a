/* SPDX-License-Identifier: Apache-2.0
 *
 * sampler.h - what every back end offers: draw ids from one row of logits.
 *
 * A back end is a table of functions. A sampler is its workspace for one thread: sized at creation
 * for a vocabulary, it draws any number of rows and allocates nothing while it does.
 *
 * The row's logits lie where the shards are; nothing here writes to them. Every back end returns
 * what kernels/reference.c returns, bit for bit.
 */
#ifndef RZ_KERNELS_SAMPLER_H
#define RZ_KERNELS_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rankzero/rankzero.h"

/* Ids of tile t are 16t .. 16t+15, counted over the whole vocabulary. */
#define RZ_TILE 16u

/* Columns `first` .. `first + count - 1` of every row. */
struct rz_shard_view {
    const void *logits; /* [rows][row_stride] of the view's dtype */
    size_t row_stride;  /* elements */
    uint32_t first;
    uint32_t count;
};

/* The logits of a batch: shards in order of their ids, without gaps, from id 0 to at least
 * vocab_size - 1. */
struct rz_logits_view {
    enum rz_dtype dtype;
    uint32_t vocab_size; /* ids at or past it are padding and never looked at */
    uint32_t shard_count;
    const struct rz_shard_view *shards; /* [shard_count] */
};

/* An id of a sequence's history and how often it is there; each id at most once in a history. */
struct rz_history_entry {
    int32_t id;
    uint32_t output_count; /* times in the output */
    uint32_t in_prompt;    /* 0 or 1 */
};

/* One row's request, checked: every id is in 0 .. vocab_size-1, every parameter in its range. What
 * counts for penalties is the union of `history`, `prompt_ids` and `output_ids`. */
struct rz_row_task {
    uint32_t logits_row;
    uint32_t draws; /* >= 1 */
    const struct rz_sampling *sampling;
    uint64_t seed;                          /* sampling->seed is not read */
    uint64_t position;                      /* of the first draw */
    const struct rz_history_entry *history; /* [history_count] */
    const int32_t *prompt_ids;              /* [prompt_count] */
    const int32_t *output_ids;              /* [output_count] */
    uint32_t history_count;
    uint32_t prompt_count;
    uint32_t output_count;
    uint32_t output_length;  /* ids out so far, for min_tokens */
    const uint32_t *bitmask; /* [ceil(vocab_size / 32)] or NULL */
};

/* What the work cost, added up over calls. */
struct rz_sampler_counters {
    uint64_t tiles_scanned;
    uint64_t tiles_exact;
    uint64_t mass_passes;
};

struct rz_sampler; /* each back end has its own */

struct rz_sampler_ops {
    const char *name; /* "reference", "scalar", "avx2", "avx512" */

    /* Workspace for rows of up to vocab_size ids; NULL when out of memory. */
    struct rz_sampler *(*create)(uint32_t vocab_size);
    void (*destroy)(struct rz_sampler *sampler); /* NULL is allowed */

    /* Fill results[0 .. task->draws-1]: all fields but `row`. Cannot fail. */
    void (*draw)(struct rz_sampler *sampler, const struct rz_logits_view *view,
                 const struct rz_row_task *task, struct rz_result *results);

    const struct rz_sampler_counters *(*counters)(const struct rz_sampler *sampler);
};

extern const struct rz_sampler_ops rz_sampler_reference; /* reference_sampler.c */

/* rz_sampler_find - the table of a back end; RZ_BACKEND_AUTO: the fastest that runs here; NULL if
 * this build or machine has none such. */
const struct rz_sampler_ops *rz_sampler_find(uint32_t backend);

#endif
