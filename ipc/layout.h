/* SPDX-License-Identifier: Apache-2.0
 *
 * layout.h - every byte that this layer puts into shared memory.
 *
 *     header page        made once, before any other process can see it; never written again
 *     ring data          written by the producer, mapped read-only by consumers
 *     ring control       a cursor a rank, each written by that rank alone
 *
 * Lines are 128 bytes: processors fetch cache lines in adjacent pairs. All-zero memory, which is
 * what a new segment is made of, is a ring without records.
 */
#ifndef RZ_IPC_LAYOUT_H
#define RZ_IPC_LAYOUT_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define RZ_LINE_BYTES 128u

static_assert(sizeof(_Atomic uint32_t) == 4, "shared words are plain words");
static_assert(sizeof(_Atomic uint64_t) == 8, "shared words are plain words");
static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2,
              "atomics work between processes only if they take no lock");

#define RZ_SEGMENT_MAGIC UINT64_C(0x30305A4B4E415252) /* "RRANKZ00" */
#define RZ_SEGMENT_VERSION 1u

struct rz_segment_header {
    uint64_t magic;
    uint32_t version;
    uint32_t page_bytes;
    uint64_t total_bytes;
};

#define RZ_RING_PLACES 65u /* a producer and 64 consumers */

/* First lines of the ring's data. `evicted`: the seat (below) of the consumer in this place that
 * the producer does not wait for any more, 0 for none. */
struct rz_ring_tail {
    alignas(RZ_LINE_BYTES) _Atomic uint32_t published; /* low 32 bits of the last sequence number */
    alignas(RZ_LINE_BYTES) _Atomic uint32_t evicted[RZ_RING_PLACES];
};

/* A slot: this, then the payload, rounded up to lines. Stamp 0: the record is being written. */
struct rz_ring_slot {
    alignas(RZ_LINE_BYTES) _Atomic uint64_t stamp; /* sequence number of the record */
    _Atomic uint64_t kind;                         /* type << 32 | bytes of payload */
    _Atomic uint64_t payload[];
};

/* One a rank in the ring's control, written by that rank. `seat`: how often a consumer has taken
 * this place << 2 | RZ_SEAT_*. */
struct rz_ring_cursor {
    alignas(RZ_LINE_BYTES) _Atomic uint32_t consumed; /* low 32 bits of the last one taken */
    _Atomic uint32_t seat;
};

enum { RZ_SEAT_FREE = 0, RZ_SEAT_COMING = 1, RZ_SEAT_TAKEN = 2, RZ_SEAT_MASK = 3 };

static_assert(sizeof(struct rz_ring_tail) == 4 * RZ_LINE_BYTES, "the tail has one of its own");
static_assert(sizeof(struct rz_ring_cursor) == RZ_LINE_BYTES, "one line");
static_assert(offsetof(struct rz_ring_slot, payload) == 16, "payload follows stamp and kind");

#endif
