/* SPDX-License-Identifier: Apache-2.0
 *
 * race.cuh - which tile wins, by bounds first, and which of its ids is drawn.
 *
 * log2 of a tile's key, relative to RZ_MASS_ONE, is log2(S) - log2(E). With y the tile's largest,
 * which is kept, S is that of one id at least and of sixteen at most:
 *
 *     y <= log2(S) <= y + 4
 *
 * E = -log(1 - v) and w 2^-32 <= v <= (w + 1) 2^-32, w the first 32 of the tile's 64 random bits:
 *
 *     E >= v >= w 2^-32                       -log2(E) <= 32 - log2(w), or 65, as bits + 1/2 >= 1/2
 *     E <= 2 log(2) v where v <= 1/2          -log2(E) >= 32 - log2(w + 1) - 0.4712
 *     E <= 45.1                               -log2(E) >= -5.5
 *
 * The bits of a float as an integer are 2^23 (log2 + 127) or at most 0.0861 * 2^23 less. Only tiles
 * whose upper bound reaches the best lower bound are worked out: about 24 of them, whatever the
 * logits are. What roundings (of w to a float, of S to an integer, of sums in double) do to bounds
 * is far less than `slack`.
 */
#ifndef RZ_KERNELS_CUDA_RACE_CUH
#define RZ_KERNELS_CUDA_RACE_CUH

#include "kernels/cuda/threshold.cuh"

namespace {

constexpr uint32_t kContenders = 1024; /* tiles that can win, before all are worked out */
constexpr uint32_t kMostHalves = RZ_CUDA_MOST_THREADS / RZ_TILE;
constexpr uint32_t kNoTile = 0xFFFFFFFFu;

struct race {
    const scaled_row &row;
    float threshold; /* the smallest y that is kept */
    uint64_t seed, position;
};

struct contender {
    rz_key key;
    uint64_t mass;
    uint32_t tile; /* kNoTile: none */
};

/* ------------------------------------------------------------------------------------------------
 * Bounds
 */

/* At most log2 of w > 0, and at least log2(w) - 0.0861, but for a rounding by 2^-17. */
__device__ inline float log2_below(uint32_t w)
{
    return static_cast<float>(rz_float_bits(static_cast<float>(w))) * 0x1p-23f - 127.0f;
}

__device__ inline float upper_bound(float y, uint32_t word)
{
    return y + (word > 0 ? 36.0f - log2_below(word) : 69.0f);
}

__device__ inline float lower_bound(float y, uint32_t word)
{
    return y + (word < 0x80000000u ? 31.44f - log2_below(word + 1) : -5.5f);
}

/* Sums in fp32 are off by 2^-24 of y and of what is added. A y so far below the largest that this
 * is more than what follows from the largest cannot win, nor can its bounds. */
__device__ inline float bound_slack(const scaled_row &row)
{
    return 0x1p-10f + fabsf(row.largest) * 0x1p-20f;
}

/* visit(tile, y, word) for every tile with a kept id. A thread takes the four tiles of a call. */
template <typename Visit>
__device__ void each_entrant(const race &r, Visit visit)
{
    const uint32_t tiles = r.row.edited.tiles, calls = (tiles + 63) / 64 * 16;
    const float *tile_max = r.row.edited.tile_max;
    const float scale = r.row.scale;
    for (uint32_t call = threadIdx.x; call < calls; call += blockDim.x) {
        const rz_philox_words words = rz_philox4x32(r.seed, call, r.position, RZ_STREAM_RACE);
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            const uint32_t tile = call / 16 * 64 + call % 16 + i * 16;
            if (tile >= tiles)
                continue;
            const float y = rz_scaled(tile_max[tile], scale);
            if (y >= r.threshold)
                visit(tile, y, words.word[i]);
        }
    }
}

/* ------------------------------------------------------------------------------------------------
 * The exact race
 */

/* Mass of this lane's id of a tile, 0 if it is not kept. */
__device__ inline uint64_t lane_mass(const race &r, uint32_t tile, double exponent)
{
    const float y = rz_scaled(tile_logit(r.row.edited, tile), r.row.scale);
    return y >= r.threshold ? rz_mass(y, exponent) : 0;
}

__device__ inline double tile_exponent(const race &r, uint32_t tile)
{
    return rz_mass_exponent(rz_scaled(r.row.edited.tile_max[tile], r.row.scale));
}

