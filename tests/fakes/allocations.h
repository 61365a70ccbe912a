/* SPDX-License-Identifier: Apache-2.0
 *
 * allocations.h - how often what is linked here has asked for memory. Link with
 * LINKER:--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc.
 */
#ifndef RZ_TESTS_ALLOCATIONS_H
#define RZ_TESTS_ALLOCATIONS_H

#include <stdint.h>

/* Of this process, all threads. */
uint64_t allocations(void);

#endif
