/* SPDX-License-Identifier: Apache-2.0
 *
 * block.h - blocks of a GPU's threads on a CPU.
 *
 * Every thread of a block is a fiber, which runs until it waits: for its block at a barrier, or for
 * lanes of its warp. Which goes on is drawn by a seed, and so is the order of blocks. What hangs or
 * is not defined on a GPU ends the program with a message: a barrier that a thread never comes to,
 * a thread that returns while others wait for it, lanes of a warp that wait with different masks or
 * for different things.
 *
 * Not shown by this: what depends on the order of memory, and data races, unless they change
 * results when a thread stops at an atomic or a barrier.
 */
#ifndef RZ_TESTS_EMULATION_BLOCK_H
#define RZ_TESTS_EMULATION_BLOCK_H

#include <cstdint>

namespace emulation {

constexpr uint32_t kWarp = 32;
constexpr uint32_t kMostThreads = 1024;

struct dimensions {
    uint32_t x, y, z;
};

struct thread_place {
    dimensions index;
};

struct block_place {
    dimensions index, size, grid;
};

/* Of the fiber that runs. */
const thread_place &this_thread();
const block_place &this_block();

/* wait_for_block - until all threads of the block are here; returns whether any said `predicate`.
 */
bool wait_for_block(bool predicate);

/* exchange_in_warp - until all lanes of the mask are here; returns the value of lane `source`. */
uint64_t exchange_in_warp(uint32_t mask, uint64_t value, int source);

/* vote_in_warp - the same; returns a bit for every lane of the mask, set where it said `predicate`.
 */
uint32_t vote_in_warp(uint32_t mask, bool predicate);

/* let_others_run - maybe. */
void let_others_run();

/* run_grid - run kernel(arguments) with a grid of blocks; size.x is a multiple of 32, y and z
 * are 1. */
void run_grid(dimensions grid, dimensions size, uint64_t seed, void (*kernel)(void *arguments),
              void *arguments);

} // namespace emulation

#endif
