/* SPDX-License-Identifier: Apache-2.0
 *
 * test_step.c - steps of jobs whose ranks are processes: the same ids everywhere, however the
 * vocabulary is split, and what a bad call leaves behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernels/sampler.h"
#include "tests/fakes/allocations.h"
#include "tests/runtime/ranks.h"
#include "tests/runtime/rows.h"
#include "tests/runtime/scene.h"

enum { VOCAB = SCENE_VOCAB, SEED = SCENE_SEED };

/* A scene and, in memory shared with the parent, what each rank has of it. */
struct run {
    struct scene scene;
    struct scene_hash *hashes; /* [world] */
};

static int play(uint32_t rank, uint32_t world, const char *name, void *argument)
{
    const struct run *run = argument;
    const uint64_t at_start = allocations();
    rz_job *job = rank_open(&run->scene.options, name, rank, world);
    const uint64_t before = allocations();
    rank_expect(before > at_start, "opening a job allocates, and is counted");
    run->hashes[rank] = scene_play(&run->scene, job);
    const uint64_t got = allocations() - before, expected = run->scene.own_buffer ? 1 : 0;
    rank_expect(got == expected, "steps allocate nothing, got %llu allocations, %llu of the test's",
                (unsigned long long)got, (unsigned long long)expected);
    rz_close(job);
    return 0;
}

static void expect_same_ids(const struct scene *scene, uint32_t world)
{
    struct run run = {.scene = *scene};
    const size_t bytes = world * sizeof *run.hashes;
    run.hashes = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(run.hashes, MAP_FAILED);
    ranks_run(world, play, &run);
    for (uint32_t rank = 0; rank < world; rank++)
        assert_int_equal(run.hashes[rank].ids, SCENE_IDS_HASH);
    assert_int_equal(run.hashes[0].results, SCENE_RESULTS_HASH);
    munmap(run.hashes, bytes);
}

static void same_ids_for_every_world_split_dtype_and_back_end_without_allocating(void **state)
{
    (void)state;
    static const uint32_t uneven[RZ_MAX_WORLD] = {1, 500, 17, 485};
    static const uint32_t with_nothing[RZ_MAX_WORLD] = {0, 1003, 0};
    const struct {
        uint32_t world;
        const uint32_t *split;
    } shapes[] = {{1, NULL}, {2, NULL},   {3, NULL},        {4, NULL},
                  {8, NULL}, {4, uneven}, {3, with_nothing}};

    for (uint32_t backend = RZ_BACKEND_REFERENCE; backend <= RZ_BACKEND_AVX512; backend++) {
        if (rz_sampler_find(backend) == NULL) {
            printf("[  SKIPPED ] back end %u: this machine has none such\n", backend);
            continue;
        }
        for (uint32_t dtype = RZ_F32; dtype <= RZ_BF16; dtype++)
            for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
                struct scene scene;
                scene_init(&scene);
                scene.options.dtype = dtype;
                scene.options.backend = backend;
                scene.options.split = shapes[i].split;
                scene.own_buffer = i % 2 == 1;
                scene.split_step = i % 3 == 2;
                expect_same_ids(&scene, shapes[i].world);
            }
    }
    print_message("hash of all: %llx\n", (unsigned long long)SCENE_IDS_HASH);
    assert_int_equal(shm_leftovers(), 0);
}

/* ------------------------------------------------------------------------------------------------
 */

/* A job of one rank with its logits written, for what needs no peers. */
static rz_job *open_alone(uint32_t rows)
{
    struct rz_options options;
    rz_options_init(&options);
    options.vocab_size = VOCAB;
    rz_job *job = NULL;
    struct rz_error err;
    char name[RZ_MAX_NAME];
    snprintf(name, sizeof name, "test-%d-alone", (int)getpid());
    if (rz_open_local(&options, name, 0, 1, &job, &err) != RZ_OK)
        fail_msg("%s", err.text);
    rows_write_shard(job, RZ_F32, SEED, 0, rows);
    return job;
}

static int step_rows(rz_job *job, const struct rz_row *rows, uint32_t row_count, int32_t *ids,
                     struct rz_result *results)
{
    struct rz_batch batch;
    rz_batch_init(&batch);
    batch.logits_rows = 2;
    batch.rows = rows;
    batch.row_count = row_count;
    uint32_t count;
    return rz_step(job, &batch, ids, &count, results);
}

static struct rz_sampling seeded(uint64_t seed)
{
    struct rz_sampling sampling;
    rz_sampling_init(&sampling);
    sampling.flags = RZ_SAMPLING_SEED;
    sampling.seed = seed;
    return sampling;
}

