/* SPDX-License-Identifier: Apache-2.0
 *
 * select.h - the k-th largest of many floats, and the value at which a running mass is reached,
 * without sorting them: by radix, eight bits of an order-preserving integer at a time.
 */
#ifndef RZ_KERNELS_SELECT_H
#define RZ_KERNELS_SELECT_H

#include <stdint.h>

/* rz_select_kth - the k-th largest of values[0 .. count-1], 1 <= k <= count; no NaN. */
float rz_select_kth(const float *values, uint32_t count, uint32_t k);

/* rz_select_nucleus - the smallest of values[0 .. count-1] that top-p keeps: the mass of the
 * strictly larger ones is < top_p * mass_of_all, masses[i] being that of values[i]. At least one
 * value has mass, and masses add up to mass_of_all. */
float rz_select_nucleus(const float *values, const uint64_t *masses, uint32_t count, float top_p,
                        uint64_t mass_of_all);

#endif
