/* SPDX-License-Identifier: Apache-2.0
 *
 * workers_pthreads.c - workers for ThreadSanitizer, in place of those of a build without OpenMP:
 * new threads for each run, which synchronise by their creation and their end alone.
 */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#include "runtime/workers.h"

enum { MOST_WORKERS = 64 };

const char *const rz_workers_kind = "threads of the test";

struct run {
    uint32_t count;
    rz_work *work;
    void *context;
    _Atomic uint32_t next;
};

struct worker {
    struct run *run;
    uint32_t number;
    pthread_t thread;
};

static void *take_things(void *argument)
{
    const struct worker *worker = argument;
    struct run *run = worker->run;
    uint32_t index;
    /* Relaxed: an order that OpenMP does not promise would hide a race. */
    while ((index = atomic_fetch_add_explicit(&run->next, 1, memory_order_relaxed)) < run->count)
        run->work(run->context, worker->number, index);
    return NULL;
}

int rz_workers_start(uint32_t workers, struct rz_error *err)
{
    (void)err;
    assert(workers <= MOST_WORKERS);
    return RZ_OK;
}

void rz_workers_run(uint32_t workers, uint32_t count, rz_work *work, void *context)
{
    struct run run = {.count = count, .work = work, .context = context};
    struct worker each[MOST_WORKERS];
    for (uint32_t w = 0; w < workers; w++)
        each[w] = (struct worker){.run = &run, .number = w};
    for (uint32_t w = 1; w < workers; w++)
        if (pthread_create(&each[w].thread, NULL, take_things, &each[w]) != 0)
            assert(!"a thread starts");
    take_things(&each[0]);
    for (uint32_t w = 1; w < workers; w++)
        pthread_join(each[w].thread, NULL);
}
