/* SPDX-License-Identifier: Apache-2.0
 *
 * launch.h - the processes of a run: one, the R that mpirun started, or R that are forked here.
 *
 *     begin    who am I? (MPI, if mpirun started us)
 *     plan     how many are we?
 *     agree    nobody goes on if somebody cannot
 *     start    fork, where that is ours to do
 *     open     the job
 *     end      nobody is left behind
 *
 * Forked ranks are children of rank 0, which is the process that the user started: its exit status
 * and its output are the command's.
 */
#ifndef RZ_TOOLS_LAUNCH_H
#define RZ_TOOLS_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rankzero/rankzero.h"
#include "tools/complaint.h"

struct rz_launch {
    const char *prefix; /* of what is said on stderr */
    uint32_t rank;
    uint32_t world;
    bool mpi;
    bool together; /* every rank is known to come to its end in the same way */
    char job_name[RZ_MAX_NAME];
    int name_fd; /* holds the job's name if the command line gave it; -1 otherwise */
    pid_t children[RZ_MAX_WORLD]; /* rank 0: the forked ranks by number; 0 elsewhere */
};

/* rz_launch_begin - before anything that can fail. */
int rz_launch_begin(const char *prefix, struct rz_launch *launch, struct rz_complaint *complaint);

/* rz_launch_plan - `ranks`, `comm` and `job_name` are what the command line says, or 0 and NULL. A
 * name is this run's alone from here on. */
int rz_launch_plan(struct rz_launch *launch, uint32_t ranks, enum rz_comm_kind comm,
                   const char *job_name, struct rz_complaint *complaint);

/* rz_launch_agree - the worst status of all ranks; what they complain of is said once. They fail,
 * too, if they are not about to draw from as many `rows`, or as many `draws`: each has read a
 * command line of its own, and one that had more steps than the others would be left alone in them.
 */
int rz_launch_agree(struct rz_launch *launch, int status, uint64_t rows, uint64_t draws,
                    const struct rz_complaint *complaint);

/* rz_launch_start - returns in every rank; on failure in rank 0 only. */
int rz_launch_start(struct rz_launch *launch, struct rz_complaint *complaint);

int rz_launch_open(struct rz_launch *launch, const struct rz_options *options, rz_job **job,
                   struct rz_error *err);

/* rz_launch_report - say what a call on the job failed with, if it is for this rank to say: what
 * every rank sees is said by one, which is rank 0 unless the failure is rank 0's. */
void rz_launch_report(struct rz_launch *launch, const struct rz_error *err);

/* rz_launch_end - this rank is done, with `status`. Returns the command's exit status; forked ranks
 * other than rank 0 end here. */
int rz_launch_end(struct rz_launch *launch, int status);

#endif
