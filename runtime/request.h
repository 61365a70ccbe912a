/* SPDX-License-Identifier: Apache-2.0
 *
 * request.h - what rank 0's caller wants drawn in a step, checked and in the form of kernels/.
 */
#ifndef RZ_RUNTIME_REQUEST_H
#define RZ_RUNTIME_REQUEST_H

#include "internal/error.h"
#include "kernels/sampler.h"
#include "rankzero/rankzero.h"
#include "runtime/options.h"
#include "runtime/sequence.h"

/* The rows of one step. Arrays hold max_rows each and are reused from step to step. */
struct rz_request {
    uint32_t row_count;
    uint32_t draw_count; /* ids in all */
    struct rz_row_task *tasks;
    uint32_t *first_draws;                /* where a row's first id is among those of the step */
    struct rz_sampling *samplings;        /* of rows without a sequence */
    struct rz_sequence_state **histories; /* sequence to append the drawn id to, or NULL */
};

int rz_request_create(struct rz_request *request, uint32_t max_rows, struct rz_error *err);
void rz_request_destroy(struct rz_request *request);

/* rz_batch_read - copy a caller's batch, which may be of an older version of the struct, and check
 * what every rank's must satisfy. */
int rz_batch_read(const struct rz_batch *given, const struct rz_plan *plan, uint32_t rank,
                  struct rz_batch *batch, struct rz_error *err);

/* rz_request_read - check rank 0's rows and fill `request` for step `step`. Nothing but `request`
 * and the sequences' `last_step` is changed. Errors name the row. */
int rz_request_read(struct rz_request *request, const struct rz_batch *batch,
                    const struct rz_plan *plan, const struct rz_sequence_table *table,
                    uint64_t step, struct rz_error *err);

#endif
