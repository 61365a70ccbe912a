/* SPDX-License-Identifier: Apache-2.0
 *
 * stream_shard.h - what the back ends of stream_comm.h share: a rank's buffer, how its logits get
 * there, and what ranks tell each other when a job is opened.
 */
#ifndef RZ_COMM_STREAM_SHARD_H
#define RZ_COMM_STREAM_SHARD_H

#include "comm/stream_comm.h"

struct rz_stream_shard {
    struct rz_stream_comm_config config;
    rz_cuda_ptr memory; /* begins with this rank's buffer */
};

/* rz_stream_shard_open - allocate `bytes`, which the buffer is the first part of. */
int rz_stream_shard_open(struct rz_stream_shard *shard, const struct rz_stream_comm_config *config,
                         size_t bytes, struct rz_error *err);

/* rz_stream_shard_take - have `rows` rows in the buffer by what is in `stream` then. On rank 0, and
 * where `logits` is 0, they are left where they are. */
int rz_stream_shard_take(struct rz_stream_shard *shard, rz_cuda_stream stream, rz_cuda_ptr logits,
                         size_t row_stride, uint32_t rows, struct rz_error *err);

/* rz_stream_shard_close - free. Harmless after an open that failed. */
void rz_stream_shard_close(struct rz_stream_shard *shard);

/* rz_stream_tell - put `told`, with this rank's device, into this rank's line. */
int rz_stream_tell(const struct rz_stream_comm_config *config, struct rz_stream_comm_told *told,
                   struct rz_error *err);

/* rz_stream_hear - wait for what `rank` tells. */
int rz_stream_hear(const struct rz_stream_comm_config *config, uint32_t rank,
                   struct rz_stream_comm_told *told, struct rz_error *err);

#endif
