/* SPDX-License-Identifier: Apache-2.0
 *
 * ring.c - the broadcast ring.
 *
 * Every ordering is on an operation, none is a fence, so that ThreadSanitizer sees all of them.
 * Sequence numbers are 64 bits; the words that are slept on hold their low 32. They are compared by
 * subtraction modulo 2^32, which is right as long as nobody is 2^31 records behind: nobody can be
 * more than `slots`.
 */
#include "ipc/ring.h"

#include <string.h>

static size_t slot_bytes_for(uint32_t payload_bytes)
{
    const size_t bytes = offsetof(struct rz_ring_slot, payload) + payload_bytes;
    return (bytes + RZ_LINE_BYTES - 1) / RZ_LINE_BYTES * RZ_LINE_BYTES;
}

size_t rz_ring_data_bytes(uint32_t slots, uint32_t payload_bytes)
{
    return sizeof(struct rz_ring_tail) + slots * slot_bytes_for(payload_bytes);
}

size_t rz_ring_control_bytes(uint32_t world)
{
    return world * sizeof(struct rz_ring_cursor);
}

void rz_ring_open(struct rz_ring *ring, const struct rz_ring_config *config)
{
    assert(config->slots != 0 && (config->slots & (config->slots - 1)) == 0);
    assert(config->rank < config->world && config->producer < config->world);
    assert(config->first_sequence > 0); /* 0 is the stamp of no record */
    *ring = (struct rz_ring){
        .config = *config,
        .tail = config->data,
        .slots = (char *)config->data + sizeof(struct rz_ring_tail),
        .slot_bytes = slot_bytes_for(config->payload_bytes),
        .cursors = config->control,
        .next = config->first_sequence,
        .free_until = config->first_sequence,
    };
    assert(config->world <= RZ_RING_PLACES);
    const uint32_t seat = config->open ? 0 : 1u << 2 | RZ_SEAT_TAKEN;
    ring->seat = seat;
    if (config->rank != config->producer)
        return;
    /* relaxed: no other process sees the ring before the producer has opened it, and they come to
     * it by way of the file's name. */
    const uint32_t before = (uint32_t)(config->first_sequence - 1);
    atomic_store_explicit(&ring->tail->published, before, memory_order_relaxed);
    for (uint32_t r = 0; r < config->world; r++) {
        atomic_store_explicit(&ring->cursors[r].consumed, before, memory_order_relaxed);
        atomic_store_explicit(&ring->cursors[r].seat, seat, memory_order_relaxed);
    }
}

static struct rz_ring_slot *slot_of(const struct rz_ring *ring, uint64_t sequence)
{
    const size_t index = (size_t)(sequence & (ring->config.slots - 1));
    return (struct rz_ring_slot *)(void *)(ring->slots + index * ring->slot_bytes);
}

static _Atomic uint64_t *others_sleep(const struct rz_ring *ring)
{
    const struct rz_ring_config *config = &ring->config;
    return config->others_sleep != NULL ? config->others_sleep : config->waiter->sleepers;
}

/* Change a word that the other side may be waiting for. */
static void wake_others(const struct rz_ring *ring, _Atomic uint32_t *word, uint32_t value)
{
    const struct rz_ring_config *config = &ring->config;
    const bool one = config->rank != config->producer && config->others_sleep == NULL;
    rz_wake(others_sleep(ring), one ? UINT64_C(1) << config->producer : RZ_ALL_RANKS, word, value);
}

/* ------------------------------------------------------------------------------------------------
 * Producer
 */

bool rz_ring_has_room(const struct rz_ring *ring)
{
    return ring->next < ring->free_until;
}

/* Who was given up while it was coming stays so when it has come. */
static bool is_same_owner(uint32_t seat, uint32_t other)
{
    return seat >> 2 == other >> 2;
}

static bool counts(const struct rz_ring *ring, uint32_t rank, uint32_t seat)
{
    /* relaxed: the producer's own word; for others, one that changes once is as good as the other.
     */
    const uint32_t evicted = atomic_load_explicit(&ring->tail->evicted[rank], memory_order_relaxed);
    return rank != ring->config.producer && (seat & RZ_SEAT_MASK) != RZ_SEAT_FREE &&
           !is_same_owner(seat, evicted);
}

uint32_t rz_ring_seat(const struct rz_ring *ring, uint32_t rank)
{
    const uint32_t seat = atomic_load_explicit(&ring->cursors[rank].seat, memory_order_acquire);
    return counts(ring, rank, seat) ? seat : 0;
}

