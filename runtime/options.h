/* SPDX-License-Identifier: Apache-2.0
 *
 * options.h - a job's options, checked and with every default filled in.
 */
#ifndef RZ_RUNTIME_OPTIONS_H
#define RZ_RUNTIME_OPTIONS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "internal/error.h"
#include "rankzero/rankzero.h"

/* What a job is, as far as all ranks must agree on it. It is copied into shared memory when a rank
 * joins, so it is all uint32 and holds no pointer. */
struct rz_plan {
    uint32_t world;
    uint32_t vocab_size;
    uint32_t vocab_padded;
    uint32_t dtype;
    uint32_t max_rows;
    uint32_t mode;
    uint32_t backend;
    uint32_t comm;
    uint32_t columns[RZ_MAX_WORLD]; /* of each rank; they add up to vocab_padded */
};

/* What concerns this rank alone. */
struct rz_local {
    uint32_t rank;
    uint32_t threads; /* that draw, if this is rank 0; at least 1 */
    uint32_t device;  /* 1 + ordinal, or 0 */
    uint64_t open_timeout_ns;
    uint64_t step_timeout_ns;
    const char *shm_dir;
    pid_t pid; /* the process that opens the job */
};

/* rz_options_resolve - check `options` and fill `plan` and `local`. `comm_auto` is what
 * RZ_COMM_AUTO stands for between hosts' memories; between GPUs it stays, until their ranks have
 * met. local->shm_dir points into the caller's options. */
RZ_API int rz_options_resolve(const struct rz_options *options, uint32_t rank, uint32_t world,
                              uint32_t comm_auto, struct rz_plan *plan, struct rz_local *local,
                              struct rz_error *err);

/* rz_plan_compare - RZ_OK if `other`, rank `rank`'s plan, equals `plan`, rank 0's; otherwise
 * RZ_E_MISMATCH naming the first field that differs, with both values. */
int rz_plan_compare(const struct rz_plan *plan, const struct rz_plan *other, uint32_t rank,
                    struct rz_error *err);

/* First column of a rank. */
uint32_t rz_plan_first(const struct rz_plan *plan, uint32_t rank);

/* Bytes of a logit, and elements from one row of a rank's shard buffer to the next: its columns
 * rounded up so that every row starts on a cache line. */
size_t rz_plan_logit_bytes(const struct rz_plan *plan);
size_t rz_plan_row_stride(const struct rz_plan *plan, uint32_t rank);

#endif
