/* SPDX-License-Identifier: Apache-2.0
 *
 * mpi_ranks.h - the ranks that mpirun started. mpi_ranks.c has them by MPI; mpi_ranks_none.c stands
 * in where the command is built without.
 */
#ifndef RZ_TOOLS_MPI_RANKS_H
#define RZ_TOOLS_MPI_RANKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rankzero/rankzero.h"
#include "tools/complaint.h"

/* rz_mpi_ranks_begin - join the other processes. Collective, as the three that follow. */
int rz_mpi_ranks_begin(uint32_t *rank, uint32_t *world, struct rz_complaint *complaint);

/* rz_mpi_ranks_agree - the worst exit status of all ranks, or RZ_EXIT_FAILED if they have different
 * numbers of rows or draws. Rank 0 says on stderr, behind `prefix`, what each rank complains of, or
 * which one differs; what several complain of alike is said once. */
int rz_mpi_ranks_agree(int status, uint64_t rows, uint64_t draws,
                       const struct rz_complaint *complaint, const char *prefix);

int rz_mpi_ranks_open(const struct rz_options *options, rz_job **job, struct rz_error *err);

/* rz_mpi_ranks_end - leave; every rank comes here. */
void rz_mpi_ranks_end(void);

/* rz_mpi_ranks_abort - end all ranks, whatever they are doing. Does not return. */
_Noreturn void rz_mpi_ranks_abort(int status);

/* rz_mpi_ranks_version - "Open MPI v4.1.4, ..."; false if built without MPI. Any time. */
bool rz_mpi_ranks_version(char *text, size_t capacity);

#endif
