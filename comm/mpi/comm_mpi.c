/* SPDX-License-Identifier: Apache-2.0
 *
 * comm_mpi.c - logits travel as MPI messages: one a rank and step, received into a buffer a rank.
 *
 * MPI_Gather would be shorter, but a rank that dies inside a collective leaves the others in it for
 * ever. Non-blocking messages can be polled under a deadline, and rank 0 learns from each message
 * how many rows it brings. The unit of a message is a row, so that counts stay small.
 *
 * MPI need not progress in the background: a rank polls until its message has gone (settle) before
 * it sleeps to wait for ids.
 */
#include "comm/comm.h"

#include <mpi.h>
#include <stdlib.h>
#include <time.h>

#include "internal/clock.h"

enum {
    TAG = 0,      /* the communicator is ours alone */
    SPINS = 2000, /* polls before naps */
    NAP_NS = 20000,
    POLLS_A_CHECK = 256, /* polls from one look for dead ranks to the next */
    LAST_POLLS = 100     /* of a request that is given up: some 10 ms */
};

struct rz_comm {
    struct rz_comm_config config;
    MPI_Comm mpi;         /* of the job; borrowed */
    MPI_Datatype *row;    /* [world] a row of each rank's buffer */
    MPI_Request *request; /* [world] rank 0: receive from each; others: [rank] own send */
    void **buffer;        /* [world] rank 0: of all ranks; others: own */
    struct rz_comm_part own;
    uint32_t rows;
};

static int fail_mpi(struct rz_error *err, int code, const char *call)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, text, &length);
    return rz_fail(err, RZ_E_COMM, RZ_NO_RANK, code, "%s: %.160s", call, text);
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
}

/* A request is pending here if the job ended inside a step, or if MPI has yet to hear that the last
 * message was taken. If it cannot be undone (a send never can, nor a receive whose message is on
 * its way) MPI may still touch its buffer, which then stays with the process. */
static void give_up(struct rz_comm *comm, uint32_t rank)
{
    int done = 0;
    if (comm->config.rank == 0)
        MPI_Cancel(&comm->request[rank]);
    for (int polls = 0; polls < LAST_POLLS; polls++) {
        MPI_Test(&comm->request[rank], &done, MPI_STATUS_IGNORE);
        if (done)
            return;
        nap();
    }
    MPI_Request_free(&comm->request[rank]);
    comm->buffer[rank] = NULL;
}

static void mpi_close(struct rz_comm *comm)
{
    if (comm == NULL)
        return;
    for (uint32_t r = 0; r < comm->config.world; r++) {
        if (comm->request[r] != MPI_REQUEST_NULL)
            give_up(comm, r);
        if (comm->row[r] != MPI_DATATYPE_NULL)
            MPI_Type_free(&comm->row[r]);
        free(comm->buffer[r]);
    }
    free(comm->buffer);
    free(comm->request);
    free(comm->row);
    free(comm);
}

/* Row type and, where this rank needs one, the buffer of `rank`. */
static int open_rank(struct rz_comm *comm, uint32_t rank, struct rz_error *err)
{
    const struct rz_comm_config *config = &comm->config;
    const size_t row_bytes = config->row_stride[rank] * config->logit_bytes;
    int code = MPI_Type_contiguous((int)row_bytes, MPI_BYTE, &comm->row[rank]);
    if (code == MPI_SUCCESS)
        code = MPI_Type_commit(&comm->row[rank]);
    if (code != MPI_SUCCESS)
        return fail_mpi(err, code, "MPI_Type_contiguous");
    if (config->rank != 0 && config->rank != rank)
        return RZ_OK;

    const size_t bytes = config->max_rows * row_bytes;
    comm->buffer[rank] = aligned_alloc(64, bytes);
    if (comm->buffer[rank] == NULL)
        return rz_fail(err, RZ_E_NOMEM, RZ_NO_RANK, 0,
                       "no memory for %u rows of rank %u's logits (%zu bytes)", config->max_rows,
                       rank, bytes);
    return RZ_OK;
}