static void a_sequence_draws_what_its_history_spelt_out_draws(void **state)
{
    (void)state;
    rz_job *job = open_alone(2);
    struct rz_sampling sampling = seeded(5);
    sampling.repetition_penalty = 1.5f;
    sampling.frequency_penalty = 1.0f;
    sampling.presence_penalty = 0.5f;
    const int32_t prompt[] = {4, 8, 15, 16};
    rz_sequence sequence;
    assert_int_equal(rz_sequence_open(job, &sampling, prompt, 4, &sequence), RZ_OK);

    int32_t output[64];
    for (uint32_t n = 0; n < 64; n++) {
        const struct rz_row rows[] = {
            {.sequence = sequence},
            {.sampling = &sampling,
             .prompt_ids = prompt,
             .prompt_count = 4,
             .output_ids = output,
             .output_count = n},
        };
        int32_t ids[2];
        struct rz_result results[2];
        assert_int_equal(step_rows(job, rows, 2, ids, results), RZ_OK);
        assert_int_equal(ids[0], ids[1]);
        assert_int_equal(results[0].position, 4 + n);
        assert_int_equal(results[1].position, 4 + n);
        output[n] = ids[0];
    }
    assert_int_equal(rz_sequence_close(job, sequence), RZ_OK);
    assert_int_equal(rz_sequence_close(job, sequence), RZ_E_SEQUENCE);
    rz_close(job);
}

static void stop_ids_wait_for_min_tokens(void **state)
{
    (void)state;
    rz_job *job = open_alone(2);
    struct rz_sampling sampling = seeded(5);
    const struct rz_bias bias = {42, 100.0f}; /* nothing else would ever be drawn */
    const int32_t stop = 42;
    sampling.bias = &bias;
    sampling.bias_count = 1;
    sampling.stop_ids = &stop;
    sampling.stop_count = 1;
    sampling.min_tokens = 3;
    rz_sequence sequence;
    assert_int_equal(rz_sequence_open(job, &sampling, NULL, 0, &sequence), RZ_OK);
    for (int n = 0; n < 5; n++) {
        int32_t id;
        const struct rz_row row = {.sequence = sequence};
        assert_int_equal(step_rows(job, &row, 1, &id, NULL), RZ_OK);
        assert_int_equal(id == 42, n >= 3);
    }
    rz_close(job);
}

static void a_draft_row_leaves_the_history_alone(void **state)
{
    (void)state;
    rz_job *job = open_alone(2);
    struct rz_sampling sampling = seeded(9);
    sampling.presence_penalty = 3.0f;
    const int32_t prompt[] = {1};
    rz_sequence sequence;
    assert_int_equal(rz_sequence_open(job, &sampling, prompt, 1, &sequence), RZ_OK);

    /* Drafts of the same sequence, each following the ones before. */
    int32_t drafts[3], again[3];
    for (uint32_t n = 0; n < 3; n++) {
        const struct rz_row row = {
            .sequence = sequence, .flags = RZ_ROW_DRAFT, .output_ids = drafts, .output_count = n};
        assert_int_equal(step_rows(job, &row, 1, &drafts[n], NULL), RZ_OK);
    }
    /* Drawing for good gives what the drafts were. */
    for (uint32_t n = 0; n < 2; n++) {
        const struct rz_row row = {.sequence = sequence};
        assert_int_equal(step_rows(job, &row, 1, &again[n], NULL), RZ_OK);
        assert_int_equal(again[n], drafts[n]);
    }
    /* And so does appending what was accepted. */
    rz_sequence copy;
    assert_int_equal(rz_sequence_open(job, &sampling, prompt, 1, &copy), RZ_OK);
    assert_int_equal(rz_sequence_append(job, copy, drafts, 2), RZ_OK);
    const struct rz_row rows[] = {{.sequence = sequence}, {.sequence = copy}};
    int32_t ids[2];
    assert_int_equal(step_rows(job, rows, 2, ids, NULL), RZ_OK);
    assert_int_equal(ids[0], ids[1]);
    assert_int_equal(ids[0], drafts[2]);
    rz_close(job);
}

