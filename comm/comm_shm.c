/* SPDX-License-Identifier: Apache-2.0
 *
 * comm_shm.c - ranks of one host: rank 0 reads the shards where they were written.
 *
 * Each rank's buffer lies in the job's shared memory. Posting is a store to this rank's line, after
 * its rows; collecting is waiting for all lines. No logit is copied, unless the caller brings them
 * in memory of its own.
 */
#include "comm/comm.h"

#include <stdlib.h>

struct rz_comm {
    struct rz_comm_config config;
    struct rz_comm_part own; /* rank 0: where its rows of this step are */
    uint32_t rows;           /* posted in this step */
};

static int shm_open_comm(const struct rz_comm_config *config, void *transport, struct rz_comm **out,
                         struct rz_error *err)
{
    (void)transport;
    struct rz_comm *comm = calloc(1, sizeof *comm);
    if (comm == NULL)
        return rz_fail(err, RZ_E_NOMEM, RZ_NO_RANK, 0, "no memory to open shared-memory gather");
    comm->config = *config;
    *out = comm;
    return RZ_OK;
}

static void *shm_buffer(struct rz_comm *comm)
{
    return comm->config.buffers[comm->config.rank];
}

static int shm_post(struct rz_comm *comm, uint32_t step, const void *logits, size_t row_stride,
                    uint32_t rows, struct rz_error *err)
{
    (void)err;
    const struct rz_comm_config *config = &comm->config;
    const uint32_t rank = config->rank;
    void *buffer = config->buffers[rank];

    comm->rows = rows;
    comm->own = logits != NULL ? (struct rz_comm_part){.logits = logits, .row_stride = row_stride}
                               : (struct rz_comm_part){.logits = buffer,
                                                       .row_stride = config->row_stride[rank]};
    if (rank == 0)
        return RZ_OK;

    if (logits != NULL)
        rz_comm_copy_rows(buffer, config->row_stride[rank], logits, row_stride, rows,
                          config->columns[rank], config->logit_bytes);
    struct rz_comm_line *line = config->lines[rank];
    line->rows = rows;
    config->peers.raise(config->peers.context, &line->step, step);
    return RZ_OK;
}

static int shm_settle(struct rz_comm *comm, uint64_t deadline_ns, struct rz_error *err)
{
    (void)comm, (void)deadline_ns, (void)err;
    return RZ_OK;
}

/* Has `rank` posted `step`? Its line is at step - 1 until it has. RZ_E_CORRUPT if it is at neither.
 */
static int has_posted(const struct rz_comm_line *line, uint32_t rank, uint32_t step,
                      struct rz_error *err)
{
    /* acquire: pairs with the release in peers.raise(), so that rows and logits are there. */
    const uint32_t at = atomic_load_explicit(&line->step, memory_order_acquire);
    if (at == step)
        return 1;
    if (at == step - 1)
        return 0;
    return rz_fail(err, RZ_E_CORRUPT, (int)rank, 0,
                   "rank %u's last step: expected %u or %u, got %u", rank, step - 1, step, at);
}

static int shm_ready(struct rz_comm *comm, uint32_t step, struct rz_error *err)
{
    const struct rz_comm_config *config = &comm->config;
    if (config->rank != 0)
        return 1;
    for (uint32_t r = 1; r < config->world; r++) {
        const int posted = has_posted(config->lines[r], r, step, err);
        if (posted == 0) {
            const int status = config->peers.check(config->peers.context, err);
            return status == RZ_OK ? 0 : status;
        }
        if (posted < 0)
            return posted;
    }
    return 1;
}

static int shm_collect(struct rz_comm *comm, uint32_t step, uint64_t deadline_ns,
                       struct rz_error *err)
{
    const struct rz_comm_config *config = &comm->config;
    for (uint32_t r = 1; r < config->world; r++) {
        const struct rz_comm_line *line = config->lines[r];
        int posted;
        while ((posted = has_posted(line, r, step, err)) == 0) {
            const int status = config->peers.wait(config->peers.context, r, &line->step, step - 1,
                                                  deadline_ns, err);
            if (status != RZ_OK)
                return status;
        }
        if (posted < 0)
            return posted;
        const int status = rz_comm_check_rows(r, line->rows, comm->rows, err);
        if (status != RZ_OK)
            return status;
    }
    return RZ_OK;
}

static struct rz_comm_part shm_part(const struct rz_comm *comm, uint32_t rank)
{
    if (rank == 0)
        return comm->own;
    return (struct rz_comm_part){.logits = comm->config.buffers[rank],
                                 .row_stride = comm->config.row_stride[rank]};
}

static void shm_close(struct rz_comm *comm)
{
    free(comm);
}

const struct rz_comm_ops rz_comm_shm = {
    .name = "shm",
    .open = shm_open_comm,
    .buffer = shm_buffer,
    .post = shm_post,
    .settle = shm_settle,
    .ready = shm_ready,
    .collect = shm_collect,
    .part = shm_part,
    .close = shm_close,
};
