/* SPDX-License-Identifier: Apache-2.0
 *
 * stream_job.c - what a rank does, from the driver's start to its end.
 */
#include "tests/comm/stream_job.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "internal/clock.h"
#include "tests/ipc/support.h"

enum { FAR_S = 50, OTHER_STRIDE = JOB_COLUMNS + 3, ROOM = JOB_ROWS * (JOB_COLUMNS + 3) * 4 };

/* Shared by the ranks and the test. */
struct job {
    struct job_setting setting;
    struct rz_stream_comm_line lines[JOB_WORLD];
    _Atomic uint32_t over; /* 0, or why it is: -status << 8 | 1 + the rank that it is about */
    _Atomic uint32_t died[JOB_WORLD];
    _Atomic uint32_t handed_in[JOB_WORLD]; /* step */
    _Atomic uint32_t ids;                  /* step that rank 0 is done with */
    struct job_outcome outcomes[JOB_WORLD];
};

struct rank {
    struct job *job;
    uint32_t rank;
    struct rz_cuda cuda;
    rz_cuda_context context;
    bool is_current;
    rz_cuda_stream stream;
    void *host;            /* pinned: this rank's rows, then on rank 0 those of all */
    rz_cuda_ptr elsewhere; /* memory of the caller's */
    struct rz_stream_comm *comm;
    rz_cuda_graph graph;
    rz_cuda_graph_exec exec;
};

static struct rank *self; /* in a rank's process */

/* ------------------------------------------------------------------------------------------------
 * What a job lends
 */

static int job_check(void *context, struct rz_error *err)
{
    struct job *job = context;
    for (uint32_t r = 0; r < job->setting.world; r++)
        if (atomic_load(&job->died[r]) != 0)
            return rz_fail(err, RZ_E_PEER_DIED, (int)r, 0, "rank %u is dead", r);
    const uint32_t over = atomic_load(&job->over);
    if (over != 0)
        return rz_fail(err, -(int)(over >> 8), (int)(over & 255) - 1, 0, "it is over");
    return RZ_OK;
}

static int job_wait(void *context, uint32_t rank, const _Atomic uint32_t *word, uint32_t seen,
                    uint64_t deadline_ns, struct rz_error *err)
{
    while (atomic_load(word) == seen) {
        const int status = job_check(context, err);
        if (status != RZ_OK)
            return status;
        if (rz_clock_ns() >= deadline_ns)
            return rz_fail(err, RZ_E_TIMEOUT, (int)rank, 0, "rank %u is late", rank);
        usleep(100);
    }
    return RZ_OK;
}

static void stop_at(enum job_place place)
{
    const struct job_setting *setting = &self->job->setting;
    if (setting->stops != self->rank || setting->place != place)
        return;
    if (!setting->stops_alive) {
        /* The job knows no later than others find gone what this one has told of; nor earlier than
         * it is gone what it has opened of theirs. */
        if (self->rank != 0 || setting->ops != &rz_stream_comm_ipc)
            atomic_store(&self->job->died[self->rank], 1);
        raise(SIGKILL);
    }
    while (atomic_load(&self->job->over) == 0)
        usleep(100);
    _exit(0); /* what it has is not freed */
}

static void job_raise(void *context, _Atomic uint32_t *word, uint32_t value)
{
    (void)context;
    atomic_store(word, value);
    stop_at(AFTER_TELLING);
}

/* ------------------------------------------------------------------------------------------------
 * A rank's GPU
 */

static int (*real_uuid)(struct rz_cuda_uuid *uuid, int device);
static int (*real_stream_create)(rz_cuda_stream *stream, unsigned flags);

static int uuid_or_stop(struct rz_cuda_uuid *uuid, int device)
{
    stop_at(BEFORE_TELLING);
    return real_uuid(uuid, device);
}

static int stream_create_or_stop(rz_cuda_stream *stream, unsigned flags)
{
    stop_at(BEFORE_FIRST_GATHER);
    return real_stream_create(stream, flags);
}

static int no_access(int *can, int device, int peer)
{
    (void)device, (void)peer;
    *can = 0;
    return RZ_CUDA_SUCCESS;
}

