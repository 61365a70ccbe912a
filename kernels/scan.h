/* SPDX-License-Identifier: Apache-2.0
 *
 * scan.h - read a row once and keep the largest logit of every tile.
 */
#ifndef RZ_KERNELS_SCAN_H
#define RZ_KERNELS_SCAN_H

#include "kernels/row.h"
#include "kernels/sampler.h"

/* rz_scan_row - tile_max[t] is the largest logit of tile t as it came, NaN counting as -inf; one a
 * tile of vocab_size. Returns whether the row has a NaN. */
bool rz_scan_row(const struct rz_logits_view *view, uint32_t row, float *tile_max);

#endif
