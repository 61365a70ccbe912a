/* SPDX-License-Identifier: Apache-2.0
 *
 * test_row_params.c - numbers, a row's parameters from JSON, and how draws are laid out over steps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/tools/scratch.h"
#include "tools/number.h"
#include "tools/params_json.h"
#include "tools/sample_plan.h"

/* ------------------------------------------------------------------------------------------------
 * Numbers
 */

static void whole_numbers_are_digits_in_range(void **state)
{
    (void)state;
    uint64_t n = 0;
    assert_true(rz_number_whole("0", 5, &n) && n == 0);
    assert_true(rz_number_whole("5", 5, &n) && n == 5);
    assert_true(rz_number_whole("18446744073709551615", UINT64_MAX, &n) && n == UINT64_MAX);
    static const char *const bad[] = {"",    "-1",  "+1", " 1",  "1 ",
                                      "0x1", "1.0", "6",  "1e0", "18446744073709551616"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(rz_number_whole(bad[i], 5, &n));
    assert_false(rz_number_whole("18446744073709551616", UINT64_MAX, &n));
}

static void floats_are_decimal_and_finite(void **state)
{
    (void)state;
    float f = 0;
    assert_true(rz_number_float("-1.5e2", &f) && f == -150.0f);
    assert_true(rz_number_float(".5", &f) && f == 0.5f);
    static const char *const bad[] = {"",     "nan",   "NaN",   "inf", "-inf", "infinity",
                                      "1e39", "1e999", "0x1p3", "1,5", " 1",   "1 ",
                                      "--1",  "e",     "1e",    "+",   "1.2.3"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(rz_number_float(bad[i], &f));
}

/* ------------------------------------------------------------------------------------------------
 * JSON
 */

struct fixture {
    struct rz_row_params row;
    struct rz_arena arena;
    struct rz_complaint complaint;
};

static int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){0};
    rz_row_params_init(&fixture.row);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    rz_arena_free(&f->arena);
    return 0;
}

static int apply(struct fixture *f, const char *line)
{
    return rz_params_apply(line, strlen(line), "f:3", &f->row, &f->arena, &f->complaint);
}

static void expect_complaint(struct fixture *f, const char *line, const char *text)
{
    assert_int_equal(apply(f, line), RZ_EXIT_FAILED);
    if (strstr(f->complaint.text, text) == NULL)
        fail_msg("expected '%s' in '%s'", text, f->complaint.text);
}

static void every_parameter_is_set_by_its_name(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        apply(f, "{\"temperature\": 0.5, \"top_k\": 7, \"top_p\": 0.25, \"min_p\": 0.125,"
                 "\"repetition_penalty\": 2, \"frequency_penalty\": -3.5,"
                 "\"presence_penalty\": 4, \"prompt_ids\": [1, 2], \"output_ids\": [3],"
                 "\"logit_bias\": {\"9\": -1.5}, \"allowed\": [4, 5, 6], \"banned\": [7],"
                 "\"stop_ids\": [8, 9], \"min_tokens\": 10, \"seed\": 11, \"position\": 12,"
                 "\"count\": 13, \"logprobs\": 14, \"logprobs_mode\": \"processed\","
                 "\"bitmask\": [4294967295, 0]}"),
        RZ_EXIT_OK);
    const struct rz_sampling *s = &f->row.sampling;
    assert_true(s->temperature == 0.5f && s->top_p == 0.25f && s->min_p == 0.125f);
    assert_true(s->repetition_penalty == 2 && s->frequency_penalty == -3.5f);
    assert_true(s->presence_penalty == 4 && s->top_k == 7 && s->min_tokens == 10);
    assert_int_equal(f->row.prompt_count, 2);
    assert_int_equal(f->row.prompt_ids[1], 2);
    assert_int_equal(f->row.output_count, 1);
    assert_int_equal(f->row.output_ids[0], 3);
    assert_int_equal(s->bias_count, 1);
    assert_true(s->bias[0].id == 9 && s->bias[0].bias == -1.5f);
    assert_int_equal(s->allowed_count, 3);
    assert_int_equal(s->allowed_ids[2], 6);
    assert_int_equal(s->banned_count, 1);
    assert_int_equal(s->banned_ids[0], 7);
    assert_int_equal(s->stop_count, 2);
    assert_int_equal(s->stop_ids[1], 9);
    assert_true(f->row.has_seed && s->seed == 11);
    assert_true(f->row.has_position && f->row.position == 12);
    assert_int_equal(f->row.count, 13);
    assert_int_equal(s->top_logprobs, 14);
    assert_int_equal(s->flags, RZ_SAMPLING_LOGPROBS);
    assert_int_equal(s->logprobs_mode, RZ_LOGPROBS_PROCESSED);
    assert_int_equal(f->row.bitmask_words, 2);
    assert_int_equal(f->row.bitmask[0], UINT32_MAX);
}

