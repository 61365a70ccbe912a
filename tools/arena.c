/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.c - a chain of blocks, one an allocation.
 */
#include "tools/arena.h"

#include <stdint.h>
#include <stdlib.h>

struct rz_arena_block {
    struct rz_arena_block *before;
    max_align_t data[];
};

void *rz_arena_alloc(struct rz_arena *arena, size_t count, size_t item_bytes)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, item_bytes, &bytes) ||
        bytes > SIZE_MAX - sizeof(struct rz_arena_block))
        return NULL;

    struct rz_arena_block *block = calloc(1, sizeof *block + bytes);
    if (block == NULL)
        return NULL;
    block->before = arena->last;
    arena->last = block;
    return block->data;
}

void rz_arena_free(struct rz_arena *arena)
{
    while (arena->last != NULL) {
        struct rz_arena_block *before = arena->last->before;
        free(arena->last);
        arena->last = before;
    }
}
