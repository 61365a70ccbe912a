/* SPDX-License-Identifier: Apache-2.0
 *
 * mpi_bcast.h - records by MPI_Bcast, among the ranks that mpirun started and mpi_ranks.h has
 * begun. mpi_bcast_none.c stands in where the command is built without MPI.
 */
#ifndef RZ_TOOLS_MPI_BCAST_H
#define RZ_TOOLS_MPI_BCAST_H

#include <stdint.h>

#include "tools/complaint.h"

/* rz_mpi_bcast_time - rank 0: records of `bytes` from rank 0 to all and back from rank 1, `rounds`
 * times after some that do not count. samples: [rounds] ns. */
int rz_mpi_bcast_time(uint32_t bytes, uint32_t rounds, uint32_t *samples,
                      struct rz_complaint *complaint);

/* rz_mpi_bcast_serve - all others: take part in what rank 0 does, until it ends it. Asleep in
 * between, so that their processors are free. */
void rz_mpi_bcast_serve(void);

/* rz_mpi_bcast_end - rank 0: the others return. */
void rz_mpi_bcast_end(void);

#endif
