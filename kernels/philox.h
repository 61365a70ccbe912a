/* SPDX-License-Identifier: Apache-2.0
 *
 * philox.h - Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel
 * random numbers: as easy as 1, 2, 3" (SC'11).
 *
 * 128 random bits are a pure function of a key and a counter: no state, so any tile of any position
 * can be asked for at any time and anywhere.
 */
#ifndef RZ_KERNELS_PHILOX_H
#define RZ_KERNELS_PHILOX_H

#include <stdint.h>

#include "kernels/numerics.h"

#define RZ_PHILOX_ROUNDS 10
#define RZ_PHILOX_M0 UINT32_C(0xD2511F53)
#define RZ_PHILOX_M1 UINT32_C(0xCD9E8D57)
#define RZ_PHILOX_W0 UINT32_C(0x9E3779B9)
#define RZ_PHILOX_W1 UINT32_C(0xBB67AE85)

struct rz_philox_words {
    uint32_t word[4];
};

/* Counter words 0 to 3 and key words 0 and 1, as the paper numbers them. */
RZ_HD struct rz_philox_words rz_philox_block(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3,
                                             uint32_t k0, uint32_t k1)
{
    for (int round = 0; round < RZ_PHILOX_ROUNDS; round++) {
        const uint64_t p0 = (uint64_t)RZ_PHILOX_M0 * c0;
        const uint64_t p1 = (uint64_t)RZ_PHILOX_M1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += RZ_PHILOX_W0;
        k1 += RZ_PHILOX_W1;
    }
    struct rz_philox_words out = {{c0, c1, c2, c3}};
    return out;
}

/* Key: the seed, its low half first. Counter: (index, position low, position high, stream). */
RZ_HD struct rz_philox_words rz_philox4x32(uint64_t seed, uint32_t index, uint64_t position,
                                           uint32_t stream)
{
    return rz_philox_block(index, (uint32_t)position, (uint32_t)(position >> 32), stream,
                           (uint32_t)seed, (uint32_t)(seed >> 32));
}

#endif
