/* SPDX-License-Identifier: Apache-2.0 */
#include "comm/stream_shard.h"

#include "internal/size_math.h"

/* Smaller pieces of memory share a block, and who opens one of another process gets all of it. */
#define BLOCK_BYTES ((size_t)2 << 20)

int rz_stream_shard_open(struct rz_stream_shard *shard, const struct rz_stream_comm_config *config,
                         size_t bytes, struct rz_error *err)
{
    *shard = (struct rz_stream_shard){.config = *config};
    rz_cuda_ptr memory;
    const int code = config->cuda->allocate(&memory, rz_round_up(bytes, BLOCK_BYTES));
    if (code != RZ_CUDA_SUCCESS) {
        char call[64];
        snprintf(call, sizeof call, "cuMemAlloc of %zu bytes for logits", bytes);
        return rz_cuda_fail(config->cuda, code, call, err);
    }
    shard->memory = memory;
    return RZ_OK;
}

int rz_stream_shard_take(struct rz_stream_shard *shard, rz_cuda_stream stream, rz_cuda_ptr logits,
                         size_t row_stride, uint32_t rows, struct rz_error *err)
{
    const struct rz_stream_comm_config *config = &shard->config;
    const uint32_t rank = config->rank;
    if (rank == 0 || logits == 0 || logits == shard->memory || config->columns[rank] == 0)
        return RZ_OK;

    const struct rz_cuda_copy_2d copy = {
        .from_type = RZ_CUDA_MEMORY_DEVICE,
        .from_device = logits,
        .from_pitch = row_stride * config->logit_bytes,
        .to_type = RZ_CUDA_MEMORY_DEVICE,
        .to_device = shard->memory,
        .to_pitch = config->row_stride[rank] * config->logit_bytes,
        .width = config->columns[rank] * config->logit_bytes,
        .height = rows,
    };
    const int code = config->cuda->copy_2d(&copy, stream);
    return code == RZ_CUDA_SUCCESS ? RZ_OK
                                   : rz_cuda_fail(config->cuda, code, "cuMemcpy2DAsync", err);
}

void rz_stream_shard_close(struct rz_stream_shard *shard)
{
    if (shard->memory != 0)
        shard->config.cuda->free(shard->memory);
    shard->memory = 0;
}

int rz_stream_tell(const struct rz_stream_comm_config *config, struct rz_stream_comm_told *told,
                   struct rz_error *err)
{
    const int code = config->cuda->device_uuid(&told->device, config->device);
    if (code != RZ_CUDA_SUCCESS)
        return rz_cuda_fail(config->cuda, code, "cuDeviceGetUuid", err);
    struct rz_stream_comm_line *line = config->lines[config->rank];
    line->told = *told;
    config->peers.raise(config->peers.context, &line->state, RZ_STREAM_LINE_TOLD);
    return RZ_OK;
}

int rz_stream_hear(const struct rz_stream_comm_config *config, uint32_t rank,
                   struct rz_stream_comm_told *told, struct rz_error *err)
{
    const struct rz_comm_peers *peers = &config->peers;
    const struct rz_stream_comm_line *line = config->lines[rank];
    uint32_t state;
    /* acquire: pairs with the release in peers.raise(), so that `told` is there. */
    while ((state = atomic_load_explicit(&line->state, memory_order_acquire)) ==
           RZ_STREAM_LINE_EMPTY) {
        const int status = peers->wait(peers->context, rank, &line->state, RZ_STREAM_LINE_EMPTY,
                                       config->open_deadline_ns, err);
        if (status != RZ_OK)
            return status;
    }
    if (state == RZ_STREAM_LINE_DONE) {
        const int status = peers->check(peers->context, err); /* why it has given up */
        return status != RZ_OK ? status
                               : rz_fail(err, RZ_E_CLOSED, (int)rank, 0,
                                         "rank %u gave up opening the gather between GPUs", rank);
    }
    if (state != RZ_STREAM_LINE_TOLD)
        return rz_fail(err, RZ_E_CORRUPT, (int)rank, 0,
                       "rank %u's line for GPUs: expected %d to %d, got %u", rank,
                       RZ_STREAM_LINE_EMPTY, RZ_STREAM_LINE_DONE, state);
    *told = line->told; /* once: it could change */
    return RZ_OK;
}
