/* SPDX-License-Identifier: Apache-2.0
 *
 * numerics_dump.c - arguments and results of numerics.h for numerics_oracle.py, as "NAME ARGUMENT
 * RESULT" in hexadecimal bits, a line each, and of rz_philox4x32 as "philox" and its words.
 *
 *     numerics_dump COUNT SEED
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/philox.h"
#include "tests/kernels/numerics_arguments.h"

static void dump_function(const struct numerics_function *function, uint64_t seed, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t argument = numerics_argument(function, seed, i);
        printf("%s %" PRIx64 " %" PRIx64 "\n", function->name, argument,
               function->result(argument));
    }
}

/* Key, index, position, stream, then the four words. */
static void dump_philox(uint64_t seed, uint64_t count)
{
    uint64_t key = seed;
    for (uint64_t i = 0; i < count; i++) {
        /* A multiplicative congruential walk: unlike Philox, and every bit of the high half moves.
         */
        key = key * 6364136223846793005u + 1442695040888963407u;
        const uint64_t position = key ^ key >> 29;
        const uint32_t index = (uint32_t)(key >> 17);
        const uint32_t stream = (uint32_t)(key >> 31);
        const struct rz_philox_words words = rz_philox4x32(key, index, position, stream);
        printf("philox %" PRIx64 " %" PRIx32 " %" PRIx64 " %" PRIx32, key, index, position, stream);
        for (int j = 0; j < 4; j++)
            printf(" %" PRIx32, words.word[j]);
        printf("\n");
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: numerics_dump COUNT SEED\n");
        return 2;
    }
    const uint64_t count = strtoull(argv[1], NULL, 10);
    const uint64_t seed = strtoull(argv[2], NULL, 10);
    for (int i = 0; i < NUMERICS_FUNCTIONS; i++)
        dump_function(&numerics_functions[i], seed, count);
    dump_philox(seed, count);
    return fflush(stdout) == 0 ? 0 : 1;
}
