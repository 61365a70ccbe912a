/* SPDX-License-Identifier: Apache-2.0
 *
 * ring_view.c - copy out of a segment what tells how its ring is doing.
 */
#include "tools/ring_view.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/liveness.h"
#include "ipc/process.h"
#include "ipc/shared_ring_layout.h"
#include "runtime/meeting.h"
#include "runtime/record.h"

/* A segment that is being looked at. */
struct look {
    int fd;
    struct rz_ring_view *view;
    size_t bells, ring_control, ring_data; /* offsets */
    uint64_t consumers_sleep;              /* a bit a rank, that of rank 64 being rank 0's */
    bool producer_sleeps;
    struct rz_complaint *complaint;
};

static int read_at(const struct look *look, size_t offset, void *to, size_t bytes)
{
    const ssize_t got = pread(look->fd, to, bytes, (off_t)offset);
    if (got == (ssize_t)bytes)
        return RZ_EXIT_OK;
    return rz_complain(look->complaint, RZ_EXIT_FAILED, "expected %zu bytes at %zu, got %s", bytes,
                       offset, got < 0 ? strerror(errno) : "the end of the file");
}

static int refuse(const struct look *look, const char *what, uint64_t expected, uint64_t got)
{
    return rz_complain(look->complaint, RZ_EXIT_FAILED, "%s: expected %llu, got %llu", what,
                       (unsigned long long)expected, (unsigned long long)got);
}

static int read_header(const struct look *look)
{
    struct rz_segment_header header;
    struct stat info;
    const int status = read_at(look, 0, &header, sizeof header);
    if (status != RZ_EXIT_OK)
        return status;
    if (header.magic != RZ_SEGMENT_MAGIC)
        return rz_complain(look->complaint, RZ_EXIT_FAILED, "this is no segment of rankzero's");
    if (header.version != RZ_SEGMENT_VERSION)
        return refuse(look, "version", RZ_SEGMENT_VERSION, header.version);
    if (header.page_bytes != rz_segment_page_bytes())
        return refuse(look, "bytes of a page", rz_segment_page_bytes(), header.page_bytes);
    if (fstat(look->fd, &info) != 0)
        return rz_complain(look->complaint, RZ_EXIT_FAILED, "fstat: %s", strerror(errno));
    if ((uint64_t)info.st_size != header.total_bytes)
        return refuse(look, "bytes of the file", header.total_bytes, (uint64_t)info.st_size);
    look->view->version = header.version;
    look->view->bytes = header.total_bytes;
    return RZ_EXIT_OK;
}

/* ------------------------------------------------------------------------------------------------
 * A ring of its own, or a job's
 */

static int read_ring(struct look *look)
{
    struct rz_ring_view *view = look->view;
    struct rz_shared_ring_control control;
    const int status = read_at(look, rz_segment_page_bytes(), &control, sizeof control);
    if (status != RZ_EXIT_OK)
        return status;
    const struct rz_shared_ring_shape *shape = &control.shape;
    if (!rz_shared_ring_is_sound(shape))
        return rz_complain(look->complaint, RZ_EXIT_FAILED,
                           "the shape of the ring cannot be: %u slots of %u bytes, %u consumers",
                           shape->slots, shape->record_bytes, shape->places);
    const struct rz_shared_ring_layout at = rz_shared_ring_lay_out(shape);
    if (at.total != view->bytes)
        return refuse(look, "bytes of a ring of this shape", at.total, view->bytes);
    look->bells = at.bells;
    look->ring_control = at.ring_control;
    look->ring_data = at.ring_data;
    view->running = true;
    view->slots = shape->slots;
    view->record_bytes = shape->record_bytes;
    view->world = shape->places + 1;
    look->consumers_sleep = control.consumers_sleep;
    look->producer_sleeps = control.producer_sleeps != 0;
    view->ended = -(int)(control.ended >> 16);
    view->ended_about = (int)(control.ended & 0xFFFF);
    return RZ_EXIT_OK;
}

static size_t in_job(size_t offset)
{
    return rz_segment_page_bytes() + offset;
}

static int read_job(struct look *look)
{
    struct rz_ring_view *view = look->view;
    uint32_t running = 0, ended = 0;
    struct rz_plan plan;
    int status = read_at(look, in_job(offsetof(struct rz_job_control, running)), &running, 4);
    if (status == RZ_EXIT_OK)
        status = read_at(look, in_job(offsetof(struct rz_job_control, ended)), &ended, 4);
    if (status == RZ_EXIT_OK)
        status = read_at(look, in_job(offsetof(struct rz_job_control, sleepers)),
                         &look->consumers_sleep, 8);
    if (status == RZ_EXIT_OK)
        status = read_at(look, in_job(offsetof(struct rz_job_control, ranks[0].plan)), &plan,
                         sizeof plan);
    if (status != RZ_EXIT_OK)
        return status;
    if (plan.world < 1 || plan.world > RZ_MAX_WORLD)
        return rz_complain(look->complaint, RZ_EXIT_FAILED,
                           "ranks of the job: expected 1 to %u, got %u", RZ_MAX_WORLD, plan.world);
    const struct rz_meeting_places at = rz_meeting_find(&plan);
    look->bells = at.bells;
    look->ring_control = at.ring_control;
    look->ring_data = at.ring_data;
    view->job = true;
    view->running = running != 0;
    view->slots = RZ_RECORD_SLOTS;
    view->record_bytes = at.record_bytes;
    view->world = plan.world;
    look->producer_sleeps = (look->consumers_sleep & 1) != 0;
    view->ended = -(int)(ended >> 16);
    view->ended_about = (ended & 0xFF) < plan.world ? (int)(ended & 0xFF) : RZ_NO_RANK;
    return RZ_EXIT_OK;
}