static void bias_may_be_pairs_and_a_seed_a_string(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        apply(f, "{\"logit_bias\": [[1, 2], [1, -0.5]], \"seed\": \"18446744073709551615\"}"),
        RZ_EXIT_OK);
    assert_int_equal(f->row.sampling.bias_count, 2);
    assert_true(f->row.sampling.bias[1].id == 1 && f->row.sampling.bias[1].bias == -0.5f);
    assert_true(f->row.sampling.seed == UINT64_MAX);
}

static void empty_object_changes_nothing(void **state)
{
    struct fixture *f = *state;
    const struct rz_row_params before = f->row;
    assert_int_equal(apply(f, "{}"), RZ_EXIT_OK);
    assert_memory_equal(&before, &f->row, sizeof before);
}

/* The column is that of the end of the token that is wrong. */
static void malformed_json_has_line_and_column(void **state)
{
    struct fixture *f = *state;
    expect_complaint(f, "{\"top_k\": 5,, }", "f:3:13: malformed JSON: ");
    expect_complaint(f, "{\"top_k\": 5", "f:3:11: malformed JSON: ");
    expect_complaint(f, "", "f:3:0: malformed JSON: ");
    expect_complaint(f, "{} {}", "malformed JSON: ");
    expect_complaint(f, "{\"temperature\": nan}", "f:3:19: malformed JSON: ");
    expect_complaint(f, "{\"top_k\": 5, \"top_k\": 6}", "malformed JSON: duplicate object key");
    expect_complaint(f, "[1]", "f:3:1: expected an object");
}

static void unknown_keys_are_named(void **state)
{
    struct fixture *f = *state;
    expect_complaint(f, "{\"top-p\": 0.5}", "f:3: \"top-p\": unknown key");
    expect_complaint(f, "{\"split\": [1]}", "f:3: \"split\": expected a parameter of a row");
}

static void wrong_types_are_told_with_both(void **state)
{
    struct fixture *f = *state;
    expect_complaint(f, "{\"temperature\": \"1\"}",
                     "f:3: \"temperature\": expected a finite number, got \"1\"");
    expect_complaint(f, "{\"top_k\": 5.0}",
                     "expected a whole number from 0 to 4294967295, got 5.0");
    expect_complaint(f, "{\"top_k\": null}", "got null");
    expect_complaint(f, "{\"allowed\": 3}", "expected an array of ids from 0 to 2147483647, got 3");
    expect_complaint(f, "{\"banned\": [1, \"2\"]}", "got [1,\"2\"]");
    expect_complaint(f, "{\"logit_bias\": {\"a\": 1}}", "expected an object");
    expect_complaint(f, "{\"logit_bias\": [[1]]}", "expected an object");
    expect_complaint(f, "{\"logprobs_mode\": \"cooked\"}", "expected \"raw\" or \"processed\"");
    expect_complaint(f, "{\"seed\": \"0x1\"}", "expected a whole number below 2^64");
    expect_complaint(f, "{\"bitmask\": [4294967296]}", "words from 0 to 4294967295");
}

static void values_out_of_range_are_named(void **state)
{
    struct fixture *f = *state;
    expect_complaint(f, "{\"top_p\": 0}", "f:3: \"top_p\": expected a number in (0, 1], got 0");
    rz_row_params_init(&f->row);
    expect_complaint(f, "{\"min_p\": 1}", "\"min_p\": expected a number in [0, 1), got 1");
    rz_row_params_init(&f->row);
    expect_complaint(f, "{\"temperature\": -1}", "\"temperature\": expected a finite number >= 0");
    rz_row_params_init(&f->row);
    expect_complaint(f, "{\"temperature\": 1e39}", "\"temperature\": expected a finite number");
    expect_complaint(f, "{\"repetition_penalty\": 0}", "expected a number in (0, 100], got 0");
    rz_row_params_init(&f->row);
    expect_complaint(f, "{\"top_k\": -1}", "got -1");
    expect_complaint(f, "{\"logprobs\": 21}", "expected a whole number from 0 to 20, got 21");
    expect_complaint(f, "{\"count\": 0}", "expected a whole number from 1 to");
}

