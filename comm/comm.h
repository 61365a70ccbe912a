/* SPDX-License-Identifier: Apache-2.0
 *
 * comm.h - how the logits of a step get to rank 0.
 *
 * A back end is a table of functions. In each step every rank posts its shard of the batch; rank 0
 * collects all of them and then reads them where they lie, until it publishes the step's ids (which
 * is not this layer's business). A rank posts step s + 1 only after it has the ids of step s, so
 * one buffer a rank is enough.
 *
 *     every rank    rz_comm_post -> rz_comm_settle
 *     rank 0        rz_comm_collect -> rz_comm_part for each rank
 *
 * Back ends do not know how processes of a host wait for each other or learn of a death: the job
 * lends them that in `struct rz_comm_peers`.
 */
#ifndef RZ_COMM_COMM_H
#define RZ_COMM_COMM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "internal/error.h"
#include "rankzero/rankzero.h"

/* What a rank says of the step it posts. One per rank in memory shared by the job, on cache lines
 * of its own; written by that rank alone. */
struct rz_comm_line {
    _Atomic uint32_t step; /* low 32 bits of the number of the last step posted; the first is 1 */
    uint32_t rows;         /* written before `step`, which is stored with release */
};

/* What the job lends to a back end. */
struct rz_comm_peers {
    void *context;

    /* Wait until *word, written by `rank`, is not `seen`. RZ_OK, RZ_E_TIMEOUT, or what ended the
     * job (a death, a rank that left). Acquires what was written before the word was raised. */
    int (*wait)(void *context, uint32_t rank, const _Atomic uint32_t *word, uint32_t seen,
                uint64_t deadline_ns, struct rz_error *err);

    /* Store `value` with release and wake who waits for it. */
    void (*raise)(void *context, _Atomic uint32_t *word, uint32_t value);

    /* RZ_OK, or what ended the job: for back ends that wait by polling. */
    int (*check)(void *context, struct rz_error *err);
};

struct rz_comm_config {
    uint32_t rank;
    uint32_t world;
    uint32_t max_rows;
    size_t logit_bytes;
    uint32_t columns[RZ_MAX_WORLD];
    size_t row_stride[RZ_MAX_WORLD]; /* elements from one row of a rank's buffer to the next */
    void *buffers[RZ_MAX_WORLD];     /* in shared memory, [max_rows][row_stride]: this rank's own
                                        to write and, on rank 0, those of all to read; others NULL. All
                                        NULL if the job has none */
    struct rz_comm_line *lines[RZ_MAX_WORLD];
    struct rz_comm_peers peers;
};

/* Where rank 0 finds the rows of one rank. */
struct rz_comm_part {
    const void *logits;
    size_t row_stride; /* elements */
};

struct rz_comm; /* each back end has its own */

struct rz_comm_ops {
    const char *name;

    /* `transport` is the back end's own argument (an MPI communicator), NULL for shared memory. The
     * config is copied; buffers and lines stay until close. */
    int (*open)(const struct rz_comm_config *config, void *transport, struct rz_comm **comm,
                struct rz_error *err);

    /* This rank's shard buffer, [max_rows][row_stride[rank]]. */
    void *(*buffer)(struct rz_comm *comm);

    /* Hand in `rows` rows for step `step`. `logits` NULL: they are in the buffer. Does not wait for
     * other ranks. On rank 0 `logits` stays where it is until the step's end. */
    int (*post)(struct rz_comm *comm, uint32_t step, const void *logits, size_t row_stride,
                uint32_t rows, struct rz_error *err);

    /* Not rank 0: wait until this rank need do nothing more for rank 0 to get its rows. */
    int (*settle)(struct rz_comm *comm, uint64_t deadline_ns, struct rz_error *err);

    /* 1 if collect (rank 0) or settle (others) would not wait, 0 if it would, or a status. */
    int (*ready)(struct rz_comm *comm, uint32_t step, struct rz_error *err);

    /* Rank 0: wait for all rows of `step`. RZ_E_MISMATCH if a rank brought another number than
     * rank 0 posted. */
    int (*collect)(struct rz_comm *comm, uint32_t step, uint64_t deadline_ns, struct rz_error *err);

    /* Rank 0, after collect and until the next post: the rows of `rank`. */
    struct rz_comm_part (*part)(const struct rz_comm *comm, uint32_t rank);

    /* Give up whatever is under way and free. NULL is allowed. */
    void (*close)(struct rz_comm *comm);
};

extern const struct rz_comm_ops rz_comm_shm; /* comm_shm.c */
extern const struct rz_comm_ops rz_comm_mpi; /* mpi/comm_mpi.c, in librankzero_mpi */

/* rz_comm_copy_rows - copy `rows` rows of `columns` logits between buffers of different strides (in
 * elements). */
static inline void rz_comm_copy_rows(void *to, size_t to_stride, const void *from,
                                     size_t from_stride, uint32_t rows, uint32_t columns,
                                     size_t logit_bytes)
{
    for (size_t row = 0; row < rows; row++)
        memcpy((char *)to + row * to_stride * logit_bytes,
               (const char *)from + row * from_stride * logit_bytes, columns * logit_bytes);
}

/* rz_comm_check_rows - RZ_E_MISMATCH if `rank` brought another number of rows than rank 0. */
static inline int rz_comm_check_rows(uint32_t rank, uint32_t rows, uint32_t expected,
                                     struct rz_error *err)
{
    if (rows == expected)
        return RZ_OK;
    return rz_fail(err, RZ_E_MISMATCH, (int)rank, 0,
                   "rows of logits in this step: rank 0 has %u, rank %u has %u", expected, rank,
                   rows);
}

#endif
