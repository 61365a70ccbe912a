/* SPDX-License-Identifier: Apache-2.0
 *
 * shared_ring_open.c - how a shared ring is made, found, checked and laid out.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal/size_math.h"
#include "ipc/liveness.h"
#include "ipc/shared_ring_layout.h"

/* All of it readable, and, for a consumer, its controls writable: a producer writes everything. */
static int map(rz_shared_ring *ring, struct rz_error *err)
{
    void *base = NULL;
    void *writable = NULL;
    int status = rz_segment_map(&ring->segment, 0, ring->at.total, ring->rank == 0, &base, err);
    if (status == RZ_OK && ring->rank != 0)
        status = rz_segment_map(&ring->segment, 0, ring->at.ring_data, true, &writable, err);
    ring->base = base;
    ring->writable = writable;
    return status;
}

static int open_ring(rz_shared_ring *ring, struct rz_error *err)
{
    const struct rz_shared_ring_shape *shape = &ring->shape;
    const bool producer = ring->rank == 0;
    char *own = producer ? ring->base : ring->writable;
    struct rz_shared_ring_control *control =
        (struct rz_shared_ring_control *)(void *)(own + ring->at.control);
    struct rz_waiter *waiter = &ring->waiter;
    ring->control = control;
    *waiter = (struct rz_waiter){.sleepers = producer ? &control->producer_sleeps
                                                      : &control->consumers_sleep,
                                 .rank = ring->rank,
                                 .watch = rz_shared_ring_look,
                                 .watch_context = ring};
    const struct rz_ring_config config = {.data = ring->base + ring->at.ring_data,
                                          .control = own + ring->at.ring_control,
                                          .slots = shape->slots,
                                          .payload_bytes = shape->record_bytes,
                                          .rank = ring->rank,
                                          .producer = 0,
                                          .world = shape->places + 1,
                                          .first_sequence = shape->first_sequence,
                                          .open = true,
                                          .evicts = rz_shared_ring_evicts(ring),
                                          .others_sleep = producer ? &control->consumers_sleep
                                                                   : &control->producer_sleeps,
                                          .waiter = waiter};
    rz_ring_open(&ring->ring, &config);
    rz_shared_ring_tell_cpus(ring);
    waiter->alarms[waiter->alarm_count++] = &control->ended;
    for (uint32_t r = 0; r <= shape->places; r++)
        if (r != ring->rank && (r == 0 || producer || !rz_shared_ring_evicts(ring)))
            waiter->alarms[waiter->alarm_count++] = rz_bell_word(rz_shared_ring_bell(ring, r));
    return rz_bell_hang(&ring->bell, &ring->segment, ring->at.bells + ring->rank * rz_bell_bytes(),
                        err);
}

void rz_shared_ring_release(rz_shared_ring *ring)
{
    rz_bell_remove(&ring->bell);
    if (ring->base != NULL)
        munmap(ring->base, ring->at.total);
    if (ring->writable != NULL)
        munmap(ring->writable, ring->at.ring_data);
    rz_segment_close(&ring->segment);
    free(ring);
}

static rz_shared_ring *new_ring(void)
{
    rz_shared_ring *ring = malloc(sizeof *ring);
    if (ring != NULL)
        *ring = (rz_shared_ring){.segment = RZ_SEGMENT_NONE, .pid = getpid()};
    return ring;
}

static int fail_memory(struct rz_error *err)
{
    return rz_fail(err, RZ_E_NOMEM, RZ_NO_RANK, ENOMEM, "no memory for a ring");
}

static int read_options(const struct rz_shared_ring_options *options,
                        struct rz_shared_ring_shape *shape, const char **dir, struct rz_error *err)
{
    struct rz_shared_ring_options mine;
    if (options == NULL || !rz_struct_read(&mine, sizeof mine, options,
                                           offsetof(struct rz_shared_ring_options, slots)))
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "options: expected those of rz_shared_ring_options_init()");
    *shape = (struct rz_shared_ring_shape){
        .magic = RZ_SHARED_RING_MAGIC,
        .first_sequence = mine.first_sequence != 0 ? mine.first_sequence : 1,
        .slots = mine.slots != 0 ? mine.slots : 16,
        .record_bytes = mine.record_bytes,
        .places = mine.consumers != 0 ? mine.consumers : RZ_SHARED_RING_CONSUMERS,
        .flags = mine.flags,
    };
    *dir = mine.shm_dir != NULL ? mine.shm_dir : "/dev/shm";
    if (!rz_shared_ring_is_sound(shape))
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "options: expected record_bytes of 1 to %u, slots a power of two up to %u, "
                       "consumers up to %u, got %u, %u, %u and flags %#x",
                       RZ_SHARED_RING_RECORD_BYTES, RZ_SHARED_RING_SLOTS, RZ_SHARED_RING_CONSUMERS,
                       shape->record_bytes, shape->slots, shape->places, shape->flags);
    return RZ_OK;
}

