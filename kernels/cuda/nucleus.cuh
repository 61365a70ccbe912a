/* SPDX-License-Identifier: Apache-2.0
 *
 * nucleus.cuh - the smallest y that top-p keeps: by bounds, and exactly where bounds do not tell.
 *
 * An id is kept iff M, the mass above it, is < p (M + T), T being the mass of the rest. Exact
 * masses take an exponential in double an id; sums in fp32 are within a small factor of them, and
 * what is the same for all sums within the factor is so for the mass. The cut lies between two
 * keys, of which the lower is known not to be kept and the upper to be. Parts of what is between
 * are weighed until it has no id, or nothing more can be told:
 *
 *   first     in the tiles whose maxima are not far below the largest. The others have so little
 *             that it seldom matters where between its maxima and 16 times those their mass is
 *   then      in all tiles
 *   at last   in exact masses, of the ids in between and of all that are above
 */
#ifndef RZ_KERNELS_CUDA_NUCLEUS_CUH
#define RZ_KERNELS_CUDA_NUCLEUS_CUH

#include "kernels/cuda/search.cuh"

namespace {

/* ------------------------------------------------------------------------------------------------
 * Masses in fp32
 */

/* Of all masses together, what integers lose of 2^18 ids, and what ids have that are too light for
 * integers: 2^-44 each. */
constexpr double kLost = 0x1p-25;

/* 2^d for d <= 0, within a factor of 1 + 2^-20; 2^-64 where that is more. */
__device__ inline float exp2_near(float d)
{
    constexpr float shift = 0x1.8p+23f; /* the spacing of floats around this is 1 */
    const float x = larger()(d, -64.0f);
    const float shifted = x + shift, r = x - (shifted - shift); /* |r| <= 1/2 */
    constexpr float c1 = static_cast<float>(RZ_EXP2_C1), c2 = static_cast<float>(RZ_EXP2_C2),
                    c3 = static_cast<float>(RZ_EXP2_C3), c4 = static_cast<float>(RZ_EXP2_C4),
                    c5 = static_cast<float>(RZ_EXP2_C5), c6 = static_cast<float>(RZ_EXP2_C6);
    const float power = 1.0f + r * (c1 + r * (c2 + r * (c3 + r * (c4 + r * (c5 + r * c6)))));
    return rz_float_from_bits(rz_float_bits(power) + (rz_float_bits(shifted) << 23));
}

/* How far a sum of a thread's may be off, of itself: each term by 2^-20 and by the rounding of y -
 * exponent, which is 2^-19 at most; and every addition by 2^-24. */
__device__ inline double grain(uint32_t tiles)
{
    const uint32_t terms = (tiles + blockDim.x - 1) / blockDim.x * RZ_TILE;
    return 0x1p-18 + static_cast<double>(terms) * 0x1p-23;
}

/* parts[i]: of the items of range.low < key <= range.high, those from above pivots[i] up to
 * pivots[i + 1]. each(key) is called for them, too. */
template <typename Items, typename Each>
__device__ void weigh(const Items &items, const key_range &range, float exponent,
                      const uint32_t (&pivots)[kParts], double (&parts)[kParts], Each each)
{
    float sums[kParts] = {};
    items.each(range.low, [&](uint32_t key) {
        if (key > range.high)
            return;
        each(key);
        const float mass = exp2_near(rz_float_of_key(key) - exponent);
#pragma unroll
        for (uint32_t i = 0; i < kParts; i++)
            sums[i] += key > pivots[i] && (i == kParts - 1 || key <= pivots[i + 1]) ? mass : 0.0f;
    });
#pragma unroll
    for (uint32_t i = 0; i < kParts; i++)
        parts[i] = static_cast<double>(sums[i]);
    sum_block(parts);
}

/* ------------------------------------------------------------------------------------------------
 * What is known of the cut, shared by the block
 */

struct cut {
    const scaled_row *row;
    float top_p;
    float exponent;
    uint32_t least;      /* top-p counts the ids from this key on */
    key_range range;     /* that the cut is in */
    double above, below; /* masses of ids of keys > range.high, and from `least` to range.low */
    double rest_least, rest_most; /* that are not in `below` */
};

enum class verdict { unknown, kept, dropped };

/* As rz_in_nucleus() has it, with room for the rounding of its product and of these. */
__device__ inline verdict judge(const cut &c, double above, double below)
{
    const double p = static_cast<double>(c.top_p), off = grain(c.row->edited.tiles);
    const double most = above * (1.0 + off) + kLost, least = above * (1.0 - off) - kLost;
    const double rest_least = below * (1.0 - off) + c.rest_least - kLost;
    const double rest_most = below * (1.0 + off) + c.rest_most + kLost;
    if (most < p * (most + rest_least) * (1.0 - 0x1p-48))
        return verdict::kept;
    if (least >= p * (least + rest_most) * (1.0 + 0x1p-48))
        return verdict::dropped;
    return verdict::unknown;
}

/* Move the ends of the range to what the parts tell; `above` and `below` are without all parts.
 * False if neither moves. By all threads, which come to the same. */
__device__ inline bool move_ends(cut *c, const uint32_t (&pivots)[kParts],
                                 const double (&parts)[kParts], double above, double below)
{
    key_range range = c->range;
    double over = above, new_above = c->above, new_below = c->below;
#pragma unroll
    for (uint32_t i = kParts - 1; i > 0; i--) {
        over += parts[i];
        double under = below;
#pragma unroll
        for (uint32_t j = 0; j < i; j++)
            under += parts[j];
        if (pivots[i] <= range.low || pivots[i] >= range.high)
            continue;
        const verdict v = judge(*c, over, under);
        if (v == verdict::kept) {
            range.high = pivots[i];
            new_above = over;
        } else if (v == verdict::dropped) {
            range.low = pivots[i];
            new_below = under;
        }
    }
    const bool moved = range.low != c->range.low || range.high != c->range.high;
    __syncthreads(); /* all have read it */
    if (threadIdx.x == 0) {
        c->range = range;
        c->above = new_above;
        c->below = new_below;
    }
    __syncthreads();
    return moved;
}

/* ------------------------------------------------------------------------------------------------
 * A list of keys, in shared memory
 */

struct key_collector {
    uint32_t *keys, *count;
    key_range range;
    __device__ void operator()(uint32_t key) const
    {
        if (key <= range.low || key > range.high || *count > kListed)
            return;
        const uint32_t at = atomicAdd(count, 1u);
        if (at < kListed)
            keys[at] = key;
    }
};

/* Empty, once all threads are here. */
__device__ inline key_collector begin_list(const key_range &range)
{
    __shared__ uint32_t keys[kListed];
    __shared__ uint32_t count;
    __syncthreads(); /* some may still read the last */
    if (threadIdx.x == 0)
        count = 0;
    __syncthreads();
    return {keys, &count, range};
}

/* The list, once all threads are here; too long a one has more than kListed. */
__device__ inline key_list end_list(const key_collector &collector)
{
    __syncthreads();
    return {collector.keys, *collector.count};
}

/* The ids of a row in a range. */
__device__ inline key_list list_ids(const scaled_row &row, const key_range &range)
{
    const key_collector collect = begin_list(range);
    row_ids{&row}.each(range.low, collect);
    return end_list(collect);
}

/* ------------------------------------------------------------------------------------------------
 * Bounds
 */

/* Leave out the tiles that have little: what their maxima say of them becomes the rest. Returns the
 * key up to which a maximum is left out. */
__device__ inline uint32_t leave_out(cut *c)
{
    constexpr float depths[kParts] = {64.0f, 28.0f, 22.0f, 17.0f, 14.0f, 11.0f, 8.0f, 5.0f};
    const key_range all = {c->least - 1, rz_float_key(c->row->largest)};
    uint32_t pivots[kParts];
    double parts[kParts];
#pragma unroll
    for (uint32_t i = 0; i < kParts; i++)
        pivots[i] = larger()(all.low, rz_float_key(larger()(c->exponent - depths[i], -FLT_MAX)));
    pivots[0] = all.low;
    weigh(tile_maxima{c->row}, all, c->exponent, pivots, parts, [](uint32_t) {});
    double total = 0.0, under = 0.0, rest = 0.0;
#pragma unroll
    for (uint32_t i = 0; i < kParts; i++)
        total += parts[i];
    const double off = grain(c->row->edited.tiles), p = static_cast<double>(c->top_p);
    const double most = total * smaller()((1.0 - p) / 8.0, 0x1p-7);
    uint32_t left_out = all.low;
#pragma unroll
    for (uint32_t i = 1; i < kParts; i++) {
        under += parts[i - 1];
        if (RZ_TILE * under <= most) {
            left_out = pivots[i];
            rest = under;
        }
    }
    if (threadIdx.x == 0) {
        c->rest_least = rest * (1.0 - off);
        c->rest_most = RZ_TILE * rest * (1.0 + off);
    }
    return left_out;
}

/* Weigh all ids of the tiles with a maximum above `left_out`, and what is between the ends of the
 * range in parts. False if the cut is lower than what was left out. */
__device__ inline bool weigh_all(cut *c, uint32_t left_out, const key_collector &collect)
{
    const key_range all = {c->least - 1, rz_float_key(c->row->largest)}, inner = collect.range;
    uint32_t pivots[kParts];
    double parts[kParts];
#pragma unroll
    for (uint32_t i = 1; i < kParts; i++)
        pivots[i] = i == 1 ? inner.low : i == kParts - 1 ? inner.high : pivot_of(inner, i);
    pivots[0] = all.low;
    weigh(row_ids{c->row, left_out}, all, c->exponent, pivots, parts, collect);
    double over = 0.0;
#pragma unroll
    for (uint32_t i = 1; i < kParts; i++)
        over += parts[i];
    if (inner.low > c->range.low && judge(*c, over, parts[0]) != verdict::dropped)
        return false;
    const double above = parts[kParts - 1], below = parts[0];
    parts[0] = parts[kParts - 1] = 0.0;
    __syncthreads(); /* all have judged */
    if (threadIdx.x == 0) {
        c->range = inner;
        c->above = above;
        c->below = below;
    }
    __syncthreads();
    move_ends(c, pivots, parts, above, below);
    return true;
}

/* Narrow the range by the ids of these tiles, as far as that tells. */
__device__ inline void narrow(cut *c, uint32_t left_out)
{
    key_collector collect = begin_list({larger()(c->range.low, left_out), c->range.high});
    const bool told = weigh_all(c, left_out, collect);
    key_list list = end_list(collect);
    for (bool moved = told; moved && c->range.high - c->range.low > 1;) {
        const key_range range = c->range;
        uint32_t pivots[kParts];
        double parts[kParts];
#pragma unroll
        for (uint32_t i = 0; i < kParts; i++)
            pivots[i] = pivot_of(range, i);
        if (list.count <= kListed) {
            weigh(list, range, c->exponent, pivots, parts, [](uint32_t) {});
        } else {
            collect = begin_list(range);
            weigh(row_ids{c->row}, range, c->exponent, pivots, parts, collect);
            list = end_list(collect);
        }
        moved = move_ends(c, pivots, parts, c->above, c->below);
    }
}

/* ------------------------------------------------------------------------------------------------
 * Exact masses
 */

/* The cut in a range, with nothing known but that. */
template <typename Items>
__device__ uint32_t cut_exactly(const Items &items, const cut &c)
{
    mass_limit limit = {c.top_p, rz_mass_exponent(c.row->largest), 0};
    uint64_t masses[kParts] = {};
    items.each(c.least - 1, [&](uint32_t key) {
        const uint64_t mass = limit.weight(key);
        masses[0] += mass;
        masses[1] += key > c.range.high ? mass : 0;
    });
    sum_block(masses);
    limit.all = masses[0];
    return search(items, limit, c.range, masses[1]);
}

/* By bounds, in the tiles that have nearly all first. */
__device__ inline void bound_cut(cut *c)
{
    uint32_t left_out = leave_out(c);
    for (bool all = left_out < c->least;; all = true) {
        if (all) {
            left_out = c->least - 1;
            if (threadIdx.x == 0)
                c->rest_least = c->rest_most = 0.0;
        }
        narrow(c, left_out);
        if (all || c->range.high - c->range.low <= 1)
            return;
        __syncthreads(); /* all have looked at the range */
    }
}

/* The smallest key that top-p keeps of those from `least` on. `few`: it is likely that those are
 * not more than a list can have. */
__device__ inline uint32_t top_p_key(const scaled_row &row, float top_p, uint32_t least, bool few)
{
    __shared__ cut c;
    const float exponent = ceilf(row.largest);
    const uint32_t largest = rz_float_key(row.largest);
    /* Ids that are this far below the row's exponent have no mass, so none of them is kept. */
    if (exponent - 64.0f > -FLT_MAX)
        least = larger()(least, rz_float_key(exponent - 64.0f));
    if (threadIdx.x == 0)
        c = {&row, top_p, exponent, least, {least - 1, largest}, 0.0, 0.0, 0.0, 0.0};
    __syncthreads();
    if (few) {
        const key_list list = list_ids(row, c.range);
        if (list.count <= kListed)
            return cut_exactly(list, c);
    }
    bound_cut(&c);
    if (c.range.high - c.range.low > 1)
        return cut_exactly(row_ids{&row}, c);
    return c.range.high;
}

} // namespace

#endif
