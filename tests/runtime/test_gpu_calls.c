/* SPDX-License-Identifier: Apache-2.0
 *
 * test_gpu_calls.c - jobs with GPUs where there is none, or not such a one; where calls of the
 * driver and of NCCL fail, each in its turn; and calls of ours that are refused.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "rankzero/cuda.h"
#include "tests/runtime/gpu_steps.h"
#include "tests/runtime/ranks.h"
#include "tests/runtime/rows.h"

enum { VOCAB = 300, ROWS = 2 };

static struct rz_options options_of(uint32_t comm)
{
    struct rz_options options;
    rz_options_init(&options);
    options.vocab_size = VOCAB;
    options.max_rows = ROWS;
    options.backend = RZ_BACKEND_CUDA;
    options.comm = comm;
    return options;
}

static void number_variable(const char *name, unsigned long value)
{
    char text[24];
    snprintf(text, sizeof text, "%lu", value);
    setenv(name, text, 1);
}

/* ------------------------------------------------------------------------------------------------
 * Opens that fail
 */

struct refusal {
    const char *variable, *value; /* of the environment, on every rank */
    uint32_t device;
    uint32_t comm;
    int status;
    const char *text; /* part of it, on rank 0 */
};

static int open_refused(uint32_t rank, uint32_t world, const char *name, void *argument)
{
    const struct refusal *refusal = argument;
    struct rz_options options = options_of(refusal->comm);
    options.device = refusal->device;
    setenv(refusal->variable, refusal->value, 1);
    rz_job *job = NULL;
    struct rz_error err;
    const int status = rz_open_local(&options, name, rank, world, &job, &err);
    rank_expect(status == refusal->status, "rank %u got %d: %s", rank, status, err.text);
    rank_expect(job == NULL, "no job is opened");
    rank_expect(rank != 0 || strstr(err.text, refusal->text) != NULL ||
                    strstr(err.text, "ended the job") != NULL,
                "expected \"%s\" in \"%s\"", refusal->text, err.text);
    exit(0);
}

static void a_gpu_that_is_not_there_is_an_error_on_every_rank(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {"RZ_FAKE_CUDA_DEVICES", "0", 0, RZ_COMM_AUTO, RZ_E_UNSUPPORTED, "no GPU that can be used"},
        {"RZ_FAKE_CUDA_DRIVER", "11080", 0, RZ_COMM_AUTO, RZ_E_UNSUPPORTED,
         "the driver is one for CUDA 11.8: expected 13.0 or later"},
        {"RZ_FAKE_CUDA_MEMORY", "4096", 0, RZ_COMM_AUTO, RZ_E_NOMEM, "no memory for"},
        {"RZ_FAKE_CUDA_DEVICES", "2", 4, RZ_COMM_AUTO, RZ_E_ARG, "device: expected 0 to 1, got 3"},
        {"RZ_FAKE_CUDA_DEVICES", "1", 0, RZ_COMM_NCCL, RZ_E_UNSUPPORTED, "have the same GPU"},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        for (uint32_t world = refusals[i].comm == RZ_COMM_NCCL ? 2 : 1; world <= 3; world++) {
            struct refusal refusal = refusals[i];
            ranks_run(world, open_refused, &refusal);
        }
    assert_int_equal(shm_leftovers(), 0);
}

/* The driver says of the kernels that they are for other GPUs. Which call that is the double
 * counts. */
static int open_without_kernels(uint32_t rank, uint32_t world, const char *name, void *argument)
{
    const struct rz_options options = options_of(RZ_COMM_AUTO);
    rz_job *job = NULL;
    struct rz_error err;
    number_variable("RZ_FAKE_CUDA_FAIL", *(const unsigned long *)argument);
    setenv("RZ_FAKE_CUDA_FAIL_CODE", "209", 1);
    const int status = rz_open_local(&options, name, rank, world, &job, &err);
    rz_close(job);
    exit(status == RZ_E_UNSUPPORTED && strstr(err.text, "no kernels for GPU 0") != NULL ? 3 : 0);
}

