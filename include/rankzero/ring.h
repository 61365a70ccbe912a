/* SPDX-License-Identifier: Apache-2.0
 *
 * ring.h - records from one process to up to 64 others of the same host and user.
 *
 * A ring is a fixed number of slots in POSIX shared memory. Its *producer* creates it under a name
 * and publishes records; each *consumer* attaches by that name, at any time, and takes every record
 * that is published from then on, in order, each once. Nothing is lost: when the ring is full
 * because a consumer is behind, the producer waits for it.
 *
 *     producer   create -> (seal) -> publish, publish, ... -> close
 *     consumer   attach -> consume, consume, ... -> close
 *
 * Publishing and taking a record that is there makes no system call and takes no lock. Whoever
 * waits spins for some microseconds, if that has been of use, and then sleeps. Every wait has a
 * time limit and ends when the ring does: a process that dies, however it does, is noticed within
 * milliseconds.
 *
 * What is in shared memory is checked before it is used: a consumer that is overtaken, whatever the
 * reason, gets an error and never another record than its next one.
 *
 * Threads: a handle belongs to one thread at a time; different handles are independent. No call
 * starts a thread, prints or ends the process. Fork: a handle belongs to the process that made it;
 * a child may only close it, which frees what the child has of it.
 *
 * Errors: functions return RZ_OK or a negative code of status.h, and fill `err`, which may be NULL.
 * Ranks in errors: 0 is the producer, 1 .. 64 are the consumers' places.
 *
 * Times are nanoseconds; UINT64_MAX as a limit: none.
 */
#ifndef RANKZERO_RING_H
#define RANKZERO_RING_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RZ_SHARED_RING_CONSUMERS 64u            /* most consumers of a ring */
#define RZ_SHARED_RING_SLOTS (1u << 20)         /* most slots */
#define RZ_SHARED_RING_RECORD_BYTES (16u << 20) /* most bytes of a record */

typedef struct rz_shared_ring rz_shared_ring; /* opaque */

/* A consumer that dies, or that is behind when publishing runs into its time limit, is given up and
 * the others go on. Without this flag its death ends the ring for all, and running into the limit
 * is RZ_E_TIMEOUT, as parts of one computation want it. */
#define RZ_SHARED_RING_EVICT 1u

struct rz_shared_ring_options {
    size_t size;           /* set by rz_shared_ring_options_init() */
    uint32_t record_bytes; /* most bytes of a record, up to RZ_SHARED_RING_RECORD_BYTES; required */
    uint32_t slots;        /* records that fit, a power of two; 0: 16 */
    uint32_t consumers;    /* most at a time; 0: RZ_SHARED_RING_CONSUMERS */
    uint32_t flags;        /* RZ_SHARED_RING_* */
    uint64_t first_sequence; /* number of the first record; 0: 1 */
    const char *shm_dir;     /* directory on a tmpfs; read during create only; NULL: /dev/shm */
};

/* All fields zero, that is, default. Inline on purpose: `size` must be the caller's. */
static inline void rz_shared_ring_options_init(struct rz_shared_ring_options *options)
{
    memset(options, 0, sizeof *options);
    options->size = sizeof *options;
}

/* rz_shared_ring_create - make a ring; the caller is its producer. Does not wait. Reserves all of
 * the memory at once: 128 bytes and more a slot, and two pages a consumer.
 *
 *   name   1 to 63 characters of [A-Za-z0-9._-], not starting with '.'; among this user's rings and
 *          jobs on this host. What a dead process has left under it is replaced
 *   ring   set only on success; ends with rz_shared_ring_close()
 *
 * RZ_E_ARG; RZ_E_EXISTS: a live ring or job has the name; RZ_E_NOMEM; RZ_E_SYS: no room in shm_dir,
 * say. On failure nothing is left. */
RZ_API int rz_shared_ring_create(const struct rz_shared_ring_options *options, const char *name,
                                 rz_shared_ring **ring, struct rz_error *err);

