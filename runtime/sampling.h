/* SPDX-License-Identifier: Apache-2.0
 *
 * sampling.h - a caller's sampling parameters, checked.
 */
#ifndef RZ_RUNTIME_SAMPLING_H
#define RZ_RUNTIME_SAMPLING_H

#include "internal/error.h"
#include "rankzero/rankzero.h"

/* rz_sampling_resolve - copy `given`, which may be of an older version of the struct, and check it.
 * The lists are checked but not copied. */
int rz_sampling_resolve(const struct rz_sampling *given, uint32_t vocab_size,
                        struct rz_sampling *sampling, struct rz_error *err);

/* rz_ids_check - RZ_E_ARG naming `field` and the first id that is not in 0 .. vocab_size-1. */
int rz_ids_check(const char *field, const int32_t *ids, uint32_t count, uint32_t vocab_size,
                 struct rz_error *err);

#endif