static void a_gpu_that_there_are_no_kernels_for_is_told_of(void **state)
{
    (void)state;
    bool told = false;
    for (unsigned long call = 1; call <= 20 && !told; call++) {
        struct ranks ranks;
        int status[RZ_MAX_WORLD];
        ranks_start(&ranks, 1, open_without_kernels, &call);
        ranks_wait(&ranks, status);
        assert_true(status[0] == 0 || status[0] == 3);
        told = status[0] == 3;
    }
    assert_true(told);
}

/* ------------------------------------------------------------------------------------------------
 * Calls that are refused
 */

static struct rz_batch batch_of(const void *logits, const struct rz_row *row)
{
    struct rz_batch batch;
    rz_batch_init(&batch);
    batch.logits_rows = ROWS;
    batch.logits = logits;
    batch.row_stride = VOCAB;
    batch.rows = row;
    batch.row_count = 1;
    return batch;
}

static void expect_refused(rz_job *job, int status, int expected, const char *text)
{
    const struct rz_error *err = rz_last_error(job);
    rank_expect(status == expected, "got %d: %s", status, err->text);
    rank_expect(strstr(err->text, text) != NULL, "expected \"%s\" in \"%s\"", text, err->text);
}

static void upload(struct gpu_caller *caller, rz_job *job, struct rz_batch *batch)
{
    float logits[ROWS * VOCAB];
    rows_write(logits, VOCAB, RZ_F32, 1, 0, ROWS, 0, VOCAB);
    batch->logits = logits;
    gpu_caller_upload(caller, job, batch, sizeof(float));
}

static int be_refused(uint32_t rank, uint32_t world, const char *name, void *argument)
{
    (void)argument;
    setenv("RZ_FAKE_CUDA_DEVICES", "2", 1);
    struct rz_options options = options_of(RZ_COMM_AUTO);
    options.device = 1;
    rz_job *job = rank_open(&options, name, rank, world);
    struct gpu_caller ours, others;
    gpu_caller_open(&ours, 1, 0);
    gpu_caller_open(&others, 2, 0);
    struct rz_sampling sampling;
    rz_sampling_init(&sampling);
    const struct rz_row row = {.sampling = &sampling};
    const int32_t *ids = NULL;
    float host[ROWS * VOCAB];
    rows_write(host, VOCAB, RZ_F32, 1, 0, ROWS, 0, VOCAB);

    struct rz_batch batch = batch_of(host, &row);
    expect_refused(job, rz_step_enqueue(job, &batch, ours.device.stream, &ids), RZ_E_ARG,
                   "batch.logits: expected memory of GPU 0, got memory of the host");
    upload(&others, job, &batch);
    expect_refused(job, rz_step_enqueue(job, &batch, ours.device.stream, &ids), RZ_E_ARG,
                   "batch.logits: expected memory of GPU 0, got memory of GPU 1");
    upload(&ours, job, &batch);
    expect_refused(job, rz_step_enqueue(job, &batch, others.device.stream, &ids), RZ_E_ARG,
                   "stream: expected one of the primary context of GPU 0");
    expect_refused(job, rz_step_enqueue(job, &batch, ours.device.stream, NULL), RZ_E_ARG, "ids:");
    expect_refused(job, rz_step_prepare(job, &batch), RZ_E_STATE,
                   "expected rz_step_enqueue on a stream that is captured");

    /* A call that is not allowed while a stream is captured makes the capture invalid. */
    rz_cuda_ptr memory = 0;
    rz_cuda_graph graph = NULL;
    rz_cuda_context context;
    ours.cuda.context_push(ours.device.context);
    ours.cuda.capture_begin(ours.device.stream, RZ_CUDA_CAPTURE_THREAD_LOCAL);
    rank_expect(ours.cuda.allocate(&memory, 16) == RZ_CUDA_CAPTURE_UNSUPPORTED,
                "it is not allowed");
    expect_refused(job, rz_step_enqueue(job, &batch, ours.device.stream, &ids), RZ_E_STATE,
                   "stream: its capture was made invalid");
    ours.cuda.capture_end(ours.device.stream, &graph);
    ours.cuda.context_pop(&context);

    int32_t drawn[ROWS];
    uint32_t count;
    rank_expect(rz_step_enqueue(job, &batch, ours.device.stream, &ids) == RZ_OK, "%s",
                rz_last_error(job)->text);
    expect_refused(job, rz_step_enqueue(job, &batch, ours.device.stream, &ids), RZ_E_STATE,
                   "a step is under way");
    rank_expect(rz_step_finish(job, drawn, &count, NULL) == RZ_OK && count == 1, "%s",
                rz_last_error(job)->text);

    rank_expect(gpu_step_replayed(&ours, job, &batch, drawn, &count, NULL) == RZ_OK, "%s",
                rz_last_error(job)->text);
    batch.logits_rows = 1;
    expect_refused(job, rz_step_prepare(job, &batch), RZ_E_ARG,
                   "batch.logits_rows: expected 2, as captured, got 1");
    batch.logits_rows = ROWS;
    batch.logits = NULL;
    expect_refused(job, rz_step_prepare(job, &batch), RZ_E_ARG,
                   "batch.logits: expected those that were captured");
    rz_close(job);
    gpu_caller_close(&ours);
    gpu_caller_close(&others);
    exit(0);
}

