/* SPDX-License-Identifier: Apache-2.0
 *
 * mpi.h - open a job whose ranks are those of an MPI communicator. In librankzero_mpi.
 */
#ifndef RANKZERO_MPI_H
#define RANKZERO_MPI_H

#include <mpi.h>

#include "rankzero.h"

#ifdef __cplusplus
extern "C" {
#endif

/* rz_open_mpi - as rz_open_local(), with rank and world size of `comm` and a name of its own.
 *
 * Collective over `comm`, which is duplicated: the caller's messages and rankzero's never meet, and
 * `comm` may be freed afterwards. All its ranks must run on one host (RZ_E_UNSUPPORTED otherwise).
 * If steps are called from other threads than MPI_Init()'s, MPI needs the matching thread level;
 * with options.threads > 1 at least MPI_THREAD_FUNNELED, since threads that draw do not call it.
 *
 * rz_close() comes before MPI_Finalize(). It frees the duplicate, which the MPI standard calls
 * collective: all ranks close, though an MPI may let them do so one by one. After a rank has died,
 * MPI_Finalize() may wait for it forever: say what went wrong and call MPI_Abort() instead.
 *
 * Errors as of rz_open_local(), of whichever rank failed: all learn of it, whenever they come. And
 * RZ_E_STATE: MPI is not initialised; RZ_E_COMM: a call of MPI failed, with its code in
 * err->detail. */
RZ_API int rz_open_mpi(MPI_Comm comm, const struct rz_options *options, rz_job **job,
                       struct rz_error *err);

#ifdef __cplusplus
}
#endif
#endif
