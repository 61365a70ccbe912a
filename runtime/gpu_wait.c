/* SPDX-License-Identifier: Apache-2.0
 *
 * gpu_wait.c - how a host waits for its GPU.
 *
 * The last kernel of a step says so in pinned memory, where the host looks: no call of the driver
 * while it waits, and a replayed graph is waited for like a stream.
 */
#include <time.h>

#include "internal/clock.h"
#include "runtime/gpu_launch.h"
#include "runtime/gpu_watch.h"

static uint32_t state_of(const struct rz_gpu *gpu)
{
    /* acquire: the device wrote the results, and made them visible, before. */
    return __atomic_load_n(&rz_gpu_told(gpu)->outcome.state, __ATOMIC_ACQUIRE);
}

static int check_comm(struct rz_gpu *gpu, struct rz_error *err)
{
    rz_gpu_watch_lock(gpu);
    const int status = gpu->comm_ops->check(gpu->comm, err);
    rz_gpu_watch_unlock(gpu);
    return status;
}

int rz_gpu_check(rz_job *job, struct rz_error *err)
{
    struct rz_gpu *gpu = job->gpu;
    int status = rz_device_enter(&gpu->device, err);
    if (status != RZ_OK)
        return status;
    /* A broken context fails every call, this cheap one too. */
    const int code = gpu->cuda.event_query(gpu->device.done);
    if (code != RZ_CUDA_SUCCESS && code != RZ_CUDA_NOT_READY)
        status = rz_cuda_fail(&gpu->cuda, code, "GPU", err);
    else
        status = check_comm(gpu, err);
    rz_device_leave(&gpu->device);
    return status;
}

/* What the device said, in words. */
static int judge(rz_job *job)
{
    const struct rz_cuda_outcome outcome = rz_gpu_told(job->gpu)->outcome;
    struct rz_error *err = &job->error;
    switch (outcome.state) {
    case RZ_CUDA_DONE: return RZ_OK;
    case RZ_CUDA_LATE:
        return rz_fail(err, RZ_E_TIMEOUT, (int)outcome.rank, 0, "rank %u's GPU did not %s in time",
                       outcome.rank,
                       job->local.rank == 0 ? "hand in its logits" : "publish the ids");
    case RZ_CUDA_OVER: {
        const int status = rz_meeting_ended(&job->meeting, err);
        if (status != RZ_OK)
            return status;
        break;
    }
    case RZ_CUDA_DIFFERS:
        return rz_comm_check_rows(outcome.rank, outcome.rows, job->logits_rows, err);
    case RZ_CUDA_OTHER_ROWS:
        return rz_fail(
            err, RZ_E_STATE, RZ_NO_RANK, 0,
            "rz_step_prepare: expected the launch of a graph that was captured with %u rows, "
            "got another one",
            job->request.row_count);
    case RZ_CUDA_NOT_IDS:
        return rz_fail(err, RZ_E_CORRUPT, 0, 0, "ring: expected the ids of step %llu",
                       (unsigned long long)job->step);
    default: break;
    }
    return rz_fail(err, RZ_E_GPU, RZ_NO_RANK, 0, "a step's outcome: got %u", outcome.state);
}

/* Who is late? Streams of other ranks may wait for rank 0's GPU in a way that has no end of its
 * own. */
static int fail_late(rz_job *job)
{
    const uint32_t late = rz_meeting_late(&job->meeting, (uint32_t)job->step);
    if (late != 0)
        return rz_fail(&job->error, RZ_E_TIMEOUT, (int)late, 0,
                       "rank %u did not hand in its logits in time", late);
    if (job->local.rank != 0)
        return rz_fail(&job->error, RZ_E_TIMEOUT, 0, 0, "rank 0 did not publish the ids in time");
    return rz_fail(&job->error, RZ_E_TIMEOUT, 0, 0,
                   "rank 0's GPU is not done with the step in time");
}

/* Rank 0: NCCL does not compare what ranks bring. A rank whose line is at the next step already has
 * had the ids of this one. */
static int compare_rows(rz_job *job)
{
    for (uint32_t r = 1; job->local.rank == 0 && r < job->plan.world; r++) {
        const struct rz_comm_line *line = &job->meeting.control->ranks[r].comm;
        /* acquire: pairs with the release that posts a step, so that its rows are there. */
        if (atomic_load_explicit(&line->step, memory_order_acquire) != (uint32_t)job->step)
            continue;
        const uint32_t rows = line->rows;
        if (atomic_load_explicit(&line->step, memory_order_acquire) != (uint32_t)job->step)
            continue;
        const int status = rz_comm_check_rows(r, rows, job->logits_rows, &job->error);
        if (status != RZ_OK)
            return status;
    }
    return RZ_OK;
}