static void bad_calls_are_refused_and_the_job_goes_on(void **state)
{
    (void)state;
    ranks_run(1, be_refused, NULL);
}

/* ------------------------------------------------------------------------------------------------
 * Graphs
 */

/* A step drawn by rz_step(), and by the replay of a graph of this shape. */
static void expect_replayed(rz_job *job, struct gpu_caller *caller, uint32_t logits_rows,
                            uint32_t history_count, uint64_t seed)
{
    enum { MOST = 400000 };
    static int32_t history[MOST];
    for (uint32_t i = 0; i < history_count; i++)
        history[i] = (int32_t)(i * 7 % VOCAB);
    struct rz_sampling sampling;
    rz_sampling_init(&sampling);
    sampling.flags = RZ_SAMPLING_SEED;
    sampling.seed = seed;
    sampling.repetition_penalty = 1.5f;
    const struct rz_row row = {
        .sampling = &sampling, .output_ids = history, .output_count = history_count};
    float host[ROWS * VOCAB];
    rows_write(host, VOCAB, RZ_F32, seed, 0, ROWS, 0, VOCAB);
    struct rz_batch batch = batch_of(host, &row);
    batch.logits_rows = logits_rows;
    int32_t expected[ROWS], got[ROWS];
    uint32_t count;
    rank_expect(rz_step(job, &batch, expected, &count, NULL) == RZ_OK, "%s",
                rz_last_error(job)->text);
    rank_expect(gpu_step_replayed(caller, job, &batch, got, &count, NULL) == RZ_OK, "%s",
                rz_last_error(job)->text);
    rank_expect(count == 1 && got[0] == expected[0], "expected id %d, got %d", (int)expected[0],
                (int)got[0]);
}

static int replay_several(uint32_t rank, uint32_t world, const char *name, void *argument)
{
    (void)argument;
    struct rz_options options = options_of(RZ_COMM_AUTO);
    rz_job *job = rank_open(&options, name, rank, world);
    struct gpu_caller one, two;
    gpu_caller_open(&one, 1, 0);
    gpu_caller_open(&two, 1, 0);
    static const uint32_t histories[] = {0, 5, 400000, 9}; /* the third needs more room */
    for (uint64_t i = 0; i < 4; i++) {
        expect_replayed(job, &one, 1, histories[i], 2 * i);
        expect_replayed(job, &two, 2, histories[i], 2 * i + 1);
    }
    rz_close(job);
    gpu_caller_close(&one);
    gpu_caller_close(&two);
    exit(0);
}

static void graphs_of_several_shapes_with_growing_lists(void **state)
{
    (void)state;
    ranks_run(1, replay_several, NULL);
}

