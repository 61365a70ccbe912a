/* SPDX-License-Identifier: Apache-2.0
 *
 * test_mpi_calls.c - calls of MPI that fail (-Wl,--wrap), the first, the second, ... on one rank
 * or, where it is collective, on all: an error that names the call, the others learn who ended the
 * job, nothing is left behind. Run by mpirun.
 */
#include <mpi.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "rankzero/mpi.h"
#include "tests/runtime/ranks.h"
#include "tests/runtime/rows.h"

enum { VOCAB = 300, STEPS = 2, MOST_CALLS = 8, LIMIT_S = 100, ALL = -1 };

/* ------------------------------------------------------------------------------------------------
 * Calls that fail on demand
 */

static const char *failing; /* the call that fails */
static int countdown;       /* it does when this reaches 0; 0: none does */
static int failed;
static int types, communicators; /* made and not freed */
static int broken;               /* jobs that ended in the middle of a step: they keep theirs */

static int fails(const char *call)
{
    if (failing == NULL || strcmp(call, failing) != 0 || countdown == 0 || --countdown > 0)
        return 0;
    failed = 1;
    return 1;
}

int __real_MPI_Isend(const void *, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request *);
int __wrap_MPI_Isend(const void *, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request *);
int __wrap_MPI_Isend(const void *from, int count, MPI_Datatype type, int rank, int tag,
                     MPI_Comm comm, MPI_Request *request)
{
    return fails("MPI_Isend") ? MPI_ERR_INTERN
                              : __real_MPI_Isend(from, count, type, rank, tag, comm, request);
}

int __real_MPI_Irecv(void *, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request *);
int __wrap_MPI_Irecv(void *, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request *);
int __wrap_MPI_Irecv(void *to, int count, MPI_Datatype type, int rank, int tag, MPI_Comm comm,
                     MPI_Request *request)
{
    return fails("MPI_Irecv") ? MPI_ERR_INTERN
                              : __real_MPI_Irecv(to, count, type, rank, tag, comm, request);
}

int __real_MPI_Test(MPI_Request *, int *, MPI_Status *);
int __wrap_MPI_Test(MPI_Request *, int *, MPI_Status *);
int __wrap_MPI_Test(MPI_Request *request, int *done, MPI_Status *state)
{
    return fails("MPI_Test") ? MPI_ERR_INTERN : __real_MPI_Test(request, done, state);
}

int __real_MPI_Type_contiguous(int, MPI_Datatype, MPI_Datatype *);
int __wrap_MPI_Type_contiguous(int, MPI_Datatype, MPI_Datatype *);
int __wrap_MPI_Type_contiguous(int count, MPI_Datatype old, MPI_Datatype *new)
{
    if (fails("MPI_Type_contiguous"))
        return MPI_ERR_INTERN;
    types++;
    return __real_MPI_Type_contiguous(count, old, new);
}

int __real_MPI_Type_free(MPI_Datatype *);
int __wrap_MPI_Type_free(MPI_Datatype *);
int __wrap_MPI_Type_free(MPI_Datatype *type)
{
    types--;
    return __real_MPI_Type_free(type);
}

int __real_MPI_Comm_dup(MPI_Comm, MPI_Comm *);
int __wrap_MPI_Comm_dup(MPI_Comm, MPI_Comm *);
int __wrap_MPI_Comm_dup(MPI_Comm comm, MPI_Comm *new)
{
    if (fails("MPI_Comm_dup"))
        return MPI_ERR_INTERN;
    communicators++;
    return __real_MPI_Comm_dup(comm, new);
}

int __real_MPI_Comm_split_type(MPI_Comm, int, int, MPI_Info, MPI_Comm *);
int __wrap_MPI_Comm_split_type(MPI_Comm, int, int, MPI_Info, MPI_Comm *);
int __wrap_MPI_Comm_split_type(MPI_Comm comm, int kind, int key, MPI_Info info, MPI_Comm *new)
{
    if (fails("MPI_Comm_split_type"))
        return MPI_ERR_INTERN;
    communicators++;
    return __real_MPI_Comm_split_type(comm, kind, key, info, new);
}

