/* SPDX-License-Identifier: Apache-2.0
 *
 * meeting.c - ranks meet in a segment and agree, or learn why not.
 *
 * Every rank writes its plan into its part of the control and says `joined`. A rank whose plan is
 * not rank 0's ends the job, at once. Rank 0 waits for all, compares, and gives the verdict:
 * `running`, or `ended` with the rank that differs. The others wait for the verdict; all get the
 * same error.
 */
#include "runtime/meeting.h"

#include <string.h>
#include <sys/mman.h>

#include "internal/clock.h"
#include "internal/size_math.h"
#include "ipc/liveness.h"
#include "runtime/record.h"

/* ------------------------------------------------------------------------------------------------
 * Layout
 */

struct layout {
    size_t control, bells, ring_control, ring_data, logits[RZ_MAX_WORLD]; /* offsets */
    size_t ring_control_bytes, ring_data_bytes, logits_bytes[RZ_MAX_WORLD];
    size_t total;
};

static uint32_t record_bytes(const struct rz_plan *plan)
{
    return (uint32_t)rz_record_bytes(plan->max_rows);
}

static size_t control_bytes(void)
{
    return rz_round_up(sizeof(struct rz_job_control), rz_segment_page_bytes());
}

/* The whole page or pages that `bytes` more take, at *end, which moves on. */
static size_t place(size_t *end, size_t bytes)
{
    const size_t at = *end;
    *end += rz_round_up(bytes, rz_segment_page_bytes());
    return at;
}

/* No sum here can wrap: rows, columns and ranks are bounded, and the worst product is 2^36 a rank.
 */
static struct layout lay_out(const struct rz_plan *plan)
{
    struct layout layout = {
        .ring_control_bytes = rz_ring_control_bytes(plan->world),
        .ring_data_bytes = rz_ring_data_bytes(RZ_RECORD_SLOTS, record_bytes(plan)),
    };
    size_t end = rz_segment_page_bytes(); /* the header */
    layout.control = place(&end, control_bytes());
    layout.bells = place(&end, plan->world * rz_bell_bytes());
    layout.ring_control = place(&end, layout.ring_control_bytes);
    layout.ring_data = place(&end, layout.ring_data_bytes);
    for (uint32_t r = 0; r < plan->world && plan->comm == RZ_COMM_SHM; r++) {
        layout.logits_bytes[r] =
            plan->max_rows * rz_plan_row_stride(plan, r) * rz_plan_logit_bytes(plan);
        layout.logits[r] = place(&end, layout.logits_bytes[r]);
    }
    layout.total = end;
    return layout;
}

struct rz_meeting_places rz_meeting_find(const struct rz_plan *plan)
{
    const struct layout layout = lay_out(plan);
    return (struct rz_meeting_places){.control = rz_segment_page_bytes(),
                                      .bells = layout.bells,
                                      .ring_control = layout.ring_control,
                                      .ring_data = layout.ring_data,
                                      .record_bytes = record_bytes(plan)};
}

static int map(struct rz_meeting *meeting, size_t offset, size_t bytes, bool writable,
               void **address, struct rz_error *err)
{
    bytes = rz_round_up(bytes, rz_segment_page_bytes());
    const int status = rz_segment_map(&meeting->segment, offset, bytes, writable, address, err);
    if (status == RZ_OK)
        meeting->mapped[meeting->mapped_count++] =
            (struct rz_mapping){.address = *address, .bytes = bytes};
    return status;
}

static int map_control(struct rz_meeting *meeting, struct rz_error *err)
{
    void *address = NULL;
    const int status = map(meeting, rz_segment_page_bytes(), control_bytes(), true, &address, err);
    meeting->control = address;
    return status;
}

/* From here on a death wakes sleepers. */
static int hang_bells(struct rz_meeting *meeting, const struct layout *layout, struct rz_error *err)
{
    void *bells = NULL;
    int status = map(meeting, layout->bells, meeting->world * rz_bell_bytes(), false, &bells, err);
    if (status == RZ_OK)
        status = rz_bell_hang(&meeting->bell, &meeting->segment,
                              layout->bells + meeting->rank * rz_bell_bytes(), err);
    if (status != RZ_OK)
        return status;
    struct rz_waiter *waiter = &meeting->waiter;
    waiter->alarms[waiter->alarm_count++] = &meeting->control->ended;
    for (uint32_t r = 0; r < meeting->world; r++) {
        meeting->bells[r] = (const char *)bells + r * rz_bell_bytes();
        if (r != meeting->rank)
            waiter->alarms[waiter->alarm_count++] = rz_bell_word(meeting->bells[r]);
    }
    return RZ_OK;
}