/* Somebody else captures, in the mode that forbids the most, while a step is under way. */
static int step_beside_a_capture(uint32_t rank, uint32_t world, const char *name, void *argument)
{
    (void)argument;
    struct rz_options options = options_of(RZ_COMM_AUTO);
    rz_job *job = rank_open(&options, name, rank, world);
    struct gpu_caller ours, others;
    gpu_caller_open(&ours, 1, 0);
    gpu_caller_open(&others, 1, 0);
    struct rz_sampling sampling;
    rz_sampling_init(&sampling);
    const struct rz_row row = {.sampling = &sampling};
    struct rz_batch batch = batch_of(NULL, &row);
    upload(&ours, job, &batch);
    const int32_t *ids;
    int32_t drawn[ROWS];
    uint32_t count;
    rz_cuda_graph graph = NULL;
    rz_cuda_context context;
    int ready;
    others.cuda.context_push(others.device.context);
    others.cuda.capture_begin(others.device.stream, RZ_CUDA_CAPTURE_GLOBAL);
    rank_expect(rz_step_enqueue(job, &batch, ours.device.stream, &ids) == RZ_OK, "%s",
                rz_last_error(job)->text);
    while ((ready = rz_step_ready(job)) == 0)
        ;
    rank_expect(ready == 1 && rz_step_finish(job, drawn, &count, NULL) == RZ_OK, "%s",
                rz_last_error(job)->text);
    rank_expect(others.cuda.capture_end(others.device.stream, &graph) == RZ_CUDA_SUCCESS,
                "the capture is good");
    others.cuda.graph_destroy(graph);
    others.cuda.context_pop(&context);
    rz_close(job);
    gpu_caller_close(&ours);
    gpu_caller_close(&others);
    exit(0);
}

static void a_step_leaves_captures_of_others_alone(void **state)
{
    (void)state;
    ranks_run(1, step_beside_a_capture, NULL);
}

/* ------------------------------------------------------------------------------------------------
 * Every call fails once
 */

struct walk {
    uint32_t comm;
    const char *library; /* CUDA or NCCL */
    const char *what;    /* FAIL: a call; FAIL_WORK: what a stream does, and all that comes after */
    unsigned long call;  /* the one that fails; 0: none */
    uint32_t culprit;
    char counts[64]; /* file that takes the number of calls */
};

/* A life of a job, by calls that may fail: the first failure, or RZ_OK. */
static int live(const struct rz_options *options, const char *name, uint32_t rank, uint32_t world,
                struct rz_error *err)
{
    rz_job *job = NULL;
    int status = rz_open_local(options, name, rank, world, &job, err);
    if (status != RZ_OK)
        return status;
    struct rz_sampling sampling;
    rz_sampling_init(&sampling);
    const struct rz_row row = {.sampling = &sampling};
    const int32_t *there;
    int32_t ids[ROWS];
    uint32_t count;
    float host[ROWS * VOCAB];
    rows_write(host, VOCAB, RZ_F32, 1, 0, ROWS, 0, VOCAB);
    struct rz_batch batch = batch_of(host, rank == 0 ? &row : NULL);
    batch.row_count = rank == 0;
    status = rz_step(job, &batch, ids, &count, NULL);
    batch.logits = NULL;
    if (status == RZ_OK)
        status = rz_step_enqueue(job, &batch, NULL, &there);
    if (status == RZ_OK)
        status = rz_step_finish(job, ids, &count, NULL);
    *err = *rz_last_error(job);
    rz_close(job);
    return status;
}

static int walk_once(uint32_t rank, uint32_t world, const char *name, void *argument)
{
    const struct walk *walk = argument;
    struct rz_options options = options_of(walk->comm);
    options.step_timeout_ms = 20000;
    char variable[64];
    number_variable("RZ_FAKE_CUDA_DEVICES", walk->comm == RZ_COMM_NCCL ? world : 1);
    number_variable("RZ_FAKE_RANK", rank);
    if (walk->call > 0) {
        snprintf(variable, sizeof variable, "RZ_FAKE_%s_%s", walk->library, walk->what);
        number_variable(variable, walk->call);
        snprintf(variable, sizeof variable, "RZ_FAKE_%s_FAIL_RANK", walk->library);
        number_variable(variable, walk->culprit);
    } else if (rank == walk->culprit) {
        snprintf(variable, sizeof variable, "RZ_FAKE_%s_CALLS", walk->library);
        setenv(variable, walk->counts, 1);
    }
    struct rz_error err = {.rank = -1};
    const int status = live(&options, name, rank, world, &err);
    rank_expect(walk->call > 0 || status == RZ_OK, "rank %u: %s", rank, err.text);
    rank_expect(status == RZ_OK || strlen(err.text) > 10, "rank %u: %d without a reason", rank,
                status);
    rank_expect(status != RZ_E_TIMEOUT, "call %lu, rank %u waits: %s", walk->call, rank, err.text);
    exit(status == RZ_OK ? 0 : 3);
}

