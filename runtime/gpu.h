/* SPDX-License-Identifier: Apache-2.0
 *
 * gpu.h - what a rank of a job with RZ_BACKEND_CUDA holds besides, and its part of a step.
 *
 *     every rank   device, comm   its GPU, and how shards get to rank 0's
 *                  told           what kernels are told by the host, and answer, in pinned memory
 *                  ids            where ids land on the device
 *     rank 0       block, head    parameters of the rows, in pinned memory and on the device
 *                  workspace, results
 *
 * Two ways to make a step use the same launches:
 *
 *     rz_step           logits are handed in on a stream of our own; rank 0's host waits until its
 *                       GPU is done and publishes the ids, as it does without GPUs
 *     rz_step_enqueue   everything is launched on the caller's stream: rank 0's GPU publishes, the
 *                       others' wait for the ids. Hosts are asked only to finish
 */
#ifndef RZ_RUNTIME_GPU_H
#define RZ_RUNTIME_GPU_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "comm/stream_comm.h"
#include "gpu/device.h"
#include "kernels/cuda/exchange.h"
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/pack.h"
#include "kernels/cuda/plan.h"
#include "rankzero/rankzero.h"
#include "runtime/gpu_kernels.h"

/* All of kernels.h and exchange.h. */
#define RZ_GPU_KERNEL_NAMES                                                                   \
    "rz_cuda_scan_f32", "rz_cuda_scan_f16", "rz_cuda_scan_bf16", "rz_cuda_edit_rows",         \
        "rz_cuda_resolve", "rz_cuda_sample_f32", "rz_cuda_sample_f16", "rz_cuda_sample_bf16", \
        "rz_cuda_fetch", "rz_cuda_hand_in", "rz_cuda_await", "rz_cuda_publish", "rz_cuda_take"
enum { RZ_GPU_KERNELS = 13 };

/* In pinned memory. */
struct rz_gpu_told {
    struct rz_cuda_orders orders;
    alignas(64) struct rz_cuda_outcome outcome; /* `state` is written last */
};

/* Memory of the host that the device uses too. */
struct rz_gpu_pinned {
    void *host;
    rz_cuda_ptr at; /* on the device */
};

/* A step that was captured, as far as its replays must be like it. */
struct rz_gpu_captured {
    uint32_t logits_rows;
    uint32_t row_count; /* rank 0 */
    rz_cuda_ptr logits;
    size_t row_stride;
};

enum { RZ_GPU_MOST_CAPTURED = 256 }; /* that differ */

struct rz_gpu {
    struct rz_cuda cuda;
    struct rz_device device;
    struct rz_gpu_kernels loaded;
    rz_cuda_function kernels[RZ_GPU_KERNELS];
    const struct rz_stream_comm_ops *comm_ops; /* NULL until open */
    struct rz_stream_comm *comm;

    struct rz_gpu_pinned told;
    rz_cuda_ptr control;   /* the job's, in shared memory, for the device; 0: not registered */
    rz_cuda_ptr ring_data; /* the ring's */
    void *ring_host;       /* where it is registered */
    rz_cuda_ptr ids;       /* [max_rows] */

    struct rz_gpu_pinned block; /* rank 0: the requests, as the kernels read them */
    rz_cuda_ptr block_copy;     /* on the device */
    rz_cuda_ptr head;   /* rows and shards of it once more, at an address that never changes */
    size_t block_bytes; /* that there is room for */
    rz_cuda_ptr edits;
    size_t edit_bytes;
    rz_cuda_ptr workspace;
    struct rz_gpu_pinned results; /* [max_rows] struct rz_result */

    rz_cuda_ptr logits; /* on the device, of the step under way; 0: in the buffer */
    size_t row_stride;
    struct rz_cuda_step step;     /* rank 0: of the request that is packed, for its launches */
    bool any_edits;               /* in it */
    const rz_cuda_stream *stream; /* of the caller's, while it is being enqueued on; else NULL */
    struct rz_gpu_watch *watch;   /* NULL until a step is on a stream */
    bool stuck;                   /* something did not end when the job did: nothing is freed */
    bool streamed;                /* the step under way is on a stream of the caller's */
    bool replayed;                /* the step under way is a captured one's */
    uint32_t captured_count;
    struct rz_gpu_captured captured[RZ_GPU_MOST_CAPTURED];
};

/* rz_gpu_open - this rank's GPU, its kernels and memory, and with the other ranks, which have been
 * met, how logits get to rank 0. RZ_E_UNSUPPORTED: no driver, GPU or kernels for it; RZ_E_NOMEM.
 * After a failure too rz_gpu_close() is due. */
int rz_gpu_open(rz_job *job, struct rz_error *err);

/* rz_gpu_stop - the job is over: make what this rank has launched end, and wait a moment for it, so
 * that nothing uses the caller's memory any more. Nothing to do without GPUs. */
void rz_gpu_stop(rz_job *job);

/* rz_gpu_close - waits a moment for the device to have done with what is freed; what it still uses
 * by then stays allocated. Nothing to do without GPUs. */
void rz_gpu_close(rz_job *job);

/* This rank's shard buffer. */
void *rz_gpu_logits(const rz_job *job);

/* rz_gpu_pack - rank 0: the request as the kernels read it, for `rows` rows of logits, its own
 * where rz_gpu_check_batch() found them. RZ_E_NOMEM. No step is under way. */
int rz_gpu_pack(rz_job *job, uint32_t rows);

/* rz_gpu_check_batch - where are the logits? RZ_E_ARG if on no memory, or another device's. Without
 * `streamed` they may be in memory of the host. */
int rz_gpu_check_batch(rz_job *job, const struct rz_batch *batch, bool streamed);

/* rz_gpu_hand_in - rz_step_begin(): this rank's logits, on our stream. */
int rz_gpu_hand_in(rz_job *job, const struct rz_batch *batch);

/* rz_gpu_draw - rank 0, once all have handed in: draw the request and wait for the results. */
int rz_gpu_draw(rz_job *job);

/* rz_gpu_wait - until the device has done its part of the step under way, or why it will not. */
int rz_gpu_wait(rz_job *job);

/* Has the device done its part, well or not? */
bool rz_gpu_is_done(const struct rz_gpu *gpu);

/* rz_gpu_settle - at the end of a step: until nothing of it uses memory any more. By now that is
 * so, but only the stream says it formally: what comes next may be on another. */
int rz_gpu_settle(rz_job *job);

/* 1 if rz_gpu_wait() would not wait, 0 if it would, or a status. */
int rz_gpu_poll(rz_job *job);

/* RZ_OK, or that this rank's GPU or its part of the communication failed. */
int rz_gpu_check(rz_job *job, struct rz_error *err);

#endif
