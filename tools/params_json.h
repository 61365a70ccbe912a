/* SPDX-License-Identifier: Apache-2.0
 *
 * params_json.h - the --params file: JSON Lines, an object a row of logits, in their order.
 */
#ifndef RZ_TOOLS_PARAMS_JSON_H
#define RZ_TOOLS_PARAMS_JSON_H

#include "tools/row_params.h"

/* rz_params_read - apply line r of the file to rows[r]: what the line does not name stays as it is.
 * Complains, with line and column or field, about anything but one object a row. */
int rz_params_read(const char *path, struct rz_row_params *rows, uint64_t row_count,
                   struct rz_arena *arena, struct rz_complaint *complaint);

/* rz_params_apply - apply one line of `length` bytes; `where` is "FILE:LINE" for the complaint. */
int rz_params_apply(const char *line, size_t length, const char *where, struct rz_row_params *row,
                    struct rz_arena *arena, struct rz_complaint *complaint);

#endif
