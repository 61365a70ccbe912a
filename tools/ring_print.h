/* SPDX-License-Identifier: Apache-2.0
 *
 * ring_print.h - a view of a ring, for people or as JSON.
 */
#ifndef RZ_TOOLS_RING_PRINT_H
#define RZ_TOOLS_RING_PRINT_H

#include "tools/ring_view.h"

/* rz_ring_print - to stdout; `path`: of the segment. False if it cannot be written, or there is no
 * memory. */
bool rz_ring_print(const struct rz_ring_view *view, const char *path, bool json);

/* rz_ring_rank_state - what is to be said of a rank in a word. */
const char *rz_ring_rank_state(const struct rz_ring_view *view, uint32_t rank);

#endif
