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

constexpr uint32_t kListed = 1024; /* tiles that can win, before all are worked out */
constexpr uint32_t kMostHalves = RZ_CUDA_MOST_THREADS / RZ_TILE;
constexpr uint32_t kNoTile = 0xFFFFFFFFu;

struct race {
    scaled_row row;
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

/* At most log2 of w > 0, and at least log2(w) - 0.0861. */
__device__ inline double log2_below(uint32_t w)
{
    const uint32_t bits = rz_float_bits(static_cast<float>(w));
    return static_cast<double>(bits) * 0x1p-23 - 127.0;
}

__device__ inline double upper_bound(float y, uint32_t word)
{
    return static_cast<double>(y) + 4.0 + (word > 0 ? 32.0 - log2_below(word) : 65.0);
}

__device__ inline double lower_bound(float y, uint32_t word)
{
    return static_cast<double>(y) + (word < 0x80000000u ? 31.44 - log2_below(word + 1) : -5.5);
}

__device__ inline double bound_slack(const scaled_row &row)
{
    return 0x1p-10 + fabs(static_cast<double>(row.largest)) * 0x1p-48;
}

/* visit(tile, y, word) for every tile with a kept id. A thread takes the four tiles of a call. */
template <typename Visit>
__device__ void each_entrant(const race &r, Visit visit)
{
    const uint32_t tiles = r.row.edited.tiles, calls = (tiles + 63) / 64 * 16;
    for (uint32_t call = threadIdx.x; call < calls; call += blockDim.x) {
        const rz_philox_words words = rz_philox4x32(r.seed, call, r.position, RZ_STREAM_RACE);
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            const uint32_t tile = call / 16 * 64 + call % 16 + i * 16;
            if (tile >= tiles)
                continue;
            const float y = rz_scaled(r.row.edited.tile_max[tile], r.row.scale);
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
    const float y = tile_y(r.row, tile);
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
    __shared__ contender of_halves[kMostHalves];
    __syncthreads(); /* some may still read what the last race left */
    if (lane_of_half() == 0)
        of_halves[half_of_block()] = own;
    __syncthreads();
    contender best = of_halves[0];
    for (uint32_t half = 1; half < halves_of_block(); half++)
        if (is_ahead(of_halves[half], best))
            best = of_halves[half];
    return best;
}

__device__ inline contender winner(const race &r)
{
    __shared__ uint32_t listed[kListed];
    __shared__ uint32_t count;

    double low = -static_cast<double>(INFINITY);
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
        if (at < kListed)
            listed[at] = tile;
    });
    __syncthreads();

    const bool all = count > kListed; /* logits so large that bounds tell little */
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

} // namespace

#endif
