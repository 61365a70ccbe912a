/* SPDX-License-Identifier: Apache-2.0
 *
 * test_versions.c - callers that were compiled with shorter or longer structs than the library.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/runtime/ranks.h"
#include "tests/runtime/rows.h"

enum { VOCAB = 100, DRAWS = 3, GUARD = 0x5A };

struct setup {
    rz_job *job;
    struct rz_sampling sampling;
    struct rz_row row;
    struct rz_batch batch; /* one row with DRAWS draws */
    int32_t ids[256];
    uint32_t count;
};

static int setup(void **state)
{
    static struct setup s;
    struct rz_options options;
    rz_options_init(&options);
    options.vocab_size = VOCAB;
    char name[RZ_MAX_NAME];
    snprintf(name, sizeof name, "test-%d-versions", (int)getpid());
    s.job = rank_open(&options, name, 0, 1);
    rows_write_shard(s.job, RZ_F32, 1, 0, 1);
    rz_sampling_init(&s.sampling);
    s.sampling.flags = RZ_SAMPLING_SEED | RZ_SAMPLING_LOGPROBS;
    s.sampling.top_logprobs = RZ_MAX_TOP_LOGPROBS;
    rz_row_init(&s.row);
    s.row.sampling = &s.sampling;
    s.row.draws = DRAWS;
    rz_batch_init(&s.batch);
    s.batch.logits_rows = 1;
    s.batch.rows = &s.row;
    s.batch.row_count = 1;
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    const struct setup *s = *state;
    rz_close(s->job);
    return 0;
}

static int step(struct setup *s, void *results)
{
    return rz_step(s->job, &s->batch, s->ids, &s->count, results);
}

static void expect_refusal(struct setup *s, void *results, const char *text)
{
    assert_int_equal(step(s, results), RZ_E_ARG);
    if (strstr(rz_last_error(s->job)->text, text) == NULL)
        fail_msg("expected \"%s\" in \"%s\"", text, rz_last_error(s->job)->text);
}

static void results_are_written_by_the_callers_size(void **state)
{
    struct setup *s = *state;
    struct rz_result whole[DRAWS];
    assert_int_equal(step(s, whole), RZ_OK);

    static const size_t sizes[] = {4, 16, 39, sizeof(struct rz_result),
                                   sizeof(struct rz_result) + 8};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const size_t size = sizes[i];
        const size_t known = size < sizeof whole[0] ? size : sizeof whole[0];
        static const char zeros[8];
        char got[(DRAWS + 1) * (sizeof whole[0] + 8)];
        memset(got, GUARD, sizeof got);
        s->batch.result_size = size;
        assert_int_equal(step(s, got), RZ_OK);
        assert_int_equal(s->count, DRAWS);
        for (size_t d = 0; d < DRAWS; d++) {
            assert_memory_equal(got + d * size, &whole[d], known);
            assert_memory_equal(got + d * size + known, zeros, size - known);
        }
        for (size_t at = DRAWS * size; at < sizeof got; at++)
            assert_int_equal(got[at], GUARD);
    }
}

static void results_without_a_size_are_refused_before_anything_is_handed_in(void **state)
{
    struct setup *s = *state;
    struct rz_result results[DRAWS];
    s->batch.result_size = 0;
    expect_refusal(s, results, "batch.result_size: expected sizeof(struct rz_result)");
    assert_int_equal(step(s, NULL), RZ_OK);
    assert_int_equal(rz_step_begin(s->job, &s->batch), RZ_OK);
    assert_int_equal(rz_step_finish(s->job, s->ids, &s->count, results), RZ_E_ARG);
    assert_int_equal(rz_step_finish(s->job, s->ids, &s->count, NULL), RZ_OK);
    s->batch.result_size = 4097;
    expect_refusal(s, NULL, "batch.result_size");
}

static void later_fields_are_refused_unless_they_are_zero(void **state)
{
    struct setup *s = *state;
    struct {
        struct rz_row row;
        uint64_t later;
    } rows[2] = {{.row = s->row}, {.row = s->row}};
    struct {
        struct rz_sampling sampling;
        uint64_t later;
    } sampling = {.sampling = s->sampling};
    sampling.sampling.size = sizeof sampling;
    rows[1].row.sampling = &sampling.sampling;
    s->batch.rows = &rows[0].row;
    s->batch.row_count = 2;
    s->batch.row_size = sizeof rows[0];
    assert_int_equal(step(s, NULL), RZ_OK);
    assert_int_equal(s->count, 2 * DRAWS);
    rows[1].later = 1;
    expect_refusal(s, NULL, "row 1: row: fields that this version does not know are set");
    rows[1].later = 0;
    sampling.later = 1;
    expect_refusal(s, NULL, "row 1: sampling: expected a struct made by rz_sampling_init()");
}

static void missing_fields_read_zero(void **state)
{
    struct setup *s = *state;
    struct { /* a row that knows nothing of history, position and mask */
        uint32_t logits_row, draws, flags, reserved;
        rz_sequence sequence;
        const struct rz_sampling *sampling;
    } rows[2] = {{.sampling = &s->sampling}, {.sampling = &s->sampling}};
    s->batch.rows = (const struct rz_row *)(const void *)rows;
    s->batch.row_count = 2;
    s->batch.row_size = sizeof rows[0];
    struct rz_result results[2];
    assert_int_equal(step(s, results), RZ_OK);
    assert_int_equal(s->count, 2);
    assert_int_equal(results[1].position, 0);
}

static void reserved_fields_are_zero(void **state)
{
    struct setup *s = *state;
    s->row.reserved = 7;
    expect_refusal(s, NULL, "row 0: reserved: expected 0, got 7");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(results_are_written_by_the_callers_size),
        TEST(results_without_a_size_are_refused_before_anything_is_handed_in),
        TEST(later_fields_are_refused_unless_they_are_zero),
        TEST(missing_fields_read_zero),
        TEST(reserved_fields_are_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
