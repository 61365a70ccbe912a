/* SPDX-License-Identifier: Apache-2.0
 *
 * edit.h - a row's edits, as an overlay: the logits themselves are never written.
 *
 * Ids that an edit touches get an entry with their edited logit; a mask says which ids are allowed
 * at all. Entries are in a table by id and belong to a row by its epoch, so that the next row
 * starts without clearing anything. An edit costs as much as the ids it touches.
 */
#ifndef RZ_KERNELS_EDIT_H
#define RZ_KERNELS_EDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/row.h"
#include "kernels/sampler.h"

struct rz_edit_entry {
    uint32_t epoch; /* of the row that it belongs to */
    uint32_t output_count;
    bool in_prompt;
    float logit; /* edited */
};

struct rz_edits {
    const struct rz_logits_view *view;
    uint32_t logits_row;
    uint32_t epoch;
    struct rz_edit_entry *entries; /* [vocab_size] */
    uint32_t *tile_epoch;          /* [tiles]: the last row that touched the tile */
    uint32_t *touched;             /* [vocab_size] ids that have an entry in this row */
    uint32_t touched_count;
    uint32_t *touched_tiles; /* [tiles + 16] tiles that such an id is in, each once; any behind */
    uint32_t touched_tile_count;
    const uint32_t *mask; /* bits of allowed ids, or NULL: all */
    uint32_t *mask_words; /* [ceil(vocab_size / 32)], for a mask made here */
};

bool rz_edits_create(struct rz_edits *edits, uint32_t vocab_size);
void rz_edits_destroy(struct rz_edits *edits);

/* rz_edits_begin - take up a row and work out its edits. `view` and `task` stay until the next. */
void rz_edits_begin(struct rz_edits *edits, const struct rz_logits_view *view,
                    const struct rz_row_task *task);

/* rz_edits_tile - the 16 edited logits of a tile: the one way in which they are read. NaN is -inf,
 * and so is what is past the vocabulary. */
void rz_edits_tile(const struct rz_edits *edits, uint32_t tile, float out[RZ_TILE]);

/* The 16 bits of a tile's allowed ids. */
static inline uint32_t rz_edits_mask_of(const struct rz_edits *edits, uint32_t tile)
{
    return edits->mask == NULL ? 0xFFFFu : edits->mask[tile / 2] >> (16 * (tile % 2)) & 0xFFFFu;
}

#endif
