/* SPDX-License-Identifier: Apache-2.0
 *
 * gpu_launch.h - what is enqueued on a GPU in a step, and what kernels are told. For gpu_*.c.
 */
#ifndef RZ_RUNTIME_GPU_LAUNCH_H
#define RZ_RUNTIME_GPU_LAUNCH_H

#include "runtime/job.h"

/* rz_gpu_kernels_find - look all kernels up in the modules. */
int rz_gpu_kernels_find(struct rz_gpu *gpu, struct rz_error *err);

/* rz_gpu_allocate - what this rank needs; rz_gpu_free() is due after a failure too. In the device's
 * context. */
int rz_gpu_allocate(rz_job *job, struct rz_error *err);
void rz_gpu_free(struct rz_gpu *gpu);

/* rz_gpu_make_room - for requests of this size, by allocating if there is not enough, which waits
 * for the GPU. */
int rz_gpu_make_room(rz_job *job, const struct rz_cuda_pack_size *size);

/* rz_gpu_is_idle - is all that was launched done, formally? */
bool rz_gpu_is_idle(const struct rz_gpu *gpu);

static inline struct rz_gpu_told *rz_gpu_told(const struct rz_gpu *gpu)
{
    return gpu->told.host;
}

/* In these, errors go to job->error, and the device's context is current. */

/* rz_gpu_gather - this rank's part of bringing `rows` rows to rank 0. */
int rz_gpu_gather(rz_job *job, rz_cuda_stream stream, uint32_t rows);

/* rz_gpu_launch_step - rank 0: everything, for the request that is packed. `edits`: kernels for
 * edits too. `into_ring`: publish the ids there; in any case the last kernel says that the step is
 * done. */
int rz_gpu_launch_step(rz_job *job, rz_cuda_stream stream, uint32_t rows, bool edits,
                       bool into_ring);

/* rz_gpu_launch_take - other ranks: until the ids are in gpu->ids. `captured`: in a graph, which
 * has no other way to wait than in the kernel. */
int rz_gpu_launch_take(rz_job *job, rz_cuda_stream stream, bool captured);

#endif
