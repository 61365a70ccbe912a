/* SPDX-License-Identifier: Apache-2.0
 *
 * test_threads.c - rows that several threads draw: the same ids, results and counters as by one.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernels/sampler.h"
#include "runtime/workers.h"
#include "tests/fakes/allocations.h"
#include "tests/runtime/ranks.h"
#include "tests/runtime/rows.h"
#include "tests/runtime/scene.h"

static const uint32_t thread_counts[] = {0, 1, 2, 3, 7}; /* the scene has fewer rows than 7 */

enum { THREAD_COUNTS = sizeof thread_counts / sizeof thread_counts[0] };

static void need_threads(void)
{
    if (rz_workers_kind != NULL)
        return;
    print_message("skipped: this build has no OpenMP\n");
    skip();
}

static uint32_t threads_of_this_process(void)
{
    uint32_t found = 0;
    DIR *dir = opendir("/proc/self/task");
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        found += entry->d_name[0] != '.';
    closedir(dir);
    return found;
}

static rz_job *open_alone(struct rz_options *options, uint32_t threads)
{
    char name[RZ_MAX_NAME];
    snprintf(name, sizeof name, "test-%d-threads", (int)getpid());
    options->threads = threads;
    return rank_open(options, name, 0, 1);
}

/* What may not depend on the number of threads, of all steps since open. */
static struct rz_counters counters_of(const rz_job *job)
{
    struct rz_counters all;
    rz_counters_init(&all);
    assert_int_equal(rz_counters_read(job, &all), RZ_OK);
    return (struct rz_counters){.ids = all.ids,
                                .tiles_scanned = all.tiles_scanned,
                                .tiles_exact = all.tiles_exact,
                                .mass_passes = all.mass_passes};
}

/* ------------------------------------------------------------------------------------------------
 * The scene, whose hash every job has
 */

static void same_ids_for_every_number_of_threads_without_allocating(void **state)
{
    (void)state;
    need_threads();
    for (uint32_t backend = RZ_BACKEND_REFERENCE; backend <= RZ_BACKEND_AVX512; backend++) {
        if (rz_sampler_find(backend) == NULL)
            continue; /* runtime_step says which */
        struct rz_counters counters[THREAD_COUNTS];
        for (uint32_t i = 0; i < THREAD_COUNTS; i++) {
            struct scene scene;
            scene_init(&scene);
            scene.options.backend = backend;
            rz_job *job = open_alone(&scene.options, thread_counts[i]);
            const uint64_t before = allocations();
            const struct scene_hash hash = scene_play(&scene, job);
            assert_int_equal(allocations() - before, 0);
            assert_int_equal(hash.ids, SCENE_IDS_HASH);
            assert_int_equal(hash.results, SCENE_RESULTS_HASH);
            counters[i] = counters_of(job);
            assert_memory_equal(&counters[i], &counters[0], sizeof counters[0]);
            rz_close(job);
        }
    }
}

static int play_on_rank_0(uint32_t rank, uint32_t world, const char *name, void *argument)
{
    (void)argument;
    struct scene scene;
    scene_init(&scene);
    scene.options.threads = rank == 0 ? 3 : 0;
    rz_job *job = rank_open(&scene.options, name, rank, world);
    const struct scene_hash hash = scene_play(&scene, job);
    rank_expect(hash.ids == SCENE_IDS_HASH, "rank %u", rank);
    rz_close(job);
    return 0;
}

static void ranks_need_not_agree_on_threads(void **state)
{
    (void)state;
    need_threads();
    ranks_run(3, play_on_rank_0, NULL);
    assert_int_equal(shm_leftovers(), 0);
}

/* Its threads are not there, whatever OpenMP's library believes. */
static void a_process_forked_from_one_that_drew_with_threads_can_draw(void **state)
{
    (void)state;
    need_threads();
    struct scene scene;
    scene_init(&scene);
    rz_job *job = open_alone(&scene.options, 3);
    assert_int_equal(scene_play(&scene, job).ids, SCENE_IDS_HASH);
    ranks_run(1, play_on_rank_0, NULL);
    assert_int_equal(scene_play(&scene, job).ids, SCENE_IDS_HASH);
    rz_close(job);
}

static int count_threads(uint32_t rank, uint32_t world, const char *name, void *argument)
{
    struct scene scene;
    scene_init(&scene);
    scene.options.threads = *(const uint32_t *)argument;
    const uint32_t at_start = threads_of_this_process();
    rz_job *job = rank_open(&scene.options, name, rank, world);
    const uint32_t opened = threads_of_this_process();
    scene_play(&scene, job);
    rank_expect(scene.options.threads > 1 || opened == at_start, "open made a thread");
    rank_expect(threads_of_this_process() == opened, "steps made a thread");
    rz_close(job);
    return 0;
}

static void threads_are_made_at_open_and_only_if_asked_for(void **state)
{
    (void)state;
    for (uint32_t threads = 0; threads <= (rz_workers_kind != NULL ? 3 : 1); threads++)
        ranks_run(1, count_threads, &threads);
}

/* ------------------------------------------------------------------------------------------------
 * A batch of every kind of row
 */

enum { ROWS = 61, STEPS = 5, KINDS = 4, SEQUENCES = ROWS / KINDS + 1, VOCAB = 5003 };

struct batch {
    rz_sequence sequences[SEQUENCES];
    struct rz_sampling samplings[ROWS];
    struct rz_row rows[ROWS];
};

