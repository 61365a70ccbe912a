/* SPDX-License-Identifier: Apache-2.0
 *
 * comm_nccl.c - ranks with a GPU each: NCCL brings the shards into memory of rank 0's, in the order
 * of streams.
 *
 *     rank 0    [n][stride 0] [n][stride 1] ...     its own buffer comes first, and stays in place
 *
 * With shards of equal width that is where ncclGather puts them; others are sent and received in a
 * group. Either way whole rows travel, as bytes.
 */
#include "comm/communicator.h"
#include "comm/stream_shard.h"

#include <stdlib.h>

#include "internal/clock.h"

/* Most that an open that has failed waits for its stream. */
#define DRAIN_NS UINT64_C(1000000000)

struct rz_stream_comm {
    struct rz_stream_shard shard;
    struct rz_communicator communicator;
    void *registration;                      /* NCCL's, of all of shard.memory; or NULL */
    size_t strides_before[RZ_MAX_WORLD + 1]; /* row strides of the ranks before, added up */
    bool can_gather;
};

/* ------------------------------------------------------------------------------------------------
 * A step
 */

static void *pointer(rz_cuda_ptr address)
{
    return (void *)(uintptr_t)address;
}

/* Where rank 0 has the rows of `rank`, if there are `rows` of each rank. */
static rz_cuda_ptr place_of(const struct rz_stream_comm *comm, uint32_t rank, uint32_t rows)
{
    return comm->shard.memory + rows * comm->strides_before[rank] * comm->shard.config.logit_bytes;
}

static size_t bytes_of(const struct rz_stream_comm *comm, uint32_t rank, uint32_t rows)
{
    return rows * comm->shard.config.row_stride[rank] * comm->shard.config.logit_bytes;
}

static int receive_all(struct rz_stream_comm *comm, rz_cuda_stream stream, uint32_t rows)
{
    const struct rz_communicator *communicator = &comm->communicator;
    int code = RZ_NCCL_SUCCESS;
    for (uint32_t r = 1; r < comm->shard.config.world && code == RZ_NCCL_SUCCESS; r++)
        code = communicator->nccl.receive(pointer(place_of(comm, r, rows)), bytes_of(comm, r, rows),
                                          RZ_NCCL_UINT8, (int)r, communicator->handle, stream);
    return code;
}

/* Send `rows` rows that lie at `from`, or take those of the others on rank 0: its own are not
 * moved, be they in its buffer or elsewhere. */
static int transfer(struct rz_stream_comm *comm, rz_cuda_stream stream, rz_cuda_ptr from,
                    uint32_t rows, uint64_t deadline_ns, struct rz_error *err)
{
    struct rz_communicator *communicator = &comm->communicator;
    const struct rz_nccl *nccl = &communicator->nccl;
    const rz_nccl_comm handle = communicator->handle;
    const uint32_t rank = comm->shard.config.rank;
    const size_t bytes = bytes_of(comm, rank, rows);
    if (comm->can_gather) {
        const int code =
            nccl->gather(pointer(rank == 0 ? comm->shard.memory : from),
                         pointer(comm->shard.memory), bytes, RZ_NCCL_UINT8, 0, handle, stream);
        return rz_communicator_settle(communicator, code, "ncclGather", deadline_ns, err);
    }

    int code = nccl->group_start();
    if (code != RZ_NCCL_SUCCESS)
        return rz_communicator_fail(communicator, code, "ncclGroupStart", err);
    code = rank == 0 ? receive_all(comm, stream, rows)
                     : nccl->send(pointer(from), bytes, RZ_NCCL_UINT8, 0, handle, stream);
    const int ended = nccl->group_end(); /* whatever came of it: groups nest */
    if (code != RZ_NCCL_SUCCESS)
        return rz_communicator_fail(communicator, code, rank == 0 ? "ncclRecv" : "ncclSend", err);
    return rz_communicator_settle(communicator, ended, "ncclGroupEnd", deadline_ns, err);
}