/* Everything whose size depends on the plan. */
static int map_rest(struct rz_meeting *meeting, const struct rz_plan *plan, struct rz_error *err)
{
    const struct layout layout = lay_out(plan);
    const bool producer = meeting->rank == 0;
    if (meeting->segment.bytes != layout.total)
        return rz_fail(err, RZ_E_CORRUPT, 0, 0, "segment: expected %zu bytes, got %zu",
                       layout.total, meeting->segment.bytes);

    struct rz_ring_config ring = {
        .slots = RZ_RECORD_SLOTS,
        .payload_bytes = record_bytes(plan),
        .rank = meeting->rank,
        .producer = 0,
        .world = plan->world,
        .first_sequence = 1,
        .waiter = &meeting->waiter,
    };
    int status = hang_bells(meeting, &layout, err);
    if (status == RZ_OK)
        status =
            map(meeting, layout.ring_control, layout.ring_control_bytes, true, &ring.control, err);
    if (status == RZ_OK)
        status = map(meeting, layout.ring_data, layout.ring_data_bytes, producer, &ring.data, err);
    if (status != RZ_OK)
        return status;
    rz_ring_open(&meeting->ring, &ring);
    meeting->ring_data = ring.data;
    meeting->ring_data_bytes = layout.ring_data_bytes;
    meeting->ring_data_offset = layout.ring_data;

    for (uint32_t r = 0; r < plan->world && plan->comm == RZ_COMM_SHM; r++) {
        if (!producer && r != meeting->rank)
            continue;
        status = map(meeting, layout.logits[r], layout.logits_bytes[r], r == meeting->rank,
                     &meeting->logits[r], err);
        if (status != RZ_OK)
            return status;
    }
    return RZ_OK;
}

int rz_meeting_map_ring(struct rz_meeting *meeting, void **address, struct rz_error *err)
{
    return map(meeting, meeting->ring_data_offset, meeting->ring_data_bytes, true, address, err);
}

/* ------------------------------------------------------------------------------------------------
 * The end of a job, in one word: status, the rank that says so, the rank that it is about
 */

enum { ABOUT_NONE = 0xFF };

static uint32_t pack_end(int status, uint32_t by, int about)
{
    const uint32_t rank = about >= 0 && about < (int)RZ_MAX_WORLD ? (uint32_t)about : ABOUT_NONE;
    return (uint32_t)-status << 16 | by << 8 | rank;
}

static bool is_failure(int status)
{
#define IS_STATUS(name, value, text) || status == name
    return status != RZ_OK && (false RZ_STATUS_LIST(IS_STATUS));
#undef IS_STATUS
}

static int fail_ended(const struct rz_meeting *meeting, uint32_t ended, struct rz_error *err)
{
    const int status = -(int)(ended >> 16);
    const uint32_t by = ended >> 8 & 0xFF;
    const uint32_t about = ended & 0xFF;
    const int rank = about < meeting->world ? (int)about : RZ_NO_RANK;
    if (!is_failure(status))
        return rz_fail(err, RZ_E_CORRUPT, RZ_NO_RANK, 0,
                       "why the job ended: expected a status, got %d", status);
    if (status == RZ_E_PEER_DIED && rank != RZ_NO_RANK)
        return rz_fail(err, status, rank, 0, "rank %u: its process is gone", about);
    if (status == RZ_E_CLOSED && rank != RZ_NO_RANK)
        return rz_fail(err, status, rank, 0, "rank %u left the job", about);
    if (status == RZ_E_MISMATCH && rank > 0) {
        /* Copied once, then compared: another process wrote it. */
        const struct rz_plan first = meeting->control->ranks[0].plan;
        const struct rz_plan other = meeting->control->ranks[rank].plan;
        if (rz_plan_compare(&first, &other, (uint32_t)rank, err) != RZ_OK)
            return RZ_E_MISMATCH;
    }
    if (rank == RZ_NO_RANK || about == by)
        return rz_fail(err, status, (int)by, 0, "rank %u ended the job: %s", by,
                       rz_status_text(status));
    return rz_fail(err, status, rank, 0, "rank %u ended the job because of rank %u: %s", by, about,
                   rz_status_text(status));
}

