/* SPDX-License-Identifier: Apache-2.0
 *
 * scan.cuh - the largest logit of every tile of 16 ids, with a bitmask folded in, and whether any
 * is NaN.
 *
 *   work     a row is divided evenly over gridDim.x blocks. Two lanes (16-bit logits) or four
 * (fp32) share a tile and read 16 bytes each, so that a warp reads 512 bytes without a gap traffic
 * reads each logit of the vocabulary once, and a bit for each with a bitmask; writes 4 bytes a
 * tile. With a bitmask and raw logprobs all of that twice bound    memory order    none: a maximum
 * is the same in any
 *
 * A tile belongs to the shard that has its first id. It is read by 16-byte loads if that shard has
 * all of it, aligned; id by id otherwise, which with shards of whole tiles, 16 bytes aligned, is at
 * most the last tile of the vocabulary.
 */
#ifndef RZ_KERNELS_CUDA_SCAN_CUH
#define RZ_KERNELS_CUDA_SCAN_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/cuda/row.cuh"

namespace {

/* Of 16 bytes that a thread has in flight: two blocks of 256 threads on a multiprocessor, of which
 * one may be busy drawing, then have 32 KiB or more. An H200 needs some 25 to hide its latency. */
constexpr uint32_t kLoads = 8;

/* ------------------------------------------------------------------------------------------------
 * 16 bytes of logits: the largest, but for NaN; what is not allowed as -inf; and a note of NaN,
 * that is carried along and looked at once
 */

struct f32 {
    static constexpr uint32_t count = 4;
    using note = bool;

    static __device__ void take_note(note &nan, uint4 v)
    {
        const uint32_t bits[count] = {v.x, v.y, v.z, v.w};
#pragma unroll
        for (uint32_t i = 0; i < count; i++)
            nan |= rz_float_from_bits(bits[i]) != rz_float_from_bits(bits[i]);
    }

    static __device__ bool is_nan(note nan)
    {
        return nan;
    }

    static __device__ uint4 mask(uint4 v, uint32_t allowed)
    {
        constexpr uint32_t minus_infinity = 0xFF800000u;
        v.x = (allowed & 1) != 0 ? v.x : minus_infinity;
        v.y = (allowed & 2) != 0 ? v.y : minus_infinity;
        v.z = (allowed & 4) != 0 ? v.z : minus_infinity;
        v.w = (allowed & 8) != 0 ? v.w : minus_infinity;
        return v;
    }

    static __device__ float largest(uint4 v)
    {
        return fmaxf(fmaxf(rz_float_from_bits(v.x), rz_float_from_bits(v.y)),
                     fmaxf(rz_float_from_bits(v.z), rz_float_from_bits(v.w)));
    }
};

/* Two to a register: pair is __half2 or __nv_bfloat162. */
template <typename pair, uint32_t minus_infinity>
struct packed {
    static constexpr uint32_t count = 8;
    using note = pair;

    static __device__ pair pair_of(uint32_t bits)
    {
        pair both;
        memcpy(&both, &bits, sizeof both);
        return both;
    }

    static __device__ void take_note(note &nan, uint4 v)
    {
        nan = __hmax2_nan(nan, __hmax2_nan(__hmax2_nan(pair_of(v.x), pair_of(v.y)),
                                           __hmax2_nan(pair_of(v.z), pair_of(v.w))));
    }

    static __device__ bool is_nan(note nan)
    {
        const float low = __low2float(nan), high = __high2float(nan);
        return low != low || high != high;
    }

    /* All ones in each half whose bit is set, by a multiplication. */
    static __device__ uint32_t mask_pair(uint32_t bits, uint32_t allowed)
    {
        const uint32_t keep = ((allowed & 1) | (allowed & 2) << 15) * 0xFFFFu;
        return (bits & keep) | (minus_infinity * 0x10001u & ~keep);
    }