/* Give up who has this seat, if that is what this ring does. False also if it has been given up. */
static bool evict(struct rz_ring *ring, int rank, uint32_t seat)
{
    const struct rz_ring_config *config = &ring->config;
    if (!config->evicts || rank < 0 || (uint32_t)rank >= config->world ||
        !counts(ring, (uint32_t)rank, seat))
        return false;
    /* release: pairs with the acquire in is_evicted(): who finds a slot written anew sees this. */
    atomic_store_explicit(&ring->tail->evicted[rank], seat, memory_order_release);
    /* One that died asleep would cost every record a wake. relaxed: at worst one that lives sleeps
     * until the end of its slice. */
    atomic_fetch_and_explicit(others_sleep(ring), ~(UINT64_C(1) << rank % 64),
                              memory_order_relaxed);
    return true;
}

bool rz_ring_give_up(struct rz_ring *ring, int rank)
{
    return evict(ring, rank, ring->lost);
}

/* Wait until `rank`, whose seat this is, is through with coming, or has left the next record's
 * slot. RZ_OK: look again, or, with *behind set, it has left: so many records it has yet to take.
 */
static int wait_for_seat(struct rz_ring *ring, uint32_t rank, uint32_t seat, uint64_t deadline_ns,
                         uint32_t *behind, struct rz_error *err)
{
    const struct rz_ring_config *config = &ring->config;
    const struct rz_ring_cursor *cursor = &ring->cursors[rank];
    if ((seat & RZ_SEAT_MASK) == RZ_SEAT_COMING)
        return rz_wait(config->waiter, &cursor->seat, seat, deadline_ns, rank, "take its seat",
                       err);
    /* acquire: pairs with the store of the cursor in rz_ring_consume(), so that its reads of the
     * slot come before our writes to it; and with rz_ring_leave(). */
    const uint32_t consumed = atomic_load_explicit(&cursor->consumed, memory_order_acquire);
    if (atomic_load_explicit(&cursor->seat, memory_order_acquire) != seat)
        return RZ_OK; /* it is not the one who had this seat that this cursor is of */
    const uint32_t count = (uint32_t)(ring->next - 1) - consumed;
    if (count > config->slots)
        return rz_fail(err, RZ_E_CORRUPT, (int)rank, 0,
                       "rank %u's cursor: expected at most %u records behind, got %u", rank,
                       config->slots, count);
    if (count < config->slots) {
        *behind = count;
        return RZ_OK;
    }
    return rz_wait(config->waiter, &cursor->consumed, consumed, deadline_ns, rank,
                   "take a record from the full ring", err);
}

/* Wait until `rank` has left the next record's slot, or is not there. *behind: how many records it
 * has yet to take. */
static int wait_for_consumer(struct rz_ring *ring, uint32_t rank, uint64_t deadline_ns,
                             uint32_t *behind, struct rz_error *err)
{
    for (;;) {
        /* seq_cst: see ring.h; pairs with rz_ring_join(). */
        const uint32_t seat = atomic_load_explicit(&ring->cursors[rank].seat, memory_order_seq_cst);
        *behind = 0;
        if (!counts(ring, rank, seat))
            return RZ_OK;
        struct rz_error why = {.rank = RZ_NO_RANK};
        *behind = UINT32_MAX;
        const int status = wait_for_seat(ring, rank, seat, deadline_ns, behind, &why);
        if (status == RZ_OK && *behind != UINT32_MAX)
            return RZ_OK;
        const bool late = status == RZ_E_TIMEOUT || status == RZ_E_CORRUPT; /* this rank */
        const bool dead = status == RZ_E_PEER_DIED;                         /* any */
        if (status == RZ_OK || (late && evict(ring, why.rank, seat)) ||
            (dead && rz_ring_give_up(ring, why.rank)))
            continue;
        if (err != NULL)
            *err = why;
        return status;
    }
}

/* Make sure that every consumer has left the next record's slot. The cursors are looked at only
 * when the room that was found the last time is used up: once in `slots` records if consumers keep
 * up. */
static int make_room(struct rz_ring *ring, uint64_t deadline_ns, struct rz_error *err)
{
    const struct rz_ring_config *config = &ring->config;
    if (rz_ring_has_room(ring))
        return RZ_OK;
    uint32_t most_behind = 0;
    for (uint32_t r = 0; r < config->world; r++) {
        uint32_t behind = 0;
        const int status = wait_for_consumer(ring, r, deadline_ns, &behind, err);
        if (status != RZ_OK)
            return status;
        most_behind = behind > most_behind ? behind : most_behind;
    }
    ring->free_until = ring->next + (config->slots - most_behind);
    return RZ_OK;
}

