/* SPDX-License-Identifier: Apache-2.0
 *
 * ring_job.h - ranks as processes that share a ring in a segment: the least that a job can be.
 */
#ifndef RZ_TESTS_IPC_RING_JOB_H
#define RZ_TESTS_IPC_RING_JOB_H

#include "internal/error.h"
#include "ipc/bell.h"
#include "ipc/ring.h"
#include "ipc/segment.h"
#include "ipc/wait.h"

enum { JOB_MOST = 8, JOB_CAPACITY = 200 };

/* First page after the header. */
struct job_control {
    alignas(RZ_LINE_BYTES) _Atomic uint64_t sleepers;
    alignas(RZ_LINE_BYTES) _Atomic uint32_t ended; /* 0, or a status to end the job with */
    alignas(RZ_LINE_BYTES) _Atomic uint32_t running;
    alignas(RZ_LINE_BYTES) _Atomic uint32_t died; /* 1 + the rank, who is the first to be missed */
    struct {
        alignas(RZ_LINE_BYTES) _Atomic uint32_t joined;
    } ranks[JOB_MOST];
};

struct ring_job {
    uint32_t rank;
    uint32_t world;
    struct rz_segment segment;
    struct job_control *control;
    struct rz_bell bell;
    const char *bells; /* pages of all ranks */
    struct rz_waiter waiter;
    struct rz_ring ring;
};

/* Join as `rank` (0 creates, in `scratch`) and wait until all have; ends this process on failure.
 * Rank 0 has unlinked the segment by then. Mappings last as long as the process. */
void job_open(struct ring_job *job, uint32_t rank, uint32_t world, uint32_t slots,
              uint64_t first_sequence);
void job_close(struct ring_job *job);

/* End the job for all ranks, from any of them. */
void job_end(struct ring_job *job, int status);

/* Publish or take the next record, the one that support.h says it is. */
int job_publish(struct ring_job *job, uint64_t deadline_ns, struct rz_error *err);
int job_consume(struct ring_job *job, uint64_t deadline_ns, struct rz_error *err);

#endif
