/* SPDX-License-Identifier: Apache-2.0
 *
 * scan.cu - the largest logit of every tile of 16 ids, with a bitmask folded in, and whether any is
 * NaN.
 *
 *   work     a row is divided evenly over gridDim.x blocks. Two lanes (16-bit logits) or four
 * (fp32) share a tile and read 16 bytes each, so that a warp reads 512 bytes without a gap traffic
 * reads each logit of the vocabulary once, and a bit for each with a bitmask; writes 4 bytes a tile
 *   bound    memory: about one instruction a 16-bit logit
 *   order    none: a maximum is the same in any
 *
 * A tile belongs to the shard that has its first id. It is read by 16-byte loads if that shard has
 * all of it, aligned; id by id otherwise, which with shards of whole tiles, 16 bytes aligned, is at
 * most the last tile of the vocabulary.
 */
#define RZ_CUDA_SOURCE
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/cuda/row.cuh"

namespace {

constexpr uint32_t kLoads = 4; /* of 16 bytes that a thread has in flight */

struct found {
    float most; /* NaN left out; may be NaN if all are */
    bool nan;
};

/* ------------------------------------------------------------------------------------------------
 * 16 bytes of logits, all ones in `allowed` where an id is
 */

struct f32 {
    static constexpr uint32_t count = 4;
    static __device__ found largest(uint4 v, uint32_t allowed)
    {
        const uint32_t bits[count] = {v.x, v.y, v.z, v.w};
        found all = {-INFINITY, false};
        for (uint32_t i = 0; i < count; i++) {
            const float x = rz_float_from_bits(bits[i]);
            all.nan |= x != x;
            all.most = fmaxf(all.most, (allowed >> i & 1) != 0 ? x : -INFINITY);
        }
        return all;
    }
};

/* Two to a register: pair is __half2 or __nv_bfloat162. */
template <typename pair, uint32_t minus_infinity>
struct packed {
    static constexpr uint32_t count = 8;
    static __device__ pair pair_of(uint32_t bits)
    {
        pair both;
        memcpy(&both, &bits, sizeof both);
        return both;
    }

    static __device__ uint32_t mask(uint32_t bits, uint32_t allowed)
    {
        const uint32_t low = (allowed & 1) != 0 ? bits : minus_infinity;
        const uint32_t high = (allowed & 2) != 0 ? bits : minus_infinity << 16;
        return (low & 0xFFFFu) | (high & 0xFFFF0000u);
    }

    static __device__ found largest(uint4 v, uint32_t allowed)
    {
        const pair x = pair_of(v.x), y = pair_of(v.y), z = pair_of(v.z), w = pair_of(v.w);
        const pair with_nan = __hmax2_nan(__hmax2_nan(x, y), __hmax2_nan(z, w));
        const pair most =
            __hmax2(__hmax2(pair_of(mask(v.x, allowed)), pair_of(mask(v.y, allowed >> 2))),
                    __hmax2(pair_of(mask(v.z, allowed >> 4)), pair_of(mask(v.w, allowed >> 6))));
        const float low = __low2float(with_nan), high = __high2float(with_nan);
        return {fmaxf(__low2float(most), __high2float(most)), low != low || high != high};
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
    const uint32_t *bitmask; /* of the row, or null */
};

/* The bits of the ids of lane-load `load` of the tiles, counted from the vocabulary's first. */
template <typename type>
__device__ uint32_t allowed_bits(const uint32_t *bitmask, uint32_t load)
{
    const uint32_t id = load * type::count;
    return bitmask != nullptr ? bitmask[id / 32] >> (id % 32) : 0xFFFFFFFFu;
}

/* Maxima of whole, aligned tiles; returns whether any logit is NaN. All lanes of a warp stay
 * together, as they exchange maxima. */
template <typename type>
__device__ bool scan_whole(const whole_tiles &tiles, float *tile_max)
{
    constexpr uint32_t lanes = RZ_TILE / type::count; /* that share a tile */
    const uint32_t loads = (tiles.end - tiles.first) * lanes;
    bool nan = false;
    for (uint32_t base = 0; base < loads; base += kLoads * blockDim.x) {
        uint4 v[kLoads];
#pragma unroll
        for (uint32_t i = 0; i < kLoads; i++) {
            const uint32_t load = base + i * blockDim.x + threadIdx.x;
            v[i] = load < loads ? tiles.logits[load] : make_uint4(0, 0, 0, 0);
        }
#pragma unroll
        for (uint32_t i = 0; i < kLoads; i++) {
            const uint32_t load = base + i * blockDim.x + threadIdx.x;
            uint32_t allowed = 0;
            if (load < loads)
                allowed = allowed_bits<type>(tiles.bitmask, tiles.first * lanes + load);
            const found part = type::largest(v[i], allowed);
            nan |= part.nan;
            float most = fmaxf(part.most, -INFINITY);
#pragma unroll
            for (uint32_t step = 1; step < lanes; step *= 2)
                most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, static_cast<int>(step)));
            if (load < loads && load % lanes == 0)
                tile_max[tiles.first + load / lanes] = most;
        }
    }
    return nan;
}