/* rz_shared_ring_attach - become a consumer of the ring `name`: the next record that is published
 * is the first to take. Waits up to `timeout_ns` for the ring to be there.
 *
 *   shm_dir   as of its creator; NULL: /dev/shm
 *   ring      as above
 *
 * RZ_E_ARG; RZ_E_TIMEOUT: there is none; RZ_E_EXISTS: it has all the consumers it can have;
 * RZ_E_CORRUPT: what has this name is no ring of this version and user; RZ_E_PEER_DIED,
 * RZ_E_CLOSED: it has just ended; RZ_E_NOMEM; RZ_E_SYS. On failure nothing is left. */
RZ_API int rz_shared_ring_attach(const char *shm_dir, const char *name, uint64_t timeout_ns,
                                 rz_shared_ring **ring, struct rz_error *err);

/* rz_shared_ring_seal - producer: wait until there are so many `consumers` at once, then take the
 * name away. Nobody can attach any more, and a crash of all leaves nothing behind. RZ_E_TIMEOUT:
 * they have not come, and the name stays; RZ_E_PEER_DIED; RZ_E_ARG; RZ_E_STATE: not the producer.
 */
RZ_API int rz_shared_ring_seal(rz_shared_ring *ring, uint32_t consumers, uint64_t timeout_ns,
                               struct rz_error *err);

/* rz_shared_ring_close - end the ring (producer) or leave it (consumer), in any order. Waits for
 * nobody. What was published can still be taken after the producer has closed; then consumers get
 * RZ_E_CLOSED. A consumer's place is free again. NULL is allowed. */
RZ_API void rz_shared_ring_close(rz_shared_ring *ring);

/* This process's place: 0 the producer, else 1 .. 64. Bytes of the longest record. Cannot fail. */
RZ_API uint32_t rz_shared_ring_rank(const rz_shared_ring *ring);
RZ_API uint32_t rz_shared_ring_record_bytes(const rz_shared_ring *ring);

/* rz_shared_ring_publish - producer: add a record, which every consumer there is will take. Waits
 * up to `timeout_ns` while the ring is full.
 *
 *   type     the caller's
 *   record   [bytes], up to record_bytes; read before returning; may be NULL when bytes is 0
 *
 * RZ_E_TIMEOUT names the consumer that is behind, RZ_E_CORRUPT one whose cursor cannot be right:
 * with RZ_SHARED_RING_EVICT it is given up instead. RZ_E_PEER_DIED: a consumer's process is gone,
 * and the ring over. RZ_E_ARG; RZ_E_STATE: not the producer. Nothing is published then. */
RZ_API int rz_shared_ring_publish(rz_shared_ring *ring, uint32_t type, const void *record,
                                  size_t bytes, uint64_t timeout_ns, struct rz_error *err);

/* rz_shared_ring_poll - consumer: 1 if rz_shared_ring_consume() would not wait, as there is a
 * record or the ring is over; 0 if it would. A load or three, and now and then a system call while
 * there is nothing. RZ_E_STATE: not a consumer. */
RZ_API int rz_shared_ring_poll(rz_shared_ring *ring);

/* rz_shared_ring_arm - consumer: the next record will not come before `time_ns` of CLOCK_MONOTONIC,
 * and soon after. The next rz_shared_ring_consume() sleeps until just before that time and then
 * spins. For who knows: a model's forward pass takes as long as ever, or has just ended (a time
 * that has passed). RZ_E_STATE: not a consumer. */
RZ_API int rz_shared_ring_arm(rz_shared_ring *ring, uint64_t time_ns);

/* rz_shared_ring_consume - consumer: take the next record. Waits up to `timeout_ns` for it.
 *
 *   type       as published
 *   record     [capacity], at least record_bytes of the ring; *bytes of it are written
 *
 * RZ_E_TIMEOUT: none has come. RZ_E_CLOSED: the producer has closed the ring and all is taken;
 * RZ_E_PEER_DIED: a process is gone; RZ_E_EVICTED: this consumer was too late and has been given
 * up; RZ_E_CORRUPT: shared memory holds something else. With these four it is over, and all that is
 * left to do is rz_shared_ring_close(). RZ_E_ARG; RZ_E_STATE: not a consumer. On failure outputs
 * are as they were, but for `record`, which may hold anything. */
RZ_API int rz_shared_ring_consume(rz_shared_ring *ring, uint32_t *type, void *record,
                                  size_t capacity, size_t *bytes, uint64_t timeout_ns,
                                  struct rz_error *err);

#ifdef __cplusplus
}
#endif
#endif
