/* SPDX-License-Identifier: Apache-2.0
 *
 * passes_words.h - random words of tiles, and the scores that come of them.
 */
#ifndef RZ_KERNELS_PASSES_WORDS_H
#define RZ_KERNELS_PASSES_WORDS_H

#include "kernels/cpu/lanes.h"

/* The keys of ten rounds. */
struct keys {
    u64x8 k0[RZ_PHILOX_ROUNDS], k1[RZ_PHILOX_ROUNDS];
};

static inline void schedule(uint64_t seed, struct keys *keys)
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < RZ_PHILOX_ROUNDS; round++) {
        keys->k0[round] = u64_set(k0);
        keys->k1[round] = u64_set(k1);
        k0 += RZ_PHILOX_W0;
        k1 += RZ_PHILOX_W1;
    }
}

/* rz_philox4x32(), eight calls; call i's words go to words[i], [stride + i], ... A word is the low
 * half of its lane: a product leaves one word there and the other above, and what is above does not
 * matter to the next. 13 instructions a round for both eights. */
static inline void draw_8(const struct keys *keys, u64x8 calls, uint64_t position, uint32_t *words,
                          size_t stride)
{
    const u64x8 m0 = u64_set(RZ_PHILOX_M0), m1 = u64_set(RZ_PHILOX_M1);
    u64x8 c0 = calls;
    u64x8 c1 = u64_set((uint32_t)position), c2 = u64_set(position >> 32);
    u64x8 c3 = u64_set(RZ_STREAM_RACE);
    for (int round = 0; round < RZ_PHILOX_ROUNDS; round++) {
        const u64x8 p0 = u64_mul_low(c0, m0), p1 = u64_mul_low(c2, m1);
        c0 = u64_xor3(u64_shift_right(p1, 32), c1, keys->k0[round]);
        c2 = u64_xor3(u64_shift_right(p0, 32), c3, keys->k1[round]);
        c1 = p1;
        c3 = p0;
    }
    u64_store_low(words, c0);
    u64_store_low(words + stride, c1);
    u64_store_low(words + 2 * stride, c2);
    u64_store_low(words + 3 * stride, c3);
}

/* The words of a group's tiles, in order. */
static inline void draw_group(const struct keys *keys, uint32_t group, uint64_t position,
                              uint32_t words[RZ_GROUP])
{
    static const uint64_t counts[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const u64x8 first = u64_set(group * RZ_GROUP_CALLS);
    draw_8(keys, u64_add(first, u64_load(counts)), position, words, 16);
    draw_8(keys, u64_add(first, u64_load(counts + 8)), position, words + 8, 16);
}

/* The words of these tiles, 8 at most. */
static inline void draw_tiles(const struct keys *keys, const uint32_t *tiles, uint32_t count,
                              uint64_t position, uint32_t *words)
{
    uint64_t calls[8] = {0};
    uint32_t drawn[4 * 8];
    for (uint32_t i = 0; i < count; i++)
        calls[i] = rz_race_call(tiles[i]);
    draw_8(keys, u64_load(calls), position, drawn, 8);
    for (uint32_t i = 0; i < count; i++)
        words[i] = drawn[rz_race_word(tiles[i]) * 8 + i];
}

static void draw(uint64_t seed, uint64_t position, const uint32_t *tiles, uint32_t count,
                 uint32_t *words)
{
    struct keys keys;
    schedule(seed, &keys);
    for (uint32_t i = 0; i < count; i += 8)
        draw_tiles(&keys, tiles + i, count - i < 8 ? count - i : 8, position, words + i);
}

/* Scores of 16 tiles. The logarithm is the chord over log2, which is never above it: the bits of a
 * float as an integer are 2^23 (log2 + 127). What is rounded is less than 2^-16 in all, and 2^-22
 * of the base. 5 instructions. */
static inline f32x16 score_16(f32x16 base, f32x16 scale, const uint32_t *words)
{
    const f32x16 half = f32_from_i32(u32_shift_right(u32_load(words), 1));
    const f32x16 bits = f32_from_i32(f32_bits(half));
    return f32_mul_add(bits, f32_set(-0x1p-23f), f32_mul_add(base, scale, f32_set(126.0f + 32.0f)));
}

static void score(uint64_t seed, uint64_t position, const uint32_t *tiles, const float *base,
                  float scale, uint32_t padded, float *scores)
{
    struct keys keys;
    uint32_t words[RZ_GROUP];
    schedule(seed, &keys);
    for (uint32_t i = 0; i < padded; i += LANES) {
        if (tiles != NULL) {
            draw_tiles(&keys, tiles + i, 8, position, words);
            draw_tiles(&keys, tiles + i + 8, 8, position, words + 8);
        } else if (i % RZ_GROUP == 0) {
            draw_group(&keys, i / RZ_GROUP, position, words);
        }
        const uint32_t *from = tiles != NULL ? words : words + i % RZ_GROUP;
        f32_store(scores + i, score_16(f32_load(base + i), f32_set(scale), from));
    }
}

#endif
