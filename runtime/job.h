/* SPDX-License-Identifier: Apache-2.0
 *
 * job.h - everything a rank holds of a job.
 *
 *     plan, local      what all ranks agreed on, and what concerns this one
 *     meeting          the shared memory, the ring in it, and who is alive
 *     comm             brings logits to rank 0
 *     samplers, request, sequences    rank 0 only: what draws, and what to draw
 *     gpu              in place of comm's buffers and the samplers, with RZ_BACKEND_CUDA
 */
#ifndef RZ_RUNTIME_JOB_H
#define RZ_RUNTIME_JOB_H

#include <stdbool.h>

#include "comm/comm.h"
#include "internal/error.h"
#include "rankzero/rankzero.h"
#include "runtime/gpu.h"
#include "runtime/meeting.h"
#include "runtime/options.h"
#include "runtime/record.h"
#include "runtime/request.h"
#include "runtime/samplers.h"
#include "runtime/sequence.h"

/* Message passing that rz_open_mpi() brings along; all NULL for a job without. */
struct rz_transport {
    const struct rz_comm_ops *mpi_ops;
    void *handle;
    /* Called once, when the job is closed. `idle`: every message has arrived. */
    void (*release)(void *handle, bool idle);
    /* Collective: every rank calls it once in open, with how it fares. RZ_OK if all may go on,
     * otherwise this rank's failure or that of another. Without it a rank that fails leaves the
     * others waiting until their deadline. */
    int (*agree)(void *handle, int status, struct rz_error *err);
};

struct rz_job {
    struct rz_plan plan;
    struct rz_local local;
    struct rz_transport transport;
    struct rz_meeting meeting;

    const struct rz_comm_ops *comm_ops;
    struct rz_comm *comm;
    size_t remote_row_bytes; /* logits of a row that are not rank 0's own */

    struct rz_gpu *gpu; /* NULL: logits are in memory of the host */

    struct rz_samplers samplers;
    struct rz_result *results; /* [max_rows], the samplers' or the GPU's */
    struct rz_request request;
    struct rz_sequence_table sequences;
    struct rz_shard_view shards[RZ_MAX_WORLD];
    struct rz_logits_view view;

    struct rz_record *record; /* the step's ids, as they go through the ring */

    uint64_t step;     /* number of the last step begun; the first is 1 */
    uint64_t captures; /* of steps on streams, so far */
    uint64_t deadline_ns;
    uint32_t logits_rows; /* of this step */
    size_t result_size;   /* of this step: the caller's sizeof(struct rz_result) */
    bool begun;
    int over; /* RZ_OK, or why the job has ended */

    struct rz_counters counters;
    struct rz_error error;
};

/* rz_job_open - what rz_open_local() and rz_open_mpi() have in common. On success the job owns
 * `transport`; on failure the caller still does. */
RZ_API int rz_job_open(const struct rz_plan *plan, const struct rz_local *local, const char *name,
                       struct rz_transport transport, rz_job **job, struct rz_error *err);

/* rz_job_is_forked - is this process one that was forked from the one that opened the job? Any
 * thread, signal handlers too. */
bool rz_job_is_forked(const rz_job *job);

/* rz_job_check - may `call` go on? RZ_OK; why the job is over, rz_last_error() being what ended it;
 * or RZ_E_STATE in a process forked from the one that opened the job. */
int rz_job_check(rz_job *job, const char *call);

/* rz_job_end - the job is over for `status`, with job->error saying why: tell the other ranks.
 * Returns `status`. */
int rz_job_end(rz_job *job, int status);

#endif
