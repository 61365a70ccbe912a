/* SPDX-License-Identifier: Apache-2.0
 *
 * ids.cuh - all ids of the tiles of a row that matter.
 *
 * A lane takes a tile, id by id: the lanes of a warp then have tiles next to each other, of which
 * the first ids come from memory and the rest from the first cache, and a block has as many loads
 * in flight as it has threads.
 */
#ifndef RZ_KERNELS_CUDA_IDS_CUH
#define RZ_KERNELS_CUDA_IDS_CUH

#include "kernels/cuda/row.cuh"

namespace {

/* Where the logits of a tile lie one after the other, without edits; null if they don't. */
__device__ inline const void *plain_tile(const edited_row &row, uint32_t tile)
{
    const uint32_t id = tile * RZ_TILE;
    if (is_edited(row, tile) || id + RZ_TILE > row.logits.vocab_size)
        return nullptr;
    const rz_shard_view &shard = shard_of(row.logits, id);
    if (id + RZ_TILE > shard.first + shard.count)
        return nullptr;
    const size_t size = row.logits.dtype == RZ_F32 ? 4 : 2;
    return static_cast<const char *>(shard.logits) + index_in(shard, *row.row, id) * size;
}

/* visit(id, logit) for every id of the tiles that have a maximum that is wanted, by whichever
 * thread; also for logits that are -inf. */
template <typename Want, typename Visit>
__device__ void each_id(const edited_row &row, Want want, Visit visit)
{
    const uint32_t *bitmask = row.raw ? nullptr : row.row->bitmask;
    for (uint32_t tile = threadIdx.x; tile < row.tiles; tile += blockDim.x) {
        if (!want(row.tile_max[tile]))
            continue;
        const uint32_t first = tile * RZ_TILE;
        const void *plain = plain_tile(row, tile);
        const uint32_t allowed = bitmask != nullptr ? bitmask[first / 32] >> (first % 32) : 0xFFFFu;
#pragma unroll 1 /* `visit` is not small */
        for (uint32_t i = 0; i < RZ_TILE; i++) {
            float x = -INFINITY;
            if (plain == nullptr)
                x = edited_logit(row, first + i);
            else if ((allowed >> i & 1) != 0)
                x = rz_logit_at(plain, row.logits.dtype, i);
            visit(first + i, x != x ? -INFINITY : x);
        }
    }
}

} // namespace

#endif
