/* SPDX-License-Identifier: Apache-2.0
 *
 * test_sample_options.c - the command line of `rankzero sample`.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tools/progress.h"
#include "tools/sample_options.h"

enum { MOST_WORDS = 48 };

/* Parse words separated by single spaces. */
static int parse(const char *line, struct rz_sample_options *options,
                 struct rz_complaint *complaint)
{
    static char text[1024]; /* the options point into it */
    static char *argv[MOST_WORDS + 2];
    int argc = 0;
    snprintf(text, sizeof text, "sample %s", line);
    char *rest = text, *word;
    while (argc <= MOST_WORDS && (word = strsep(&rest, " ")) != NULL)
        argv[argc++] = word;
    argv[argc] = NULL;
    return rz_sample_options_parse(argc, argv, options, complaint);
}

static void expect_usage(const char *line, const char *text)
{
    struct rz_sample_options options;
    struct rz_complaint complaint;
    assert_int_equal(parse(line, &options, &complaint), RZ_EXIT_USAGE);
    if (strstr(complaint.text, text) == NULL)
        fail_msg("expected '%s' in '%s'", text, complaint.text);
}

static void defaults_are_plain_sampling(void **state)
{
    (void)state;
    struct rz_sample_options o;
    struct rz_complaint complaint;
    assert_int_equal(parse("x.npy", &o, &complaint), RZ_EXIT_OK);
    struct rz_sampling plain;
    rz_sampling_init(&plain);
    assert_memory_equal(&plain, &o.row.sampling, sizeof plain);
    assert_string_equal(o.logits_path, "x.npy");
    assert_int_equal(o.row.count, 1);
    assert_false(o.row.has_seed || o.row.has_position || o.json || o.help || o.has_dtype);
    assert_null(o.split);
    assert_null(o.params_path);
    assert_null(o.job_name);
    assert_int_equal(o.ranks, 0);
    assert_int_equal(o.threads, 0);
    rz_sample_options_free(&o);
}

static void every_option_is_taken(void **state)
{
    (void)state;
    struct rz_sample_options o;
    struct rz_complaint complaint;
    assert_int_equal(
        parse("--temperature 0.5 --top-k=7 --top-p 0.25 --min-p 0.125 --repetition-penalty 2 "
              "--frequency-penalty -3.5 --presence-penalty 4 --prompt-ids 1,2 --output-ids 3 "
              "--logit-bias 9:-1.5,8:2 --allowed 4,5,6 --banned 7",
              &o, &complaint),
        RZ_EXIT_USAGE); /* no file yet */
    assert_int_equal(
        parse("--temperature 0.5 --top-k=7 --top-p 0.25 --min-p 0.125 --repetition-penalty 2 "
              "--frequency-penalty -3.5 --presence-penalty 4 --prompt-ids 1,2 --output-ids 3 "
              "--logit-bias 9:-1.5,8:2 --allowed 4,5,6 --banned 7 x.npy",
              &o, &complaint),
        RZ_EXIT_OK);
    const struct rz_sampling *s = &o.row.sampling;
    assert_true(s->temperature == 0.5f && s->top_p == 0.25f && s->min_p == 0.125f);
    assert_true(s->repetition_penalty == 2 && s->frequency_penalty == -3.5f);
    assert_true(s->presence_penalty == 4 && s->top_k == 7);
    assert_true(o.row.prompt_count == 2 && o.row.prompt_ids[1] == 2);
    assert_true(o.row.output_count == 1 && o.row.output_ids[0] == 3);
    assert_true(s->bias_count == 2 && s->bias[1].id == 8 && s->bias[1].bias == 2);
    assert_true(s->allowed_count == 3 && s->allowed_ids[2] == 6);
    assert_true(s->banned_count == 1 && s->banned_ids[0] == 7);
    rz_sample_options_free(&o);

    assert_int_equal(
        parse("x.npy --stop-ids 8,9 --min-tokens 10 --seed 18446744073709551615 --position 12 "
              "--count 13 --logprobs 14 --logprobs-mode processed --json --dtype bf16 "
              "--vocab-size 99 --ranks 3 --split 1,2,0 --mode gather --backend reference "
              "--comm shm --threads 4 --job a.b -o out.npy --params p --bitmask b",
              &o, &complaint),
        RZ_EXIT_OK);
    assert_true(s->stop_count == 2 && s->stop_ids[1] == 9 && s->min_tokens == 10);
    assert_true(o.row.has_seed && s->seed == UINT64_MAX);
    assert_true(o.row.has_position && o.row.position == 12 && o.row.count == 13);
    assert_true(s->top_logprobs == 14 && s->flags == RZ_SAMPLING_LOGPROBS);
    assert_true(s->logprobs_mode == RZ_LOGPROBS_PROCESSED && o.json && o.has_logprobs);
    assert_true(o.has_dtype && o.dtype == RZ_BF16 && o.vocab_size == 99 && o.ranks == 3);
    assert_true(o.split_count == 3 && o.split[1] == 2 && o.split[2] == 0);
    assert_true(o.mode == RZ_MODE_GATHER && o.backend == RZ_BACKEND_REFERENCE);
    assert_true(o.comm == RZ_COMM_SHM && o.threads == 4);
    assert_string_equal(o.job_name, "a.b");
    assert_string_equal(o.output_path, "out.npy");
    assert_string_equal(o.params_path, "p");
    assert_string_equal(o.bitmask_path, "b");
    rz_sample_options_free(&o);
}

