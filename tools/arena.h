/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.h - allocations that are freed together: the id lists of all rows.
 */
#ifndef RZ_TOOLS_ARENA_H
#define RZ_TOOLS_ARENA_H

#include <stddef.h>

struct rz_arena {
    struct rz_arena_block *last; /* NULL: empty */
};

/* rz_arena_alloc - zeroed memory for `count` items, owned by the arena; NULL when out of memory. */
void *rz_arena_alloc(struct rz_arena *arena, size_t count, size_t item_bytes);

/* rz_arena_free - free everything; the arena is empty again. */
void rz_arena_free(struct rz_arena *arena);

#endif