void rz_meeting_end(struct rz_meeting *meeting, int status, int about)
{
    if (meeting->control == NULL)
        return;
    uint32_t none = 0;
    /* acq_rel: what this rank wrote before is there for who reads why the job ended. */
    if (!atomic_compare_exchange_strong_explicit(&meeting->control->ended, &none,
                                                 pack_end(status, meeting->rank, about),
                                                 memory_order_acq_rel, memory_order_relaxed))
        return;
    /* A stream waits until its word is at least the next record's number, modulo 2^32: far ahead it
     * is, and stays so if a GPU adds that number after all. What is waited for then finds no record
     * of that number, or the job ended. release: after `ended`. */
    for (uint32_t r = 0; r < meeting->world; r++)
        atomic_fetch_add_explicit(&meeting->control->ranks[r].ready, UINT32_C(1) << 30,
                                  memory_order_release);
    rz_alarm(&meeting->control->ended);
}

void rz_meeting_release(struct rz_meeting *meeting, uint32_t sequence)
{
    atomic_store_explicit(&meeting->control->ranks[meeting->rank].ready,
                          sequence + (UINT32_C(1) << 30), memory_order_release);
}

int rz_meeting_ended(const struct rz_meeting *meeting, struct rz_error *err)
{
    /* acquire: pairs with rz_meeting_end(). */
    const uint32_t ended = atomic_load_explicit(&meeting->control->ended, memory_order_acquire);
    return ended != 0 ? fail_ended(meeting, ended, err) : RZ_OK;
}

/* A look at a lock is a system call. A rank that waits makes a check every 20 ms: it looks at all
 * locks of a job of up to 16 ranks each time, of 64 ranks within 80 ms. */
enum { LOCKS_A_CHECK = 16 };

/* Rank `r` is gone: so is the job. */
static int end_of_rank(struct rz_meeting *meeting, uint32_t r, struct rz_error *err)
{
    rz_meeting_end(meeting, RZ_E_PEER_DIED, (int)r);
    /* It may have said a last word before it went: what was said first counts. */
    return fail_ended(meeting, atomic_load_explicit(&meeting->control->ended, memory_order_acquire),
                      err);
}

int rz_meeting_check(struct rz_meeting *meeting, struct rz_error *err)
{
    const int status = rz_meeting_ended(meeting, err);
    if (status != RZ_OK)
        return status;
    rz_bell_mind(&meeting->bell);
    for (uint32_t r = 0; r < meeting->world; r++)
        if (r != meeting->rank && meeting->bells[r] != NULL && rz_bell_tolls(meeting->bells[r]))
            return end_of_rank(meeting, r, err);
    const uint32_t looks = meeting->world < LOCKS_A_CHECK ? meeting->world : LOCKS_A_CHECK;
    for (uint32_t i = 0; i < looks; i++) {
        const uint32_t r = meeting->next_look;
        meeting->next_look = (r + 1) % meeting->world;
        /* acquire: a rank has claimed its lock before it says that it is here. */
        if (r != meeting->rank &&
            atomic_load_explicit(&meeting->control->ranks[r].here, memory_order_acquire) != 0 &&
            !rz_liveness_held(meeting->segment.fd, r))
            return end_of_rank(meeting, r, err);
    }
    return RZ_OK;
}

static int watch(void *meeting, struct rz_error *err)
{
    return rz_meeting_check(meeting, err);
}

uint32_t rz_meeting_late(const struct rz_meeting *meeting, uint32_t step)
{
    for (uint32_t r = 1; r < meeting->world; r++)
        if (atomic_load_explicit(&meeting->control->ranks[r].comm.step, memory_order_relaxed) !=
            step)
            return r;
    return 0;
}

/* ------------------------------------------------------------------------------------------------
 * Meeting
 */

/* From here on this rank's death is noticed. */
static void say_here(struct rz_meeting *meeting)
{
    meeting->waiter.sleepers = &meeting->control->sleepers;
    /* release: pairs with the acquire in rz_meeting_check(). */
    atomic_store_explicit(&meeting->control->ranks[meeting->rank].here, 1, memory_order_release);
}

/* Say that this rank is ready to begin, and what it wants. */
static void join(struct rz_meeting *meeting, const struct rz_plan *plan)
{
    struct rz_rank_control *mine = &meeting->control->ranks[meeting->rank];
    mine->cpus = rz_cpus_usable();
    mine->plan = *plan;
    rz_wake(&meeting->control->sleepers, RZ_ALL_RANKS, &mine->joined, 1);
}

