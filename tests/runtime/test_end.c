/* SPDX-License-Identifier: Apache-2.0
 *
 * test_end.c - how a job ends, what does not end it, and what calls say afterwards.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/runtime/ranks.h"
#include "tests/runtime/rows.h"

enum { VOCAB = 100, MAX_ROWS = 4 };

/* One step's worth of what a rank needs. */
struct own {
    rz_job *job;
    struct rz_sampling sampling;
    struct rz_row row;
    struct rz_batch batch;
    int32_t ids[MAX_ROWS];
    uint32_t count;
};

static struct own enter(const char *name, uint32_t rank, uint32_t world)
{
    struct rz_options options;
    rz_options_init(&options);
    options.vocab_size = VOCAB;
    options.max_rows = MAX_ROWS;
    struct own own = {.job = rank_open(&options, name, rank, world)};
    rows_write_shard(own.job, RZ_F32, 1, 0, 1);
    rz_sampling_init(&own.sampling);
    rz_row_init(&own.row);
    rz_batch_init(&own.batch);
    own.batch.logits_rows = 1;
    return own;
}

static int begin(struct own *own)
{
    if (rz_rank(own->job) == 0) {
        own->row.sampling = &own->sampling;
        own->batch.rows = &own->row;
        own->batch.row_count = 1;
    }
    return rz_step_begin(own->job, &own->batch);
}

static int step(struct own *own)
{
    const int status = begin(own);
    return status == RZ_OK ? rz_step_finish(own->job, own->ids, &own->count, NULL) : status;
}

/* ------------------------------------------------------------------------------------------------
 */

