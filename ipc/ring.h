/* SPDX-License-Identifier: Apache-2.0
 *
 * ring.h - records from one process to all others: lossless, in order, bounded.
 *
 *     data     [tail] [slot 0] [slot 1] ... [slot n-1]       producer writes, consumers read
 *     control  [cursor of rank 0] [of rank 1] ...            each rank writes its own
 *
 * The producer never reuses a slot that a consumer has not taken: a full ring makes it wait. Each
 * slot is stamped with its record's sequence number before and after a consumer copies it, so that
 * a record that is not the expected one is noticed and never used. Nothing read from shared memory
 * is used as an index or a length before it is checked.
 *
 * Consumers are there from the beginning, or come and go (`open`): each in a place of its own, its
 * rank. One that comes takes its seat and starts with the next record that is published; the
 * producer counts it from then on:
 *
 *     consumer   seat = coming (seq_cst)      then  read the tail, start behind it, seat = taken
 *     producer   publish: tail = n (seq_cst)  then  look at the seats (seq_cst) before more than
 *                                                   `slots` records have been added to n
 *
 * Either the producer's look sees the seat, and waits for the cursor to be set; or the consumer
 * starts behind all that the producer may add without another look, but for the last `slots`.
 *
 * A ring is this process's view of it: a producer's or one consumer's.
 */
#ifndef RZ_IPC_RING_H
#define RZ_IPC_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "internal/error.h"
#include "ipc/layout.h"
#include "ipc/wait.h"

struct rz_ring_config {
    void *data;             /* rz_ring_data_bytes(); consumers may map it read-only */
    void *control;          /* rz_ring_control_bytes(); both zero in a new ring, line-aligned */
    uint32_t slots;         /* a power of two */
    uint32_t payload_bytes; /* most bytes of a record */
    uint32_t rank;          /* this process's */
    uint32_t producer;      /* rank of the producer; all others below `world` consume */
    uint32_t world;
    uint64_t first_sequence; /* of the first record; every rank passes the same, at least 1 */
    bool open;               /* consumers come by rz_ring_join(); otherwise all are there at once */
    bool evicts;             /* a dead consumer, or one that is late at a deadline, is given up, and
                                the producer goes on without it; otherwise that is an error */
    _Atomic uint64_t *others_sleep; /* mask of sleepers of the other side, if each has its own, as
                                       65 ranks need; NULL: the waiter's is the mask of all */
    struct rz_waiter *waiter;       /* this rank's */
};

struct rz_ring {
    struct rz_ring_config config;
    struct rz_ring_tail *tail;
    char *slots;
    size_t slot_bytes;
    struct rz_ring_cursor *cursors;
    uint64_t next;       /* sequence number of the next record to publish or take */
    uint64_t free_until; /* producer: records below this one have a free slot, when last looked */
    uint32_t seat;       /* consumer: its own */
    uint32_t lost; /* producer that evicts: the watch, before it returns RZ_E_PEER_DIED, says here
                      which seat the dead had; the next one in its place has another */
};

size_t rz_ring_data_bytes(uint32_t slots, uint32_t payload_bytes);
size_t rz_ring_control_bytes(uint32_t world);

/* rz_ring_open - this process's view. The producer opens first, before any consumer can. */
void rz_ring_open(struct rz_ring *ring, const struct rz_ring_config *config);

/* rz_ring_join - consumer of an open ring, in a place that nobody else has: take it, and start with
 * the next record. Waits for one that is being written: RZ_E_TIMEOUT, or what the watch returned.
 */
int rz_ring_join(struct rz_ring *ring, uint64_t deadline_ns, struct rz_error *err);

/* rz_ring_leave - consumer: give the place back. The producer does not wait for it any more. */
void rz_ring_leave(struct rz_ring *ring);

/* rz_ring_seat - the seat of the consumer in this place, if the producer waits for it; otherwise 0.
 * Any process may ask. */
uint32_t rz_ring_seat(const struct rz_ring *ring, uint32_t rank);

/* rz_ring_give_up - producer that evicts: do not wait for `rank` any more, of which the watch has
 * just said that it is dead. False if there is nothing to give up. Publishing does this by itself.
 */
bool rz_ring_give_up(struct rz_ring *ring, int rank);

/* rz_ring_has_room - producer: does the next record fit without a look at the consumers? */
bool rz_ring_has_room(const struct rz_ring *ring);

/* rz_ring_publish - producer: add a record. Waits while the ring is full: RZ_E_TIMEOUT names the
 * rank that is behind; or what the waiter's watch returned. Nothing is published on failure.
 * `bytes` <= payload_bytes; `type` is the caller's. */
int rz_ring_publish(struct rz_ring *ring, uint32_t type, const void *payload, size_t bytes,
                    uint64_t deadline_ns, struct rz_error *err);

/* rz_ring_reserve - producer: make room for the next record, which another writer than this call
 * puts into its slot (a GPU), as rz_ring_publish() would have. Not in an open ring. *sequence: its
 * number. Waits and fails as rz_ring_publish() does. */
int rz_ring_reserve(struct rz_ring *ring, uint64_t deadline_ns, uint64_t *sequence,
                    struct rz_error *err);

/* rz_ring_announce - producer: wake consumers that sleep until the record that was reserved last is
 * there. It is. */
void rz_ring_announce(struct rz_ring *ring);

/* rz_ring_poll - consumer: 1 if the next record is there, 0 if not. Never waits. */
int rz_ring_poll(const struct rz_ring *ring);

/* rz_ring_arm - consumer: the next record is not due before `time_ns` of the clock, and soon after.
 * rz_ring_consume() then sleeps until just before, and spins from there on. For an engine whose
 * part of a step takes as long as ever, or, with the time that it is now, has just come to its end.
 */
void rz_ring_arm(struct rz_ring *ring, uint64_t time_ns);

/* rz_ring_consume - consumer: wait for the next record and copy it out. `*bytes` <= capacity.
 * RZ_E_TIMEOUT; what the watch returned; RZ_E_EVICTED if the producer has given this consumer up;
 * RZ_E_CORRUPT if the slot holds anything else than the next record (nothing is taken). */
int rz_ring_consume(struct rz_ring *ring, uint32_t *type, void *payload, size_t capacity,
                    size_t *bytes, uint64_t deadline_ns, struct rz_error *err);

#endif
