/* SPDX-License-Identifier: Apache-2.0
 *
 * philox.h - Philox4x32-10, a random function of a key and a counter.
 *
 * J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw: "Parallel Random Numbers: As Easy as 1, 2, 3",
 * SC'11. No state: the same key and counter give the same words on every machine.
 */
#ifndef RZ_KERNELS_PHILOX_H
#define RZ_KERNELS_PHILOX_H

#include <stdint.h>

#include "kernels/host_device.h"

struct rz_philox_words {
    uint32_t word[4];
};

/* Key words: low and high half of `key`. Counter words: index, low and high half of position,
 * stream. */
RZ_HD struct rz_philox_words rz_philox4x32(uint64_t key, uint32_t index, uint64_t position,
                                           uint32_t stream)
{
    uint32_t key_0 = (uint32_t)key;
    uint32_t key_1 = (uint32_t)(key >> 32);
    uint32_t x_0 = index;
    uint32_t x_1 = (uint32_t)position;
    uint32_t x_2 = (uint32_t)(position >> 32);
    uint32_t x_3 = stream;

    for (int round = 0; round < 10; round++) {
        const uint64_t product_0 = (uint64_t)0xD2511F53u * x_0;
        const uint64_t product_1 = (uint64_t)0xCD9E8D57u * x_2;
        x_0 = (uint32_t)(product_1 >> 32) ^ x_1 ^ key_0;
        x_1 = (uint32_t)product_1;
        x_2 = (uint32_t)(product_0 >> 32) ^ x_3 ^ key_1;
        x_3 = (uint32_t)product_0;
        key_0 += 0x9E3779B9u; /* golden ratio */
        key_1 += 0xBB67AE85u; /* sqrt(3) - 1 */
    }

    struct rz_philox_words words;
    words.word[0] = x_0;
    words.word[1] = x_1;
    words.word[2] = x_2;
    words.word[3] = x_3;
    return words;
}

#endif
