/* SPDX-License-Identifier: Apache-2.0
 *
 * resolve.cuh - from the maxima of a row's tiles to the ids that are drawn.
 *
 *   work     one block a row; a row with several draws takes them one after the other
 *   traffic  the maxima, V/16 floats, a few times; the logits of some 24 tiles a draw; with top-k,
 *            of as many tiles once; with top-p, of the tiles that have nearly all of the mass, a
 * few times; with logprobs, of all that have mass once bound    latency; with top-p of a flat row
 * fp32 arithmetic, with logprobs that of doubles order    what decides are maxima and sums of
 * integers, and ties are broken by ids, so no order of threads matters
 */
#ifndef RZ_KERNELS_CUDA_RESOLVE_CUH
#define RZ_KERNELS_CUDA_RESOLVE_CUH

#include "kernels/cuda/logprobs.cuh"
#include "kernels/cuda/race.cuh"

namespace {

__device__ float largest_logit(const edited_row &row)
{
    float most = -INFINITY;
    for (uint32_t tile = threadIdx.x; tile < row.tiles; tile += blockDim.x)
        most = larger()(most, row.tile_max[tile]);
    return combine_block(most, larger());
}

/* The lowest id with this logit. */
__device__ uint32_t lowest_of(const edited_row &row, float logit)
{
    uint32_t first = kNoTile;
    for (uint32_t tile = threadIdx.x; tile < row.tiles; tile += blockDim.x)
        if (row.tile_max[tile] == logit)
            first = smaller()(first, tile);
    first = combine_block(first, smaller());
    const bool is_it = tile_logit(row, first) == logit;
    return combine_block(is_it ? first * RZ_TILE + lane_of_half() : kNoTile, smaller());
}

/* ------------------------------------------------------------------------------------------------
 * Results, in shared memory until they are whole
 */

/* What all draws of a row have in common. */
__device__ void begin_result(rz_result *result, const rz_cuda_row &row, uint32_t status)
{
    auto *words = reinterpret_cast<uint32_t *>(result);
    for (uint32_t i = threadIdx.x; i < sizeof *result / 4; i += blockDim.x)
        words[i] = 0;
    __syncthreads();
    if (threadIdx.x == 0) {
        result->id = -1;
        result->status = status;
        result->seed = row.seed;
    }
}

/* All fields but `row`, which is the caller's. */
__device__ void write_result(const rz_cuda_step &step, const rz_cuda_row &row, uint32_t draw,
                             rz_result *result)
{
    constexpr uint32_t of_row = offsetof(rz_result, row) / 4;
    if (threadIdx.x == 0) {
        result->position = row.position + draw;
        step.ids[row.first_id + draw] = result->id;
    }
    __syncthreads();
    const auto *from = reinterpret_cast<const uint32_t *>(result);
    auto *to = reinterpret_cast<uint32_t *>(&step.results[row.first_id + draw]);
    for (uint32_t i = threadIdx.x; i < sizeof *result / 4; i += blockDim.x)
        if (i != of_row)
            to[i] = from[i];
    __syncthreads();
}

__device__ void report(const shares &s, uint32_t id, rz_result *result)
{
    const uint32_t key = share_key(s, edited_logit(s.row.edited, id));
    const uint32_t rank = rank_of(s, key);
    if (threadIdx.x == 0) {
        result->rank = rank;
        result->logprob = logprob_of(s, key);
    }
}

/* An id that was certain to be drawn has all. */
__device__ void report_certain(const rz_cuda_row &row, uint32_t id, rz_result *result)
{
    if (threadIdx.x != 0)
        return;
    result->rank = 1;
    if (row.top_logprobs > 0) {
        result->top_count = 1;
        result->top_ids[0] = static_cast<int32_t>(id);
    }
}

/* ------------------------------------------------------------------------------------------------
 */

/* What is known of a row, shared by the block: registers are for what is in loops. */
struct known_row {
    scaled_row row;
    shares given; /* for logprobs, if they are wanted */
    float threshold;
};

__device__ void report_row(const rz_cuda_step &step, uint32_t index, float most, known_row *known,
                           rz_result *result)
{
    const rz_cuda_row &row = step.rows[index];
    if (row.logprobs == RZ_CUDA_LOGPROBS_RAW) {
        const edited_row raw = raw_row_of_step(step, index);
        find_shares(&known->given, raw, rz_temperature_scale(1.0f), largest_logit(raw), -FLT_MAX);
    } else {
        find_shares(&known->given, known->row.edited, known->row.scale, most, known->threshold);
    }
    fill_top(known->given, row.top_logprobs, result);
}

/* The draws of a row that has a logit. */
__device__ void draw(const rz_cuda_step &step, uint32_t index, float most, known_row *known,
                     rz_result *result)
{
    const rz_cuda_row &row = step.rows[index];
    const bool certain = row.temperature < RZ_GREEDY_BELOW || most == INFINITY;
    const bool reports = row.logprobs == RZ_CUDA_LOGPROBS_RAW ||
                         (row.logprobs == RZ_CUDA_LOGPROBS_PROCESSED && !certain);
    uint32_t id = 0;
    if (certain) {
        id = lowest_of(known->row.edited, most);
    } else {
        if (threadIdx.x == 0) {
            known->row.scale = rz_temperature_scale(row.temperature);
            known->row.largest = rz_scaled(most, known->row.scale);
        }
        __syncthreads();
        const float threshold = kept_threshold(known->row);
        if (threadIdx.x == 0)
            known->threshold = threshold;
        __syncthreads();
    }
    if (reports)
        report_row(step, index, most, known, result);
    else if (row.logprobs != RZ_CUDA_LOGPROBS_NONE)
        report_certain(row, id, result);
    for (uint32_t i = 0; i < row.draws; i++) {
        if (!certain)
            id = draw_id({known->row, known->threshold, row.seed, row.position + i});
        if (reports)
            report(known->given, id, result);
        if (threadIdx.x == 0)
            result->id = static_cast<int32_t>(id);
        write_result(step, row, i, result);
    }
}

/* By all threads of a block, from what blocks have left in step.scanned, which becomes as it was
 * before they did. */
__device__ void resolve_row(const rz_cuda_step &step, uint32_t index, uint32_t scanned)
{
    __shared__ known_row known;
    __shared__ rz_result result;
    const rz_cuda_row &row = step.rows[index];
    if (threadIdx.x == 0) {
        step.scanned[index] = 0;
        known.row.edited = row_of_step(step, index);
    }
    __syncthreads();
    const float most = largest_logit(known.row.edited);
    const bool nan = scanned >= RZ_CUDA_SAW_NAN, none = most == -INFINITY;
    begin_result(&result, row, (nan ? RZ_ROW_NAN : 0) | (none ? RZ_ROW_NO_TOKEN : 0));
    if (!none) {
        draw(step, index, most, &known, &result);
        return;
    }
    for (uint32_t i = 0; i < row.draws; i++)
        write_result(step, row, i, &result);
}

} // namespace

#endif