/* Call the driver, or return from a function that has `rank` and `err`. */
#define TRY(call)                                                   \
    do {                                                            \
        const int try_code = (rank->cuda.call);                     \
        if (try_code != RZ_CUDA_SUCCESS)                            \
            return rz_cuda_fail(&rank->cuda, try_code, #call, err); \
    } while (0)
#define PASS(call)                    \
    do {                              \
        const int pass_status = call; \
        if (pass_status != RZ_OK)     \
            return pass_status;       \
    } while (0)

static int device_of(const struct rank *rank)
{
    return rank->job->setting.one_gpu ? 0 : (int)rank->rank;
}

static int open_rank(struct rank *rank, struct rz_error *err)
{
    const struct job_setting *setting = &rank->job->setting;
    PASS(rz_cuda_open(&rank->cuda, err));
    int device;
    TRY(device(&device, device_of(rank)));
    TRY(primary_retain(&rank->context, device));
    TRY(context_push(rank->context));
    rank->is_current = true;
    TRY(stream_create(&rank->stream, RZ_CUDA_STREAM_NON_BLOCKING));
    TRY(host_allocate(&rank->host, (1 + JOB_WORLD) * ROOM, 0));
    TRY(allocate(&rank->elsewhere, ROOM));

    struct rz_cuda *cuda = &rank->cuda;
    real_uuid = cuda->device_uuid;
    real_stream_create = cuda->stream_create;
    cuda->device_uuid = uuid_or_stop;
    cuda->stream_create = stream_create_or_stop;
    if (setting->without_access)
        cuda->device_can_access = no_access;
    struct rz_stream_comm_config config = {
        .rank = rank->rank,
        .world = setting->world,
        .max_rows = JOB_ROWS,
        .logit_bytes = setting->logit_bytes,
        .peers = {.context = rank->job, .wait = job_wait, .raise = job_raise, .check = job_check},
        .cuda = cuda,
        .device = device,
        .open_deadline_ns =
            setting->open_ns != 0 ? rz_clock_ns() + setting->open_ns : in_seconds(FAR_S),
    };
    for (uint32_t r = 0; r < setting->world; r++) {
        config.columns[r] = setting->columns[r];
        config.row_stride[r] = setting->row_stride[r];
        config.lines[r] = &rank->job->lines[r];
    }
    return setting->ops->open(&config, &rank->comm, err);
}

static void close_rank(struct rank *rank)
{
    const struct rz_cuda *cuda = &rank->cuda;
    if (rank->exec != NULL)
        cuda->graph_exec_destroy(rank->exec);
    if (rank->graph != NULL)
        cuda->graph_destroy(rank->graph);
    rank->job->setting.ops->close(rank->comm);
    if (rank->elsewhere != 0)
        cuda->free(rank->elsewhere);
    if (rank->host != NULL)
        cuda->host_free(rank->host);
    if (rank->stream != NULL)
        cuda->stream_destroy(rank->stream);
    if (rank->is_current)
        cuda->context_pop(NULL);
    if (rank->context != NULL)
        cuda->primary_release(device_of(rank));
}

/* ------------------------------------------------------------------------------------------------
 * Rows
 */

enum rows_are { IN_BUFFER, ELSEWHERE, ELSEWHERE_WIDER, PLACES };

static uint64_t mixed(uint64_t seed, uint64_t a, uint64_t b)
{
    uint64_t state = seed ^ a * UINT64_C(0xD1342543DE82EF95) ^ b << 32;
    return random_next(&state);
}

static uint32_t rows_of(const struct job_setting *setting, uint32_t step)
{
    return 1 + (uint32_t)(mixed(setting->seed, setting->captured ? 0 : step, 1) % JOB_ROWS);
}

/* A graph has nothing to do on ranks that bring their rows in their buffer. */
static enum rows_are place_of(const struct job_setting *setting, uint32_t rank, uint32_t step)
{
    return setting->captured ? ELSEWHERE_WIDER
                             : (enum rows_are)(mixed(setting->seed, step, 2 + rank) % PLACES);
}

static unsigned char byte_of(const struct job_setting *setting, uint32_t step, uint32_t rank,
                             uint32_t row, size_t at)
{
    return (unsigned char)mixed(setting->seed, (uint64_t)step << 32 | rank << 16 | row, at);
}

static size_t stride_of(const struct rank *rank, enum rows_are where)
{
    return where == ELSEWHERE_WIDER ? OTHER_STRIDE : rank->job->setting.row_stride[rank->rank];
}

static rz_cuda_ptr address_of(const struct rank *rank, enum rows_are where)
{
    return where == IN_BUFFER ? rank->job->setting.ops->buffer(rank->comm) : rank->elsewhere;
}

static rz_cuda_ptr host_address(const void *host)
{
    return (rz_cuda_ptr)(uintptr_t)host;
}

/* Put this rank's rows of a step where it brings them from. */
static int write_rows(struct rank *rank, uint32_t step, struct rz_error *err)
{
    const struct job_setting *setting = &rank->job->setting;
    const enum rows_are where = place_of(setting, rank->rank, step);
    const uint32_t rows = rows_of(setting, step);
    const size_t pitch = stride_of(rank, where) * setting->logit_bytes;
    unsigned char *to = rank->host;
    for (uint32_t row = 0; row < rows; row++)
        for (size_t at = 0; at < pitch; at++)
            to[row * pitch + at] = byte_of(setting, step, rank->rank, row, at);
    TRY(copy(address_of(rank, where), host_address(to), rows * pitch, rank->stream));
    return RZ_OK;
}

static int hand_in(struct rank *rank, uint32_t step, struct rz_error *err)
{
    const struct job_setting *setting = &rank->job->setting;
    const enum rows_are where = place_of(setting, rank->rank, step);
    return setting->ops->enqueue(
        rank->comm, rank->stream, where == IN_BUFFER ? 0 : address_of(rank, where),
        stride_of(rank, where), rows_of(setting, step), in_seconds(FAR_S), err);
}

static unsigned char *gathered(const struct rank *rank, uint32_t of)
{
    return (unsigned char *)rank->host + (1 + of) * ROOM;
}

/* Its own rows rank 0 has where they were. */
static struct rz_stream_comm_part part_of(const struct rank *rank, uint32_t of, uint32_t step)
{
    const struct job_setting *setting = &rank->job->setting;
    const enum rows_are where = place_of(setting, 0, step);
    if (of == 0 && where != IN_BUFFER)
        return (struct rz_stream_comm_part){address_of(rank, where), stride_of(rank, where)};
    return setting->ops->part(rank->comm, of, rows_of(setting, step));
}

/* Rank 0: bring what it got to the host. */
static int read_parts(struct rank *rank, uint32_t step, struct rz_error *err)
{
    const struct job_setting *setting = &rank->job->setting;
    for (uint32_t r = 0; r < setting->world; r++) {
        const struct rz_stream_comm_part part = part_of(rank, r, step);
        TRY(copy(host_address(gathered(rank, r)), part.logits,
                 rows_of(setting, step) * part.row_stride * setting->logit_bytes, rank->stream));
    }
    return RZ_OK;
}

static int look_at_parts(struct rank *rank, uint32_t step, struct rz_error *err)
{
    const struct job_setting *setting = &rank->job->setting;
    for (uint32_t r = 0; r < setting->world; r++) {
        const size_t pitch = part_of(rank, r, step).row_stride * setting->logit_bytes;
        for (uint32_t row = 0; row < rows_of(setting, step); row++)
            for (size_t at = 0; at < setting->columns[r] * setting->logit_bytes; at++) {
                const unsigned char got = gathered(rank, r)[row * pitch + at];
                const unsigned char expected = byte_of(setting, step, r, row, at);
                if (got != expected)
                    return rz_fail(err, RZ_E_CORRUPT, (int)r, 0,
                                   "step %u, rank %u, row %u, byte %zu: expected %u, got %u", step,
                                   r, row, at, expected, got);
            }
    }
    return RZ_OK;
}

/* ------------------------------------------------------------------------------------------------
 * Steps
 */

static int await_stream(struct rank *rank, struct rz_error *err)
{
    const uint64_t deadline_ns = in_seconds(FAR_S);
    int code;
    while ((code = rank->cuda.stream_query(rank->stream)) == RZ_CUDA_NOT_READY) {
        PASS(rank->job->setting.ops->check(rank->comm, err));
        if (rz_clock_ns() > deadline_ns)
            return rz_fail(err, RZ_E_TIMEOUT, (int)rank->rank, 0, "the stream is stuck");
        usleep(50);
    }
    return code == RZ_CUDA_SUCCESS ? RZ_OK : rz_cuda_fail(&rank->cuda, code, "cuStreamQuery", err);
}

/* All that a graph can hold of a step. */
static int enqueue_step(struct rank *rank, uint32_t step, struct rz_error *err)
{
    PASS(hand_in(rank, step, err));
    return rank->rank == 0 ? read_parts(rank, step, err) : RZ_OK;
}

static int capture(struct rank *rank, struct rz_error *err)
{
    TRY(capture_begin(rank->stream, RZ_CUDA_CAPTURE_THREAD_LOCAL));
    const int status = enqueue_step(rank, 1, err);
    rz_cuda_graph graph = NULL;
    const int code = rank->cuda.capture_end(rank->stream, &graph);
    if (code != RZ_CUDA_SUCCESS) /* it may have been made to fail, and go on */
        rank->cuda.capture_end(rank->stream, &graph);
    rank->graph = graph;
    if (status != RZ_OK)
        return status;
    if (code != RZ_CUDA_SUCCESS)
        return rz_cuda_fail(&rank->cuda, code, "cuStreamEndCapture", err);
    TRY(graph_instantiate(&rank->exec, graph, 0));
    return RZ_OK;
}

static int await_others(struct rank *rank, uint32_t step, struct rz_error *err)
{
    struct job *job = rank->job;
    for (uint32_t r = 1; r < job->setting.world; r++)
        PASS(job_wait(job, r, &job->handed_in[r], step - 1, in_seconds(FAR_S), err));
    return RZ_OK;
}

static int launch_step(struct rank *rank, uint32_t step, struct rz_error *err)
{
    if (!rank->job->setting.captured)
        return enqueue_step(rank, step, err);
    TRY(graph_launch(rank->exec, rank->stream));
    return RZ_OK;
}

/* The double of NCCL takes a launch of a graph that has not begun when its communicator is aborted
 * for one that comes after that, unless it is the first one. */
static uint32_t stop_step(const struct job_setting *setting)
{
    return setting->captured ? 1 : 2;
}

static int do_step(struct rank *rank, uint32_t step, struct rz_error *err)
{
    struct job *job = rank->job;
    if (step == stop_step(&job->setting))
        stop_at(BEFORE_HANDING_IN);
    PASS(write_rows(rank, step, err));
    if (rank->rank == 0) {
        if (!job->setting.ops->orders_streams)
            PASS(await_others(rank, step, err));
        PASS(launch_step(rank, step, err));
        PASS(await_stream(rank, err));
        PASS(look_at_parts(rank, step, err));
        atomic_store(&job->ids, step);
        return RZ_OK;
    }
    PASS(launch_step(rank, step, err));
    PASS(await_stream(rank, err));
    atomic_store(&job->handed_in[rank->rank], step);
    return job_wait(job, 0, &job->ids, step - 1, in_seconds(FAR_S), err);
}

static int run_rank(struct rank *rank, struct rz_error *err)
{
    PASS(open_rank(rank, err));
    if (rank->job->setting.captured)
        PASS(capture(rank, err));
    for (uint32_t step = 1; step <= rank->job->setting.steps; step++)
        PASS(do_step(rank, step, err));
    return RZ_OK;
}

/* What is enqueued comes to an end, as nothing may be freed before. */
static bool give_up(struct rank *rank)
{
    if (rank->comm != NULL)
        rank->job->setting.ops->abort(rank->comm);
    const uint64_t deadline_ns = in_seconds(FAR_S);
    while (rank->stream != NULL && rank->cuda.stream_query(rank->stream) == RZ_CUDA_NOT_READY) {
        if (rz_clock_ns() > deadline_ns)
            return false;
        usleep(50);
    }
    return true;
}

static bool rank_main(void *argument)
{
    self = argument;
    struct job *job = self->job;
    struct job_outcome *outcome = &job->outcomes[self->rank];
    char number[32];
    snprintf(number, sizeof number, "%u", self->rank);
    setenv("RZ_FAKE_RANK", number, 1);
    snprintf(number, sizeof number, "%llu", (unsigned long long)job->setting.seed);
    setenv("RZ_FAKE_CUDA_SEED", number, 1);
    outcome->error.rank = RZ_NO_RANK;
    outcome->status = run_rank(self, &outcome->error);
    if (outcome->status != RZ_OK) {
        uint32_t on = 0;
        const uint32_t about = (uint32_t)(outcome->error.rank + 1);
        atomic_compare_exchange_strong(&job->over, &on, (uint32_t)-outcome->status << 8 | about);
        if (!give_up(self))
            child_fail(__FILE__, __LINE__, "abort() ends what is enqueued", outcome->error.text);
    }
    close_rank(self);
    exit(0); /* not _exit(): the doubles look for what is left */
}

/* ------------------------------------------------------------------------------------------------
 * The test's side
 */

void job_run(const struct job_setting *setting, struct job_outcome *outcomes)
{
    struct job *job = shared_memory(sizeof *job);
    job->setting = *setting;
    struct rank ranks[JOB_WORLD] = {0};
    pid_t pids[JOB_WORLD];
    for (uint32_t r = 0; r < setting->world; r++) {
        ranks[r] = (struct rank){.job = job, .rank = r};
        pids[r] = child_start(rank_main, &ranks[r]);
    }
    for (uint32_t left = setting->world; left > 0; left--) {
        int state;
        const pid_t pid = waitpid(-1, &state, 0);
        assert_true(pid > 0);
        for (uint32_t r = 0; r < setting->world; r++) {
            if (pids[r] != pid)
                continue;
            job->outcomes[r].exit_status =
                WIFEXITED(state) ? WEXITSTATUS(state) : 1000 + WTERMSIG(state);
            if (job->outcomes[r].exit_status != 0)
                atomic_store(&job->died[r], 1);
        }
    }
    memcpy(outcomes, job->outcomes, sizeof job->outcomes);
    shared_memory_free(job, sizeof *job);
}

void job_run_well(const struct job_setting *setting)
{
    struct job_outcome outcomes[JOB_WORLD];
    job_run(setting, outcomes);
    for (uint32_t r = 0; r < setting->world; r++)
        if (outcomes[r].exit_status != 0 || outcomes[r].status != RZ_OK)
            fail_msg("%s, %u ranks, rank %u: exit status %d, %s", setting->ops->name,
                     setting->world, r, outcomes[r].exit_status, outcomes[r].error.text);
}