static void numbers_out_of_range_are_bad_usage(void **state)
{
    (void)state;
    expect_usage("x --temperature -1", "--temperature: expected a finite number >= 0, got -1");
    expect_usage("x --temperature nan", "--temperature: expected a finite number, got 'nan'");
    expect_usage("x --temperature inf", "--temperature: expected a finite number, got 'inf'");
    expect_usage("x --temperature 1e39", "--temperature: expected a finite number, got '1e39'");
    expect_usage("x --top-p 0", "--top-p: expected a number in (0, 1], got 0");
    expect_usage("x --top-p 1.01", "--top-p: expected a number in (0, 1], got 1.01");
    expect_usage("x --min-p 1", "--min-p: expected a number in [0, 1), got 1");
    expect_usage("x --min-p -0.1", "--min-p: expected a number in [0, 1), got -0.1");
    expect_usage("x --top-k -1", "--top-k: expected a whole number from 0 to 4294967295, got '-1'");
    expect_usage("x --top-k 1.5", "--top-k: expected a whole number");
    expect_usage("x --repetition-penalty 0", "--repetition-penalty: expected a number in (0, 100]");
    expect_usage("x --frequency-penalty 101", "--frequency-penalty: expected a number in [-100");
    expect_usage("x --presence-penalty -101", "--presence-penalty: expected a number in [-100");
    expect_usage("x --logprobs 21 --json", "--logprobs: expected a whole number from 0 to 20");
    expect_usage("x --count 0", "--count: expected a whole number from 1");
    expect_usage("x --seed 18446744073709551616", "--seed: expected a whole number below 2^64");
    expect_usage("x --vocab-size 0", "--vocab-size: expected a whole number from 1 to 262144");
    expect_usage("x --ranks 65", "--ranks: expected a whole number from 1 to 64, got '65'");
    expect_usage("x --threads 0", "--threads: expected a whole number from 1 to 256, got '0'");
}