/* The lower tile wins a tie. */
__device__ inline bool is_ahead(const contender &a, const contender &b)
{
    if (a.tile == kNoTile || b.tile == kNoTile)
        return b.tile == kNoTile && a.tile != kNoTile;
    if (rz_key_less(b.key, a.key))
        return true;
    return a.tile < b.tile && !rz_key_less(a.key, b.key);
}

/* By half a warp, for a tile whose maximum is kept. */
__device__ inline contender work_out(const race &r, uint32_t tile)
{
    const double exponent = tile_exponent(r, tile);
    const uint64_t mass = combine_half(lane_mass(r, tile, exponent), sum());
    return {rz_race_key(mass, rz_race_bits(r.seed, r.position, tile), exponent), mass, tile};
}

/* The best of those that the halves found. */
__device__ inline contender best_of_block(const contender &own)
{
    __shared__ contender of_halves[kWarp]; /* no more than a warp can look at */
    static_assert(kMostHalves <= kWarp, "one warp looks at all");
    __syncthreads(); /* some may still read what the last race left */
    if (lane_of_half() == 0)
        of_halves[half_of_block()] = own;
    __syncthreads();
    contender best = {{0.0, 0.0}, 0, kNoTile};
    if (warp_of_block() == 0) {
        if (lane_of_warp() < halves_of_block())
            best = of_halves[lane_of_warp()];
        for (int step = kWarp / 2; step > 0; step /= 2) {
            const contender other = {{__shfl_xor_sync(kAllLanes, best.key.fraction, step),
                                      __shfl_xor_sync(kAllLanes, best.key.exponent, step)},
                                     __shfl_xor_sync(kAllLanes, best.mass, step),
                                     __shfl_xor_sync(kAllLanes, best.tile, step)};
            if (is_ahead(other, best))
                best = other;
        }
        if (lane_of_warp() == 0)
            of_halves[0] = best;
    }
    __syncthreads();
    return of_halves[0];
}

__device__ inline contender winner(const race &r)
{
    __shared__ uint32_t listed[kContenders];
    __shared__ uint32_t count;

    float low = -INFINITY;
    each_entrant(
        r, [&](uint32_t, float y, uint32_t word) { low = larger()(low, lower_bound(y, word)); });
    low = combine_block(low, larger()) - bound_slack(r.row);

    if (threadIdx.x == 0)
        count = 0;
    __syncthreads();
    each_entrant(r, [&](uint32_t tile, float y, uint32_t word) {
        if (upper_bound(y, word) < low)
            return;
        const uint32_t at = atomicAdd(&count, 1u);
        if (at < kContenders)
            listed[at] = tile;
    });
    __syncthreads();

    const bool all = count > kContenders; /* logits so large that bounds tell little */
    const uint32_t candidates = all ? r.row.edited.tiles : count;
    contender best = {{0.0, 0.0}, 0, kNoTile};
    for (uint32_t i = half_of_block(); i < candidates; i += halves_of_block()) {
        const uint32_t tile = all ? i : listed[i];
        if (rz_scaled(r.row.edited.tile_max[tile], r.row.scale) < r.threshold)
            continue;
        const contender next = work_out(r, tile);
        if (is_ahead(next, best))
            best = next;
    }
    return best_of_block(best);
}

/* The first id whose running mass exceeds a uniform part of the tile's. By the block's first half.
 */
__device__ inline uint32_t pick(const race &r, const contender &of)
{
    uint64_t running = lane_mass(r, of.tile, tile_exponent(r, of.tile));
    for (uint32_t step = 1; step < RZ_TILE; step *= 2) {
        const uint64_t before = __shfl_up_sync(lanes_of_half(), running, step, RZ_TILE);
        running += lane_of_half() >= step ? before : 0;
    }
    const uint64_t target = rz_pick_mass(r.seed, r.position, of.tile, of.mass);
    const uint32_t exceeding = __ballot_sync(lanes_of_half(), running > target) & lanes_of_half();
    return of.tile * RZ_TILE + static_cast<uint32_t>(__ffs(static_cast<int>(exceeding)) - 1);
}

__device__ inline uint32_t draw_id(const race &r)
{
    __shared__ uint32_t drawn;
    const contender best = winner(r);
    if (half_of_block() == 0) {
        const uint32_t id = pick(r, best);
        if (threadIdx.x == 0)
            drawn = id;
    }
    __syncthreads();
    return drawn;
}

} // namespace

#endif
