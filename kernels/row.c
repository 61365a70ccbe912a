/* SPDX-License-Identifier: Apache-2.0
 *
 * row.c - read logits of a row.
 */
#include "kernels/row.h"

const struct rz_shard_view *rz_row_shard(const struct rz_logits_view *view, uint32_t id)
{
    uint32_t low = 0, high = view->shard_count - 1;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (id < view->shards[middle].first + view->shards[middle].count)
            high = middle;
        else
            low = middle + 1;
    }
    return &view->shards[low];
}

/* 64-bit: rows times the stride of a row passes 2^32. */
static size_t index_in(const struct rz_shard_view *shard, uint32_t row, uint32_t id)
{
    return row * shard->row_stride + (id - shard->first);
}

float rz_row_logit(const struct rz_logits_view *view, uint32_t row, uint32_t id)
{
    const struct rz_shard_view *shard = rz_row_shard(view, id);
    return rz_logit_at(shard->logits, view->dtype, index_in(shard, row, id));
}

void rz_row_read(const struct rz_logits_view *view, uint32_t row, uint32_t first, uint32_t count,
                 float *out)
{
    while (count > 0) {
        const struct rz_shard_view *shard = rz_row_shard(view, first);
        const uint32_t left = shard->first + shard->count - first;
        const uint32_t here = count < left ? count : left;
        const size_t index = index_in(shard, row, first);
        for (uint32_t i = 0; i < here; i++)
            out[i] = rz_logit_at(shard->logits, view->dtype, index + i);
        out += here;
        first += here;
        count -= here;
    }
}

void rz_row_read_tile(const struct rz_logits_view *view, uint32_t row, uint32_t tile,
                      float out[RZ_TILE])
{
    const uint32_t first = tile * RZ_TILE;
    const uint32_t rest = view->vocab_size - first;
    const uint32_t count = rest < RZ_TILE ? rest : RZ_TILE;
    rz_row_read(view, row, first, count, out);
    for (uint32_t i = 0; i < RZ_TILE; i++)
        if (i >= count || isnan(out[i]))
            out[i] = -INFINITY;
}