/* ------------------------------------------------------------------------------------------------
 * Ranks
 */

/* In a ring of its own, who has left has a free seat. */
static int read_here(const struct look *look, uint32_t rank, bool *here)
{
    uint32_t said = 0;
    const size_t at =
        offsetof(struct rz_job_control, ranks) + rank * sizeof(struct rz_rank_control);
    *here = rank == 0 || look->view->ranks[rank].seat != RZ_SEAT_FREE;
    if (!look->view->job)
        return RZ_EXIT_OK;
    const int status = read_at(look, in_job(at + offsetof(struct rz_rank_control, here)), &said, 4);
    *here = said != 0;
    return status;
}

static int read_rank(const struct look *look, uint32_t rank)
{
    struct rz_rank_view *view = &look->view->ranks[rank];
    struct rz_ring_cursor cursor;
    struct rz_process process;
    uint32_t evicted = 0;
    int status = read_at(look, look->ring_control + rank * sizeof cursor, &cursor, sizeof cursor);
    if (status == RZ_EXIT_OK)
        status = read_at(look, look->bells + rank * rz_bell_bytes(), &process, sizeof process);
    if (status == RZ_EXIT_OK)
        status = read_at(look, look->ring_data + offsetof(struct rz_ring_tail, evicted) + 4 * rank,
                         &evicted, 4);
    if (status != RZ_EXIT_OK)
        return status;
    view->seat = cursor.seat & RZ_SEAT_MASK;
    view->evicted = evicted != 0 && evicted >> 2 == cursor.seat >> 2; /* whatever its state */
    view->taken = cursor.consumed;
    view->behind = look->view->published - cursor.consumed;
    view->pid = process.pid;
    view->asleep =
        rank == 0 ? look->producer_sleeps : (look->consumers_sleep >> rank % 64 & 1) != 0;
    status = read_here(look, rank, &view->here);
    view->alive = view->here && rz_liveness_held(look->fd, rank);
    return status;
}

/* ------------------------------------------------------------------------------------------------
 * Records
 */

static int read_record(const struct look *look, uint32_t number, struct rz_record_view *record)
{
    const size_t slot_bytes = (rz_ring_data_bytes(look->view->slots, look->view->record_bytes) -
                               rz_ring_data_bytes(0, look->view->record_bytes)) /
                              look->view->slots;
    const size_t at = look->ring_data + sizeof(struct rz_ring_tail) +
                      (number & (look->view->slots - 1)) * slot_bytes;
    uint64_t words[2], again = 0;
    int status = read_at(look, at, words, sizeof words);
    if (status != RZ_EXIT_OK)
        return status;
    *record = (struct rz_record_view){
        .sequence = words[0], .type = (uint32_t)(words[1] >> 32), .bytes = (uint32_t)words[1]};
    const uint32_t known =
        record->bytes < RZ_VIEW_PAYLOAD_BYTES ? record->bytes : RZ_VIEW_PAYLOAD_BYTES;
    if (record->bytes > look->view->record_bytes)
        return RZ_EXIT_OK; /* not whole */
    status = read_at(look, at + offsetof(struct rz_ring_slot, payload), record->payload, known);
    if (status == RZ_EXIT_OK)
        status = read_at(look, at, &again, sizeof again);
    record->whole = again == words[0] && (uint32_t)again == number && again != 0;
    return status;
}

int rz_ring_view(int fd, uint32_t records, struct rz_ring_view *view,
                 struct rz_complaint *complaint)
{
    *view = (struct rz_ring_view){.ended_about = RZ_NO_RANK};
    struct look look = {.fd = fd, .view = view, .complaint = complaint};
    uint64_t magic = 0;
    int status = read_header(&look);
    if (status == RZ_EXIT_OK)
        status = read_at(&look, rz_segment_page_bytes(), &magic, sizeof magic);
    if (status == RZ_EXIT_OK)
        status = magic == RZ_SHARED_RING_MAGIC ? read_ring(&look) : read_job(&look);
    if (status == RZ_EXIT_OK)
        status = read_at(&look, look.ring_data, &view->published, 4);
    for (uint32_t r = 0; r < view->world && status == RZ_EXIT_OK; r++)
        status = read_rank(&look, r);
    for (uint32_t i = 0; i < records && i < view->slots && status == RZ_EXIT_OK; i++) {
        struct rz_record_view *record = &view->records[view->record_count];
        status = read_record(&look, view->published - i, record);
        if (record->sequence == 0 && !record->whole && i > 0)
            break; /* no record has ever been there */
        view->record_count += record->sequence != 0 || record->whole;
    }
    return status;
}
