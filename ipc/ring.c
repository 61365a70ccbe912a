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
    if (config->rank != config->producer)
        return;
    /* relaxed: no other process sees the ring before the producer has opened it, and they come to
     * it by way of the file's name. */
    const uint32_t before = (uint32_t)(config->first_sequence - 1);
    atomic_store_explicit(&ring->tail->published, before, memory_order_relaxed);
    for (uint32_t r = 0; r < config->world; r++)
        atomic_store_explicit(&ring->cursors[r].consumed, before, memory_order_relaxed);
}

static struct rz_ring_slot *slot_of(const struct rz_ring *ring, uint64_t sequence)
{
    const size_t index = (size_t)(sequence & (ring->config.slots - 1));
    return (struct rz_ring_slot *)(void *)(ring->slots + index * ring->slot_bytes);
}

/* ------------------------------------------------------------------------------------------------
 * Producer
 */

/* Wait until `rank` has left the next record's slot. *behind: how many records it has yet to take.
 */
static int wait_for_consumer(struct rz_ring *ring, uint32_t rank, uint64_t deadline_ns,
                             uint32_t *behind, struct rz_error *err)
{
    const struct rz_ring_config *config = &ring->config;
    const _Atomic uint32_t *word = &ring->cursors[rank].consumed;
    for (;;) {
        /* acquire: pairs with the store of the cursor in rz_ring_consume(), so that its reads of
         * the slot come before our writes to it. */
        const uint32_t consumed = atomic_load_explicit(word, memory_order_acquire);
        const uint32_t count = (uint32_t)(ring->next - 1) - consumed;
        if (count > config->slots)
            return rz_fail(err, RZ_E_CORRUPT, (int)rank, 0,
                           "rank %u's cursor: expected at most %u records behind, got %u", rank,
                           config->slots, count);
        if (count < config->slots) {
            *behind = count;
            return RZ_OK;
        }
        const int status = rz_wait(config->waiter, word, consumed, deadline_ns, rank,
                                   "take a record from the full ring", err);
        if (status != RZ_OK)
            return status;
    }
}

/* Make sure that every consumer has left the next record's slot. The cursors are looked at only
 * when the room that was found the last time is used up: once in `slots` records if consumers keep
 * up. */
static int make_room(struct rz_ring *ring, uint64_t deadline_ns, struct rz_error *err)
{
    const struct rz_ring_config *config = &ring->config;
    if (ring->next < ring->free_until)
        return RZ_OK;
    uint32_t most_behind = 0;
    for (uint32_t r = 0; r < config->world; r++) {
        if (r == config->producer)
            continue;
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
    const int status = make_room(ring, deadline_ns, err);
    if (status == RZ_OK)
        *sequence = ring->next++;
    return status;
}

void rz_ring_announce(struct rz_ring *ring)
{
    rz_wake(ring->config.waiter->sleepers, RZ_ALL_RANKS, &ring->tail->published,
            (uint32_t)(ring->next - 1));
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
    const struct rz_ring_config *config = &ring->config;
    assert(config->rank == config->producer && bytes <= config->payload_bytes);
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
    rz_wake(config->waiter->sleepers, RZ_ALL_RANKS, &ring->tail->published, (uint32_t)ring->next);
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

static int fail_stamp(const struct rz_ring *ring, uint64_t stamp, struct rz_error *err)
{
    return rz_fail(err, RZ_E_CORRUPT, (int)ring->config.producer, 0,
                   "ring: expected record %llu, got %llu", (unsigned long long)ring->next,
                   (unsigned long long)stamp);
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
    /* Pairs with the acquire of the cursor in wait_for_consumer(): the slot may be used again. */
    rz_wake(config->waiter->sleepers, UINT64_C(1) << config->producer,
            &ring->cursors[config->rank].consumed, (uint32_t)ring->next);
    ring->next++;
    return RZ_OK;
}
