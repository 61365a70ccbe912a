/* SPDX-License-Identifier: Apache-2.0
 *
 * edit.c - work out the edited logits of the ids that edits touch.
 */
#include "kernels/cpu/edit.h"

#include <stdlib.h>
#include <string.h>

static uint32_t mask_word_count(uint32_t vocab_size)
{
    return (vocab_size + 31) / 32;
}

bool rz_edits_create(struct rz_edits *edits, uint32_t vocab_size)
{
    *edits = (struct rz_edits){
        .entries = calloc(vocab_size, sizeof *edits->entries),
        .tile_epoch = calloc(rz_tile_count(vocab_size), sizeof *edits->tile_epoch),
        .touched = malloc(vocab_size * sizeof *edits->touched),
        .touched_tiles = calloc(rz_tile_count(vocab_size) + RZ_TILE, sizeof *edits->touched_tiles),
        .mask_words = malloc(mask_word_count(vocab_size) * sizeof *edits->mask_words),
    };
    return edits->entries != NULL && edits->tile_epoch != NULL && edits->touched != NULL &&
           edits->touched_tiles != NULL && edits->mask_words != NULL;
}

void rz_edits_destroy(struct rz_edits *edits)
{
    free(edits->entries);
    free(edits->tile_epoch);
    free(edits->touched);
    free(edits->touched_tiles);
    free(edits->mask_words);
    *edits = (struct rz_edits){0};
}

/* A new epoch, or, once in 2^32 rows, all old entries forgotten. */
static void forget_last_row(struct rz_edits *edits, uint32_t vocab_size)
{
    edits->touched_count = edits->touched_tile_count = 0;
    if (++edits->epoch != 0)
        return;
    memset(edits->entries, 0, vocab_size * sizeof *edits->entries);
    memset(edits->tile_epoch, 0, rz_tile_count(vocab_size) * sizeof *edits->tile_epoch);
    edits->epoch = 1;
}

static void build_mask(struct rz_edits *edits, const struct rz_row_task *task, uint32_t vocab_size)
{
    const struct rz_sampling *p = task->sampling;
    edits->mask = task->bitmask;
    if (p->allowed_count == 0)
        return;
    const uint32_t words = mask_word_count(vocab_size);
    memset(edits->mask_words, 0, words * sizeof *edits->mask_words);
    for (uint32_t i = 0; i < p->allowed_count; i++) {
        const uint32_t id = (uint32_t)p->allowed_ids[i];
        edits->mask_words[id / 32] |= UINT32_C(1) << (id % 32);
    }
    for (uint32_t w = 0; w < words && task->bitmask != NULL; w++)
        edits->mask_words[w] &= task->bitmask[w];
    edits->mask = edits->mask_words;
}

static bool is_allowed(const struct rz_edits *edits, uint32_t id)
{
    return edits->mask == NULL || (edits->mask[id / 32] >> (id % 32) & 1) != 0;
}

/* The entry of an id, with its logit after the mask if it is new. */
static struct rz_edit_entry *touch(struct rz_edits *edits, int32_t id_given)
{
    const uint32_t id = (uint32_t)id_given;
    struct rz_edit_entry *entry = &edits->entries[id];
    if (entry->epoch == edits->epoch)
        return entry;
    const float x = rz_row_logit(edits->view, edits->logits_row, id);
    *entry = (struct rz_edit_entry){
        .epoch = edits->epoch,
        .logit = isnan(x) || !is_allowed(edits, id) ? -INFINITY : x,
    };
    if (edits->tile_epoch[id / RZ_TILE] != edits->epoch) {
        edits->tile_epoch[id / RZ_TILE] = edits->epoch;
        edits->touched_tiles[edits->touched_tile_count++] = id / RZ_TILE;
    }
    edits->touched[edits->touched_count++] = id;
    return entry;
}

static bool has_penalties(const struct rz_sampling *p)
{
    return p->repetition_penalty != 1.0f || p->frequency_penalty != 0.0f ||
           p->presence_penalty != 0.0f;
}

static void touch_history(struct rz_edits *edits, const struct rz_row_task *task)
{
    for (uint32_t i = 0; i < task->history_count; i++) {
        struct rz_edit_entry *entry = touch(edits, task->history[i].id);
        entry->in_prompt |= task->history[i].in_prompt != 0;
        entry->output_count += task->history[i].output_count;
    }
    for (uint32_t i = 0; i < task->prompt_count; i++)
        touch(edits, task->prompt_ids[i])->in_prompt = true;
    for (uint32_t i = 0; i < task->output_count; i++)
        touch(edits, task->output_ids[i])->output_count++;
}

static float penalized(const struct rz_edit_entry *entry, const struct rz_sampling *p)
{
    float x = entry->logit;
    if (entry->in_prompt || entry->output_count > 0)
        x = x > 0.0f ? x / p->repetition_penalty : x * p->repetition_penalty;
    if (entry->output_count > 0) {
        x = x - p->frequency_penalty * (float)entry->output_count;
        x = x - p->presence_penalty;
    }
    return x;
}

void rz_edits_begin(struct rz_edits *edits, const struct rz_logits_view *view,
                    const struct rz_row_task *task)
{
    const struct rz_sampling *p = task->sampling;
    edits->view = view;
    edits->logits_row = task->logits_row;
    forget_last_row(edits, view->vocab_size);
    build_mask(edits, task, view->vocab_size);

    for (uint32_t i = 0; i < p->banned_count; i++)
        touch(edits, p->banned_ids[i])->logit = -INFINITY;
    for (uint32_t i = 0; i < p->stop_count && task->output_length < p->min_tokens; i++)
        touch(edits, p->stop_ids[i])->logit = -INFINITY;
    for (uint32_t i = 0; i < p->bias_count; i++)
        touch(edits, p->bias[i].id)->logit += p->bias[i].bias;
    if (!has_penalties(p))
        return;
    touch_history(edits, task);
    for (uint32_t i = 0; i < edits->touched_count; i++) {
        struct rz_edit_entry *entry = &edits->entries[edits->touched[i]];
        entry->logit = penalized(entry, p);
    }
}

void rz_edits_tile(const struct rz_edits *edits, uint32_t tile, float out[RZ_TILE])
{
    rz_row_read_tile(edits->view, edits->logits_row, tile, out);
    const uint32_t allowed = rz_edits_mask_of(edits, tile);
    for (uint32_t i = 0; i < RZ_TILE && allowed != 0xFFFFu; i++)
        if ((allowed >> i & 1) == 0)
            out[i] = -INFINITY;
    if (edits->tile_epoch[tile] != edits->epoch)
        return;
    /* The last tile may be partial: entries past the vocabulary do not exist. */
    const uint32_t first = tile * RZ_TILE;
    const uint32_t rest = edits->view->vocab_size - first;
    for (uint32_t i = 0; i < RZ_TILE && i < rest; i++)
        if (edits->entries[first + i].epoch == edits->epoch)
            out[i] = edits->entries[first + i].logit;
}