int rz_shared_ring_create(const struct rz_shared_ring_options *options, const char *name,
                          rz_shared_ring **out, struct rz_error *err)
{
    struct rz_shared_ring_shape shape;
    const char *dir = NULL;
    int status = read_options(options, &shape, &dir, err);
    if (status == RZ_OK && out == NULL)
        status = rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0, "expected a place for the ring");
    if (status == RZ_OK)
        status = rz_segment_check_name(name, err);
    if (status != RZ_OK)
        return status;
    rz_shared_ring *ring = new_ring();
    if (ring == NULL)
        return fail_memory(err);
    ring->shape = shape;
    ring->at = rz_shared_ring_lay_out(&shape);
    status = rz_segment_create(dir, name, ring->at.total, &ring->segment, err);
    if (status == RZ_OK)
        status = map(ring, err);
    if (status == RZ_OK) {
        ((struct rz_shared_ring_control *)(void *)(ring->base + ring->at.control))->shape = shape;
        status = open_ring(ring, err);
    }
    if (status == RZ_OK)
        status = rz_segment_publish(&ring->segment, err);
    if (status != RZ_OK) {
        rz_shared_ring_release(ring);
        return status;
    }
    *out = ring;
    return RZ_OK;
}

/* The first place that nobody has. */
static int take_place(rz_shared_ring *ring, struct rz_error *err)
{
    for (uint32_t r = 1; r <= ring->shape.places; r++) {
        const int status = rz_liveness_claim(ring->segment.fd, r, err);
        if (status == RZ_OK)
            ring->rank = r;
        if (status != RZ_E_EXISTS)
            return status;
    }
    return rz_fail(err, RZ_E_EXISTS, RZ_NO_RANK, 0, "the ring has all of its %u consumers",
                   ring->shape.places);
}

/* What the producer says the ring is, copied once, then checked. */
static int read_shape(rz_shared_ring *ring, const char *name, struct rz_error *err)
{
    const ssize_t bytes =
        pread(ring->segment.fd, &ring->shape, sizeof ring->shape, (off_t)rz_segment_page_bytes());
    if (bytes == (ssize_t)sizeof ring->shape && rz_shared_ring_is_sound(&ring->shape)) {
        ring->at = rz_shared_ring_lay_out(&ring->shape);
        if (ring->at.total == ring->segment.bytes)
            return RZ_OK;
    }
    return rz_fail(err, RZ_E_CORRUPT, 0, 0, "%s: expected a ring, got something else", name);
}

static int join(rz_shared_ring *ring, uint64_t deadline_ns, struct rz_error *err)
{
    int status = open_ring(ring, err);
    if (status == RZ_OK)
        status = rz_shared_ring_look(ring, err);
    /* Who had this place has not left it, yet its lock is gone. With ours in its stead nobody else
     * would see that it died. */
    if (status == RZ_OK && rz_ring_seat(&ring->ring, ring->rank) != 0 &&
        !rz_shared_ring_evicts(ring))
        status = rz_shared_ring_end(ring->control, RZ_E_PEER_DIED, ring->rank, err);
    if (status == RZ_OK)
        status = rz_ring_join(&ring->ring, deadline_ns, err);
    if (status != RZ_OK)
        return status;
    /* seq_cst: as in rz_wake(). */
    atomic_fetch_add_explicit(&ring->control->arrivals, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&ring->control->producer_sleeps, memory_order_seq_cst) != 0)
        rz_alarm(&ring->control->arrivals);
    return RZ_OK;
}

int rz_shared_ring_attach(const char *shm_dir, const char *name, uint64_t timeout_ns,
                          rz_shared_ring **out, struct rz_error *err)
{
    const uint64_t deadline_ns = rz_shared_ring_deadline(timeout_ns);
    int status = rz_segment_check_name(name, err);
    if (status == RZ_OK && out == NULL)
        status = rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0, "expected a place for the ring");
    if (status != RZ_OK)
        return status;
    rz_shared_ring *ring = new_ring();
    if (ring == NULL)
        return fail_memory(err);
    status = rz_segment_attach(shm_dir != NULL ? shm_dir : "/dev/shm", name, deadline_ns,
                               &ring->segment, err);
    if (status == RZ_OK)
        status = read_shape(ring, name, err);
    if (status == RZ_OK)
        status = take_place(ring, err);
    if (status == RZ_OK)
        status = map(ring, err);
    if (status == RZ_OK)
        status = join(ring, deadline_ns, err);
    if (status != RZ_OK) {
        rz_shared_ring_release(ring);
        return status;
    }
    *out = ring;
    return RZ_OK;
}
