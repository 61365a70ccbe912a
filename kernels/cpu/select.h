/* SPDX-License-Identifier: Apache-2.0
 *
 * select.h - the k-th largest of many floats, and the value at which a running mass is reached,
 * without sorting them: by radix, eight bits of an order-preserving integer at a time.
 */
#ifndef RZ_KERNELS_SELECT_H
#define RZ_KERNELS_SELECT_H

#include <stdint.h>

/* rz_select_nucleus - the smallest of values[0 .. count-1] that top-p keeps: `above`, the mass of
 * all that is larger than any of them, and the masses[] of the strictly larger ones of them are <
 * top_p * mass_of_all. The largest is kept. */
float rz_select_nucleus(const float *values, const uint64_t *masses, uint32_t count, uint64_t above,
                        float top_p, uint64_t mass_of_all);

#endif
