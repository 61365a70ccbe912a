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
    uint64_t first_sequence;  /* of the first record; every rank passes the same, at least 1 */
    struct rz_waiter *waiter; /* this rank's */
};

struct rz_ring {
    struct rz_ring_config config;
    struct rz_ring_tail *tail;
    char *slots;
    size_t slot_bytes;
    struct rz_ring_cursor *cursors;
    uint64_t next;       /* sequence number of the next record to publish or take */
    uint64_t free_until; /* producer: records below this one have a free slot, when last looked */
};

size_t rz_ring_data_bytes(uint32_t slots, uint32_t payload_bytes);
size_t rz_ring_control_bytes(uint32_t world);

/* rz_ring_open - this process's view. The producer opens first, before any consumer can. */
void rz_ring_open(struct rz_ring *ring, const struct rz_ring_config *config);

/* rz_ring_publish - producer: add a record. Waits while the ring is full: RZ_E_TIMEOUT names the
 * rank that is behind; or what the waiter's watch returned. Nothing is published on failure.
 * `bytes` <= payload_bytes; `type` is the caller's. */
int rz_ring_publish(struct rz_ring *ring, uint32_t type, const void *payload, size_t bytes,
                    uint64_t deadline_ns, struct rz_error *err);

/* rz_ring_reserve - producer: make room for the next record, which another writer than this call
 * puts into its slot (a GPU), as rz_ring_publish() would have. *sequence: its number. Waits and
 * fails as rz_ring_publish() does. */
int rz_ring_reserve(struct rz_ring *ring, uint64_t deadline_ns, uint64_t *sequence,
                    struct rz_error *err);

/* rz_ring_announce - producer: wake consumers that sleep until the record that was reserved last is
 * there. It is. */
void rz_ring_announce(struct rz_ring *ring);

/* rz_ring_poll - consumer: 1 if the next record is there, 0 if not. Never waits. */
int rz_ring_poll(const struct rz_ring *ring);

/* rz_ring_consume - consumer: wait for the next record and copy it out. `*bytes` <= capacity.
 * RZ_E_TIMEOUT; what the watch returned; RZ_E_CORRUPT if the slot holds anything else than the next
 * record (nothing is taken). */
int rz_ring_consume(struct rz_ring *ring, uint32_t *type, void *payload, size_t capacity,
                    size_t *bytes, uint64_t deadline_ns, struct rz_error *err);

#endif