/* Whatever is called, rightly or wrongly, says why the job ended, and so does rz_last_error(). */
static void expect_over(struct own *own, int status, int about)
{
    const struct rz_error first = *rz_last_error(own->job);
    rank_expect(first.status == status && first.rank == about, "got %d: %s", (int)first.status,
                first.text);
    rz_sequence sequence = 1;
    const int calls[] = {
        rz_step(own->job, NULL, NULL, NULL, NULL),
        begin(own),
        rz_step_ready(own->job),
        rz_step_finish(own->job, NULL, NULL, NULL),
        rz_step_finish(own->job, own->ids, &own->count, NULL),
        rz_sequence_open(own->job, &own->sampling, NULL, 0, &sequence),
        rz_sequence_append(own->job, sequence, NULL, 0),
        rz_sequence_close(own->job, sequence),
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        rank_expect(calls[i] == status, "call %zu got %d", i, calls[i]);
    const struct rz_error *last = rz_last_error(own->job);
    rank_expect(last->status == first.status && last->rank == first.rank &&
                    strcmp(last->text, first.text) == 0,
                "expected \"%s\", got \"%s\"", first.text, last->text);
}

static int leave_in_the_middle_of_a_step(uint32_t rank, uint32_t world, const char *name,
                                         void *argument)
{
    _Atomic int *begun = argument;
    struct own own = enter(name, rank, world);
    if (rank == 0) {
        rank_expect(begin(&own) == RZ_OK, "%s", rz_last_error(own.job)->text);
        atomic_store(begun, 1);
        int ready;
        while ((ready = rz_step_ready(own.job)) == 0)
            ;
        rank_expect(ready == RZ_E_CLOSED, "got %d", ready);
        expect_over(&own, RZ_E_CLOSED, 1);
    } else {
        while (atomic_load(begun) == 0)
            usleep(1000);
    }
    rz_close(own.job);
    return 0;
}

static void a_job_that_is_over_says_why_to_every_call(void **state)
{
    ranks_run(2, leave_in_the_middle_of_a_step, *state);
}

/* ------------------------------------------------------------------------------------------------
 * rz_abort
 */

static void *abort_soon(void *job)
{
    usleep(30000); /* most likely in the middle of the step; the outcome is the same if not */
    return rz_abort(job) == RZ_OK ? job : NULL;
}

static int wait_for_a_peer_that_never_comes(uint32_t rank, uint32_t world, const char *name,
                                            void *argument)
{
    _Atomic int *aborted = argument;
    struct own own = enter(name, rank, world);
    if (rank == 0) {
        pthread_t thread;
        void *done = NULL;
        rank_expect(pthread_create(&thread, NULL, abort_soon, own.job) == 0, "no thread");
        const int status = step(&own);
        rank_expect(status == RZ_E_CLOSED, "got %d: %s", status, rz_last_error(own.job)->text);
        pthread_join(thread, &done);
        rank_expect(done == own.job, "rz_abort failed");
        atomic_store(aborted, 1);
    } else {
        while (atomic_load(aborted) == 0)
            usleep(1000);
        const int status = step(&own); /* the first that it makes */
        rank_expect(status == RZ_E_CLOSED, "got %d: %s", status, rz_last_error(own.job)->text);
    }
    expect_over(&own, RZ_E_CLOSED, 0);
    rank_expect(rz_abort(own.job) == RZ_OK, "a second time changes nothing");
    rz_close(own.job);
    return 0;
}

static void a_thread_aborts_a_step_that_waits(void **state)
{
    ranks_run(3, wait_for_a_peer_that_never_comes, *state);
}

static int abort_alone(uint32_t rank, uint32_t world, const char *name, void *argument)
{
    (void)argument;
    struct own own = enter(name, rank, world);
    rank_expect(step(&own) == RZ_OK, "%s", rz_last_error(own.job)->text);
    rank_expect(rz_abort(own.job) == RZ_OK, "rz_abort failed");
    rank_expect(step(&own) == RZ_E_CLOSED, "a job of one rank, which waits for nobody");
    expect_over(&own, RZ_E_CLOSED, 0);
    rz_close(own.job);
    return 0;
}

static void a_job_of_one_can_be_aborted(void **state)
{
    ranks_run(1, abort_alone, *state);
}

/* ------------------------------------------------------------------------------------------------
 * fork
 */

static void use_in_a_child(struct own *own)
{
    rz_sequence sequence = 1;
    struct rz_counters counters;
    rz_counters_init(&counters);
    const int calls[] = {
        rz_step(own->job, &own->batch, own->ids, &own->count, NULL),
        rz_step_begin(own->job, &own->batch),
        rz_step_ready(own->job),
        rz_step_finish(own->job, own->ids, &own->count, NULL),
        rz_sequence_open(own->job, &own->sampling, NULL, 0, &sequence),
        rz_sequence_append(own->job, sequence, NULL, 0),
        rz_sequence_close(own->job, sequence),
        rz_counters_read(own->job, &counters),
        rz_abort(own->job),
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        rank_expect(calls[i] == RZ_E_STATE, "call %zu got %d", i, calls[i]);
    rz_close(own->job);
    _exit(0);
}

static int fork_in_a_step(uint32_t rank, uint32_t world, const char *name, void *argument)
{
    (void)argument;
    struct own own = enter(name, rank, world);
    for (int i = 0; i < 3; i++) {
        rank_expect(begin(&own) == RZ_OK, "%s", rz_last_error(own.job)->text);
        const pid_t child = fork();
        if (child == 0)
            use_in_a_child(&own);
        int status = -1;
        rank_expect(waitpid(child, &status, 0) == child && status == 0, "the child got %d", status);
        rank_expect(rz_step_finish(own.job, own.ids, &own.count, NULL) == RZ_OK, "%s",
                    rz_last_error(own.job)->text);
    }
    rz_close(own.job);
    return 0;
}

static void a_forked_child_cannot_use_the_job_and_its_close_ends_nothing(void **state)
{
    (void)state;
    for (uint32_t world = 1; world <= 3; world++)
        ranks_run(world, fork_in_a_step, NULL);
    assert_int_equal(shm_leftovers(), 0);
}

/* ------------------------------------------------------------------------------------------------
 */

/* A number that all ranks of a test see. */
static int share_flag(void **state)
{
    *state =
        mmap(NULL, sizeof(_Atomic int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return *state == MAP_FAILED ? -1 : 0;
}

static int unshare_flag(void **state)
{
    return munmap(*state, sizeof(_Atomic int));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_job_that_is_over_says_why_to_every_call, share_flag,
                                        unshare_flag),
        cmocka_unit_test_setup_teardown(a_thread_aborts_a_step_that_waits, share_flag,
                                        unshare_flag),
        cmocka_unit_test(a_job_of_one_can_be_aborted),
        cmocka_unit_test(a_forked_child_cannot_use_the_job_and_its_close_ends_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