static void ids_out_of_the_vocabulary_are_named(void **state)
{
    struct fixture *f = *state;
    static const char *const lists[] = {"prompt_ids", "output_ids", "allowed", "banned",
                                        "stop_ids"};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        char line[64], expected[128];
        rz_row_params_init(&f->row);
        snprintf(line, sizeof line, "{\"%s\": [3, 100]}", lists[i]);
        assert_int_equal(apply(f, line), RZ_EXIT_OK);
        assert_int_equal(rz_row_params_check_ids(&f->row, 101, "f:3", &f->complaint), RZ_EXIT_OK);
        assert_int_equal(rz_row_params_check_ids(&f->row, 100, "f:3", &f->complaint),
                         RZ_EXIT_FAILED);
        snprintf(expected, sizeof expected,
                 "f:3: \"%s\": expected ids of the vocabulary, 0 to 99, got 100", lists[i]);
        assert_string_equal(f->complaint.text, expected);
    }
    rz_row_params_init(&f->row);
    assert_int_equal(apply(f, "{\"logit_bias\": {\"100\": 1}}"), RZ_EXIT_OK);
    assert_int_equal(rz_row_params_check_ids(&f->row, 100, "f:3", &f->complaint), RZ_EXIT_FAILED);
}

static int read_lines(struct fixture *f, const char *text, struct rz_row_params rows[2])
{
    struct scratch file = scratch_write(text, strlen(text));
    rz_row_params_init(&rows[0]);
    rz_row_params_init(&rows[1]);
    const int status = rz_params_read(file.path, rows, 2, &f->arena, &f->complaint);
    scratch_remove(&file);
    return status;
}

static void file_has_one_line_a_row(void **state)
{
    struct fixture *f = *state;
    struct rz_row_params rows[2];
    assert_int_equal(read_lines(f, "{\"top_k\": 1}\n{\"top_k\": 2}", rows), RZ_EXIT_OK);
    assert_int_equal(rows[0].sampling.top_k, 1);
    assert_int_equal(rows[1].sampling.top_k, 2);
    assert_int_equal(read_lines(f, "{}\n", rows), RZ_EXIT_FAILED);
    assert_non_null(strstr(f->complaint.text, "expected a line for each row of logits, 2, got 1"));
    assert_int_equal(read_lines(f, "{}\n{}\n{}\n", rows), RZ_EXIT_FAILED);
    assert_non_null(strstr(f->complaint.text, "expected a line for each row of logits, 2, got 3"));
    assert_int_equal(read_lines(f, "{}\n{]\n", rows), RZ_EXIT_FAILED);
    assert_non_null(strstr(f->complaint.text, ":2:2: malformed JSON"));
}

/* ------------------------------------------------------------------------------------------------
 * Steps
 */

static void steps_cover_every_draw_once_in_order(void **state)
{
    (void)state;
    for (uint32_t capacity = 1; capacity <= 12; capacity++) {
        struct rz_row_params rows[4];
        static const uint64_t counts[] = {1, 7, 2, 1};
        for (int r = 0; r < 4; r++) {
            rz_row_params_init(&rows[r]);
            rows[r].count = counts[r];
        }
        const struct rz_sample_input input = {.rows = rows, .row_count = 4, .draws = 11};
        struct rz_sample_cursor cursor = {0};
        struct rz_piece pieces[12];
        uint32_t row = 0, n, steps = 0;
        uint64_t first = 0;
        while ((n = rz_sample_step_next(&input, &cursor, capacity, pieces)) > 0) {
            uint32_t ids = 0;
            for (uint32_t i = 0; i < n; i++) {
                assert_int_equal(pieces[i].row, row);
                assert_int_equal(pieces[i].first, first);
                assert_true(pieces[i].count > 0);
                ids += pieces[i].count;
                first += pieces[i].count;
                if (first == counts[row]) {
                    row++;
                    first = 0;
                }
            }
            assert_true(ids <= capacity);
            steps++;
        }
        assert_int_equal(row, 4);
        assert_int_equal(steps, (11 + capacity - 1) / capacity);
    }
}

static void steps_fit_a_small_shared_memory(void **state)
{
    (void)state;
    struct rz_sample_input input = {.columns = RZ_MAX_VOCAB, .draws = 1000000};
    input.logits.item_bytes = 4;
    const uint32_t rows = rz_sample_step_size(&input);
    assert_true(rows >= 1 && (uint64_t)rows * RZ_MAX_VOCAB * 4 <= UINT64_C(32) << 20);
    input.columns = 1;
    assert_int_equal(rz_sample_step_size(&input), 4096);
    input.draws = 3;
    assert_int_equal(rz_sample_step_size(&input), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers_are_digits_in_range),
        cmocka_unit_test(floats_are_decimal_and_finite),
        cmocka_unit_test_setup_teardown(every_parameter_is_set_by_its_name, setup, teardown),
        cmocka_unit_test_setup_teardown(bias_may_be_pairs_and_a_seed_a_string, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_object_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(malformed_json_has_line_and_column, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_keys_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_types_are_told_with_both, setup, teardown),
        cmocka_unit_test_setup_teardown(values_out_of_range_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(ids_out_of_the_vocabulary_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(file_has_one_line_a_row, setup, teardown),
        cmocka_unit_test(steps_cover_every_draw_once_in_order),
        cmocka_unit_test(steps_fit_a_small_shared_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
