/* SPDX-License-Identifier: Apache-2.0
 *
 * row.h - read logits of a row from the shards that hold them, as fp32.
 */
#ifndef RZ_KERNELS_ROW_H
#define RZ_KERNELS_ROW_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernels/floats.h"
#include "kernels/sampler.h"

/* rz_row_shard - the shard that holds an id. */
const struct rz_shard_view *rz_row_shard(const struct rz_logits_view *view, uint32_t id);

/* rz_row_logit - the logit of an id as it came. */
float rz_row_logit(const struct rz_logits_view *view, uint32_t row, uint32_t id);

/* rz_row_read - logits of ids first .. first+count-1 as they came, all below vocab_size. */
void rz_row_read(const struct rz_logits_view *view, uint32_t row, uint32_t first, uint32_t count,
                 float *out);

/* rz_row_read_tile - the 16 logits of a tile: NaN as -inf, and -inf past the vocabulary. */
void rz_row_read_tile(const struct rz_logits_view *view, uint32_t row, uint32_t tile,
                      float out[RZ_TILE]);

#endif