    static __device__ uint4 mask(uint4 v, uint32_t allowed)
    {
        return make_uint4(mask_pair(v.x, allowed), mask_pair(v.y, allowed >> 2),
                          mask_pair(v.z, allowed >> 4), mask_pair(v.w, allowed >> 6));
    }

    static __device__ float largest(uint4 v)
    {
        const pair most =
            __hmax2(__hmax2(pair_of(v.x), pair_of(v.y)), __hmax2(pair_of(v.z), pair_of(v.w)));
        return fmaxf(__low2float(most), __high2float(most));
    }
};

using f16 = packed<__half2, 0xFC00u>;
using bf16 = packed<__nv_bfloat162, 0xFF80u>;

/* ------------------------------------------------------------------------------------------------
 * Tiles of one shard
 */

struct whole_tiles {
    const uint4 *logits; /* of the first */
    uint32_t first, end;
    const uint32_t *bitmask; /* of the row */
};

/* The bits of a lane's ids, by the place of its load among all of the row. */
struct allowed_ids {
    const uint32_t *words;
    uint32_t shift;
};

template <typename type>
__device__ allowed_ids allowed_of_load(const whole_tiles &tiles, uint32_t load)
{
    const uint32_t id = tiles.first * RZ_TILE + load * type::count;
    return {tiles.bitmask + id / 32, id % 32};
}

/* What a lane has of a tile; `words` further on in the bitmask. */
template <typename type, bool masked>
__device__ float largest_of_load(uint4 v, const allowed_ids &allowed, uint32_t words)
{
    if (masked)
        v = type::mask(v, __ldg(allowed.words + words) >> allowed.shift);
    return fmaxf(type::largest(v), -INFINITY);
}

/* The largest of the lanes that share a tile. All lanes of a warp take part. */
template <uint32_t lanes>
__device__ float largest_of_lanes(float most)
{
#pragma unroll
    for (uint32_t step = 1; step < lanes; step *= 2)
        most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, static_cast<int>(step)));
    return most;
}

/* Maxima of whole, aligned tiles; returns whether any logit is NaN. A warp takes kLoads times 512
 * bytes that follow one another, so that all addresses are one and a constant. */
template <typename type, bool masked>
__device__ bool scan_whole(const whole_tiles &tiles, float *tile_max)
{
    constexpr uint32_t lanes = RZ_TILE / type::count; /* that share a tile */
    constexpr uint32_t words = kWarp * type::count / 32;
    constexpr uint32_t loads_of_warp = kLoads * kWarp;
    const uint32_t loads = (tiles.end - tiles.first) * lanes;
    const uint32_t even = loads / loads_of_warp * loads_of_warp;
    const bool stores = threadIdx.x % lanes == 0;
    typename type::note nan = {};
    for (uint32_t load = warp_of_block() * loads_of_warp + lane_of_warp(); load < even;
         load += kLoads * blockDim.x) {
        const uint4 *from = tiles.logits + load;
        float *to = tile_max + tiles.first + load / lanes;
        const allowed_ids allowed = allowed_of_load<type>(tiles, load);
        uint4 v[kLoads];
#pragma unroll
        for (uint32_t i = 0; i < kLoads; i++)
            v[i] = __ldg(from + i * kWarp);
#pragma unroll
        for (uint32_t i = 0; i < kLoads; i++) {
            type::take_note(nan, v[i]);
            const float most =
                largest_of_lanes<lanes>(largest_of_load<type, masked>(v[i], allowed, i * words));
            if (stores)
                to[i * kWarp / lanes] = most;
        }
    }
    for (uint32_t load = even + threadIdx.x; load - threadIdx.x < loads; load += blockDim.x) {
        float most = -INFINITY;
        if (load < loads) {
            const uint4 v = __ldg(tiles.logits + load);
            type::take_note(nan, v);
            most = largest_of_load<type, masked>(v, allowed_of_load<type>(tiles, load), 0);
        }
        most = largest_of_lanes<lanes>(most);
        if (stores && load < loads)
            tile_max[tiles.first + load / lanes] = most;
    }
    return type::is_nan(nan);
}

