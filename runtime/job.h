/* SPDX-License-Identifier: Apache-2.0
 *
 * job.h - everything a rank holds of a job.
 *
 *     plan, local      what all ranks agreed on, and what concerns this one
 *     meeting          the shared memory, the ring in it, and who is alive
 *     comm             brings logits to rank 0
 *     sampler, request, sequences    rank 0 only: what to draw, and what draws it
 */
#ifndef RZ_RUNTIME_JOB_H
#define RZ_RUNTIME_JOB_H

#include <stdbool.h>

#include "comm/comm.h"
#include "internal/error.h"
#include "kernels/sampler.h"
#include "rankzero/rankzero.h"
#include "runtime/meeting.h"
#include "runtime/options.h"
#include "runtime/record.h"
#include "runtime/request.h"
#include "runtime/sequence.h"

/* Message passing that rz_open_mpi() brings along; all NULL for a job without. */
struct rz_transport {
    const struct rz_comm_ops *mpi_ops;
    void *handle;
    void (*release)(void *handle); /* called once, when the job is closed */
};

struct rz_job {
    struct rz_plan plan;
    struct rz_local local;
    struct rz_transport transport;
    struct rz_meeting meeting;

    const struct rz_comm_ops *comm_ops;
    struct rz_comm *comm;
    size_t remote_row_bytes; /* logits of a row that are not rank 0's own */

    const struct rz_sampler_ops *sampler_ops;
    struct rz_sampler *sampler;
    struct rz_request request;
    struct rz_sequence_table sequences;
    struct rz_shard_view shards[RZ_MAX_WORLD];
    struct rz_logits_view view;
    struct rz_result *results; /* [max_rows], for a caller who wants none */

    struct rz_record *record; /* the step's ids, as they go through the ring */

    uint64_t step; /* number of the last step begun; the first is 1 */
    uint64_t deadline_ns;
    uint32_t logits_rows; /* of this step */
    bool begun;
    int over; /* RZ_OK, or why the job has ended */

    struct rz_counters counters;
    struct rz_error error;
};

/* rz_job_open - what rz_open_local() and rz_open_mpi() have in common. On success the job owns
 * `transport`; on failure the caller still does. */
RZ_API int rz_job_open(const struct rz_plan *plan, const struct rz_local *local, const char *name,
                       struct rz_transport transport, rz_job **job, struct rz_error *err);

/* rz_job_end - the job is over for `status`, with job->error saying why: tell the other ranks.
 * Returns `status`. */
int rz_job_end(rz_job *job, int status);

#endif
