/* SPDX-License-Identifier: Apache-2.0
 *
 * pack.c - requests as one block of bytes.
 *
 * Measuring and filling are the same walk over the batch; only the second has memory to write to.
 */
#include "kernels/cuda/pack.h"

#include <assert.h>
#include <string.h>

/* What a copy starts at: as much as any array's element asks for. */
#define ALIGNMENT 8u

struct packing {
    char *block;  /* NULL: measure */
    char *device; /* where the block will be */
    char *edits;
    size_t bytes, edit_bytes; /* so far */
    bool overflow;
};

static size_t add(struct packing *p, size_t a, size_t b)
{
    size_t sum = 0;
    p->overflow |= __builtin_add_overflow(a, b, &sum);
    return sum;
}

/* Append `count` elements, of which `from` may be NULL: filled in later. Returns where they are on
 * the device; *host: in the block. NULL when measuring, and for none. */
static void *append(struct packing *p, const void *from, size_t count, size_t size, void **host)
{
    const size_t at = p->bytes;
    size_t bytes = 0, padded;
    if (count == 0)
        return NULL;
    p->overflow |= __builtin_mul_overflow(count, size, &bytes);
    padded = add(p, bytes, ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    p->bytes = add(p, at, padded);
    if (p->block == NULL)
        return NULL;
    if (from != NULL)
        memcpy(p->block + at, from, bytes);
    memset(p->block + at + bytes, 0, padded - bytes);
    if (host != NULL)
        *host = p->block + at;
    return p->device + at;
}

static void *append_copy(struct packing *p, const void *from, size_t count, size_t size)
{
    return append(p, from, count, size, NULL);
}

static bool has_penalties(const struct rz_sampling *s)
{
    return s->repetition_penalty != 1.0f || s->frequency_penalty != 0.0f ||
           s->presence_penalty != 0.0f;
}

/* A power of two, at least twice as many as ids are named; 0 if none are. No more than there are
 * ids are in the table, of which a vocabulary has RZ_MAX_VOCAB at most. */
static uint32_t edit_slots(const struct rz_cuda_row *row)
{
    const uint64_t named = (uint64_t)row->allowed_count + row->banned_count + row->stop_count +
                           row->bias_count + row->history_count + row->prompt_count +
                           row->output_count;
    uint32_t slots = 2;
    if (named == 0)
        return 0;
    while (slots < 2 * named && slots < 2 * RZ_MAX_VOCAB)
        slots *= 2;
    return slots;
}

static uint32_t logprobs_of(const struct rz_sampling *s)
{
    if ((s->flags & RZ_SAMPLING_LOGPROBS) == 0)
        return RZ_CUDA_LOGPROBS_NONE;
    return s->logprobs_mode == RZ_LOGPROBS_RAW ? RZ_CUDA_LOGPROBS_RAW : RZ_CUDA_LOGPROBS_PROCESSED;
}

/* Parameters and counts: of what doesn't matter now, no ids. */
static struct rz_cuda_row row_of_task(const struct rz_row_task *task, uint32_t first_id)
{
    const struct rz_sampling *s = task->sampling;
    const bool penalties = has_penalties(s);
    return (struct rz_cuda_row){
        .seed = task->seed,
        .position = task->position,
        .logits_row = task->logits_row,
        .draws = task->draws,
        .first_id = first_id,
        .temperature = s->temperature,
        .top_p = s->top_p,
        .min_p = s->min_p,
        .top_k = s->top_k,
        .logprobs = logprobs_of(s),
        .top_logprobs = s->top_logprobs,
        .repetition_penalty = s->repetition_penalty,
        .frequency_penalty = s->frequency_penalty,
        .presence_penalty = s->presence_penalty,
        .allowed_count = s->allowed_count,
        .banned_count = s->banned_count,
        .stop_count = task->output_length < s->min_tokens ? s->stop_count : 0,
        .bias_count = s->bias_count,
        .history_count = penalties ? task->history_count : 0,
        .prompt_count = penalties ? task->prompt_count : 0,
        .output_count = penalties ? task->output_count : 0,
    };
}

static struct rz_cuda_row append_task(struct packing *p, const struct rz_row_task *task,
                                      uint32_t vocab_size, uint32_t first_id)
{
    const struct rz_sampling *s = task->sampling;
    struct rz_cuda_row row = row_of_task(task, first_id);
    const size_t id = sizeof(int32_t), words = task->bitmask != NULL ? (vocab_size + 31) / 32 : 0;
    row.allowed_ids = append_copy(p, s->allowed_ids, row.allowed_count, id);
    row.banned_ids = append_copy(p, s->banned_ids, row.banned_count, id);
    row.stop_ids = append_copy(p, s->stop_ids, row.stop_count, id);
    row.bias = append_copy(p, s->bias, row.bias_count, sizeof *row.bias);
    row.history = append_copy(p, task->history, row.history_count, sizeof *row.history);
    row.prompt_ids = append_copy(p, task->prompt_ids, row.prompt_count, id);
    row.output_ids = append_copy(p, task->output_ids, row.output_count, id);
    row.bitmask = append_copy(p, task->bitmask, words, sizeof *row.bitmask);
    row.edit_slots = edit_slots(&row);
    if (row.edit_slots > 0 && p->edits != NULL)
        row.edits = (void *)(p->edits + p->edit_bytes);
    p->edit_bytes = add(p, p->edit_bytes, row.edit_slots * sizeof *row.edits);
    return row;
}

/* Returns the number of draws. */
static uint32_t walk(struct packing *p, const struct rz_cuda_batch *batch,
                     struct rz_cuda_step *step)
{
    const struct rz_logits_view *view = batch->view;
    void *rows = NULL;
    uint32_t draws = 0;
    step->rows = append(p, NULL, batch->count, sizeof *step->rows, &rows);
    step->logits = *view;
    step->logits.shards = append_copy(p, view->shards, view->shard_count, sizeof *view->shards);
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct rz_row_task *task = &batch->tasks[i];
        const struct rz_cuda_row row = append_task(p, task, view->vocab_size, draws);
        if (rows != NULL)
            ((struct rz_cuda_row *)rows)[i] = row;
        draws += task->draws;
    }
    return draws;
}

bool rz_cuda_pack_measure(const struct rz_cuda_batch *batch, struct rz_cuda_pack_size *size)
{
    struct packing p = {.block = NULL};
    struct rz_cuda_step step;
    const uint32_t draws = walk(&p, batch, &step);
    if (p.overflow)
        return false;
    *size = (struct rz_cuda_pack_size){.block_bytes = p.bytes,
                                       .edit_bytes = p.edit_bytes,
                                       .draws = draws,
                                       .edits = p.edit_bytes > 0};
    return true;
}

void rz_cuda_pack(const struct rz_cuda_batch *batch, const struct rz_cuda_pack_memory *memory,
                  struct rz_cuda_step *step)
{
    struct packing p = {.block = memory->block, .device = memory->device, .edits = memory->edits};
    assert(batch->count > 0 && memory->block != NULL);
    walk(&p, batch, step);
    assert(!p.overflow);
}