/* Rank 0: wait for all, then compare. */
static int give_verdict(struct rz_meeting *meeting, const struct rz_plan *plan,
                        uint64_t deadline_ns, struct rz_error *err)
{
    for (uint32_t r = 1; r < meeting->world; r++) {
        const int status = rz_wait(&meeting->waiter, &meeting->control->ranks[r].joined, 0,
                                   deadline_ns, r, "join the job", err);
        if (status != RZ_OK)
            return status;
    }
    for (uint32_t r = 1; r < meeting->world; r++) {
        const struct rz_plan other = meeting->control->ranks[r].plan;
        const int status = rz_plan_compare(plan, &other, r, err);
        if (status != RZ_OK)
            return status;
    }
    rz_segment_unlink(&meeting->segment);
    rz_wake(&meeting->control->sleepers, RZ_ALL_RANKS, &meeting->control->running, 1);
    return RZ_OK;
}

/* Once all have joined: how long is it worth spinning? */
static uint64_t find_spin_ns(const struct rz_meeting *meeting)
{
    struct rz_cpus all = {0};
    for (uint32_t r = 0; r < meeting->world; r++) {
        const struct rz_cpus usable = meeting->control->ranks[r].cpus;
        rz_cpus_add(&all, &usable);
    }
    return rz_wait_spin_ns(meeting->world, &all);
}

static int begin_first(struct rz_meeting *meeting, const struct rz_plan *plan, const char *dir,
                       const char *name, struct rz_error *err)
{
    int status = rz_segment_create(dir, name, lay_out(plan).total, &meeting->segment, err);
    if (status == RZ_OK)
        status = map_control(meeting, err);
    if (status != RZ_OK)
        return status;
    say_here(meeting);
    status = map_rest(meeting, plan, err);
    if (status != RZ_OK)
        return status;
    join(meeting, plan);
    if (plan->world > 1) /* a job of one has nobody to find it */
        status = rz_segment_publish(&meeting->segment, err);
    return status;
}

static int join_other(struct rz_meeting *meeting, const struct rz_plan *plan, const char *dir,
                      const char *name, uint64_t deadline_ns, struct rz_error *err)
{
    int status = rz_segment_attach(dir, name, deadline_ns, &meeting->segment, err);
    if (status == RZ_OK)
        status = rz_liveness_claim(meeting->segment.fd, meeting->rank, err);
    if (status == RZ_OK)
        status = map_control(meeting, err);
    if (status != RZ_OK)
        return status;
    say_here(meeting);

    const struct rz_plan first = meeting->control->ranks[0].plan;
    const int agreed = rz_plan_compare(&first, plan, meeting->rank, err);
    if (agreed == RZ_OK)
        status = map_rest(meeting, plan, err);
    if (status != RZ_OK)
        return status;
    join(meeting, plan);
    if (agreed != RZ_OK) /* said at once: rank 0 may be waiting for a rank that does not exist */
        return agreed;
    status = rz_wait(&meeting->waiter, &meeting->control->running, 0, deadline_ns, 0,
                     "open the job", err);
    if (status == RZ_E_TIMEOUT) { /* rank 0 is there; who is not? */
        for (uint32_t r = 1; r < meeting->world; r++)
            if (atomic_load_explicit(&meeting->control->ranks[r].joined, memory_order_relaxed) == 0)
                return rz_fail(err, RZ_E_TIMEOUT, (int)r, 0, "rank %u did not join the job in time",
                               r);
    }
    return status;
}

int rz_meeting_begin(struct rz_meeting *meeting, const struct rz_plan *plan,
                     const struct rz_local *local, const char *name, struct rz_error *err)
{
    *meeting = (struct rz_meeting){
        .rank = local->rank,
        .world = plan->world,
        .segment = RZ_SEGMENT_NONE,
        .waiter = {.rank = local->rank, .watch = watch, .watch_context = meeting},
    };
    const int status = rz_segment_check_name(name, err);
    if (status != RZ_OK || local->rank != 0)
        return status;
    return begin_first(meeting, plan, local->shm_dir, name, err);
}

int rz_meeting_join(struct rz_meeting *meeting, const struct rz_plan *plan,
                    const struct rz_local *local, const char *name, struct rz_error *err)
{
    const uint64_t deadline_ns = rz_clock_ns() + local->open_timeout_ns;
    const int status = local->rank == 0
                           ? give_verdict(meeting, plan, deadline_ns, err)
                           : join_other(meeting, plan, local->shm_dir, name, deadline_ns, err);
    if (status == RZ_OK)
        meeting->waiter.spin_ns = find_spin_ns(meeting);
    return status;
}

void rz_meeting_close(struct rz_meeting *meeting)
{
    rz_bell_remove(&meeting->bell);
    for (uint32_t i = meeting->mapped_count; i-- > 0;)
        munmap(meeting->mapped[i].address, meeting->mapped[i].bytes);
    rz_segment_close(&meeting->segment);
    *meeting = RZ_MEETING_NONE;
}