static unsigned long count_calls(struct walk *walk)
{
    char text[24] = "";
    const int fd = mkstemp(strcpy(walk->counts, "/tmp/rankzero-calls-XXXXXX"));
    assert_true(fd >= 0);
    walk->call = 0;
    ranks_run(2, walk_once, walk);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    close(fd);
    unlink(walk->counts);
    return strtoul(text, NULL, 10);
}

/* Rank 0 could not close what it had opened of rank 1's memory, which the double of rank 1 takes
 * for left behind once rank 0 has gone. */
static bool holds_on(const struct walk *walk, uint32_t rank, const int *status)
{
    return walk->comm == RZ_COMM_CUDA_IPC && walk->culprit == 0 && rank == 1 && status[0] == 0 &&
           status[1] == RANK_DIED + SIGABRT;
}

/* Nobody is left waiting, nobody goes without a reason; how many failed on the culprit's side. */
static unsigned long walk_through(struct walk *walk, unsigned long calls)
{
    unsigned long failed = 0;
    for (walk->call = 1; walk->call <= calls; walk->call++) {
        struct ranks ranks;
        int status[RZ_MAX_WORLD];
        ranks_start(&ranks, 2, walk_once, walk);
        ranks_wait(&ranks, status);
        for (uint32_t r = 0; r < 2; r++)
            if (status[r] != 0 && status[r] != 3 && !holds_on(walk, r, status))
                fail_msg("%s_%s=%lu on rank %u: rank %u ended with %d", walk->library, walk->what,
                         walk->call, walk->culprit, r, status[r]);
        failed += status[walk->culprit] == 3;
        assert_int_equal(shm_leftovers(), 0);
    }
    print_message("%s_%s, rank %u: %lu tried, %lu of consequence\n", walk->library, walk->what,
                  walk->culprit, calls, failed);
    assert_true(failed > 0);
    return failed;
}

static void expect_every_call(uint32_t comm, const char *library, uint32_t culprit)
{
    struct walk walk = {.comm = comm, .library = library, .what = "FAIL", .culprit = culprit};
    /* How often a rank asks NCCL how it fares while it waits is a matter of time. */
    const unsigned long most = 100, counted = count_calls(&walk);
    assert_true(counted > 0);
    walk_through(&walk, counted < most ? counted : most);
}

static void every_call_of_the_driver_fails_in_turn(void **state)
{
    (void)state;
    for (uint32_t culprit = 0; culprit < 2; culprit++)
        expect_every_call(RZ_COMM_CUDA_IPC, "CUDA", culprit);
}

static void a_gpu_that_fails_is_an_error_on_every_rank(void **state)
{
    (void)state;
    enum { PIECES = 16 }; /* of work, of which a step of rank 0 has some 8 */
    for (uint32_t comm = RZ_COMM_NCCL; comm <= RZ_COMM_CUDA_IPC; comm++)
        for (uint32_t culprit = 0; culprit < 2; culprit++) {
            struct walk walk = {
                .comm = comm, .library = "CUDA", .what = "FAIL_WORK", .culprit = culprit};
            walk_through(&walk, PIECES);
        }
}

static void every_call_of_nccl_fails_in_turn(void **state)
{
    (void)state;
    for (uint32_t culprit = 0; culprit < 2; culprit++)
        expect_every_call(RZ_COMM_NCCL, "NCCL", culprit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gpu_that_is_not_there_is_an_error_on_every_rank),
        cmocka_unit_test(a_gpu_that_there_are_no_kernels_for_is_told_of),
        cmocka_unit_test(bad_calls_are_refused_and_the_job_goes_on),
        cmocka_unit_test(graphs_of_several_shapes_with_growing_lists),
        cmocka_unit_test(a_step_leaves_captures_of_others_alone),
        cmocka_unit_test(every_call_of_the_driver_fails_in_turn),
        cmocka_unit_test(every_call_of_nccl_fails_in_turn),
        cmocka_unit_test(a_gpu_that_fails_is_an_error_on_every_rank),
    };
    return cmocka_run_group_tests_name("runtime_gpu_calls", tests, NULL, NULL);
}
