/* SPDX-License-Identifier: Apache-2.0
 *
 * workers_openmp.c - workers are the threads that OpenMP keeps for the thread that calls.
 */
#include <omp.h>
#include <stdbool.h>
#include <sys/types.h>
#include <unistd.h>

#include "runtime/workers.h"

const char *const rz_workers_kind = "OpenMP";

/* The process in which the calling thread was given workers; 0: none yet. fork() copies the thread
 * and libgomp's belief that it has workers, but not the workers: waiting for them would never end.
 * No job could hold this, since a forked process may open one of its own. */
static _Thread_local pid_t home;

static bool is_forked(void)
{
    return home != 0 && home != getpid();
}

static void run_alone(uint32_t count, rz_work *work, void *context)
{
    for (uint32_t i = 0; i < count; i++)
        work(context, 0, i);
}

void rz_workers_run(uint32_t workers, uint32_t count, rz_work *work, void *context)
{
    if (workers == 1 || count == 1 || is_forked()) {
        run_alone(count, work, context);
        return;
    }
    home = getpid();
    /* All of them, also for fewer things: libgomp ends the threads that a region leaves out, and
     * the next one that wants them has to wait until they are made again. */
#pragma omp parallel for num_threads((int)workers) schedule(dynamic)
    for (uint32_t i = 0; i < count; i++)
        work(context, (uint32_t)omp_get_thread_num(), i);
}

static void do_nothing(void *context, uint32_t worker, uint32_t index)
{
    (void)context, (void)worker, (void)index;
}

int rz_workers_start(uint32_t workers, struct rz_error *err)
{
    (void)err;
    rz_workers_run(workers, workers, do_nothing, NULL);
    return RZ_OK;
}