static void a_draft_does_not_see_what_another_row_of_the_step_draws(void **state)
{
    (void)state;
    rz_job *job = open_alone(2);
    size_t row_stride;
    float *logits = rz_logits(job, &row_stride);
    memset(logits, 0, VOCAB * sizeof *logits);
    logits[7] = 10.0f;
    logits[8] = 8.5f;
    struct rz_sampling sampling = seeded(1);
    sampling.temperature = 0.0f;
    sampling.frequency_penalty = 1.0f; /* 7 wins until it has been drawn twice */
    const int32_t seven = 7;
    rz_sequence sequence;
    assert_int_equal(rz_sequence_open(job, &sampling, NULL, 0, &sequence), RZ_OK);
    assert_int_equal(rz_sequence_append(job, sequence, &seven, 1), RZ_OK);
    const struct rz_row rows[] = {{.sequence = sequence},
                                  {.sequence = sequence, .flags = RZ_ROW_DRAFT}};
    int32_t ids[2];
    assert_int_equal(step_rows(job, rows, 2, ids, NULL), RZ_OK);
    assert_int_equal(ids[0], 7);
    assert_int_equal(ids[1], 7);
    assert_int_equal(step_rows(job, rows, 1, ids, NULL), RZ_OK);
    assert_int_equal(ids[0], 8);
    rz_close(job);
}

static void a_row_without_a_seed_reports_one_that_repeats_it(void **state)
{
    (void)state;
    rz_job *job = open_alone(2);
    struct rz_sampling sampling;
    rz_sampling_init(&sampling);
    const struct rz_row rows[] = {{.sampling = &sampling}, {.sampling = &sampling}};
    int32_t ids[2], id;
    struct rz_result results[2];
    assert_int_equal(step_rows(job, rows, 2, ids, results), RZ_OK);
    assert_int_not_equal(results[0].seed, results[1].seed);
    for (int i = 0; i < 2; i++) {
        const struct rz_sampling same = seeded(results[i].seed);
        const struct rz_row row = {.sampling = &same};
        assert_int_equal(step_rows(job, &row, 1, &id, NULL), RZ_OK);
        assert_int_equal(id, ids[i]);
    }
    rz_close(job);
}

/* ------------------------------------------------------------------------------------------------
 */

static void expect_refusal(rz_job *job, const struct rz_row *rows, uint32_t count, int status,
                           const char *text)
{
    int32_t ids[256];
    assert_int_equal(step_rows(job, rows, count, ids, NULL), status);
    if (strstr(rz_last_error(job)->text, text) == NULL)
        fail_msg("expected \"%s\" in \"%s\"", text, rz_last_error(job)->text);
}

static void bad_rows_are_refused_by_name_and_the_job_goes_on(void **state)
{
    (void)state;
    rz_job *job = open_alone(2);
    const struct rz_sampling good = seeded(1);
    const int32_t bad_id = VOCAB;

#define REFUSED_SAMPLING(field, value, text)                                    \
    do {                                                                        \
        struct rz_sampling bad = seeded(1);                                     \
        bad.field = value;                                                      \
        const struct rz_row rows[] = {{.sampling = &good}, {.sampling = &bad}}; \
        expect_refusal(job, rows, 2, RZ_E_ARG, "row 1: " text);                 \
    } while (0)
    REFUSED_SAMPLING(temperature, -1.0f, "temperature: expected a finite number >= 0, got -1");
    REFUSED_SAMPLING(temperature, NAN, "temperature");
    REFUSED_SAMPLING(temperature, INFINITY, "temperature");
    REFUSED_SAMPLING(top_p, 0.0f, "top_p: expected a number in (0, 1], got 0");
    REFUSED_SAMPLING(top_p, 1.5f, "top_p");
    REFUSED_SAMPLING(min_p, 1.0f, "min_p: expected a number in [0, 1), got 1");
    REFUSED_SAMPLING(min_p, -0.5f, "min_p");
    REFUSED_SAMPLING(repetition_penalty, 0.0f, "repetition_penalty");
    REFUSED_SAMPLING(frequency_penalty, 200.0f, "frequency_penalty");
    REFUSED_SAMPLING(presence_penalty, NAN, "presence_penalty");
    REFUSED_SAMPLING(top_logprobs, 21, "top_logprobs: expected 0 to 20, got 21");
    REFUSED_SAMPLING(logprobs_mode, 2, "logprobs_mode");
    REFUSED_SAMPLING(flags, 64, "flags");
    REFUSED_SAMPLING(size, 3, "sampling: expected a struct made by rz_sampling_init()");
    REFUSED_SAMPLING(banned_count, 1, "banned_ids: expected 1 ids, got NULL");
#undef REFUSED_SAMPLING

    const struct rz_row bad_prompt = {.sampling = &good, .prompt_ids = &bad_id, .prompt_count = 1};
    expect_refusal(job, &bad_prompt, 1, RZ_E_ARG,
                   "row 0: prompt_ids: expected ids from 0 to 1002, got 1003");
    const struct rz_row bad_logits_row = {.sampling = &good, .logits_row = 2};
    expect_refusal(job, &bad_logits_row, 1, RZ_E_ARG, "logits_row: expected 0 to 1, got 2");
    const struct rz_row many = {.sampling = &good, .draws = 257};
    expect_refusal(job, &many, 1, RZ_E_ARG, "draws: expected at most 256 ids");
    const struct rz_row nobody = {.sequence = 77};
    expect_refusal(job, &nobody, 1, RZ_E_SEQUENCE, "sequence 0x4d");
    const struct rz_row nothing = {.logits_row = 0};
    expect_refusal(job, &nothing, 1, RZ_E_ARG, "sampling");

    rz_sequence sequence;
    assert_int_equal(rz_sequence_open(job, &good, NULL, 0, &sequence), RZ_OK);
    const struct rz_row twice[] = {{.sequence = sequence}, {.sequence = sequence}};
    expect_refusal(job, twice, 2, RZ_E_ARG, "row 1: the sequence is in an earlier row");
    int32_t ids[1];
    assert_int_equal(step_rows(job, twice, 1, ids, NULL), RZ_OK); /* once is fine after that */
    rz_close(job);
}

