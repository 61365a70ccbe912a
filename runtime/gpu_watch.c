/* SPDX-License-Identifier: Apache-2.0
 *
 * gpu_watch.c - a thread that looks after a step on a stream of the caller's, who may wait for the
 * stream in a call of CUDA and not come back to us: kernels of NCCL, and a stream that waits for a
 * word, have no deadline of their own.
 *
 * It sleeps while no step is under way; during one it looks every few milliseconds, and acts once:
 * when the job has ended, a rank's process is gone, or the step is late, it ends the job, aborts
 * the gather, and lets the stream go on. The host of the step finds out when it is finished.
 */
#include "runtime/gpu_watch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal/clock.h"
#include "ipc/liveness.h"
#include "runtime/gpu_launch.h"

struct rz_gpu_watch {
    rz_job *job;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows, and of abort() against other calls of the comm */
    pthread_cond_t changed;
    uint64_t deadline_ns; /* of the step under way; 0: none */
    bool stops;
};

/* The first rank that has no process any more, or RZ_NO_RANK. */
static int find_dead(const rz_job *job)
{
    const struct rz_meeting *meeting = &job->meeting;
    for (uint32_t r = 0; r < meeting->world; r++)
        if (r != meeting->rank &&
            /* acquire: a rank has claimed its lock before it says that it is here. */
            atomic_load_explicit(&meeting->control->ranks[r].here, memory_order_acquire) != 0 &&
            !rz_liveness_held(meeting->segment.fd, r))
            return (int)r;
    return RZ_NO_RANK;
}

/* Is there a reason to give the step up? Then the job ends, if it has not. */
static bool gives_up(rz_job *job, uint64_t deadline_ns)
{
    struct rz_meeting *meeting = &job->meeting;
    if (atomic_load_explicit(&meeting->control->ended, memory_order_acquire) != 0)
        return true;
    const int dead = find_dead(job);
    if (dead != RZ_NO_RANK)
        rz_meeting_end(meeting, RZ_E_PEER_DIED, dead);
    else if (rz_clock_ns() > deadline_ns)
        rz_meeting_end(meeting, RZ_E_TIMEOUT,
                       (int)rz_meeting_late(meeting, (uint32_t)rz_gpu_told(job->gpu)->orders.step));
    else
        return false;
    return true;
}

/* With the lock. What waits goes on; what was gathered is not published, as the job has ended. */
static void give_up(rz_job *job)
{
    const struct rz_gpu *gpu = job->gpu;
    gpu->comm_ops->abort(gpu->comm);
    rz_meeting_release(&job->meeting, (uint32_t)rz_gpu_told(gpu)->orders.sequence);
}

static void *look_after(void *argument)
{
    struct rz_gpu_watch *watch = argument;
    const struct timespec moment = {.tv_nsec = 5000000};
    pthread_mutex_lock(&watch->lock);
    while (!watch->stops) {
        const uint64_t deadline_ns = watch->deadline_ns;
        if (deadline_ns == 0) {
            pthread_cond_wait(&watch->changed, &watch->lock);
            continue;
        }
        if (gives_up(watch->job, deadline_ns)) {
            give_up(watch->job);
            watch->deadline_ns = 0;
            continue;
        }
        pthread_mutex_unlock(&watch->lock);
        nanosleep(&moment, NULL);
        pthread_mutex_lock(&watch->lock);
    }
    pthread_mutex_unlock(&watch->lock);
    return NULL;
}

int rz_gpu_watch_open(rz_job *job, struct rz_error *err)
{
    struct rz_gpu *gpu = job->gpu;
    if (gpu->watch != NULL || job->plan.world == 1)
        return RZ_OK;
    struct rz_gpu_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return rz_fail(err, RZ_E_NOMEM, RZ_NO_RANK, 0, "no memory to look after steps on streams");
    watch->job = job;
    pthread_mutex_init(&watch->lock, NULL);
    pthread_cond_init(&watch->changed, NULL);
    const int code = pthread_create(&watch->thread, NULL, look_after, watch);
    if (code == 0) {
        gpu->watch = watch;
        return RZ_OK;
    }
    free(watch);
    return rz_fail(err, RZ_E_SYS, RZ_NO_RANK, code, "no thread to look after steps on streams: %s",
                   strerror(code));
}

static void set_deadline(struct rz_gpu *gpu, uint64_t deadline_ns)
{
    if (gpu->watch == NULL)
        return;
    pthread_mutex_lock(&gpu->watch->lock);
    gpu->watch->deadline_ns = deadline_ns;
    pthread_cond_signal(&gpu->watch->changed);
    pthread_mutex_unlock(&gpu->watch->lock);
}

void rz_gpu_watch_begin(rz_job *job)
{
    const uint64_t grace_ns = 500000000; /* kernels and a host that finishes know more */
    set_deadline(job->gpu, job->deadline_ns + grace_ns);
}

void rz_gpu_watch_end(rz_job *job)
{
    set_deadline(job->gpu, 0);
}

void rz_gpu_watch_lock(struct rz_gpu *gpu)
{
    if (gpu->watch != NULL)
        pthread_mutex_lock(&gpu->watch->lock);
}

void rz_gpu_watch_unlock(struct rz_gpu *gpu)
{
    if (gpu->watch != NULL)
        pthread_mutex_unlock(&gpu->watch->lock);
}

void rz_gpu_watch_close(struct rz_gpu *gpu)
{
    struct rz_gpu_watch *watch = gpu->watch;
    if (watch == NULL)
        return;
    pthread_mutex_lock(&watch->lock);
    watch->stops = true;
    pthread_cond_signal(&watch->changed);
    pthread_mutex_unlock(&watch->lock);
    pthread_join(watch->thread, NULL);
    gpu->watch = NULL;
    pthread_cond_destroy(&watch->changed);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}
