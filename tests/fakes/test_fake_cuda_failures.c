/* SPDX-License-Identifier: Apache-2.0
 *
 * test_fake_cuda_failures.c - calls and work of the double of libcuda fail when they are asked to.
 */
#include "tests/fakes/device.h"

static void fail_a_call(void)
{
    rz_cuda_stream stream = NULL;
    rz_cuda_context context = NULL;
    setenv("RZ_FAKE_CUDA_FAIL", "5", 1); /* after the version, 2 of the start, 1 of the context */
    enter();
    is(cuda.stream_create(&stream, 0), 999);
    is(stream == NULL, 1);
    ok(cuda.stream_create(&stream, 0));
    ok(cuda.stream_destroy(stream));
    ok(cuda.context_pop(&context));
    ok(cuda.primary_release(0));
}

/* What cannot be destroyed is not a leak, but what could have been is. */
static void fail_to_destroy(void)
{
    rz_cuda_stream stream = NULL;
    setenv("RZ_FAKE_CUDA_FAIL", "6", 1);
    enter();
    ok(cuda.stream_create(&stream, 0));
    is(cuda.stream_destroy(stream), 999);
    leave();
}

static void fail_work(void)
{
    struct setup s;
    rz_cuda_context context = NULL;
    rz_cuda_ptr memory = 0;
    setenv("RZ_FAKE_CUDA_FAIL_WORK", "2", 1);
    set_up(&s, RZ_CUDA_STREAM_NON_BLOCKING);
    ok(cuda.set_words(s.memory, 1, WORDS, s.a));
    ok(cuda.stream_synchronize(s.a));
    ok(cuda.set_words(s.memory, 2, WORDS, s.a));
    is(cuda.stream_synchronize(s.a), RZ_CUDA_LAUNCH_FAILED);
    is(cuda.allocate(&memory, 4), RZ_CUDA_LAUNCH_FAILED);
    is(*(uint32_t *)s.memory, 1);
    is(cuda.stream_destroy(s.a), RZ_CUDA_LAUNCH_FAILED);
    is(cuda.stream_destroy(s.b), RZ_CUDA_LAUNCH_FAILED);
    is(cuda.event_destroy(s.event), RZ_CUDA_LAUNCH_FAILED);
    is(cuda.free(s.memory), RZ_CUDA_LAUNCH_FAILED);
    is(cuda.host_free(s.host), RZ_CUDA_LAUNCH_FAILED);
    ok(cuda.context_pop(&context));
    ok(cuda.primary_release(0));
}

static void fail_elsewhere(void)
{
    setenv("RZ_FAKE_CUDA_FAIL", "1", 1);
    setenv("RZ_FAKE_CUDA_FAIL_RANK", "1", 1);
    setenv("RZ_FAKE_RANK", "0", 1);
    enter();
    leave();
}

static void calls_and_work_fail_on_demand(void **state)
{
    (void)state;
    passes(fail_a_call);
    passes(fail_to_destroy);
    passes(fail_work);
    passes(fail_elsewhere);
}

static char file_of_calls[] = "/tmp/fake_cuda_callsXXXXXX";

static void count_calls(void)
{
    setenv("RZ_FAKE_CUDA_CALLS", file_of_calls, 1);
    enter();
    leave();
}

static void calls_are_counted(void **state)
{
    (void)state;
    const int file = mkstemp(file_of_calls);
    assert_true(file >= 0);
    passes(count_calls);
    char text[16] = "";
    assert_int_equal(read(file, text, sizeof text - 1), 2);
    assert_string_equal(text, "5\n");
    close(file);
    unlink(file_of_calls);
}

/* A program that stops at the first call that fails, and undoes what it has done. */
static int copy_through_a_graph(rz_cuda_stream stream, rz_cuda_ptr memory, void *host)
{
    rz_cuda_graph graph = NULL;
    rz_cuda_graph_exec exec = NULL;
    int code = cuda.capture_begin(stream, RZ_CUDA_CAPTURE_THREAD_LOCAL);
    if (code != RZ_CUDA_SUCCESS)
        return code;
    code = cuda.set_words(memory, 8, WORDS, stream);
    if (code == RZ_CUDA_SUCCESS)
        code = cuda.copy((uintptr_t)host, memory, BYTES, stream);
    const int end = cuda.capture_end(stream, &graph);
    if (end != RZ_CUDA_SUCCESS)
        return end;
    if (code == RZ_CUDA_SUCCESS)
        code = cuda.graph_instantiate(&exec, graph, 0);
    cuda.graph_destroy(graph);
    if (exec == NULL)
        return code;
    code = cuda.graph_launch(exec, stream);
    cuda.graph_exec_destroy(exec);
    return code;
}

static int copy_in_context(void)
{
    rz_cuda_stream stream = NULL;
    rz_cuda_ptr memory = 0;
    void *host = NULL;
    int code = cuda.stream_create(&stream, RZ_CUDA_STREAM_NON_BLOCKING);
    if (code != RZ_CUDA_SUCCESS)
        return code;
    code = cuda.allocate(&memory, BYTES);
    if (code == RZ_CUDA_SUCCESS)
        code = cuda.host_allocate(&host, BYTES, RZ_CUDA_HOST_MAPPED);
    if (code == RZ_CUDA_SUCCESS)
        code = copy_through_a_graph(stream, memory, host);
    const int waited = cuda.stream_synchronize(stream);
    if (code == RZ_CUDA_SUCCESS)
        code = waited;
    if (code == RZ_CUDA_SUCCESS)
        is(*(uint32_t *)host, 8);
    if (host != NULL)
        cuda.host_free(host);
    if (memory != 0)
        cuda.free(memory);
    cuda.stream_destroy(stream);
    return code;
}

static const char *what_fails;
static int failing;

static void copy_carefully(void)
{
    char number[16];
    snprintf(number, sizeof number, "%d", failing);
    setenv(what_fails, number, 1);
    struct rz_error err;
    rz_cuda_context context = NULL;
    if (rz_cuda_open(&cuda, &err) != RZ_OK || cuda.primary_retain(&context, 0) != RZ_CUDA_SUCCESS)
        return;
    if (cuda.context_push(context) == RZ_CUDA_SUCCESS) {
        copy_in_context();
        cuda.context_pop(&context);
    }
    cuda.primary_release(0);
}

static void any_call_may_fail(void **state)
{
    (void)state;
    for (failing = 1; failing <= 25; failing++) {
        what_fails = "RZ_FAKE_CUDA_FAIL";
        passes(copy_carefully);
        what_fails = "RZ_FAKE_CUDA_FAIL_WORK";
        passes(copy_carefully);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_and_work_fail_on_demand),
        cmocka_unit_test(calls_are_counted),
        cmocka_unit_test(any_call_may_fail),
    };
    return cmocka_run_group_tests_name("fake_cuda_failures", tests, NULL, NULL);
}
