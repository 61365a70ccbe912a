/* SPDX-License-Identifier: Apache-2.0
 *
 * shared_ring_watch.c - how a shared ring ends, and who is alive in it.
 */
#include "ipc/liveness.h"
#include "ipc/shared_ring.h"

static int fail_ended(uint32_t ended, struct rz_error *err)
{
    const int rank = (int)(ended & 0xFFFF);
    if (ended >> 16 == (uint32_t)-RZ_E_CLOSED)
        return rz_fail(err, RZ_E_CLOSED, rank, 0, "the producer has closed the ring");
    if (ended >> 16 == (uint32_t)-RZ_E_PEER_DIED)
        return rz_fail(err, RZ_E_PEER_DIED, rank, 0, "rank %d: its process is gone", rank);
    return rz_fail(err, RZ_E_CORRUPT, RZ_NO_RANK, 0,
                   "why the ring ended: expected a status, got %#x", ended);
}

int rz_shared_ring_end(struct rz_shared_ring_control *control, int status, uint32_t rank,
                       struct rz_error *err)
{
    uint32_t ended = 0;
    const uint32_t mine = (uint32_t)-status << 16 | rank;
    /* acq_rel: what was published before is there for who reads this. */
    if (atomic_compare_exchange_strong_explicit(&control->ended, &ended, mine, memory_order_acq_rel,
                                                memory_order_acquire))
        ended = mine;
    rz_alarm(&control->ended);
    return fail_ended(ended, err);
}

void rz_shared_ring_tell_cpus(rz_shared_ring *ring)
{
    const struct rz_cpus usable = rz_cpus_usable();
    for (size_t i = 0; i < RZ_CPU_WORDS; i++)
        atomic_store_explicit(&ring->control->cpus[ring->rank][i], usable.bits[i],
                              memory_order_relaxed);
}

/* Is it worth spinning for all that there are now? */
static void find_spin_ns(rz_shared_ring *ring)
{
    struct rz_cpus all = {0};
    uint32_t processes = 0;
    for (uint32_t r = 0; r <= ring->shape.places; r++) {
        if (r != 0 && r != ring->rank && rz_ring_seat(&ring->ring, r) == 0)
            continue;
        processes++;
        for (size_t i = 0; i < RZ_CPU_WORDS; i++)
            all.bits[i] |= atomic_load_explicit(&ring->control->cpus[r][i], memory_order_relaxed);
    }
    ring->waiter.spin_ns = rz_wait_spin_ns(processes, &all);
}

/* Is the death of who has this seat this rank's affair? Of a consumer that would be given up, the
 * producer's only. */
static bool minds(const rz_shared_ring *ring, uint32_t rank, uint32_t seat)
{
    if (rank == ring->rank)
        return false;
    return rank == 0 || (seat != 0 && (ring->rank == 0 || !rz_shared_ring_evicts(ring)));
}

int rz_shared_ring_look(void *context, struct rz_error *err)
{
    rz_shared_ring *ring = context;
    /* acquire: pairs with rz_shared_ring_end(). */
    const uint32_t ended = atomic_load_explicit(&ring->control->ended, memory_order_acquire);
    if (ended != 0)
        return fail_ended(ended, err);
    rz_bell_mind(&ring->bell);
    find_spin_ns(ring);
    for (uint32_t r = 0; r <= ring->shape.places; r++) {
        const uint32_t seat = rz_ring_seat(&ring->ring, r);
        if (!minds(ring, r, seat) ||
            (!rz_bell_tolls(rz_shared_ring_bell(ring, r)) && rz_liveness_held(ring->segment.fd, r)))
            continue;
        /* One that has left in order has given its seat up before its lock. */
        if (rz_ring_seat(&ring->ring, r) != seat)
            continue;
        if (r > 0 && rz_shared_ring_evicts(ring)) {
            ring->ring.lost = seat;
            return rz_fail(err, RZ_E_PEER_DIED, (int)r, 0, "rank %u: its process is gone", r);
        }
        return rz_shared_ring_end(ring->control, RZ_E_PEER_DIED, r, err);
    }
    return RZ_OK;
}

int rz_shared_ring_look_quickly(rz_shared_ring *ring, struct rz_error *err)
{
    enum { MOST = 8 };
    /* relaxed: what has just changed is seen the next time. */
    const uint32_t arrivals = atomic_load_explicit(&ring->control->arrivals, memory_order_relaxed);
    bool rings = atomic_load_explicit(&ring->control->ended, memory_order_relaxed) != 0;
    if (arrivals != ring->arrivals) {
        ring->arrivals = arrivals;
        for (uint32_t r = 1; r <= ring->shape.places; r++)
            if (rz_ring_seat(&ring->ring, r) != 0)
                ring->last = r;
    }
    for (uint32_t i = 0; i < MOST && i < ring->last && !rz_shared_ring_evicts(ring); i++) {
        const uint32_t r = 1 + ring->next;
        const uint64_t bit = UINT64_C(1) << ring->next;
        ring->next = r % ring->last;
        if (!rz_bell_rings(rz_shared_ring_bell(ring, r))) {
            ring->known &= ~bit;
        } else if ((ring->known & bit) == 0) {
            ring->known |= bit;
            rings = true;
        }
    }
    return rings ? rz_shared_ring_look(ring, err) : RZ_OK;
}
