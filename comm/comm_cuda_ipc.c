/* SPDX-License-Identifier: Apache-2.0
 *
 * comm_cuda_ipc.c - ranks of one host: kernels on rank 0 read the shards where they were written,
 * in memory of their processes, on the same GPU or through peer access.
 *
 * No logit is copied, unless the caller brings them in memory of its own. Streams of different
 * processes do not know each other: who uses this orders them.
 */
#include "comm/stream_shard.h"

#include <stdlib.h>

#include "gpu/device.h"
#include "internal/clock.h"

/* Most that close waits until rank 0 has let go of this rank's memory. */
#define CLOSE_NS UINT64_C(3000000000)

struct rz_stream_comm {
    struct rz_stream_shard shard;
    rz_cuda_ptr opened[RZ_MAX_WORLD]; /* rank 0: the others' buffers */
    bool has_told;                    /* the others: rank 0 may have opened theirs */
};

/* Memory of a process that is gone cannot be opened either. */
static int fail_open(const struct rz_stream_comm_config *config, uint32_t rank, int code,
                     struct rz_error *err)
{
    int status = config->peers.check(config->peers.context, err);
    if (status != RZ_OK)
        return status;
    status = rz_cuda_fail(config->cuda, code, "cuIpcOpenMemHandle for logits of another rank", err);
    if (err != NULL)
        err->rank = (int)rank;
    return status;
}

static int open_buffer(struct rz_stream_comm *comm, uint32_t rank, struct rz_error *err)
{
    const struct rz_stream_comm_config *config = &comm->shard.config;
    const struct rz_cuda *cuda = config->cuda;
    struct rz_stream_comm_told told;
    const int status = rz_stream_hear(config, rank, &told, err);
    if (status != RZ_OK)
        return status;

    const int device = rz_device_of_uuid(cuda, &told.device);
    int can = 1;
    if (device >= 0 && device != config->device) {
        const int code = cuda->device_can_access(&can, config->device, device);
        if (code != RZ_CUDA_SUCCESS)
            return rz_cuda_fail(cuda, code, "cuDeviceCanAccessPeer", err);
    }
    if (!can)
        return rz_fail(err, RZ_E_UNSUPPORTED, (int)rank, 0,
                       "comm cuda_ipc: the GPU of rank 0 cannot read the memory of rank %u's",
                       rank);

    rz_cuda_ptr opened;
    const int code = cuda->ipc_open(&opened, told.buffer, RZ_CUDA_IPC_LAZY_PEER_ACCESS);
    if (code != RZ_CUDA_SUCCESS)
        return fail_open(config, rank, code, err);
    comm->opened[rank] = opened;
    return RZ_OK;
}

/* Rank 0, whose own buffer nobody opens. */
static int open_buffers(struct rz_stream_comm *comm, struct rz_error *err)
{
    const struct rz_stream_comm_config *config = &comm->shard.config;
    const struct rz_comm_peers *peers = &config->peers;
    /* In a job that is over a rank that does not see this yet frees its memory; then the check
     * finds that it is over. See await_rank_0(). */
    peers->raise(peers->context, &config->lines[0]->state, RZ_STREAM_LINE_TOLD);
    int status = peers->check(peers->context, err);
    for (uint32_t r = 1; r < config->world && status == RZ_OK; r++)
        status = open_buffer(comm, r, err);
    return status;
}

static int export_buffer(struct rz_stream_comm *comm, struct rz_error *err)
{
    const struct rz_stream_comm_config *config = &comm->shard.config;
    struct rz_stream_comm_told told = {0};
    const int code = config->cuda->ipc_get(&told.buffer, comm->shard.memory);
    if (code != RZ_CUDA_SUCCESS)
        return rz_cuda_fail(config->cuda, code, "cuIpcGetMemHandle", err);
    const int status = rz_stream_tell(config, &told, err);
    comm->has_told = status == RZ_OK;
    return status;
}