int rz_ring_reserve(struct rz_ring *ring, uint64_t deadline_ns, uint64_t *sequence,
                    struct rz_error *err)
{
    /* One who comes goes by the tail: it must not be behind what this side has counted. */
    assert(!ring->config.open);
    const int status = make_room(ring, deadline_ns, err);
    if (status == RZ_OK)
        *sequence = ring->next++;
    return status;
}

void rz_ring_announce(struct rz_ring *ring)
{
    wake_others(ring, &ring->tail->published, (uint32_t)(ring->next - 1));
}

/* Each word is stored with release: a reader that loads it (acquire) while it is being written sees
 * at its second look at the stamp that the slot was invalid before, and drops what it has read. */
static void write_words(_Atomic uint64_t *to, const void *from, size_t bytes)
{
    const char *source = from;
    for (; bytes >= sizeof(uint64_t); bytes -= sizeof(uint64_t), source += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, source, sizeof word);
        atomic_store_explicit(to++, word, memory_order_release);
    }
    if (bytes > 0) {
        uint64_t word = 0;
        memcpy(&word, source, bytes);
        atomic_store_explicit(to, word, memory_order_release);
    }
}

int rz_ring_publish(struct rz_ring *ring, uint32_t type, const void *payload, size_t bytes,
                    uint64_t deadline_ns, struct rz_error *err)
{
    assert(ring->config.rank == ring->config.producer && bytes <= ring->config.payload_bytes);
    const int status = make_room(ring, deadline_ns, err);
    if (status != RZ_OK)
        return status;

    struct rz_ring_slot *slot = slot_of(ring, ring->next);
    /* relaxed: the releases of the words below carry it to who reads any of them. */
    atomic_store_explicit(&slot->stamp, 0, memory_order_relaxed);
    /* release: as in write_words(). */
    atomic_store_explicit(&slot->kind, (uint64_t)type << 32 | bytes, memory_order_release);
    write_words(slot->payload, payload, bytes);
    /* release: pairs with the first load of the stamp in rz_ring_consume(). */
    atomic_store_explicit(&slot->stamp, ring->next, memory_order_release);
    /* Pairs with the acquires of the tail in rz_wait() and rz_ring_poll(). */
    wake_others(ring, &ring->tail->published, (uint32_t)ring->next);
    ring->next++;
    return RZ_OK;
}

/* ------------------------------------------------------------------------------------------------
 * Consumer
 */

int rz_ring_poll(const struct rz_ring *ring)
{
    /* acquire: pairs with rz_wake() in rz_ring_publish(). */
    return atomic_load_explicit(&ring->tail->published, memory_order_acquire) !=
           (uint32_t)(ring->next - 1);
}

void rz_ring_arm(struct rz_ring *ring, uint64_t time_ns)
{
    rz_wait_arm(ring->config.waiter, time_ns);
}

/* Each word is loaded with acquire, so that the second look at the stamp comes after all of them.
 * Pairs with the releases in write_words(). */
static void read_words(void *to, const _Atomic uint64_t *from, size_t bytes)
{
    char *target = to;
    for (; bytes >= sizeof(uint64_t); bytes -= sizeof(uint64_t), target += sizeof(uint64_t)) {
        const uint64_t word = atomic_load_explicit(from++, memory_order_acquire);
        memcpy(target, &word, sizeof word);
    }
    if (bytes > 0) {
        const uint64_t word = atomic_load_explicit(from, memory_order_acquire);
        memcpy(target, &word, bytes);
    }
}

static bool is_evicted(const struct rz_ring *ring)
{
    /* acquire: pairs with evict(). */
    return is_same_owner(
        atomic_load_explicit(&ring->tail->evicted[ring->config.rank], memory_order_acquire),
        ring->seat);
}

static int fail_evicted(const struct rz_ring *ring, struct rz_error *err)
{
    return rz_fail(err, RZ_E_EVICTED, (int)ring->config.rank, 0,
                   "ring: rank %u has not taken record %llu in time", ring->config.rank,
                   (unsigned long long)ring->next);
}

static int fail_stamp(const struct rz_ring *ring, uint64_t stamp, struct rz_error *err)
{
    if (is_evicted(ring))
        return fail_evicted(ring, err);
    return rz_fail(err, RZ_E_CORRUPT, (int)ring->config.producer, 0,
                   "ring: expected record %llu, got %llu", (unsigned long long)ring->next,
                   (unsigned long long)stamp);
}

/* All of the number of the last record, whose low 32 bits are in the tail. False if its slot is
 * being written anew. */