static void a_full_sequence_is_refused(void **state)
{
    (void)state;
    rz_job *job = open_alone(2);
    struct rz_sampling sampling = seeded(1);
    sampling.max_tokens = 2;
    rz_sequence sequence;
    assert_int_equal(rz_sequence_open(job, &sampling, NULL, 0, &sequence), RZ_OK);
    const struct rz_row row = {.sequence = sequence};
    int32_t id;
    assert_int_equal(step_rows(job, &row, 1, &id, NULL), RZ_OK);
    const int32_t two[] = {1, 2};
    assert_int_equal(rz_sequence_append(job, sequence, two, 2), RZ_E_SEQUENCE);
    assert_int_equal(rz_sequence_append(job, sequence, two, 1), RZ_OK);
    expect_refusal(job, &row, 1, RZ_E_SEQUENCE, "max_tokens of 2");
    rz_close(job);
}

static void the_halves_of_a_step_keep_their_order(void **state)
{
    (void)state;
    rz_job *job = open_alone(2);
    const struct rz_sampling sampling = seeded(1);
    const struct rz_row row = {.sampling = &sampling};
    struct rz_batch batch;
    rz_batch_init(&batch);
    batch.logits_rows = 1;
    batch.rows = &row;
    batch.row_count = 1;
    int32_t ids[1];
    uint32_t count;
    assert_int_equal(rz_step_finish(job, ids, &count, NULL), RZ_E_STATE);
    assert_int_equal(rz_step_ready(job), RZ_E_STATE);
    assert_int_equal(rz_step_begin(job, &batch), RZ_OK);
    assert_int_equal(rz_step_begin(job, &batch), RZ_E_STATE);
    assert_int_equal(rz_step_finish(job, NULL, &count, NULL), RZ_E_ARG);
    assert_int_equal(rz_step_ready(job), 1);
    assert_int_equal(rz_step_finish(job, ids, &count, NULL), RZ_OK);
    assert_int_equal(count, 1);
    rz_close(job);
}

static void counters_count(void **state)
{
    (void)state;
    rz_job *job = open_alone(2);
    const struct rz_sampling sampling = seeded(1);
    const struct rz_row row = {.sampling = &sampling, .draws = 5};
    int32_t ids[5];
    for (int i = 0; i < 3; i++)
        assert_int_equal(step_rows(job, &row, 1, ids, NULL), RZ_OK);
    struct rz_counters counters;
    rz_counters_init(&counters);
    assert_int_equal(rz_counters_read(job, &counters), RZ_OK);
    assert_int_equal(counters.steps, 3);
    assert_int_equal(counters.ids, 15);
    assert_true(counters.sample_ns > 0);
    assert_true(counters.tiles_scanned >= 3 * ((VOCAB + 15) / 16));
    assert_true(counters.tiles_exact >= 15);
    assert_int_equal(counters.bytes_gathered, 0);
    rz_close(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_ids_for_every_world_split_dtype_and_back_end_without_allocating),
        cmocka_unit_test(a_sequence_draws_what_its_history_spelt_out_draws),
        cmocka_unit_test(stop_ids_wait_for_min_tokens),
        cmocka_unit_test(a_draft_row_leaves_the_history_alone),
        cmocka_unit_test(a_draft_does_not_see_what_another_row_of_the_step_draws),
        cmocka_unit_test(a_row_without_a_seed_reports_one_that_repeats_it),
        cmocka_unit_test(bad_rows_are_refused_by_name_and_the_job_goes_on),
        cmocka_unit_test(a_full_sequence_is_refused),
        cmocka_unit_test(the_halves_of_a_step_keep_their_order),
        cmocka_unit_test(counters_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