/* Not rank 0: has rank 0 let go of this rank's memory? */
static bool await_rank_0(const struct rz_stream_comm_config *config)
{
    const uint64_t deadline_ns = rz_clock_ns() + CLOSE_NS;
    const struct timespec pause = {.tv_nsec = 100000};
    for (;;) {
        struct rz_error err = {.rank = RZ_NO_RANK};
        const int over = config->peers.check(config->peers.context, &err);
        /* acquire: pairs with the release in let_go(). */
        const uint32_t state = atomic_load_explicit(&config->lines[0]->state, memory_order_acquire);
        if (state == RZ_STREAM_LINE_DONE || (state == RZ_STREAM_LINE_EMPTY && over != RZ_OK) ||
            (over == RZ_E_PEER_DIED && err.rank == 0)) /* what it had open went with it */
            return true;
        if (rz_clock_ns() >= deadline_ns)
            return false;
        nanosleep(&pause, NULL);
    }
}

static void let_go(struct rz_stream_comm *comm)
{
    const struct rz_stream_comm_config *config = &comm->shard.config;
    for (uint32_t r = 1; r < config->world; r++)
        if (comm->opened[r] != 0)
            config->cuda->ipc_close(comm->opened[r]);
    config->peers.raise(config->peers.context, &config->lines[0]->state, RZ_STREAM_LINE_DONE);
}

static void ipc_close_comm(struct rz_stream_comm *comm)
{
    if (comm == NULL)
        return;
    const struct rz_stream_comm_config *config = &comm->shard.config;
    bool is_free = true;
    if (config->world > 1 && config->rank == 0)
        let_go(comm);
    else if (comm->has_told)
        is_free = await_rank_0(config);
    if (is_free) /* otherwise it goes with this process: rank 0 may be reading it */
        rz_stream_shard_close(&comm->shard);
    free(comm);
}

static int ipc_open_comm(const struct rz_stream_comm_config *config, struct rz_stream_comm **out,
                         struct rz_error *err)
{
    struct rz_stream_comm *comm = calloc(1, sizeof *comm);
    if (comm == NULL)
        return rz_fail(err, RZ_E_NOMEM, RZ_NO_RANK, 0, "no memory to open gather through CUDA IPC");
    int status = rz_stream_shard_open(
        &comm->shard, config,
        config->max_rows * config->row_stride[config->rank] * config->logit_bytes, err);
    if (status == RZ_OK && config->world > 1)
        status = config->rank == 0 ? open_buffers(comm, err) : export_buffer(comm, err);
    if (status != RZ_OK) {
        ipc_close_comm(comm);
        return status;
    }
    *out = comm;
    return RZ_OK;
}

static rz_cuda_ptr ipc_buffer(const struct rz_stream_comm *comm)
{
    return comm->shard.memory;
}

static int ipc_enqueue(struct rz_stream_comm *comm, rz_cuda_stream stream, rz_cuda_ptr logits,
                       size_t row_stride, uint32_t rows, uint64_t deadline_ns, struct rz_error *err)
{
    (void)deadline_ns;
    return rz_stream_shard_take(&comm->shard, stream, logits, row_stride, rows, err);
}

static struct rz_stream_comm_part ipc_part(const struct rz_stream_comm *comm, uint32_t rank,
                                           uint32_t rows)
{
    (void)rows;
    return (struct rz_stream_comm_part){.logits =
                                            rank == 0 ? comm->shard.memory : comm->opened[rank],
                                        .row_stride = comm->shard.config.row_stride[rank]};
}

static int ipc_check(struct rz_stream_comm *comm, struct rz_error *err)
{
    const struct rz_comm_peers *peers = &comm->shard.config.peers;
    return peers->check(peers->context, err);
}

/* Nothing of it waits in a stream. */
static void ipc_abort(struct rz_stream_comm *comm)
{
    (void)comm;
}

const struct rz_stream_comm_ops rz_stream_comm_ipc = {
    .name = "cuda_ipc",
    .orders_streams = false,
    .open = ipc_open_comm,
    .buffer = ipc_buffer,
    .enqueue = ipc_enqueue,
    .part = ipc_part,
    .check = ipc_check,
    .abort = ipc_abort,
    .close = ipc_close_comm,
};