/* The same for any tiles, `masked` or as they came. */
__device__ bool scan_split(const rz_logits_view &logits, const rz_cuda_row &row, bool masked,
                           uint32_t first, uint32_t end, float *tile_max)
{
    bool nan = false;
    for (uint32_t tile = first + half_of_block(); tile < end; tile += halves_of_block()) {
        const uint32_t id = tile * RZ_TILE + lane_of_half();
        if (id < logits.vocab_size) {
            const rz_shard_view &shard = shard_of(logits, id);
            const float x = rz_logit_at(shard.logits, logits.dtype, index_in(shard, row, id));
            nan |= x != x;
        }
        const float x = masked ? masked_logit(logits, row, id) : raw_logit(logits, row, id);
        const float most = combine_half(x, larger());
        if (lane_of_half() == 0)
            tile_max[tile] = most;
    }
    return nan;
}

__device__ inline uint32_t at_most(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

__device__ inline uint32_t at_least(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* The tiles first .. end-1 whose first id is in this shard. */
template <typename type>
__device__ bool scan_shard(const rz_logits_view &logits, const rz_cuda_row &row, bool masked,
                           const rz_shard_view &shard, uint32_t first, uint32_t end,
                           float *tile_max)
{
    const uint32_t shard_end = at_most(shard.first + shard.count, logits.vocab_size);
    first = at_least(first, (shard.first + RZ_TILE - 1) / RZ_TILE);
    end = at_most(end, (shard_end + RZ_TILE - 1) / RZ_TILE);
    if (first >= end)
        return false;
    const size_t size = 16 / type::count;
    const char *at =
        static_cast<const char *>(shard.logits) + index_in(shard, row, first * RZ_TILE) * size;
    const bool aligned = reinterpret_cast<uintptr_t>(at) % 16 == 0;
    const uint32_t whole_end = aligned ? at_least(first, at_most(end, shard_end / RZ_TILE)) : first;
    const whole_tiles whole = {reinterpret_cast<const uint4 *>(at), first, whole_end, row.bitmask};
    const bool nan =
        masked ? scan_whole<type, true>(whole, tile_max) : scan_whole<type, false>(whole, tile_max);
    return scan_split(logits, row, masked, whole_end, end, tile_max) || nan;
}

/* Scan this block's part of row blockIdx.y. Returns how many blocks of the row, this one included,
 * have scanned theirs: step.scanned. What those have written is then seen by all threads of a block
 * that finds itself the last: barriers order it before one thread's fence and atomic in the block
 * that wrote it, and after those of a thread in the block that reads. */
template <typename type>
__device__ uint32_t scan(const rz_cuda_step &step)
{
    const rz_cuda_row &row = step.rows[blockIdx.y];
    const uint32_t tiles = rz_tile_count(step.logits.vocab_size);
    const uint32_t share = (tiles + gridDim.x - 1) / gridDim.x;
    const uint32_t first = at_most(tiles, blockIdx.x * share), end = at_most(tiles, first + share);
    const size_t at = static_cast<size_t>(blockIdx.y) * tiles;
    const bool twice = row.bitmask != nullptr && has_raw_max(row);
    bool nan = false;
    for (uint32_t pass = 0; pass < (twice ? 2 : 1); pass++)
        for (uint32_t s = 0; s < step.logits.shard_count; s++)
            nan |= scan_shard<type>(step.logits, row, row.bitmask != nullptr && pass == 0,
                                    step.logits.shards[s], first, end,
                                    (pass == 0 ? step.tile_max : step.raw_max) + at);

    __shared__ uint32_t scanned;
    const uint32_t own = __syncthreads_or(nan) != 0 ? 1 + RZ_CUDA_SAW_NAN : 1;
    if (threadIdx.x == 0) {
        __threadfence();
        scanned = own + atomicAdd(&step.scanned[blockIdx.y], own);
        __threadfence();
    }
    __syncthreads();
    return scanned;
}

} // namespace

#endif
