/* SPDX-License-Identifier: Apache-2.0
 *
 * meeting.h - where the ranks of a job meet: the segment, what is laid out in it, who is alive, and
 * how a job begins and ends for all of them.
 *
 *     [header] [control] [bells] [ring control] [ring data] [logits of rank 0] [of rank 1] ...
 *
 * Each part begins on a page. Control is fixed in size, so that ranks whose options differ can
 * still tell each other so. The ring's data is writable for rank 0 only, a rank's logits for that
 * rank only (and mapped by rank 0 besides); they exist if the job gathers through shared memory.
 */
#ifndef RZ_RUNTIME_MEETING_H
#define RZ_RUNTIME_MEETING_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "comm/comm.h"
#include "comm/stream_comm.h"
#include "internal/error.h"
#include "ipc/bell.h"
#include "ipc/ring.h"
#include "ipc/segment.h"
#include "ipc/wait.h"
#include "runtime/options.h"

/* One rank's part of the control; written by that rank alone. */
struct rz_rank_control {
    alignas(RZ_LINE_BYTES) _Atomic uint32_t here; /* 1 as soon as this rank has its lock */
    _Atomic uint32_t joined;                      /* 1 once `cpus` and `plan` are written */
    alignas(RZ_LINE_BYTES) struct rz_cpus cpus;   /* that it may run on */
    alignas(RZ_LINE_BYTES) struct rz_comm_line comm;
    /* With GPUs. `handed` is written by this rank's GPU: rows << 32 | low 32 bits of its last step.
     * `ready` by rank 0's: the last record in the ring; and by whoever ends the job, to release a
     * stream that waits for it. */
    alignas(RZ_LINE_BYTES) _Atomic uint32_t gpu_here; /* 1 once `gpu_uuid` is written */
    struct rz_cuda_uuid gpu_uuid;
    alignas(RZ_LINE_BYTES) _Atomic uint64_t handed;
    alignas(RZ_LINE_BYTES) _Atomic uint32_t ready;
    alignas(RZ_LINE_BYTES) struct rz_stream_comm_line gpu;
    alignas(RZ_LINE_BYTES) struct rz_plan plan;
};

struct rz_job_control {
    alignas(RZ_LINE_BYTES) _Atomic uint32_t running; /* rank 0: 1 once all have joined and agree */
    alignas(
        RZ_LINE_BYTES) _Atomic uint32_t ended; /* 0, or why and by whom; set once, by any rank */
    alignas(RZ_LINE_BYTES) _Atomic uint64_t sleepers; /* bit r: rank r sleeps in rz_wait() */
    alignas(
        RZ_LINE_BYTES) _Atomic uint32_t gpu_comm; /* rank 0: 1 + enum rz_comm_kind between GPUs */
    struct rz_rank_control ranks[RZ_MAX_WORLD];
};

struct rz_mapping {
    void *address;
    size_t bytes;
};

struct rz_meeting {
    uint32_t rank;
    uint32_t world;
    struct rz_segment segment;
    struct rz_mapping mapped[5 + RZ_MAX_WORLD]; /* to undo */
    uint32_t mapped_count;

    struct rz_job_control *control;  /* NULL before any other rank can be met */
    struct rz_bell bell;             /* this rank's */
    const void *bells[RZ_MAX_WORLD]; /* pages of all ranks; NULL before they are mapped */
    uint32_t next_look;              /* rank whose lock is looked at next */
    struct rz_waiter waiter;
    struct rz_ring ring;
    void *logits[RZ_MAX_WORLD]; /* shard buffers that are mapped here; others NULL */
    void *ring_data;            /* page-aligned, as is `control` */
    size_t ring_data_bytes;
    size_t ring_data_offset; /* in the segment */
};

/* Where things are in the segment of a job with this plan, for who only looks at it: offsets, and
 * the bytes of the longest record. */
struct rz_meeting_places {
    size_t control, bells, ring_control, ring_data;
    uint32_t record_bytes;
};
struct rz_meeting_places rz_meeting_find(const struct rz_plan *plan);

/* A meeting that has not been begun, for rz_meeting_end() and rz_meeting_close(). */
#define RZ_MEETING_NONE ((struct rz_meeting){.segment = RZ_SEGMENT_NONE})

/* rz_meeting_begin - the part of opening that needs no other rank: rank 0 makes the place of job
 * `name`. The meeting stays where it is until rz_meeting_close(), which is due after a failure too.
 * Errors as of rz_open_local(). */
int rz_meeting_begin(struct rz_meeting *meeting, const struct rz_plan *plan,
                     const struct rz_local *local, const char *name, struct rz_error *err);

/* rz_meeting_join - meet the other ranks there. A failure is told to them by rz_meeting_end(). */
int rz_meeting_join(struct rz_meeting *meeting, const struct rz_plan *plan,
                    const struct rz_local *local, const char *name, struct rz_error *err);

/* rz_meeting_map_ring - the ring's data once more, and writable, for a device that has no other way
 * to read it. */
int rz_meeting_map_ring(struct rz_meeting *meeting, void **address, struct rz_error *err);

/* rz_meeting_ended - RZ_OK, or why the job has ended, as far as somebody has said so: costs a load.
 */
int rz_meeting_ended(const struct rz_meeting *meeting, struct rz_error *err);

/* rz_meeting_check - RZ_OK while the job goes on. Otherwise why it has ended, or which rank's
 * process is gone. */
int rz_meeting_check(struct rz_meeting *meeting, struct rz_error *err);

/* rz_meeting_end - tell all ranks that the job is over because of `status`, which is about rank
 * `about` (or RZ_NO_RANK), and release streams that wait for ids. Only the first to say so is
 * heard. Any thread, signal handlers too. Does nothing where no other rank can have been met. */
void rz_meeting_end(struct rz_meeting *meeting, int status, int about);

/* rz_meeting_release - let this rank's stream go on, which may wait for record `sequence`. */
void rz_meeting_release(struct rz_meeting *meeting, uint32_t sequence);

/* rz_meeting_late - the first rank that has not posted `step`, its line being the measure; if all
 * have, it is rank 0 (which posts to nobody) that has not drawn. For naming who is to blame for a
 * timeout. */
uint32_t rz_meeting_late(const struct rz_meeting *meeting, uint32_t step);

/* Unmap and close. Says nothing to the others: rz_meeting_end() comes before it. */
void rz_meeting_close(struct rz_meeting *meeting);

#endif
