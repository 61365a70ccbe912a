/* SPDX-License-Identifier: Apache-2.0
 *
 * ring_view.h - what is in a segment now: a copy, checked.
 *
 * It is read with pread(2) only. Nothing is mapped, locked or woken, so that a job neither notices
 * nor is kept from anything, and a file that is cut short meanwhile is an error, not a signal.
 */
#ifndef RZ_TOOLS_RING_VIEW_H
#define RZ_TOOLS_RING_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/layout.h"
#include "tools/complaint.h"

enum { RZ_VIEW_RECORDS = 64, RZ_VIEW_PAYLOAD_BYTES = 32 };

struct rz_rank_view {
    int32_t pid;     /* as that process sees it; 0: not known */
    bool here;       /* it has come */
    bool alive;      /* it holds its lock */
    bool asleep;     /* or about to be */
    bool evicted;    /* the producer goes on without it */
    uint32_t seat;   /* RZ_SEAT_* */
    uint32_t taken;  /* consumers: low 32 bits of the last record taken */
    uint32_t behind; /* and how many it has yet to take */
};

struct rz_record_view {
    bool whole; /* false: it was being written anew */
    uint64_t sequence;
    uint32_t type;
    uint32_t bytes;
    uint8_t payload[RZ_VIEW_PAYLOAD_BYTES]; /* its first bytes */
};

struct rz_ring_view {
    bool job;     /* otherwise a ring of rankzero/ring.h */
    bool running; /* all have joined */
    uint32_t version;
    uint64_t bytes; /* of the segment */
    uint32_t slots, record_bytes;
    uint32_t world;     /* ranks, the producer, 0, among them */
    int ended;          /* RZ_OK, or why it is over */
    int ended_about;    /* and the rank that is about, or RZ_NO_RANK */
    uint32_t published; /* low 32 bits of the last record's number */
    struct rz_rank_view ranks[RZ_RING_PLACES];
    uint32_t record_count;
    struct rz_record_view records[RZ_VIEW_RECORDS]; /* the last, the newest first */
};

/* rz_ring_view - look at the segment that `fd` has open, and at its last `records`, at most
 * RZ_VIEW_RECORDS. What cannot be a segment of this version is refused, with what was expected. */
int rz_ring_view(int fd, uint32_t records, struct rz_ring_view *view,
                 struct rz_complaint *complaint);

#endif
