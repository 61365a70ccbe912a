/* SPDX-License-Identifier: Apache-2.0
 *
 * test_faults.c - a rank dies, leaves, stops or disagrees in the middle of a job: every other rank
 * gets an error that names it, soon, and nothing is left behind.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "internal/clock.h"
#include "tests/runtime/ranks.h"
#include "tests/runtime/rows.h"

enum { WORLD = 4, VOCAB = 500, GOOD_STEPS = 5 };

static const uint64_t SECOND_NS = UINT64_C(1000000000);

enum fault { DIES, LEAVES, STOPS, BRINGS_MORE_ROWS };

struct scene {
    enum fault fault;
    uint32_t culprit;
    uint32_t comm;
    int status;       /* what the others get */
    const char *text; /* in their error */
};

static struct rz_options scene_options(const struct scene *scene)
{
    struct rz_options options;
    rz_options_init(&options);
    options.vocab_size = VOCAB;
    options.comm = scene->comm;
    options.step_timeout_ms = scene->fault == STOPS ? 300 : 30000;
    return options;
}

static int step_once(rz_job *job, uint32_t rank, uint64_t step, uint32_t rows)
{
    struct rz_sampling sampling;
    rz_sampling_init(&sampling);
    const struct rz_row row = {.sampling = &sampling};
    struct rz_batch batch;
    rz_batch_init(&batch);
    batch.logits_rows = rows;
    if (rank == 0) {
        batch.rows = &row;
        batch.row_count = 1;
    }
    rows_write_shard(job, RZ_F32, 1, step, rows);
    int32_t ids[256];
    uint32_t count;
    return rz_step(job, &batch, ids, &count, NULL);
}

static int play(uint32_t rank, uint32_t world, const char *name, void *argument)
{
    const struct scene *scene = argument;
    const struct rz_options options = scene_options(scene);
    rz_job *job = rank_open(&options, name, rank, world);
    uint64_t step = 0;
    for (; step < GOOD_STEPS; step++)
        rank_expect(step_once(job, rank, step, 1) == RZ_OK, "%s", rz_last_error(job)->text);

    if (rank == scene->culprit) {
        switch (scene->fault) {
        case DIES: raise(SIGKILL); break;
        case STOPS: raise(SIGSTOP); break;
        case LEAVES: rz_close(job); return 0;
        case BRINGS_MORE_ROWS: break;
        }
    }
    const uint64_t begin = rz_clock_ns();
    const uint32_t rows = scene->fault == BRINGS_MORE_ROWS && rank == scene->culprit ? 3 : 1;
    /* The culprit may be noticed a step later than it went: until then steps succeed. */
    int status = RZ_OK;
    while (status == RZ_OK)
        status = step_once(job, rank, step++, rows);
    const struct rz_error *err = rz_last_error(job);
    rank_expect(status == scene->status, "rank %u got %d: %s", rank, status, err->text);
    rank_expect(strstr(err->text, scene->text) != NULL, "rank %u: expected \"%s\" in \"%s\"", rank,
                scene->text, err->text);
    rank_expect(err->rank == (int32_t)scene->culprit, "rank %u: about rank %d: %s", rank,
                (int)err->rank, err->text);
    rank_expect(rz_clock_ns() - begin < 10 * SECOND_NS, "rank %u: it took %.3f s", rank,
                (double)(rz_clock_ns() - begin) * 1e-9);
    rank_expect(step_once(job, rank, step, 1) == status, "a job that is over stays so");
    rz_close(job);
    return 0;
}

static void expect_scene(struct scene scene)
{
    struct ranks ranks;
    int status[RZ_MAX_WORLD];
    ranks_start(&ranks, WORLD, play, &scene);
    if (scene.fault == STOPS) { /* the others end first; then it is let go, and killed */
        for (uint32_t r = 0; r < WORLD; r++) {
            int state;
            if (r == scene.culprit)
                continue;
            assert_int_equal(waitpid(ranks.pid[r], &state, 0), ranks.pid[r]);
            assert_true(WIFEXITED(state) && WEXITSTATUS(state) == 0);
        }
        assert_int_equal(kill(ranks.pid[scene.culprit], SIGKILL), 0);
        int state;
        assert_int_equal(waitpid(ranks.pid[scene.culprit], &state, 0), ranks.pid[scene.culprit]);
    } else {
        ranks_wait(&ranks, status);
        for (uint32_t r = 0; r < WORLD; r++)
            assert_int_equal(status[r],
                             scene.fault == DIES && r == scene.culprit ? RANK_DIED + SIGKILL : 0);
    }
    assert_int_equal(shm_leftovers(), 0);
}

static void a_killed_rank_is_named_by_all(void **state)
{
    (void)state;
    for (uint32_t culprit = 0; culprit < WORLD; culprit++) {
        char text[32];
        snprintf(text, sizeof text, "rank %u", culprit);
        expect_scene((struct scene){
            .fault = DIES, .culprit = culprit, .status = RZ_E_PEER_DIED, .text = text});
    }
}

static void a_rank_that_leaves_is_named_by_all(void **state)
{
    (void)state;
    for (uint32_t culprit = 0; culprit < WORLD; culprit += 3) {
        char text[32];
        snprintf(text, sizeof text, "rank %u", culprit);
        expect_scene((struct scene){
            .fault = LEAVES, .culprit = culprit, .status = RZ_E_CLOSED, .text = text});
    }
}

static void a_stopped_rank_is_a_timeout_that_names_it(void **state)
{
    (void)state;
    for (uint32_t culprit = 0; culprit < WORLD; culprit += 2) {
        char text[32];
        snprintf(text, sizeof text, "rank %u", culprit);
        expect_scene((struct scene){
            .fault = STOPS, .culprit = culprit, .status = RZ_E_TIMEOUT, .text = text});
    }
}

static void different_numbers_of_rows_are_a_mismatch_on_every_rank(void **state)
{
    (void)state;
    expect_scene((struct scene){
        .fault = BRINGS_MORE_ROWS, .culprit = 2, .status = RZ_E_MISMATCH, .text = "rank 2"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_rank_is_named_by_all),
        cmocka_unit_test(a_rank_that_leaves_is_named_by_all),
        cmocka_unit_test(a_stopped_rank_is_a_timeout_that_names_it),
        cmocka_unit_test(different_numbers_of_rows_are_a_mismatch_on_every_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