static int mpi_open(const struct rz_comm_config *config, void *transport, struct rz_comm **out,
                    struct rz_error *err)
{
    struct rz_comm *comm = calloc(1, sizeof *comm);
    if (comm == NULL)
        return rz_fail(err, RZ_E_NOMEM, RZ_NO_RANK, 0, "no memory to open MPI gather");
    comm->config = *config;
    comm->mpi = *(MPI_Comm *)transport;
    comm->row = malloc(config->world * sizeof(MPI_Datatype));
    comm->request = calloc(config->world, sizeof(MPI_Request));
    comm->buffer = calloc(config->world, sizeof(void *));
    if (comm->row == NULL || comm->request == NULL || comm->buffer == NULL) {
        free(comm->row);
        free(comm->request);
        free(comm->buffer);
        free(comm);
        return rz_fail(err, RZ_E_NOMEM, RZ_NO_RANK, 0, "no memory to open MPI gather");
    }
    for (uint32_t r = 0; r < config->world; r++) {
        comm->row[r] = MPI_DATATYPE_NULL;
        comm->request[r] = MPI_REQUEST_NULL;
    }
    for (uint32_t r = 0; r < config->world; r++) {
        const int status = open_rank(comm, r, err);
        if (status != RZ_OK) {
            mpi_close(comm);
            return status;
        }
    }
    *out = comm;
    return RZ_OK;
}

static void *mpi_buffer(struct rz_comm *comm)
{
    return comm->buffer[comm->config.rank];
}

/* Rank 0 is ready for any number of rows: how many a rank brings shows when they are there. */
static int post_receives(struct rz_comm *comm, struct rz_error *err)
{
    for (uint32_t r = 1; r < comm->config.world; r++) {
        const int code = MPI_Irecv(comm->buffer[r], (int)comm->config.max_rows, comm->row[r],
                                   (int)r, TAG, comm->mpi, &comm->request[r]);
        if (code != MPI_SUCCESS)
            return fail_mpi(err, code, "MPI_Irecv");
    }
    return RZ_OK;
}

static int mpi_post(struct rz_comm *comm, uint32_t step, const void *logits, size_t row_stride,
                    uint32_t rows, struct rz_error *err)
{
    const struct rz_comm_config *config = &comm->config;
    const uint32_t rank = config->rank;
    void *buffer = comm->buffer[rank];

    comm->rows = rows;
    comm->own = logits != NULL ? (struct rz_comm_part){.logits = logits, .row_stride = row_stride}
                               : (struct rz_comm_part){.logits = buffer,
                                                       .row_stride = config->row_stride[rank]};
    if (rank == 0)
        return post_receives(comm, err);

    if (logits != NULL)
        rz_comm_copy_rows(buffer, config->row_stride[rank], logits, row_stride, rows,
                          config->columns[rank], config->logit_bytes);
    const int code =
        MPI_Isend(buffer, (int)rows, comm->row[rank], 0, TAG, comm->mpi, &comm->request[rank]);
    if (code != MPI_SUCCESS)
        return fail_mpi(err, code, "MPI_Isend");
    /* Not for rank 0, which has the message: for ranks that run out of time to see who is late. */
    config->peers.raise(config->peers.context, &config->lines[rank]->step, step);
    return RZ_OK;
}

/* 1 when the request of `rank` is done, 0 if not, or a status. A receive's rows are checked. */
static int test_request(struct rz_comm *comm, uint32_t rank, struct rz_error *err)
{
    if (comm->request[rank] == MPI_REQUEST_NULL)
        return 1;
    int done = 0;
    MPI_Status state;
    const int code = MPI_Test(&comm->request[rank], &done, &state);
    if (code != MPI_SUCCESS)
        return fail_mpi(err, code, "MPI_Test");
    if (!done)
        return 0;
    if (comm->config.rank != 0)
        return 1;
    int rows = 0;
    MPI_Get_count(&state, comm->row[rank], &rows);
    const int status =
        rz_comm_check_rows(rank, rows < 0 ? UINT32_MAX : (uint32_t)rows, comm->rows, err);
    return status == RZ_OK ? 1 : status;
}