static bool last_sequence(const struct rz_ring *ring, uint32_t tail, uint64_t *last)
{
    /* relaxed: a number; nothing else is read on account of it. */
    const uint64_t stamp = atomic_load_explicit(&slot_of(ring, tail)->stamp, memory_order_relaxed);
    if (stamp != 0 && (uint32_t)stamp == tail) {
        *last = stamp;
        return true;
    }
    *last = ring->config.first_sequence - 1; /* no record has been published */
    return (uint32_t)*last == tail;
}

int rz_ring_join(struct rz_ring *ring, uint64_t deadline_ns, struct rz_error *err)
{
    const struct rz_ring_config *config = &ring->config;
    struct rz_ring_cursor *cursor = &ring->cursors[config->rank];
    /* relaxed: who had the place before has given it up, or is dead. */
    const uint32_t before = atomic_load_explicit(&cursor->seat, memory_order_relaxed);
    const uint32_t seat = ((before >> 2) + 1) << 2;
    /* seq_cst: see ring.h. */
    atomic_store_explicit(&cursor->seat, seat | RZ_SEAT_COMING, memory_order_seq_cst);
    uint64_t last = 0;
    uint32_t tail;
    int status = RZ_OK;
    while (tail = atomic_load_explicit(&ring->tail->published, memory_order_seq_cst),
           !last_sequence(ring, tail, &last) && status == RZ_OK)
        status = rz_wait(config->waiter, &ring->tail->published, tail, deadline_ns,
                         config->producer, "finish its record", err);
    if (status != RZ_OK) {
        wake_others(ring, &cursor->seat, seat | RZ_SEAT_FREE);
        return status;
    }
    ring->seat = seat | RZ_SEAT_TAKEN;
    ring->next = last + 1;
    /* A producer may sleep on this very cursor: of a consumer that has died, in the same place. */
    wake_others(ring, &cursor->consumed, tail);
    wake_others(ring, &cursor->seat, ring->seat);
    return RZ_OK;
}

void rz_ring_leave(struct rz_ring *ring)
{
    struct rz_ring_cursor *cursor = &ring->cursors[ring->config.rank];
    /* release: pairs with the second look at the seat in wait_for_seat(). */
    atomic_store_explicit(&cursor->seat, ring->seat & ~(uint32_t)RZ_SEAT_MASK,
                          memory_order_release);
    /* A producer that waits for this cursor sees it change, then looks at the seat. */
    wake_others(ring, &cursor->consumed, (uint32_t)(ring->next - 1) ^ UINT32_C(1) << 31);
    ring->seat = 0;
}

int rz_ring_consume(struct rz_ring *ring, uint32_t *type, void *payload, size_t capacity,
                    size_t *bytes, uint64_t deadline_ns, struct rz_error *err)
{
    const struct rz_ring_config *config = &ring->config;
    assert(config->rank != config->producer);
    int status = rz_wait(config->waiter, &ring->tail->published, (uint32_t)(ring->next - 1),
                         deadline_ns, config->producer, "publish the next record", err);
    if (status != RZ_OK)
        return status;
    if (is_evicted(ring))
        return fail_evicted(ring, err);

    const struct rz_ring_slot *slot = slot_of(ring, ring->next);
    /* acquire: pairs with the release of the stamp in rz_ring_publish(). */
    const uint64_t stamp = atomic_load_explicit(&slot->stamp, memory_order_acquire);
    if (stamp != ring->next)
        return fail_stamp(ring, stamp, err);
    /* acquire: as in read_words(). */
    const uint64_t kind = atomic_load_explicit(&slot->kind, memory_order_acquire);
    const uint32_t length = (uint32_t)kind;
    if (length > config->payload_bytes || length > capacity)
        return rz_fail(err, RZ_E_CORRUPT, (int)config->producer, 0,
                       "ring: expected a record of at most %zu bytes, got %u",
                       capacity < config->payload_bytes ? capacity : config->payload_bytes, length);
    read_words(payload, slot->payload, length);
    /* relaxed: the acquires above keep it after them. */
    const uint64_t again = atomic_load_explicit(&slot->stamp, memory_order_relaxed);
    if (again != stamp)
        return fail_stamp(ring, again, err);

    *type = (uint32_t)(kind >> 32);
    *bytes = length;
    /* Pairs with the acquire of the cursor in wait_for_seat(): the slot may be used again. */
    wake_others(ring, &ring->cursors[config->rank].consumed, (uint32_t)ring->next);
    ring->next++;
    return RZ_OK;
}