static void malformed_lists_are_bad_usage(void **state)
{
    (void)state;
    static const char *const lists[] = {"prompt-ids", "output-ids", "allowed", "banned",
                                        "stop-ids"};
    static const char *const bad[] = {",", "1,", ",1", "1,,2", "-1", "1;2", "2147483648"};
    for (size_t l = 0; l < sizeof lists / sizeof lists[0]; l++) {
        for (size_t b = 0; b < sizeof bad / sizeof bad[0]; b++) {
            char line[64], expected[128];
            snprintf(line, sizeof line, "x --%s %s", lists[l], bad[b]);
            snprintf(expected, sizeof expected,
                     "--%s: expected ids from 0 to 2147483647 separated by commas, got '%s'",
                     lists[l], bad[b]);
            expect_usage(line, expected);
        }
    }
    static const char *const pairs[] = {"1", "1:", ":1", "1:nan", "1:1,", "a:1", "1:2:3"};
    for (size_t p = 0; p < sizeof pairs / sizeof pairs[0]; p++) {
        char line[64];
        snprintf(line, sizeof line, "x --logit-bias %s", pairs[p]);
        expect_usage(line, "--logit-bias: expected ID:B pairs separated by commas");
    }
    expect_usage("x --split 1,a", "--split: expected columns of each rank");
}

static void unknown_words_are_bad_usage(void **state)
{
    (void)state;
    expect_usage("x --mode index", "--mode: expected gather, got 'index'");
    expect_usage(
        "x --backend gpu",
        "--backend: expected one of auto, reference, scalar, avx2, avx512, cuda, got 'gpu'");
    expect_usage("x --dtype f64", "--dtype: expected one of f32, f16, bf16, got 'f64'");
    expect_usage("x --comm tcp",
                 "--comm: expected one of auto, shm, mpi, nccl, cuda_ipc, got 'tcp'");
    expect_usage("x --logprobs-mode cooked", "--logprobs-mode: expected raw or processed");
    expect_usage("x --job a/b", "--job: expected 1 to 63 characters");
    expect_usage("x --job .a", "--job: expected 1 to 63 characters");
}

static void misused_options_are_named(void **state)
{
    (void)state;
    expect_usage("--json", "expected LOGITS.npy, got no file");
    expect_usage("x y", "expected one file of logits, got also 'y'");
    expect_usage("x --color", "--color: unknown or ambiguous option");
    expect_usage("x --t 1", "--t: unknown or ambiguous option");
    expect_usage("x -q", "-q: unknown option");
    expect_usage("x --top-k", "--top-k: expected a value, got none");
    expect_usage("x --json=1", "--json=1: expected no value, got one");
    expect_usage("x --logprobs 3", "--logprobs: expected --json with it");
}

static void help_needs_no_file(void **state)
{
    (void)state;
    struct rz_sample_options o;
    struct rz_complaint complaint;
    assert_int_equal(parse("--help", &o, &complaint), RZ_EXIT_OK);
    assert_true(o.help);
    rz_sample_options_free(&o);
}

static void help_names_every_option(void **state)
{
    (void)state;
    for (int id = 0; id < RZ_FIELDS; id++) {
        char option[64];
        if (rz_fields[id].option == NULL)
            continue;
        snprintf(option, sizeof option, "  --%s ", rz_fields[id].option);
        if (strstr(rz_sample_help[0], option) == NULL)
            fail_msg("--help does not mention%s", option);
    }
}

static void progress_has_rate_and_time_left(void **state)
{
    (void)state;
    char text[128];
    rz_progress_format(412000, 1000000, "draws", 2.0, text);
    assert_string_equal(text, "  412,000 of 1,000,000 draws  41%  206,000/s  2.9 s left");
    rz_progress_format(0, 999, "draws", 0, text);
    assert_string_equal(text, "  0 of 999 draws  0%  0/s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_plain_sampling),
        cmocka_unit_test(every_option_is_taken),
        cmocka_unit_test(numbers_out_of_range_are_bad_usage),
        cmocka_unit_test(malformed_lists_are_bad_usage),
        cmocka_unit_test(unknown_words_are_bad_usage),
        cmocka_unit_test(misused_options_are_named),
        cmocka_unit_test(help_needs_no_file),
        cmocka_unit_test(help_names_every_option),
        cmocka_unit_test(progress_has_rate_and_time_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