/* The same for any tiles. */
__device__ bool scan_split(const rz_logits_view &logits, const rz_cuda_row &row, uint32_t first,
                           uint32_t end, float *tile_max)
{
    bool nan = false;
    for (uint32_t tile = first + half_of_block(); tile < end; tile += halves_of_block()) {
        const uint32_t id = tile * RZ_TILE + lane_of_half();
        if (id < logits.vocab_size) {
            const rz_shard_view &shard = shard_of(logits, id);
            const float x = rz_logit_at(shard.logits, logits.dtype,
                                        row.logits_row * shard.row_stride + (id - shard.first));
            nan |= x != x;
        }
        const float most = combine_half(masked_logit(logits, row, id), larger());
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
__device__ bool scan_shard(const rz_logits_view &logits, const rz_cuda_row &row,
                           const rz_shard_view &shard, uint32_t first, uint32_t end,
                           float *tile_max)
{
    const uint32_t shard_end = at_most(shard.first + shard.count, logits.vocab_size);
    first = at_least(first, (shard.first + RZ_TILE - 1) / RZ_TILE);
    end = at_most(end, (shard_end + RZ_TILE - 1) / RZ_TILE);
    if (first >= end)
        return false;
    const size_t size = 16 / type::count;
    const char *at = static_cast<const char *>(shard.logits) +
                     (row.logits_row * shard.row_stride + (first * RZ_TILE - shard.first)) * size;
    const bool aligned = reinterpret_cast<uintptr_t>(at) % 16 == 0;
    const uint32_t whole_end = aligned ? at_least(first, at_most(end, shard_end / RZ_TILE)) : first;
    const whole_tiles whole = {reinterpret_cast<const uint4 *>(at), first, whole_end, row.bitmask};
    const bool nan = scan_whole<type>(whole, tile_max);
    return scan_split(logits, row, whole_end, end, tile_max) || nan;
}

template <typename type>
__device__ void scan(const rz_cuda_step &step)
{
    const rz_cuda_row &row = step.rows[blockIdx.y];
    const uint32_t tiles = rz_tile_count(step.logits.vocab_size);
    const uint32_t share = (tiles + gridDim.x - 1) / gridDim.x;
    const uint32_t first = at_most(tiles, blockIdx.x * share), end = at_most(tiles, first + share);
    float *tile_max = step.tile_max + static_cast<size_t>(blockIdx.y) * tiles;
    bool nan = false;
    for (uint32_t s = 0; s < step.logits.shard_count; s++)
        nan |= scan_shard<type>(step.logits, row, step.logits.shards[s], first, end, tile_max);
    const bool any = __syncthreads_or(nan) != 0;
    if (threadIdx.x == 0)
        step.nan_seen[blockIdx.y * gridDim.x + blockIdx.x] = any;
}

} // namespace

extern "C" __global__ void __launch_bounds__(RZ_CUDA_MOST_THREADS)
    rz_cuda_scan_f32(const rz_cuda_step step)
{
    scan<f32>(step);
}

extern "C" __global__ void __launch_bounds__(RZ_CUDA_MOST_THREADS)
    rz_cuda_scan_f16(const rz_cuda_step step)
{
    scan<f16>(step);
}

extern "C" __global__ void __launch_bounds__(RZ_CUDA_MOST_THREADS)
    rz_cuda_scan_bf16(const rz_cuda_step step)
{
    scan<bf16>(step);
}
