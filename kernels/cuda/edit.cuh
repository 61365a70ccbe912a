/* SPDX-License-Identifier: Apache-2.0
 *
 * edit.cuh - allowed, banned and stop ids, bias and penalties: the edited logits of the ids that
 * they touch, in a hash table a row, and the maxima of the tiles that these ids are in.
 *
 *   work     one block a row; none where a row has no edits
 *   traffic  what the lists name, a few times; V/16 maxima where ids are allowed by a list
 *   bound    latency: a handful of passes over the lists with a barrier after each
 *   order    that of the contract. Ids enter the table in any order; what is computed for an id
 *            depends on that id's entries of the lists alone
 */
#ifndef RZ_KERNELS_CUDA_EDIT_CUH
#define RZ_KERNELS_CUDA_EDIT_CUH

#include "kernels/cuda/row.cuh"

namespace {

__device__ void clear_table(const rz_cuda_row &row, uint32_t *edited_tiles, uint32_t words)
{
    for (uint32_t slot = threadIdx.x; slot < row.edit_slots; slot += blockDim.x)
        row.edits[slot] = {0, 0, 0, 0, 0, 0.0f};
    for (uint32_t word = threadIdx.x; word < words; word += blockDim.x)
        edited_tiles[word] = 0;
}

/* The slot of an id, taken if it is new. */
__device__ rz_cuda_edit *touch(const rz_cuda_row &row, int32_t given, uint32_t *edited_tiles)
{
    const uint32_t id = static_cast<uint32_t>(given), tile = id / RZ_TILE;
    for (uint32_t slot = first_slot(row, id);; slot = (slot + 1) & (row.edit_slots - 1)) {
        const uint32_t found = atomicCAS(&row.edits[slot].id_plus_1, 0u, id + 1);
        if (found == 0)
            atomicOr(&edited_tiles[tile / 32], 1u << (tile % 32));
        if (found == 0 || found == id + 1)
            return &row.edits[slot];
    }
}

__device__ void touch_list(const rz_cuda_row &row, const int32_t *ids, uint32_t count,
                           uint32_t flags, uint32_t *edited_tiles)
{
    for (uint32_t i = threadIdx.x; i < count; i += blockDim.x)
        atomicOr(&touch(row, ids[i], edited_tiles)->flags, flags);
}

__device__ void touch_history(const rz_cuda_row &row, uint32_t *edited_tiles)
{
    touch_list(row, row.prompt_ids, row.prompt_count, kInPrompt, edited_tiles);
    for (uint32_t i = threadIdx.x; i < row.output_count; i += blockDim.x)
        atomicAdd(&touch(row, row.output_ids[i], edited_tiles)->output_count, 1u);
    for (uint32_t i = threadIdx.x; i < row.history_count; i += blockDim.x) {
        rz_cuda_edit *edit = touch(row, row.history[i].id, edited_tiles);
        atomicAdd(&edit->output_count, row.history[i].output_count);
        if (row.history[i].in_prompt != 0)
            atomicOr(&edit->flags, static_cast<uint32_t>(kInPrompt));
    }
}

/* Logits before bias and penalties. */
__device__ void read_logits(const rz_logits_view &logits, const rz_cuda_row &row)
{
    for (uint32_t slot = threadIdx.x; slot < row.edit_slots; slot += blockDim.x) {
        rz_cuda_edit &edit = row.edits[slot];
        if (edit.id_plus_1 == 0)
            continue;
        const bool allowed = row.allowed_count == 0 || (edit.flags & kAllowed) != 0;
        edit.logit = allowed && (edit.flags & kBanned) == 0
                         ? masked_logit(logits, row, edit.id_plus_1 - 1)
                         : -INFINITY;
    }
}

/* An id named twice gets both biases, in the order of the list, since every sum is rounded: first
 * all ids take the first of theirs, then those that have more the second, and so on. */
__device__ void add_bias(const rz_cuda_row &row, uint32_t *edited_tiles)
{
    for (bool more = row.bias_count > 0; more;) {
        for (uint32_t i = threadIdx.x; i < row.bias_count; i += blockDim.x)
            touch(row, row.bias[i].id, edited_tiles)->bias_next = UINT32_MAX;
        __syncthreads();
        for (uint32_t i = threadIdx.x; i < row.bias_count; i += blockDim.x) {
            rz_cuda_edit *edit = touch(row, row.bias[i].id, edited_tiles);
            if (i >= edit->bias_done)
                atomicMin(&edit->bias_next, i);
        }
        __syncthreads();
        int later = 0;
        for (uint32_t i = threadIdx.x; i < row.bias_count; i += blockDim.x) {
            rz_cuda_edit *edit = touch(row, row.bias[i].id, edited_tiles);
            later |= i > edit->bias_next;
            if (i == edit->bias_next) {
                edit->logit += row.bias[i].bias;
                edit->bias_done = i + 1;
            }
        }
        more = __syncthreads_or(later) != 0;
    }
}

__device__ float penalized(const rz_cuda_edit &edit, const rz_cuda_row &row)
{
    float x = edit.logit;
    if ((edit.flags & kInPrompt) != 0 || edit.output_count > 0)
        x = x > 0.0f ? x / row.repetition_penalty : x * row.repetition_penalty;
    if (edit.output_count > 0) {
        x = x - row.frequency_penalty * static_cast<float>(edit.output_count);
        x = x - row.presence_penalty;
    }
    return x;
}

__device__ void penalize(const rz_cuda_row &row)
{
    for (uint32_t slot = threadIdx.x; slot < row.edit_slots; slot += blockDim.x)
        if (row.edits[slot].id_plus_1 != 0)
            row.edits[slot].logit = penalized(row.edits[slot], row);
}

/* What no bitmask has kept the scan from seeing, before edits change it. */
__device__ void keep_raw_maxima(const edited_row &row, float *raw_max)
{
    for (uint32_t tile = threadIdx.x; tile < row.tiles; tile += blockDim.x)
        raw_max[tile] = row.tile_max[tile];
}

/* A warp takes the 32 tiles of a word. */
__device__ void update_maxima(const edited_row &row, float *tile_max)
{
    for (uint32_t word = warp_of_block(); word * 32 < row.tiles; word += blockDim.x / kWarp) {
        const uint32_t own = word * 32 + lane_of_warp();
        uint32_t edited = row.edited_tiles[word];
        if (row.row->allowed_count > 0 && own < row.tiles && (edited >> lane_of_warp() & 1) == 0)
            tile_max[own] = -INFINITY;
        for (; edited != 0; edited &= edited - 1) {
            const uint32_t tile =
                word * 32 + static_cast<uint32_t>(__ffs(static_cast<int>(edited)) - 1);
            const float most = combine_half(tile_logit(row, tile), larger());
            if (lane_of_warp() == 0)
                tile_max[tile] = most;
        }
    }
}

/* By all threads of a block. */
__device__ void edit_row(const rz_cuda_step &step, uint32_t index)
{
    const rz_cuda_row &row = step.rows[index];
    if (row.edit_slots == 0)
        return;
    const edited_row edited = row_of_step(step, index);
    const uint32_t words = rz_cuda_tile_words(step.logits.vocab_size);
    uint32_t *edited_tiles = step.edited_tiles + static_cast<size_t>(index) * words;

    if (has_raw_max(row) && row.bitmask == nullptr)
        keep_raw_maxima(edited, step.raw_max + static_cast<size_t>(index) * edited.tiles);
    clear_table(row, edited_tiles, words);
    __syncthreads();
    touch_list(row, row.allowed_ids, row.allowed_count, kAllowed, edited_tiles);
    touch_list(row, row.banned_ids, row.banned_count, kBanned, edited_tiles);
    touch_list(row, row.stop_ids, row.stop_count, kBanned, edited_tiles);
    for (uint32_t i = threadIdx.x; i < row.bias_count; i += blockDim.x)
        touch(row, row.bias[i].id, edited_tiles);
    touch_history(row, edited_tiles);
    __syncthreads();
    read_logits(step.logits, row);
    __syncthreads();
    add_bias(row, edited_tiles);
    penalize(row);
    __syncthreads();
    update_maxima(edited, step.tile_max + static_cast<size_t>(index) * edited.tiles);
    __syncthreads();
}

} // namespace

#endif
