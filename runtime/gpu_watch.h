/* SPDX-License-Identifier: Apache-2.0
 *
 * gpu_watch.h - who looks after a step on a stream while its host may not.
 */
#ifndef RZ_RUNTIME_GPU_WATCH_H
#define RZ_RUNTIME_GPU_WATCH_H

#include "internal/error.h"
#include "rankzero/rankzero.h"

struct rz_gpu;

/* rz_gpu_watch_open - begin to, if there are other ranks and it has not been done yet: starts a
 * thread. RZ_E_SYS: there is none to be had. */
int rz_gpu_watch_open(rz_job *job, struct rz_error *err);

/* A step has been begun on a stream, and is over. */
void rz_gpu_watch_begin(rz_job *job);
void rz_gpu_watch_end(rz_job *job);

/* End the thread. */
void rz_gpu_watch_close(struct rz_gpu *gpu);

/* Around calls that the thread may make too. */
void rz_gpu_watch_lock(struct rz_gpu *gpu);
void rz_gpu_watch_unlock(struct rz_gpu *gpu);

#endif
