/* SPDX-License-Identifier: Apache-2.0
 *
 * liveness.h - which ranks of a segment are alive.
 *
 * A rank holds an open-file-description lock on the byte of the segment's file that has its number.
 * The kernel drops it when the last descriptor of that opening is gone, that is, when the process
 * ends in whatever way; a process that later gets the same pid does not have it.
 *
 * A process that a rank forks shares the descriptor and keeps the lock until it ends or execs. The
 * lock of a process with much memory is given up late. So deaths are told by bells besides
 * (bell.h), where there are some; the lock alone tells a job from a leftover.
 */
#ifndef RZ_IPC_LIVENESS_H
#define RZ_IPC_LIVENESS_H

#include <stdbool.h>
#include <stdint.h>

#include "internal/error.h"

/* Claim `rank` for the opening `fd`. RZ_E_EXISTS, with the rank, if another opening has it. */
int rz_liveness_claim(int fd, uint32_t rank, struct rz_error *err);

/* Is `rank` held by another opening than `fd`? Not to be asked about the rank that `fd` holds. */
bool rz_liveness_held(int fd, uint32_t rank);

#endif