/* RZ_OK while there is reason to wait. Kernels have the same deadline, and get a moment to say who
 * is late: they know. */
static int still_worth_it(rz_job *job)
{
    const uint64_t grace_ns = 100000000;
    int status = rz_meeting_check(&job->meeting, &job->error);
    if (status == RZ_OK)
        status = rz_gpu_check(job, &job->error);
    if (status == RZ_OK)
        status = compare_rows(job);
    if (status == RZ_OK && rz_clock_ns() > job->deadline_ns + grace_ns)
        status = fail_late(job);
    return status;
}

bool rz_gpu_is_done(const struct rz_gpu *gpu)
{
    return state_of(gpu) != RZ_CUDA_PENDING;
}

/* A rank that has left may have done so after its part of the step, and then the step is a good
 * one: rz_gpu_wait() finds out. */
static bool is_about_others(int status)
{
    return status == RZ_E_CLOSED || status == RZ_E_PEER_DIED;
}

int rz_gpu_poll(rz_job *job)
{
    if (rz_gpu_is_done(job->gpu))
        return 1;
    const int status = still_worth_it(job);
    if (status == RZ_OK)
        return 0;
    return is_about_others(status) ? 1 : status;
}

/* Looks all the time for a step of ordinary length, then ever more rarely. */
struct pace {
    uint64_t begun;
    bool spins;
    struct timespec sleep;
};

static void rest(struct pace *pace)
{
    enum { SPIN_NS = 100000, LEAST_SLEEP_NS = 1000, MOST_SLEEP_NS = 100000 };
    if (pace->spins && rz_clock_ns() - pace->begun < SPIN_NS)
        return;
    if (pace->sleep.tv_nsec < LEAST_SLEEP_NS)
        pace->sleep.tv_nsec = LEAST_SLEEP_NS;
    nanosleep(&pace->sleep, NULL);
    if (pace->sleep.tv_nsec < MOST_SLEEP_NS)
        pace->sleep.tv_nsec *= 2;
}

static struct pace begin_waiting(const rz_job *job)
{
    return (struct pace){.begun = rz_clock_ns(), .spins = job->meeting.waiter.spin_ns > 0};
}

/* The job is over, and kernels that wait for others see that: what the step has come to shows soon.
 */
static int wait_for_the_end(rz_job *job, int status)
{
    const struct rz_error why = job->error;
    const uint64_t limit_ns = rz_clock_ns() + UINT64_C(1000000000);
    struct pace pace = begin_waiting(job);
    while (!rz_gpu_is_done(job->gpu) && rz_clock_ns() < limit_ns)
        rest(&pace);
    if (state_of(job->gpu) == RZ_CUDA_DONE)
        return RZ_OK;
    job->error = why;
    return status;
}

/* At its peers and the GPU a host that waits looks every few milliseconds. */
int rz_gpu_wait(rz_job *job)
{
    const uint64_t check_ns = 5000000;
    struct pace pace = begin_waiting(job);
    uint64_t checked = pace.begun;
    while (!rz_gpu_is_done(job->gpu)) {
        if (rz_clock_ns() - checked > check_ns) {
            const int status = still_worth_it(job);
            if (status != RZ_OK)
                return is_about_others(status) ? wait_for_the_end(job, status) : status;
            checked = rz_clock_ns();
        }
        rest(&pace);
    }
    return judge(job);
}

int rz_gpu_settle(rz_job *job)
{
    struct rz_gpu *gpu = job->gpu;
    const uint64_t check_ns = 5000000;
    struct pace pace = begin_waiting(job);
    uint64_t checked = pace.begun;
    int status = rz_device_enter(&gpu->device, &job->error);
    if (status != RZ_OK)
        return status;
    int code;
    while ((code = gpu->cuda.event_query(gpu->device.done)) == RZ_CUDA_NOT_READY &&
           status == RZ_OK) {
        /* Of this GPU alone: the step is a good one, whatever has become of others. */
        if (rz_clock_ns() - checked > check_ns) {
            status = rz_gpu_check(job, &job->error);
            if (status == RZ_OK && rz_clock_ns() > job->deadline_ns + check_ns)
                status = fail_late(job);
            checked = rz_clock_ns();
        }
        rest(&pace);
    }
    if (status == RZ_OK && code != RZ_CUDA_SUCCESS)
        status = rz_cuda_fail(&gpu->cuda, code, "GPU", &job->error);
    rz_device_leave(&gpu->device);
    return status;
}
