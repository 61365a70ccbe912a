/* SPDX-License-Identifier: Apache-2.0
 *
 * open_mpi.c - a job whose ranks are those of a communicator: rank 0 makes up a name, every rank
 * learns it by MPI, and they meet under it as ranks without MPI do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "rankzero/mpi.h"
#include "runtime/job.h"
#include "runtime/sequence.h"

static int fail_mpi(struct rz_error *err, int code, const char *call)
{
    return rz_fail(err, RZ_E_COMM, RZ_NO_RANK, code, "%s failed", call);
}

/* Do all ranks share this host's memory? */
static int check_one_host(MPI_Comm comm, uint32_t world, struct rz_error *err)
{
    MPI_Comm host;
    int code = MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host);
    if (code != MPI_SUCCESS)
        return fail_mpi(err, code, "MPI_Comm_split_type");
    int here = 0, least = 0;
    MPI_Comm_size(host, &here);
    MPI_Comm_free(&host);
    code = MPI_Allreduce(&here, &least, 1, MPI_INT, MPI_MIN, comm);
    if (code != MPI_SUCCESS)
        return fail_mpi(err, code, "MPI_Allreduce");
    if ((uint32_t)least != world)
        return rz_fail(err, RZ_E_UNSUPPORTED, RZ_NO_RANK, 0,
                       "expected all %u ranks on one host, got a host with %d of them", world,
                       least);
    return RZ_OK;
}

/* A rank that cannot go on must not leave the others waiting for it: all learn of it here. */
static int agree_to_go_on(MPI_Comm comm, int status, struct rz_error *err)
{
    struct {
        int status;
        int rank;
    } mine = {.status = status}, worst;
    MPI_Comm_rank(comm, &mine.rank);
    int code = MPI_Allreduce(&mine, &worst, 1, MPI_2INT, MPI_MINLOC, comm);
    if (code != MPI_SUCCESS)
        return fail_mpi(err, code, "MPI_Allreduce");
    if (worst.status == RZ_OK)
        return RZ_OK;

    struct rz_error why = *err; /* worst.rank's */
    code = MPI_Bcast(&why, sizeof why, MPI_BYTE, worst.rank, comm);
    if (code != MPI_SUCCESS)
        return fail_mpi(err, code, "MPI_Bcast");
    if (status != RZ_OK)
        return status;
    return rz_fail(err, worst.status, worst.rank, why.detail,
                   "rank %d could not open the job: %.200s", worst.rank, why.text);
}

static int agree(void *transport, int status, struct rz_error *err)
{
    return agree_to_go_on(*(MPI_Comm *)transport, status, err);
}

/* Rank 0's made-up name, on every rank. */
static int share_name(MPI_Comm comm, int rank, char name[RZ_MAX_NAME], struct rz_error *err)
{
    uint64_t random = 0;
    const int status = rank == 0 ? rz_seed_random(&random, err) : RZ_OK;
    if (status == RZ_OK)
        snprintf(name, RZ_MAX_NAME, "mpi-%ld-%016llx", (long)getpid(), (unsigned long long)random);
    const int agreed = agree_to_go_on(comm, status, err);
    if (agreed != RZ_OK)
        return agreed;
    const int code = MPI_Bcast(name, RZ_MAX_NAME, MPI_CHAR, 0, comm);
    return code == MPI_SUCCESS ? RZ_OK : fail_mpi(err, code, "MPI_Bcast");
}

/* A communicator on which a message may be under way is not freed: MPI would give its number to the
 * next one, and the message with it. */
static void release(void *transport, bool idle)
{
    if (idle)
        MPI_Comm_free(transport);
    free(transport);
}

static int open_on(MPI_Comm *own, const struct rz_options *options, rz_job **job,
                   struct rz_error *err)
{
    const MPI_Comm comm = *own;
    int rank, world;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &world);

    struct rz_plan plan;
    struct rz_local local;
    int status = rz_options_resolve(options, (uint32_t)rank, (uint32_t)world, RZ_COMM_SHM, &plan,
                                    &local, err);
    status = agree_to_go_on(comm, status, err);
    if (status == RZ_OK)
        status = check_one_host(comm, (uint32_t)world, err);
    char name[RZ_MAX_NAME];
    if (status == RZ_OK)
        status = share_name(comm, rank, name, err);
    if (status != RZ_OK)
        return status;
    const struct rz_transport transport = {
        .mpi_ops = &rz_comm_mpi, .handle = own, .release = release, .agree = agree};
    return rz_job_open(&plan, &local, name, transport, job, err);
}

int rz_open_mpi(MPI_Comm comm, const struct rz_options *options, rz_job **job, struct rz_error *err)
{
    struct rz_error nobody_asked;
    if (err == NULL)
        err = &nobody_asked;
    *err = (struct rz_error){.rank = RZ_NO_RANK};
    int initialized = 0;
    MPI_Initialized(&initialized);
    if (!initialized)
        return rz_fail(err, RZ_E_STATE, RZ_NO_RANK, 0,
                       "rz_open_mpi: expected MPI to be initialised");
    if (job == NULL)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0, "job: expected a pointer, got NULL");

    MPI_Comm *own = malloc(sizeof *own);
    if (own == NULL)
        return rz_fail(err, RZ_E_NOMEM, RZ_NO_RANK, 0, "no memory for a communicator");
    const int code = MPI_Comm_dup(comm, own);
    if (code != MPI_SUCCESS) {
        free(own);
        return fail_mpi(err, code, "MPI_Comm_dup");
    }
    MPI_Comm_set_errhandler(*own, MPI_ERRORS_RETURN);
    const int status = open_on(own, options, job, err);
    if (status != RZ_OK)
        release(own, true);
    return status;
}