static int nccl_enqueue(struct rz_stream_comm *comm, rz_cuda_stream stream, rz_cuda_ptr logits,
                        size_t row_stride, uint32_t rows, uint64_t deadline_ns,
                        struct rz_error *err)
{
    const struct rz_stream_comm_config *config = &comm->shard.config;
    /* Without gaps: what lies between rows in a buffer may not be there behind the caller's last.
     */
    const bool is_sent_as_it_lies = config->rank != 0 && logits != 0 &&
                                    row_stride == config->row_stride[config->rank] &&
                                    row_stride == config->columns[config->rank];
    int status = RZ_OK;
    if (comm->communicator.failed)
        status = rz_communicator_check(&comm->communicator, err);
    else if (!is_sent_as_it_lies)
        status = rz_stream_shard_take(&comm->shard, stream, logits, row_stride, rows, err);
    if (status != RZ_OK)
        return status;
    return config->world == 1
               ? RZ_OK
               : transfer(comm, stream, is_sent_as_it_lies ? logits : comm->shard.memory, rows,
                          deadline_ns, err);
}

static struct rz_stream_comm_part nccl_part(const struct rz_stream_comm *comm, uint32_t rank,
                                            uint32_t rows)
{
    return (struct rz_stream_comm_part){.logits = place_of(comm, rank, rows),
                                        .row_stride = comm->shard.config.row_stride[rank]};
}

static rz_cuda_ptr nccl_buffer(const struct rz_stream_comm *comm)
{
    return comm->shard.memory;
}

static int nccl_check(struct rz_stream_comm *comm, struct rz_error *err)
{
    return rz_communicator_check(&comm->communicator, err);
}

static void nccl_abort(struct rz_stream_comm *comm)
{
    rz_communicator_abort(&comm->communicator);
}

/* ------------------------------------------------------------------------------------------------
 * Open and close
 */

static size_t memory_bytes(const struct rz_stream_comm *comm)
{
    const struct rz_stream_comm_config *config = &comm->shard.config;
    const size_t stride =
        config->rank == 0 ? comm->strides_before[config->world] : config->row_stride[config->rank];
    return config->max_rows * stride * config->logit_bytes;
}

static void nccl_close_comm(struct rz_stream_comm *comm)
{
    if (comm == NULL)
        return;
    struct rz_communicator *communicator = &comm->communicator;
    if (comm->registration != NULL && !communicator->failed &&
        communicator->nccl.comm_deregister(communicator->handle, comm->registration) !=
            RZ_NCCL_SUCCESS)
        communicator->failed = true; /* an abort forgets it too */
    rz_communicator_end(communicator);
    rz_stream_shard_close(&comm->shard);
    free(comm);
}

/* What NCCL finds out too late, and in a way that few understand. */
static int check_devices(const struct rz_stream_comm_told *told, uint32_t world,
                         struct rz_error *err)
{
    for (uint32_t b = 1; b < world; b++)
        for (uint32_t a = 0; a < b; a++)
            if (memcmp(&told[a].device, &told[b].device, sizeof told[a].device) == 0)
                return rz_fail(err, RZ_E_UNSUPPORTED, (int)b, 0,
                               "ranks %u and %u have the same GPU, which NCCL cannot do: comm "
                               "cuda_ipc can",
                               a, b);
    return RZ_OK;
}

static int exchange(const struct rz_stream_comm_config *config, const struct rz_nccl *nccl,
                    struct rz_nccl_id *id, struct rz_error *err)
{
    struct rz_stream_comm_told told[RZ_MAX_WORLD] = {0};
    const int code = config->rank == 0 ? nccl->unique_id(&told[0].nccl_id) : (int)RZ_NCCL_SUCCESS;
    if (code != RZ_NCCL_SUCCESS)
        return rz_nccl_fail(nccl, code, NULL, "ncclGetUniqueId", err);
    int status = rz_stream_tell(config, &told[config->rank], err);
    for (uint32_t r = 0; r < config->world && status == RZ_OK; r++)
        if (r != config->rank)
            status = rz_stream_hear(config, r, &told[r], err);
    if (status == RZ_OK)
        status = check_devices(told, config->world, err);
    *id = told[0].nccl_id;
    return status;
}