int __real_MPI_Comm_free(MPI_Comm *);
int __wrap_MPI_Comm_free(MPI_Comm *);
int __wrap_MPI_Comm_free(MPI_Comm *comm)
{
    if (*comm != MPI_COMM_NULL)
        communicators--;
    return __real_MPI_Comm_free(comm);
}

/* ------------------------------------------------------------------------------------------------
 * Tests
 */

static int step(rz_job *job, uint64_t number)
{
    struct rz_sampling sampling;
    rz_sampling_init(&sampling);
    const struct rz_row row = {.sampling = &sampling};
    struct rz_batch batch;
    rz_batch_init(&batch);
    batch.logits_rows = 1;
    if (rz_rank(job) == 0) {
        batch.rows = &row;
        batch.row_count = 1;
    }
    rows_write_shard(job, RZ_F32, 1, number, 1);
    int32_t ids[4];
    uint32_t count;
    return rz_step(job, &batch, ids, &count, NULL);
}

/* A job's whole life. */
static int live(struct rz_error *err)
{
    struct rz_options options;
    rz_options_init(&options);
    options.vocab_size = VOCAB;
    options.max_rows = 4;
    options.comm = RZ_COMM_MPI;
    rz_job *job = NULL;
    int status = rz_open_mpi(MPI_COMM_WORLD, &options, &job, err);
    rank_expect((job != NULL) == (status == RZ_OK), "got %d and %s job", status,
                job == NULL ? "no" : "a");
    for (uint64_t s = 0; status == RZ_OK && s < STEPS; s++)
        status = step(job, s);
    if (job != NULL && status != RZ_OK) {
        *err = *rz_last_error(job);
        broken++;
    }
    rz_close(job);
    return status;
}

/* What this rank expects after `victim` had a call fail: in open all learn of it, with the reason,
 * in a step who the victim was. A rank that has all its ids by then does not learn of it. */
static void expect_failure(const char *call, int rank, int victim, int status,
                           const struct rz_error *err)
{
    if (victim == ALL || rank == victim) {
        rank_expect(status == RZ_E_COMM, "%s: rank %d got %d: %s", call, rank, status, err->text);
        rank_expect(strstr(err->text, call) != NULL, "expected %s in \"%s\"", call, err->text);
        rank_expect(err->detail == MPI_ERR_INTERN, "got %d", (int)err->detail);
        return;
    }
    char in_open[64], in_step[64];
    snprintf(in_open, sizeof in_open, "rank %d could not open the job: %s", victim, call);
    snprintf(in_step, sizeof in_step, "rank %d ended the job", victim);
    const bool named = strstr(err->text, in_open) != NULL || strstr(err->text, in_step) != NULL;
    rank_expect(status == RZ_OK || (status == RZ_E_COMM && named), "%s: rank %d got %d: %s", call,
                rank, status, err->text);
}

static void no_failing_call_leaves_anything_behind(const char *call, int victim)
{
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    int any = 1;
    int calls = 0;
    for (; any && calls < MOST_CALLS; calls++) {
        struct rz_error err = {0};
        failed = 0;
        failing = call;
        countdown = victim == ALL || rank == victim ? calls + 1 : 0;
        const int status = live(&err);
        failing = NULL;
        MPI_Allreduce(&failed, &any, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
        if (any)
            expect_failure(call, rank, victim, status, &err);
        else
            rank_expect(status == RZ_OK, "%s: %s", call, err.text);
        rank_expect(types == 0 && communicators >= 0 && communicators <= broken,
                    "%s: %d types and %d communicators are left of %d broken jobs", call, types,
                    communicators, broken);
    }
    rank_expect(calls > 1, "%s never failed", call);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    alarm(LIMIT_S);
    int world;
    MPI_Comm_size(MPI_COMM_WORLD, &world);
    no_failing_call_leaves_anything_behind("MPI_Comm_dup", ALL);
    no_failing_call_leaves_anything_behind("MPI_Comm_split_type", ALL);
    no_failing_call_leaves_anything_behind("MPI_Irecv", 0);
    for (int victim = 0; victim < world; victim++) {
        no_failing_call_leaves_anything_behind("MPI_Type_contiguous", victim);
        no_failing_call_leaves_anything_behind("MPI_Test", victim);
        if (victim > 0)
            no_failing_call_leaves_anything_behind("MPI_Isend", victim);
    }
    MPI_Finalize();
    return 0;
}
