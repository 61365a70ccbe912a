/* SPDX-License-Identifier: Apache-2.0
 *
 * mpi_ranks_none.c - no MPI in this build.
 */
#include <stdlib.h>

#include "internal/error.h"
#include "tools/mpi_ranks.h"

static const char missing[] = "started by mpirun, but built without MPI: use --ranks R";

int rz_mpi_ranks_begin(uint32_t *rank, uint32_t *world, struct rz_complaint *complaint)
{
    (void)rank, (void)world;
    return rz_complain(complaint, RZ_EXIT_FAILED, "%s", missing);
}

int rz_mpi_ranks_agree(int status, uint64_t rows, uint64_t draws,
                       const struct rz_complaint *complaint, const char *prefix)
{
    (void)rows, (void)draws, (void)complaint, (void)prefix;
    return status;
}

int rz_mpi_ranks_open(const struct rz_options *options, rz_job **job, struct rz_error *err)
{
    (void)options, (void)job;
    return rz_fail(err, RZ_E_UNSUPPORTED, RZ_NO_RANK, 0, "%s", missing);
}

void rz_mpi_ranks_end(void) {}

_Noreturn void rz_mpi_ranks_abort(int status)
{
    _Exit(status);
}

bool rz_mpi_ranks_version(char *text, size_t capacity)
{
    (void)text, (void)capacity;
    return false;
}