/* NCCL connects two ranks when they first have something to send, and each waits for the other
 * then. Here, not in a step. */
static int connect_ranks(struct rz_stream_comm *comm, struct rz_error *err)
{
    const struct rz_stream_comm_config *config = &comm->shard.config;
    const struct rz_cuda *cuda = config->cuda;
    rz_cuda_stream stream;
    int code = cuda->stream_create(&stream, RZ_CUDA_STREAM_NON_BLOCKING);
    if (code != RZ_CUDA_SUCCESS)
        return rz_cuda_fail(cuda, code, "cuStreamCreate", err);
    int status = nccl_enqueue(comm, stream, 0, 0, config->max_rows, config->open_deadline_ns, err);
    for (unsigned looks = 0;
         status == RZ_OK && (code = cuda->stream_query(stream)) == RZ_CUDA_NOT_READY; looks++) {
        status = nccl_check(comm, err);
        if (status == RZ_OK)
            status = rz_communicator_late(&comm->communicator, "a first gather",
                                          config->open_deadline_ns, err);
        rz_communicator_pause(looks);
    }
    if (status == RZ_OK && code != RZ_CUDA_SUCCESS)
        status = rz_cuda_fail(cuda, code, "a first gather", err);

    if (status != RZ_OK) {
        nccl_abort(comm);
        const uint64_t deadline_ns = rz_clock_ns() + DRAIN_NS;
        for (unsigned looks = 0;
             cuda->stream_query(stream) == RZ_CUDA_NOT_READY && rz_clock_ns() < deadline_ns;
             looks++)
            rz_communicator_pause(looks);
    }
    cuda->stream_destroy(stream);
    return status;
}

static int join(struct rz_stream_comm *comm, struct rz_error *err)
{
    const struct rz_stream_comm_config *config = &comm->shard.config;
    struct rz_communicator *communicator = &comm->communicator;
    struct rz_nccl_id id;
    int status = exchange(config, &communicator->nccl, &id, err);
    if (status == RZ_OK)
        status = rz_communicator_begin(communicator, config->rank, config->world, id,
                                       config->open_deadline_ns, err);
    if (status != RZ_OK)
        return status;
    /* Where it cannot be, NCCL copies once more. */
    if (communicator->nccl.comm_register(communicator->handle, pointer(comm->shard.memory),
                                         memory_bytes(comm),
                                         &comm->registration) != RZ_NCCL_SUCCESS)
        comm->registration = NULL;
    return connect_ranks(comm, err);
}

static int nccl_open_comm(const struct rz_stream_comm_config *config, struct rz_stream_comm **out,
                          struct rz_error *err)
{
    struct rz_stream_comm *comm = calloc(1, sizeof *comm);
    if (comm == NULL)
        return rz_fail(err, RZ_E_NOMEM, RZ_NO_RANK, 0, "no memory to open gather through NCCL");
    comm->shard.config = *config;
    comm->communicator.peers = config->peers;
    bool are_equal = true;
    for (uint32_t r = 0; r < config->world; r++) {
        comm->strides_before[r + 1] = comm->strides_before[r] + config->row_stride[r];
        are_equal = are_equal && config->row_stride[r] == config->row_stride[0];
    }

    int status = config->world > 1 ? rz_nccl_open(&comm->communicator.nccl, err) : RZ_OK;
    comm->can_gather = are_equal && comm->communicator.nccl.gather != NULL;
    if (status == RZ_OK)
        status = rz_stream_shard_open(&comm->shard, config, memory_bytes(comm), err);
    if (status == RZ_OK && config->world > 1)
        status = join(comm, err);
    if (status != RZ_OK) {
        nccl_close_comm(comm);
        return status;
    }
    *out = comm;
    return RZ_OK;
}

const struct rz_stream_comm_ops rz_stream_comm_nccl = {
    .name = "nccl",
    .orders_streams = true,
    .open = nccl_open_comm,
    .buffer = nccl_buffer,
    .enqueue = nccl_enqueue,
    .part = nccl_part,
    .check = nccl_check,
    .abort = nccl_abort,
    .close = nccl_close_comm,
};
