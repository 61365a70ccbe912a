/* SPDX-License-Identifier: Apache-2.0
 *
 * ring_job.c - ranks as processes that share a ring in a segment.
 */
#include "tests/ipc/ring_job.h"

#include "ipc/liveness.h"
#include "tests/ipc/support.h"

static int look(void *context, struct rz_error *err)
{
    struct ring_job *job = context;
    /* acquire: pairs with the wake in job_end(). */
    const uint32_t ended = atomic_load_explicit(&job->control->ended, memory_order_acquire);
    if (ended != 0)
        return rz_fail(err, -(int)ended, RZ_NO_RANK, 0, "the job was ended");
    rz_bell_mind(&job->bell);
    uint32_t died = atomic_load(&job->control->died);
    for (uint32_t r = 0; r < job->world && died == 0; r++) {
        if (r == job->rank ||
            atomic_load_explicit(&job->control->ranks[r].joined, memory_order_acquire) == 0)
            continue;
        if (!rz_bell_tolls(job->bells + r * rz_bell_bytes()) &&
            rz_liveness_held(job->segment.fd, r))
            continue;
        /* The kernel wakes one who sleeps on the bell: it wakes the others. */
        if (atomic_compare_exchange_strong(&job->control->died, &died, 1 + r))
            died = 1 + r;
        rz_alarm(&job->control->died);
    }
    if (died != 0)
        return rz_fail(err, RZ_E_PEER_DIED, (int)died - 1, 0, "rank %u is gone", died - 1);
    return RZ_OK;
}

static size_t pages(size_t bytes)
{
    const size_t page = rz_segment_page_bytes();
    return (bytes + page - 1) / page * page;
}

static void *map(struct ring_job *job, size_t *offset, size_t bytes, bool writable)
{
    void *address = NULL;
    struct rz_error err;
    child_expect_ok(rz_segment_map(&job->segment, *offset, pages(bytes), writable, &address, &err),
                    err);
    *offset += pages(bytes);
    return address;
}

static void hang_bells(struct ring_job *job, size_t *offset)
{
    struct rz_error err;
    child_expect_ok(
        rz_bell_hang(&job->bell, &job->segment, *offset + job->rank * rz_bell_bytes(), &err), err);
    job->bells = map(job, offset, job->world * rz_bell_bytes(), false);
    struct rz_waiter *waiter = &job->waiter;
    waiter->alarms[waiter->alarm_count++] = &job->control->ended;
    waiter->alarms[waiter->alarm_count++] = &job->control->died;
    for (uint32_t r = 0; r < job->world; r++)
        if (r != job->rank)
            waiter->alarms[waiter->alarm_count++] = rz_bell_word(job->bells + r * rz_bell_bytes());
}

void job_open(struct ring_job *job, uint32_t rank, uint32_t world, uint32_t slots,
              uint64_t first_sequence)
{
    const uint64_t deadline = in_seconds(50);
    const size_t control_bytes = rz_ring_control_bytes(world);
    const size_t data_bytes = rz_ring_data_bytes(slots, JOB_CAPACITY);
    *job = (struct ring_job){.rank = rank, .world = world};
    struct rz_error err;
    size_t offset = rz_segment_page_bytes();
    const size_t total = offset + pages(sizeof *job->control) + world * rz_bell_bytes() +
                         pages(control_bytes) + pages(data_bytes);
    if (rank == 0) {
        child_expect_ok(rz_segment_create(scratch, "ring", total, &job->segment, &err), err);
    } else {
        child_expect_ok(rz_segment_attach(scratch, "ring", deadline, &job->segment, &err), err);
        child_expect_ok(rz_liveness_claim(job->segment.fd, rank, &err), err);
        child_expect(job->segment.bytes == total);
    }

    job->control = map(job, &offset, sizeof *job->control, true);
    const struct rz_cpus cpus = rz_cpus_usable();
    job->waiter = (struct rz_waiter){.sleepers = &job->control->sleepers,
                                     .rank = rank,
                                     .spin_ns = rz_wait_spin_ns(world, &cpus),
                                     .watch = look,
                                     .watch_context = job};
    hang_bells(job, &offset);
    struct rz_ring_config config = {.slots = slots,
                                    .payload_bytes = JOB_CAPACITY,
                                    .rank = rank,
                                    .producer = 0,
                                    .world = world,
                                    .first_sequence = first_sequence,
                                    .waiter = &job->waiter};
    config.control = map(job, &offset, control_bytes, true);
    config.data = map(job, &offset, data_bytes, rank == 0);
    rz_ring_open(&job->ring, &config);

    rz_wake(&job->control->sleepers, RZ_ALL_RANKS, &job->control->ranks[rank].joined, 1);
    if (rank == 0) {
        child_expect_ok(rz_segment_publish(&job->segment, &err), err);
        for (uint32_t r = 1; r < world; r++)
            child_expect_ok(
                rz_wait(&job->waiter, &job->control->ranks[r].joined, 0, deadline, r, "join", &err),
                err);
        rz_segment_unlink(&job->segment);
        rz_wake(&job->control->sleepers, RZ_ALL_RANKS, &job->control->running, 1);
    } else {
        child_expect_ok(rz_wait(&job->waiter, &job->control->running, 0, deadline, 0, "run", &err),
                        err);
    }
}

void job_close(struct ring_job *job)
{
    rz_bell_remove(&job->bell);
    rz_segment_close(&job->segment);
}

void job_end(struct ring_job *job, int status)
{
    rz_wake(&job->control->sleepers, RZ_ALL_RANKS, &job->control->ended, (uint32_t)-status);
}

int job_publish(struct ring_job *job, uint64_t deadline_ns, struct rz_error *err)
{
    char payload[JOB_CAPACITY];
    uint32_t type;
    const size_t bytes = record_make(job->ring.next, payload, sizeof payload, &type);
    return rz_ring_publish(&job->ring, type, payload, bytes, deadline_ns, err);
}

int job_consume(struct ring_job *job, uint64_t deadline_ns, struct rz_error *err)
{
    char payload[JOB_CAPACITY];
    uint32_t type;
    size_t bytes;
    const uint64_t sequence = job->ring.next;
    const int status =
        rz_ring_consume(&job->ring, &type, payload, sizeof payload, &bytes, deadline_ns, err);
    if (status == RZ_OK)
        child_expect(record_is(sequence, type, payload, bytes, sizeof payload));
    return status;
}
