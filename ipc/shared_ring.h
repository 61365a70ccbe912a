/* SPDX-License-Identifier: Apache-2.0
 *
 * shared_ring.h - what the files of the ring as a library of its own (rankzero/ring.h) share.
 *
 *     [header] [control] [bell of rank 0] [of rank 1] ... [ring control] [ring data]
 *
 * Rank 0, the producer, holds the segment's lock 0, the consumer in place r lock r.
 */
#ifndef RZ_IPC_SHARED_RING_H
#define RZ_IPC_SHARED_RING_H

#include <sys/types.h>

#include "internal/clock.h"
#include "ipc/bell.h"
#include "ipc/ring.h"
#include "ipc/segment.h"
#include "ipc/wait.h"
#include "rankzero/ring.h"

enum { RZ_CPU_WORDS = sizeof(struct rz_cpus) / sizeof(uint64_t) };

/* How the ring is laid out; written by the producer before anybody sees it. */
struct rz_shared_ring_shape {
    uint64_t magic;
    uint64_t first_sequence;
    uint32_t slots;
    uint32_t record_bytes;
    uint32_t places; /* consumers */
    uint32_t flags;
};

struct rz_shared_ring_control {
    struct rz_shared_ring_shape shape;
    alignas(RZ_LINE_BYTES) _Atomic uint32_t ended;    /* 0, or -status << 16 | rank: set once */
    alignas(RZ_LINE_BYTES) _Atomic uint32_t arrivals; /* consumers that have come */
    alignas(RZ_LINE_BYTES) _Atomic uint64_t consumers_sleep;
    alignas(RZ_LINE_BYTES) _Atomic uint64_t producer_sleeps;
    alignas(RZ_LINE_BYTES) _Atomic uint64_t cpus[RZ_RING_PLACES][RZ_CPU_WORDS]; /* struct rz_cpus */
};

struct rz_shared_ring_layout {
    size_t control, bells, ring_control, ring_data, total;
};

struct rz_shared_ring {
    struct rz_segment segment;
    pid_t pid;
    char *base;     /* all of it, read-only but for what is mapped again: */
    char *writable; /* from the control to the ring's control, for a consumer; NULL else */
    struct rz_shared_ring_layout at;
    struct rz_shared_ring_shape shape;
    struct rz_shared_ring_control *control;
    uint32_t rank;
    struct rz_bell bell;
    struct rz_waiter waiter;
    struct rz_ring ring;
    /* Producer, for rz_shared_ring_look_quickly(): */
    uint32_t arrivals; /* consumers that had come when `last` was found */
    uint32_t last;     /* place of the last that is there */
    uint32_t next;     /* whose bell is looked at next, less 1 */
    uint32_t polls;    /* consumer: that found nothing */
    uint64_t known;    /* bit r - 1: the bell of r rings, and it is not dead for all that */
};

static inline uint64_t rz_shared_ring_deadline(uint64_t timeout_ns)
{
    const uint64_t now = rz_clock_ns();
    return timeout_ns < UINT64_MAX - now ? now + timeout_ns : UINT64_MAX;
}

static inline bool rz_shared_ring_evicts(const rz_shared_ring *ring)
{
    return (ring->shape.flags & RZ_SHARED_RING_EVICT) != 0;
}

static inline const char *rz_shared_ring_bell(const rz_shared_ring *ring, uint32_t rank)
{
    return ring->base + ring->at.bells + rank * rz_bell_bytes();
}

/* rz_shared_ring_end - the ring is over for all because of `status`, which is about `rank`. The
 * first to say so is heard: returns what was said then. */
int rz_shared_ring_end(struct rz_shared_ring_control *control, int status, uint32_t rank,
                       struct rz_error *err);

/* rz_shared_ring_look - the watch of waits (rz_watch), given the ring. */
int rz_shared_ring_look(void *context, struct rz_error *err);

/* rz_shared_ring_look_quickly - for a producer that never waits: a look at some bells, that is,
 * some loads. */
int rz_shared_ring_look_quickly(rz_shared_ring *ring, struct rz_error *err);

/* rz_shared_ring_tell_cpus - where this process may run, for who asks whether to spin. */
void rz_shared_ring_tell_cpus(rz_shared_ring *ring);

/* rz_shared_ring_release - free what this process has of it. */
void rz_shared_ring_release(rz_shared_ring *ring);

#endif
