/* SPDX-License-Identifier: Apache-2.0
 *
 * stream_comm.h - how the logits of a step get to rank 0 between GPUs: the same as comm.h, in
 * memory of devices and in the order of streams.
 *
 *     every rank    rz_stream_comm_ops.enqueue      its shard, handed in on a stream
 *     rank 0        part                            where what runs later on that stream finds them
 *
 * Nothing waits on the host for other ranks but open. A back end that does not order the streams of
 * processes by itself says so (`orders_streams`): then whoever uses it makes rank 0's stream wait
 * until those of the others have come past their enqueue, before it reads a part.
 *
 * A rank enqueues step s + 1 only when its stream has seen the ids of step s, or waits for them:
 * one buffer a rank is enough. Calls are made with the device's context current.
 */
#ifndef RZ_COMM_STREAM_COMM_H
#define RZ_COMM_STREAM_COMM_H

#include "comm/comm.h"
#include "gpu/driver.h"
#include "gpu/nccl.h"

/* What a rank tells the others when a job is opened. */
struct rz_stream_comm_told {
    struct rz_cuda_uuid device;       /* the rank's GPU */
    struct rz_cuda_ipc_memory buffer; /* cuda_ipc: of its shard buffer */
    struct rz_nccl_id nccl_id;        /* nccl: rank 0's */
};

/* One a rank, zeroed, in memory shared by the job; written by that rank alone. Hostile input to
 * those who read it. */
struct rz_stream_comm_line {
    _Atomic uint32_t state; /* RZ_STREAM_LINE_* */
    uint32_t reserved;
    struct rz_stream_comm_told told;
};

enum {
    RZ_STREAM_LINE_EMPTY = 0,
    RZ_STREAM_LINE_TOLD = 1, /* `told` is there; cuda_ipc, rank 0: it opens what others tell */
    RZ_STREAM_LINE_DONE = 2  /* cuda_ipc, rank 0: it uses no memory of others (any more) */
};

struct rz_stream_comm_config {
    uint32_t rank;
    uint32_t world;
    uint32_t max_rows;
    size_t logit_bytes;
    uint32_t columns[RZ_MAX_WORLD];
    size_t row_stride[RZ_MAX_WORLD]; /* elements from one row of a rank's buffer to the next */
    struct rz_stream_comm_line *lines[RZ_MAX_WORLD];
    struct rz_comm_peers peers; /* `wait` for words of lines, in open only; `raise` wakes whoever
                                   waits, on any rank; `check` at any time */
    const struct rz_cuda *cuda;
    int device;                /* CUdevice whose context is current */
    uint64_t open_deadline_ns; /* CLOCK_MONOTONIC */
};

struct rz_stream_comm; /* each back end has its own */

/* Where kernels on rank 0 find the rows of one rank. */
struct rz_stream_comm_part {
    rz_cuda_ptr logits;
    size_t row_stride; /* elements */
};

struct rz_stream_comm_ops {
    const char *name; /* "cuda_ipc", "nccl" */
    bool orders_streams;

    /* Collective. Allocates this rank's shard buffer, and on rank 0 room for those of the others
     * where they come as copies; tells the others what they need and learns it from them. The
     * config is copied; lines and `cuda` stay until close.
     * RZ_E_UNSUPPORTED: it does not run here, or not between GPUs such as these. */
    int (*open)(const struct rz_stream_comm_config *config, struct rz_stream_comm **comm,
                struct rz_error *err);

    /* This rank's shard buffer in its device's memory, [max_rows][row_stride[rank]]. */
    rz_cuda_ptr (*buffer)(const struct rz_stream_comm *comm);

    /* Hand in `rows` rows on `stream`, on rank 0 also take those of the others. `logits`: memory of
     * this rank's device, [rows][row_stride], or 0: they are in the buffer. On rank 0 `logits`
     * stays where it is until the step's end; elsewhere until the stream is past this. All ranks
     * bring the same number of rows, 1 to max_rows. Any stream of the device; may be captured.
     * A failure other than of the arguments ends the comm: abort() comes next. The deadline is for
     * a library that takes its time to put its work into the stream. */
    int (*enqueue)(struct rz_stream_comm *comm, rz_cuda_stream stream, rz_cuda_ptr logits,
                   size_t row_stride, uint32_t rows, uint64_t deadline_ns, struct rz_error *err);

    /* Rank 0: where the rows of `rank` are once `rows` rows have been taken of every rank; its own
     * only if they come from the buffer. */
    struct rz_stream_comm_part (*part)(const struct rz_stream_comm *comm, uint32_t rank,
                                       uint32_t rows);

    /* RZ_OK, or that what was enqueued has failed or never will be done. Cheap: to be asked again
     * and again while a stream is waited for. */
    int (*check)(struct rz_stream_comm *comm, struct rz_error *err);

    /* Make what is enqueued end, with or without success, whatever other ranks do. Does not wait
     * for it, and may be called again; nothing is enqueued after it. */
    void (*abort)(struct rz_stream_comm *comm);

    /* Free. Streams that it was enqueued on are idle, after abort() if need be, and graphs that it
     * was captured in are destroyed: NCCL keeps what they use. Waits for others, but not for long.
     * NULL is allowed. */
    void (*close)(struct rz_stream_comm *comm);
};

extern const struct rz_stream_comm_ops rz_stream_comm_ipc;  /* comm_cuda_ipc.c */
extern const struct rz_stream_comm_ops rz_stream_comm_nccl; /* comm_nccl.c */

#endif
