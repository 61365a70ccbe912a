/* SPDX-License-Identifier: Apache-2.0
 *
 * allreduce.h - a sum over ranks whose order does not depend on their number.
 *
 * MPI_Allreduce adds what each rank has summed up already, so its result changes with the number of
 * ranks. Here the terms are *chunks*, a number of them fixed by the model (one a head): each rank
 * brings the chunks that it owns, all ranks get all chunks, and each adds them from the first to
 * the last.
 *
 *     rank 0    rank 1    rank 2          every rank
 *     [0 1 2]   [3 4 5]   [6 7]    --->   ((((0 + 1) + 2) + ...) + 7)
 *
 * It moves as many times more bytes as there are chunks; for a few rows these are kilobytes.
 */
#ifndef TPLM_ALLREDUCE_H
#define TPLM_ALLREDUCE_H

#include <mpi.h>
#include <stddef.h>
#include <stdint.h>

#include "rankzero/status.h"

struct tplm_allreduce {
    MPI_Comm comm;
    int rank, world;
    size_t chunks;         /* of all ranks together */
    size_t first, count;   /* this rank's */
    int *counts, *offsets; /* [world] each: floats, as MPI wants them */
    uint64_t bytes;        /* received from other ranks since open */
    uint64_t ns;           /* spent in tplm_allreduce_add() since open */
};

/* tplm_allreduce_open - share `chunks` out as evenly as can be, in order of ranks. Borrows `comm`.
 * RZ_E_ARG if there are more ranks than chunks, RZ_E_NOMEM. */
int tplm_allreduce_open(MPI_Comm comm, size_t chunks, struct tplm_allreduce *reduce,
                        struct rz_error *err);

void tplm_allreduce_close(struct tplm_allreduce *reduce);

/* tplm_allreduce_add - sum[i] += terms[0][i] + terms[1][i] + ..., for i < count.
 *
 * Collective. `terms` is [chunks][count], of which this rank has filled its own; the others are
 * overwritten. chunks * count must fit an int. */
void tplm_allreduce_add(struct tplm_allreduce *reduce, float *terms, size_t count, float *sum);

#endif
