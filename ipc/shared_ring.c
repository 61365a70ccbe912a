/* SPDX-License-Identifier: Apache-2.0
 *
 * shared_ring.c - publishing to and taking from a shared ring.
 */
#include <unistd.h>

#include "ipc/shared_ring.h"

static int check_side(const rz_shared_ring *ring, bool producer, struct rz_error *err)
{
    if ((ring->rank == 0) == producer)
        return RZ_OK;
    return rz_fail(err, RZ_E_STATE, RZ_NO_RANK, 0, "expected to be called by %s",
                   producer ? "the producer" : "a consumer");
}

static uint32_t count_consumers(const rz_shared_ring *ring)
{
    uint32_t count = 0;
    for (uint32_t r = 1; r <= ring->shape.places; r++)
        count += rz_ring_seat(&ring->ring, r) != 0;
    return count;
}

int rz_shared_ring_seal(rz_shared_ring *ring, uint32_t consumers, uint64_t timeout_ns,
                        struct rz_error *err)
{
    int status = check_side(ring, true, err);
    if (status != RZ_OK)
        return status;
    if (consumers > ring->shape.places)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0, "consumers: expected at most %u, got %u",
                       ring->shape.places, consumers);
    const uint64_t deadline_ns = rz_shared_ring_deadline(timeout_ns);
    for (;;) {
        /* acquire: before the seats are counted. */
        const uint32_t seen = atomic_load_explicit(&ring->control->arrivals, memory_order_acquire);
        const uint32_t count = count_consumers(ring);
        if (count >= consumers)
            break;
        struct rz_error why = {.rank = RZ_NO_RANK};
        status = rz_wait(&ring->waiter, &ring->control->arrivals, seen, deadline_ns, count + 1,
                         "attach to the ring", &why);
        if (status == RZ_OK || (status == RZ_E_PEER_DIED && rz_ring_give_up(&ring->ring, why.rank)))
            continue;
        if (err != NULL)
            *err = why;
        return status;
    }
    rz_segment_unlink(&ring->segment);
    return RZ_OK;
}

uint32_t rz_shared_ring_rank(const rz_shared_ring *ring)
{
    return ring->rank;
}

uint32_t rz_shared_ring_record_bytes(const rz_shared_ring *ring)
{
    return ring->shape.record_bytes;
}

int rz_shared_ring_publish(rz_shared_ring *ring, uint32_t type, const void *record, size_t bytes,
                           uint64_t timeout_ns, struct rz_error *err)
{
    int status = check_side(ring, true, err);
    if (status != RZ_OK)
        return status;
    if (bytes > ring->shape.record_bytes || (record == NULL && bytes > 0))
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0, "record: expected at most %u bytes, got %zu%s",
                       ring->shape.record_bytes, bytes, record == NULL ? " and NULL" : "");
    status = rz_shared_ring_look_quickly(ring, err);
    if (status != RZ_OK)
        return status;
    /* A look at the clock only if it can matter. */
    const uint64_t deadline_ns =
        rz_ring_has_room(&ring->ring) ? 0 : rz_shared_ring_deadline(timeout_ns);
    return rz_ring_publish(&ring->ring, type, record, bytes, deadline_ns, err);
}

/* Who polls and never waits learns of the end too: at once where there are bells. */
static bool is_over(rz_shared_ring *ring)
{
    enum { POLLS_A_LOOK = 1024 };
    /* relaxed: rz_shared_ring_look() looks properly. */
    if (atomic_load_explicit(&ring->control->ended, memory_order_relaxed) == 0 &&
        !rz_bell_rings(rz_shared_ring_bell(ring, 0)) && ++ring->polls % POLLS_A_LOOK != 0)
        return false;
    return rz_shared_ring_look(ring, NULL) != RZ_OK;
}

int rz_shared_ring_poll(rz_shared_ring *ring)
{
    const int status = check_side(ring, false, NULL);
    if (status != RZ_OK)
        return status;
    return rz_ring_poll(&ring->ring) != 0 || is_over(ring);
}

int rz_shared_ring_arm(rz_shared_ring *ring, uint64_t time_ns)
{
    const int status = check_side(ring, false, NULL);
    if (status == RZ_OK)
        rz_ring_arm(&ring->ring, time_ns);
    return status;
}

int rz_shared_ring_consume(rz_shared_ring *ring, uint32_t *type, void *record, size_t capacity,
                           size_t *bytes, uint64_t timeout_ns, struct rz_error *err)
{
    const int status = check_side(ring, false, err);
    if (status != RZ_OK)
        return status;
    if (type == NULL || record == NULL || bytes == NULL || capacity < ring->shape.record_bytes)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "record: expected type, bytes and room for %u bytes, got room for %zu",
                       ring->shape.record_bytes, capacity);
    const uint64_t deadline_ns =
        rz_ring_poll(&ring->ring) != 0 ? 0 : rz_shared_ring_deadline(timeout_ns);
    return rz_ring_consume(&ring->ring, type, record, capacity, bytes, deadline_ns, err);
}

void rz_shared_ring_close(rz_shared_ring *ring)
{
    if (ring == NULL)
        return;
    if (ring->pid != getpid()) /* a child: the ring is its parent's */
        ring->segment.linked = false;
    else if (ring->rank == 0)
        rz_shared_ring_end(ring->control, RZ_E_CLOSED, 0, NULL);
    else
        rz_ring_leave(&ring->ring);
    rz_shared_ring_release(ring);
}