/* For a request that is not done: 0 while the job goes on, otherwise why it has ended. The message
 * may have gone just before that, and then it is what counts: 1. */
static int check_peers(struct rz_comm *comm, uint32_t rank, struct rz_error *err)
{
    const struct rz_comm_peers *peers = &comm->config.peers;
    struct rz_error why;
    const int status = peers->check(peers->context, &why);
    if (status == RZ_OK)
        return 0;
    const int done = test_request(comm, rank, err);
    if (done == 0 && err != NULL)
        *err = why;
    return done != 0 ? done : status;
}

/* A send that does not end is rank 0's fault. */
static int fail_late(const struct rz_comm *comm, uint32_t rank, struct rz_error *err)
{
    if (comm->config.rank != 0)
        return rz_fail(err, RZ_E_TIMEOUT, 0, 0, "rank 0 did not take rank %u's logits in time",
                       rank);
    return rz_fail(err, RZ_E_TIMEOUT, (int)rank, 0, "rank %u did not hand in its logits in time",
                   rank);
}

/* Poll the request of `rank` until it is done, the deadline passes or the job has ended. */
static int wait_request(struct rz_comm *comm, uint32_t rank, uint64_t deadline_ns,
                        struct rz_error *err)
{
    for (uint64_t polls = 1;; polls++) {
        const int done = test_request(comm, rank, err);
        if (done != 0)
            return done < 0 ? done : RZ_OK;
        if (polls % POLLS_A_CHECK == 0) {
            const int status = check_peers(comm, rank, err);
            if (status != 0)
                return status < 0 ? status : RZ_OK;
            if (rz_clock_ns() >= deadline_ns)
                return fail_late(comm, rank, err);
        }
        if (polls > SPINS)
            nap();
    }
}

static int mpi_settle(struct rz_comm *comm, uint64_t deadline_ns, struct rz_error *err)
{
    return wait_request(comm, comm->config.rank, deadline_ns, err);
}

static int mpi_ready(struct rz_comm *comm, uint32_t step, struct rz_error *err)
{
    (void)step;
    const struct rz_comm_config *config = &comm->config;
    const uint32_t first = config->rank == 0 ? 1 : config->rank;
    const uint32_t end = config->rank == 0 ? config->world : config->rank + 1;
    for (uint32_t r = first; r < end; r++) {
        int done = test_request(comm, r, err);
        if (done == 0)
            done = check_peers(comm, r, err);
        if (done != 1)
            return done;
    }
    return 1;
}

static int mpi_collect(struct rz_comm *comm, uint32_t step, uint64_t deadline_ns,
                       struct rz_error *err)
{
    (void)step; /* messages of a pair of ranks keep their order */
    for (uint32_t r = 1; r < comm->config.world; r++) {
        const int status = wait_request(comm, r, deadline_ns, err);
        if (status != RZ_OK)
            return status;
    }
    return RZ_OK;
}

static struct rz_comm_part mpi_part(const struct rz_comm *comm, uint32_t rank)
{
    if (rank == 0)
        return comm->own;
    return (struct rz_comm_part){.logits = comm->buffer[rank],
                                 .row_stride = comm->config.row_stride[rank]};
}

const struct rz_comm_ops rz_comm_mpi = {
    .name = "mpi",
    .open = mpi_open,
    .buffer = mpi_buffer,
    .post = mpi_post,
    .settle = mpi_settle,
    .ready = mpi_ready,
    .collect = mpi_collect,
    .part = mpi_part,
    .close = mpi_close,
};
