/* SPDX-License-Identifier: Apache-2.0
 *
 * row.cuh - single logits of a row, with all edits.
 */
#ifndef RZ_KERNELS_CUDA_ROW_CUH
#define RZ_KERNELS_CUDA_ROW_CUH

#include <math.h>

#include "kernels/cuda/block.cuh"
#include "kernels/floats.h"

namespace {

enum : uint32_t { kAllowed = 1, kBanned = 2, kInPrompt = 4 };

__device__ inline const rz_shard_view &shard_of(const rz_logits_view &view, uint32_t id)
{
    uint32_t low = 0, high = view.shard_count - 1;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (id < view.shards[middle].first + view.shards[middle].count)
            high = middle;
        else
            low = middle + 1;
    }
    return view.shards[low];
}

/* Where an id's logit is in its shard. 64-bit: rows times the stride of a row passes 2^32. */
__device__ inline size_t index_in(const rz_shard_view &shard, const rz_cuda_row &row, uint32_t id)
{
    return row.logits_row * shard.row_stride + (id - shard.first);
}

/* As it came; NaN as -inf, and -inf past the vocabulary. */
__device__ inline float raw_logit(const rz_logits_view &view, const rz_cuda_row &row, uint32_t id)
{
    if (id >= view.vocab_size)
        return -INFINITY;
    const rz_shard_view &shard = shard_of(view, id);
    const float x = rz_logit_at(shard.logits, view.dtype, index_in(shard, row, id));
    return x != x ? -INFINITY : x;
}

/* After the bitmask. */
__device__ inline float masked_logit(const rz_logits_view &view, const rz_cuda_row &row,
                                     uint32_t id)
{
    if (id < view.vocab_size && row.bitmask != nullptr &&
        (row.bitmask[id / 32] >> (id % 32) & 1) == 0)
        return -INFINITY;
    return raw_logit(view, row, id);
}

/* ------------------------------------------------------------------------------------------------
 * A hash table of edits, with linear probing
 */

/* Where to begin: the top bits of a multiplication by 2^32 / golden ratio. slots: a power of two,
 * at least 2. */
__device__ inline uint32_t first_slot(const rz_cuda_row &row, uint32_t id)
{
    return static_cast<uint32_t>(id * 0x9E3779B9u * static_cast<uint64_t>(row.edit_slots) >> 32) &
           (row.edit_slots - 1);
}

/* The edit of an id, or null. */
__device__ inline const rz_cuda_edit *find_edit(const rz_cuda_row &row, uint32_t id)
{
    for (uint32_t slot = first_slot(row, id);; slot = (slot + 1) & (row.edit_slots - 1)) {
        const uint32_t found = row.edits[slot].id_plus_1;
        if (found == id + 1)
            return &row.edits[slot];
        if (found == 0)
            return nullptr;
    }
}

/* ------------------------------------------------------------------------------------------------
 * A row after its edits, or as it came
 */

struct edited_row {
    rz_logits_view logits;
    const rz_cuda_row *row;
    const float *tile_max;
    const uint32_t *edited_tiles;
    uint32_t tiles;
    bool raw; /* without any edits, and without the bitmask */
};

__device__ inline edited_row row_of_step(const rz_cuda_step &step, uint32_t index)
{
    const uint32_t tiles = rz_tile_count(step.logits.vocab_size);
    const uint32_t words = rz_cuda_tile_words(step.logits.vocab_size);
    return {step.logits,
            &step.rows[index],
            step.tile_max + static_cast<size_t>(index) * tiles,
            step.edited_tiles + static_cast<size_t>(index) * words,
            tiles,
            false};
}

/* Does a row have its own maxima in step.raw_max? */
__device__ inline bool has_raw_max(const rz_cuda_row &row)
{
    return row.logprobs == RZ_CUDA_LOGPROBS_RAW && (row.edit_slots > 0 || row.bitmask != nullptr);
}

__device__ inline edited_row raw_row_of_step(const rz_cuda_step &step, uint32_t index)
{
    edited_row row = row_of_step(step, index);
    if (has_raw_max(*row.row))
        row.tile_max = step.raw_max + static_cast<size_t>(index) * row.tiles;
    row.raw = true;
    return row;
}

__device__ inline bool is_edited(const edited_row &row, uint32_t tile)
{
    return !row.raw && row.row->edit_slots > 0 &&
           (row.edited_tiles[tile / 32] >> (tile % 32) & 1) != 0;
}

/* With a list of allowed ids, what no list names is not allowed. */
__device__ inline float edited_logit(const edited_row &row, uint32_t id)
{
    if (row.raw)
        return raw_logit(row.logits, *row.row, id);
    if (is_edited(row, id / RZ_TILE)) {
        const rz_cuda_edit *edit = find_edit(*row.row, id);
        if (edit != nullptr)
            return edit->logit;
    }
    return row.row->allowed_count > 0 ? -INFINITY : masked_logit(row.logits, *row.row, id);
}

/* The logit of this lane's id of a tile. */
__device__ inline float tile_logit(const edited_row &row, uint32_t tile)
{
    return edited_logit(row, tile * RZ_TILE + lane_of_half());
}

} // namespace

#endif