static struct rz_sampling sampling_of(uint32_t row)
{
    struct rz_sampling sampling;
    rz_sampling_init(&sampling);
    sampling.flags = RZ_SAMPLING_SEED | RZ_SAMPLING_LOGPROBS;
    sampling.seed = 1000 + row;
    sampling.top_logprobs = row % 5;
    sampling.logprobs_mode = row % 3 == 0 ? RZ_LOGPROBS_PROCESSED : RZ_LOGPROBS_RAW;
    sampling.temperature = row % 8 == 7 ? 0.0f : 0.5f + 0.25f * (float)(row % 4);
    sampling.top_k = row % 6 == 2 ? 50 : 0;
    sampling.top_p = row % 6 == 3 ? 0.9f : 1.0f;
    sampling.frequency_penalty = 0.5f;
    sampling.presence_penalty = 0.5f;
    return sampling;
}

/* A sequence, drafts that follow the same sequence, and two rows without, of shared logits. */
static void make_batch(rz_job *job, struct batch *batch)
{
    static const int32_t drafts[] = {17, 4711};
    for (uint32_t r = 0; r < ROWS; r++) {
        batch->samplings[r] = sampling_of(r);
        rz_sequence *sequence = &batch->sequences[r / KINDS];
        struct rz_row *row = &batch->rows[r];
        *row = (struct rz_row){.logits_row = r - r % 2};
        if (r % KINDS == 0) {
            assert_int_equal(rz_sequence_open(job, &batch->samplings[r], drafts, 2, sequence),
                             RZ_OK);
            row->sequence = *sequence;
        } else if (r % KINDS == 1) {
            row->sequence = *sequence;
            row->flags = RZ_ROW_DRAFT;
            row->draws = 1 + r % 3;
            row->output_ids = drafts;
            row->output_count = r % 3;
        } else {
            row->sampling = &batch->samplings[r];
            row->draws = r % 3;
        }
    }
}

struct outcome {
    struct rz_result results[STEPS][2 * ROWS];
    int32_t ids[STEPS][2 * ROWS];
    uint32_t counts[STEPS];
    struct rz_counters counters;
};

static void draw_batches(uint32_t threads, struct outcome *outcome)
{
    static struct batch batch;
    struct rz_options options;
    rz_options_init(&options);
    options.vocab_size = VOCAB;
    options.max_rows = 2 * ROWS;
    rz_job *job = open_alone(&options, threads);
    make_batch(job, &batch);
    memset(outcome, 0, sizeof *outcome);
    for (uint32_t s = 0; s < STEPS; s++) {
        struct rz_batch step;
        rz_batch_init(&step);
        rows_write_shard(job, RZ_F32, 5, s * ROWS, ROWS);
        step.logits_rows = ROWS;
        step.rows = batch.rows;
        step.row_count = ROWS;
        const int status =
            rz_step(job, &step, outcome->ids[s], &outcome->counts[s], outcome->results[s]);
        if (status != RZ_OK)
            fail_msg("%s", rz_last_error(job)->text);
        for (uint32_t i = 0; i < outcome->counts[s]; i++)
            assert_int_equal(outcome->ids[s][i], outcome->results[s][i].id);
    }
    outcome->counters = counters_of(job);
    rz_close(job);
}

static void every_kind_of_row_is_drawn_as_by_one_thread(void **state)
{
    (void)state;
    need_threads();
    static struct outcome alone, together;
    draw_batches(1, &alone);
    assert_true(alone.counts[0] > ROWS);
    for (uint32_t i = 0; i < THREAD_COUNTS; i++) {
        draw_batches(thread_counts[i], &together);
        assert_memory_equal(&together, &alone, sizeof alone);
    }
}

/* ------------------------------------------------------------------------------------------------
 * What is not there
 */

static void a_build_without_openmp_refuses_more_than_one_thread(void **state)
{
    (void)state;
    if (rz_workers_kind != NULL)
        return; /* this one has it */
    struct rz_options options;
    rz_options_init(&options);
    options.vocab_size = VOCAB;
    options.threads = 2;
    rz_job *job = NULL;
    struct rz_error err;
    assert_int_equal(rz_open_local(&options, "threads", 0, 1, &job, &err), RZ_E_UNSUPPORTED);
    assert_null(job);
    assert_string_equal(err.text, "threads: expected 0 or 1, as this build has no OpenMP, got 2");
}

static void a_library_whose_threads_may_be_about_is_not_unloaded(void **state)
{
    (void)state;
    const char *path = RZ_TEST_LIBRARY;
    if (path[0] == '\0') {
        print_message("skipped: librankzero.so has no OpenMP\n");
        skip();
    }
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(library);
    assert_int_equal(dlclose(library), 0);
    assert_non_null(dlopen(path, RTLD_NOW | RTLD_NOLOAD));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_ids_for_every_number_of_threads_without_allocating),
        cmocka_unit_test(ranks_need_not_agree_on_threads),
        cmocka_unit_test(a_process_forked_from_one_that_drew_with_threads_can_draw),
        cmocka_unit_test(threads_are_made_at_open_and_only_if_asked_for),
        cmocka_unit_test(every_kind_of_row_is_drawn_as_by_one_thread),
        cmocka_unit_test(a_build_without_openmp_refuses_more_than_one_thread),
        cmocka_unit_test(a_library_whose_threads_may_be_about_is_not_unloaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
