/* SPDX-License-Identifier: Apache-2.0
 *
 * test_fake_cuda.c - the double of libcuda keeps the promises of the real one, and no others.
 */
#include <sys/mman.h>

#include "tests/fakes/device.h"

/* CUresults that only these tests know. */
enum {
    INVALID_CONTEXT = 201,
    ILLEGAL_STATE = 401,
    ALREADY_REGISTERED = 712,
    CAPTURE_INVALIDATED = 901,
    CAPTURE_UNJOINED = 904,
    CAPTURE_ISOLATION = 905,
    CAPTURED_EVENT = 907
};

/* ------------------------------------------------------------------------------------------------
 * Contexts and memory
 */

static void use_contexts(void)
{
    rz_cuda_context context = NULL;
    rz_cuda_ptr memory = 0;
    int device = -1, value = 0;
    start();
    is(cuda.allocate(&memory, 1), INVALID_CONTEXT);
    is(cuda.context_device(&device), INVALID_CONTEXT);
    is(cuda.context_pop(&context), INVALID_CONTEXT);
    ok(cuda.primary_retain(&context, 0));
    ok(cuda.context_push(context));
    ok(cuda.context_device(&device));
    is(device, 0);
    ok(cuda.device_attribute(&value, RZ_CUDA_CAPABILITY_MAJOR, 0));
    is(value, 9);
    ok(cuda.primary_release(0));
    is(cuda.allocate(&memory, 1) != RZ_CUDA_SUCCESS, 1);
    is(cuda.primary_release(0), INVALID_CONTEXT);
}

static void contexts_are_counted(void **state)
{
    (void)state;
    passes(use_contexts);
}

static void use_memory(void)
{
    rz_cuda_ptr a = 0, b = 0;
    size_t before = 0, after = 0, total = 0;
    int value = 0;
    enter();
    ok(cuda.memory_free_bytes(&before, &total));
    ok(cuda.allocate(&a, BYTES));
    ok(cuda.allocate(&b, 1));
    ok(cuda.memory_free_bytes(&after, &total));
    is(before - after >= BYTES + 1, 1);
    is(cuda.allocate(&b, total), RZ_CUDA_OUT_OF_MEMORY);
    is(cuda.allocate(&b, 0), RZ_CUDA_INVALID_VALUE);
    is(cuda.free(a + 1), RZ_CUDA_INVALID_VALUE);
    ok(cuda.pointer_attribute(&value, RZ_CUDA_POINTER_MEMORY_TYPE, a + BYTES - 1));
    is(value, RZ_CUDA_MEMORY_DEVICE);
    is(cuda.pointer_attribute(&value, RZ_CUDA_POINTER_MEMORY_TYPE, a + BYTES),
       RZ_CUDA_INVALID_VALUE);
    is(cuda.pointer_attribute(&value, RZ_CUDA_POINTER_MEMORY_TYPE, (rz_cuda_ptr)&value),
       RZ_CUDA_INVALID_VALUE);
    is(cuda.copy(a, b, BYTES, NULL), RZ_CUDA_INVALID_VALUE);
    is(cuda.set_words(a + 4, 0, WORDS, NULL), RZ_CUDA_INVALID_VALUE);
    ok(cuda.free(a));
    is(cuda.free(a), RZ_CUDA_INVALID_VALUE);
    is(cuda.copy(b, a, 1, NULL), RZ_CUDA_INVALID_VALUE);
    ok(cuda.free(b));
    leave();
}

static void memory_is_what_was_allocated(void **state)
{
    (void)state;
    passes(use_memory);
}

static void use_host_memory(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *pinned = NULL;
    rz_cuda_ptr device = 0;
    enter();
    ok(cuda.host_allocate(&pinned, BYTES, RZ_CUDA_HOST_MAPPED));
    ok(cuda.host_device_pointer(&device, pinned, 0));
    is(device == (uintptr_t)pinned, 1);
    is(cuda.host_register(pinned, 1, 0), ALREADY_REGISTERED);

    char *pages = mmap(NULL, 3 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    is(pages != MAP_FAILED, 1);
    is(munmap(pages + 2 * page, page), 0);
    is(cuda.host_register(pages, page, 0), RZ_CUDA_INVALID_VALUE);
    is(cuda.host_register(pages, 3 * page, RZ_CUDA_HOST_READ_ONLY), RZ_CUDA_INVALID_VALUE);
    is(cuda.host_device_pointer(&device, pages, 0), RZ_CUDA_INVALID_VALUE);
    ok(cuda.host_register(pages + 64, page, RZ_CUDA_HOST_READ_ONLY));
    ok(cuda.host_device_pointer(&device, pages + 64, 0));
    is(cuda.host_register(pages, 2 * page, RZ_CUDA_HOST_READ_ONLY), ALREADY_REGISTERED);
    ok(cuda.host_unregister(pages + 64));
    is(cuda.host_unregister(pages + 64) != RZ_CUDA_SUCCESS, 1);
    munmap(pages, 2 * page);

    rz_cuda_ptr memory = 0;
    ok(cuda.allocate(&memory, BYTES));
    is(cuda.host_register((void *)memory, 4, 0), RZ_CUDA_INVALID_VALUE);
    ok(cuda.free(memory));
    ok(cuda.host_free(pinned));
    leave();
}

static void host_memory_is_registered_once(void **state)
{
    (void)state;
    passes(use_host_memory);
}

/* ------------------------------------------------------------------------------------------------
 * Order
 */

static void wait_in_streams(void)
{
    struct setup s;
    set_up(&s, RZ_CUDA_STREAM_NON_BLOCKING);
    ok(cuda.stream_wait_value(s.a, (uintptr_t)s.gate, 1, RZ_CUDA_WAIT_AT_LEAST));
    ok(cuda.set_words(s.memory, 7, WORDS, s.a));
    ok(cuda.event_record(s.event, s.a));
    ok(cuda.stream_wait_event(s.b, s.event, 0));
    ok(cuda.copy((uintptr_t)s.host, s.memory, BYTES, s.b));
    is(cuda.stream_query(s.b), RZ_CUDA_NOT_READY);
    is(cuda.event_query(s.event), RZ_CUDA_NOT_READY);
    ok(cuda.stream_synchronize(NULL));
    open_gate(&s);
    ok(cuda.stream_synchronize(s.b));
    expect_words(&s, 7);
    ok(cuda.event_query(s.event));
    ok(cuda.stream_query(s.a));
    tear_down(&s);
}

static void streams_wait_for_words_and_events(void **state)
{
    (void)state;
    passes(wait_in_streams);
}

static void wait_for_legacy(void)
{
    struct setup s;
    set_up(&s, 0);
    ok(cuda.stream_wait_value(s.a, (uintptr_t)s.gate, 1, RZ_CUDA_WAIT_AT_LEAST));
    ok(cuda.set_words(s.memory, 3, WORDS, s.a));
    ok(cuda.set_words(s.memory, 4, WORDS, NULL));
    ok(cuda.copy((uintptr_t)s.host, s.memory, BYTES, s.b));
    is(cuda.stream_query(NULL), RZ_CUDA_NOT_READY);
    open_gate(&s);
    ok(cuda.stream_synchronize(s.b));
    expect_words(&s, 4);
    tear_down(&s);
}

static void legacy_stream_orders_blocking_ones(void **state)
{
    (void)state;
    passes(wait_for_legacy);
}

static void copy_rows(void)
{
    struct setup s;
    set_up(&s, RZ_CUDA_STREAM_NON_BLOCKING);
    for (uint32_t i = 0; i < WORDS; i++)
        s.host[i] = i;
    ok(cuda.set_words(s.memory, 0, WORDS, s.a));
    struct rz_cuda_copy_2d copy = {.from_type = RZ_CUDA_MEMORY_HOST,
                                   .from_host = s.host,
                                   .from_x = 4,
                                   .from_y = 1,
                                   .from_pitch = 40,
                                   .to_type = RZ_CUDA_MEMORY_DEVICE,
                                   .to_device = s.memory,
                                   .to_pitch = 80,
                                   .width = 12,
                                   .height = 5};
    ok(cuda.copy_2d(&copy, s.a));
    uint32_t here[WORDS];
    ok(cuda.copy((uintptr_t)here, s.memory, BYTES, s.a)); /* not pinned: it is there at once */
    for (uint32_t i = 0; i < WORDS; i++)
        is(here[i], i < 100 && i % 20 < 3 ? (i / 20 + 1) * 10 + 1 + i % 20 : 0);
    copy.to_pitch = 11;
    is(cuda.copy_2d(&copy, s.a), RZ_CUDA_INVALID_VALUE);
    ok(cuda.stream_synchronize(s.a));
    tear_down(&s);
}

static void rows_are_copied(void **state)
{
    (void)state;
    passes(copy_rows);
}

/* Which of two streams comes first, where nothing says so. */
static void draw_order(void)
{
    struct setup s;
    rz_cuda_event events[2];
    int first = 0;
    set_up(&s, RZ_CUDA_STREAM_NON_BLOCKING);
    ok(cuda.event_create(&events[0], RZ_CUDA_EVENT_TIMED));
    ok(cuda.event_create(&events[1], RZ_CUDA_EVENT_TIMED));
    for (int round = 0; round < 100; round++) {
        float milliseconds = 0;
        *s.gate = 0;
        ok(cuda.stream_wait_value(s.a, (uintptr_t)s.gate, 1, RZ_CUDA_WAIT_AT_LEAST));
        ok(cuda.event_record(s.event, s.a));
        ok(cuda.stream_wait_event(s.b, s.event, 0));
        ok(cuda.event_record(events[0], s.a));
        ok(cuda.event_record(events[1], s.b));
        open_gate(&s);
        ok(cuda.stream_synchronize(s.a));
        ok(cuda.stream_synchronize(s.b));
        ok(cuda.event_elapsed_ms(&milliseconds, events[0], events[1]));
        first += milliseconds > 0;
    }
    is(first > 0 && first < 100, 1); /* one in four begins with the other */
    is(cuda.event_elapsed_ms(&(float){0}, events[0], s.event), RZ_CUDA_INVALID_HANDLE);
    ok(cuda.event_destroy(events[0]));
    ok(cuda.event_destroy(events[1]));
    tear_down(&s);
}

static void order_of_streams_is_drawn(void **state)
{
    (void)state;
    passes(draw_order);
}

/* ------------------------------------------------------------------------------------------------
 * Graphs
 */

static void replay(void)
{
    struct setup s;
    rz_cuda_graph graph = NULL;
    rz_cuda_graph_exec exec = NULL;
    int status = -1;
    set_up(&s, RZ_CUDA_STREAM_NON_BLOCKING);
    ok(cuda.capture_begin(s.a, RZ_CUDA_CAPTURE_THREAD_LOCAL));
    ok(cuda.stream_capturing(s.a, &status));
    is(status, RZ_CUDA_CAPTURING);
    ok(cuda.copy(s.memory, (uintptr_t)s.host, BYTES, s.a));
    ok(cuda.event_record(s.event, s.a));
    ok(cuda.stream_wait_event(s.b, s.event, 0));
    ok(cuda.set_words(s.memory, 5, 1, s.b));
    is(cuda.event_query(s.event), CAPTURED_EVENT);
    is(cuda.capture_end(s.a, &graph), CAPTURE_INVALIDATED);

    ok(cuda.capture_begin(s.a, RZ_CUDA_CAPTURE_THREAD_LOCAL));
    ok(cuda.copy(s.memory, (uintptr_t)s.host, BYTES, s.a));
    ok(cuda.event_record(s.event, s.a));
    ok(cuda.stream_wait_event(s.b, s.event, 0));
    ok(cuda.set_words(s.memory, 5, 1, s.b));
    ok(cuda.event_record(s.event, s.b));
    ok(cuda.stream_wait_event(s.a, s.event, 0));
    ok(cuda.copy((uintptr_t)s.host, s.memory, 8, s.a));
    ok(cuda.capture_end(s.a, &graph));
    ok(cuda.graph_instantiate(&exec, graph, 0));
    ok(cuda.graph_destroy(graph));
    for (uint32_t round = 10; round < 13; round++) {
        s.host[0] = 0;
        s.host[1] = round;
        ok(cuda.graph_launch(exec, s.b));
        ok(cuda.stream_synchronize(s.b));
        is(s.host[0], 5);
        is(s.host[1], round);
    }
    ok(cuda.graph_exec_destroy(exec));
    tear_down(&s);
}

static void graphs_are_replayed(void **state)
{
    (void)state;
    passes(replay);
}

static void capture_badly(void)
{
    struct setup s;
    rz_cuda_graph graph = NULL;
    rz_cuda_ptr memory = 0;
    int status = -1;
    set_up(&s, 0);
    is(cuda.capture_end(s.a, &graph), ILLEGAL_STATE);
    is(cuda.capture_begin(NULL, RZ_CUDA_CAPTURE_THREAD_LOCAL), RZ_CUDA_CAPTURE_UNSUPPORTED);

    ok(cuda.capture_begin(s.a, RZ_CUDA_CAPTURE_THREAD_LOCAL));
    is(cuda.allocate(&memory, 4), RZ_CUDA_CAPTURE_UNSUPPORTED);
    is(cuda.capture_end(s.a, &graph), CAPTURE_INVALIDATED);

    ok(cuda.capture_begin(s.a, RZ_CUDA_CAPTURE_THREAD_LOCAL));
    is(cuda.stream_synchronize(s.a), RZ_CUDA_CAPTURE_UNSUPPORTED);
    is(cuda.set_words(s.memory, 5, 1, s.a), CAPTURE_INVALIDATED);
    is(cuda.capture_end(s.a, &graph), CAPTURE_INVALIDATED);

    ok(cuda.capture_begin(s.a, RZ_CUDA_CAPTURE_THREAD_LOCAL));
    is(cuda.set_words(s.memory, 5, 1, NULL), RZ_CUDA_CAPTURE_IMPLICIT);
    is(cuda.capture_end(s.a, &graph), CAPTURE_INVALIDATED);
    ok(cuda.capture_begin(s.a, RZ_CUDA_CAPTURE_THREAD_LOCAL));
    is(cuda.stream_capturing(NULL, &status), RZ_CUDA_CAPTURE_IMPLICIT);
    is(cuda.capture_end(s.a, &graph), CAPTURE_INVALIDATED);

    ok(cuda.event_record(s.event, s.b));
    ok(cuda.stream_synchronize(s.b));
    ok(cuda.capture_begin(s.a, RZ_CUDA_CAPTURE_THREAD_LOCAL));
    is(cuda.stream_wait_event(s.a, s.event, 0), CAPTURE_ISOLATION);
    is(cuda.capture_end(s.a, &graph), CAPTURE_INVALIDATED);

    ok(cuda.capture_begin(s.a, RZ_CUDA_CAPTURE_THREAD_LOCAL));
    ok(cuda.event_record(s.event, s.a));
    ok(cuda.stream_wait_event(s.b, s.event, 0));
    ok(cuda.set_words(s.memory, 5, 1, s.b));
    is(cuda.capture_end(s.a, &graph), CAPTURE_UNJOINED);
    ok(cuda.stream_capturing(s.b, &status));
    is(status, RZ_CUDA_NOT_CAPTURING);
    is(graph == NULL, 1);
    tear_down(&s);
}

static void what_cannot_be_captured_is_refused(void **state)
{
    (void)state;
    passes(capture_badly);
}

/* ------------------------------------------------------------------------------------------------
 * Two processes
 */

static int there[2], back[2]; /* pipes */

static void tell(int to[2], const void *what, size_t bytes)
{
    is(write(to[1], what, bytes), bytes);
}

static void hear(int from[2], void *what, size_t bytes)
{
    is(read(from[0], what, bytes), bytes);
}

/* Opens what the other exports, writes to it, and closes it or not. */
static void import(int closes)
{
    struct rz_cuda_ipc_memory handle;
    rz_cuda_ptr memory = 0, again = 0;
    char done = 1;
    hear(there, &handle, sizeof handle);
    enter();
    ok(cuda.ipc_open(&memory, handle, RZ_CUDA_IPC_LAZY_PEER_ACCESS));
    ok(cuda.ipc_open(&again, handle, RZ_CUDA_IPC_LAZY_PEER_ACCESS));
    is(memory == again, 1);
    is(cuda.free(memory), RZ_CUDA_INVALID_VALUE);
    ok(cuda.set_words(memory, 77, WORDS, NULL));
    ok(cuda.stream_synchronize(NULL));
    ok(cuda.ipc_close(memory));
    if (closes) {
        ok(cuda.ipc_close(memory));
        is(cuda.ipc_close(memory), RZ_CUDA_INVALID_VALUE);
        tell(back, &done, 1);
        hear(there, &done, 1);
        is(cuda.ipc_open(&memory, handle, RZ_CUDA_IPC_LAZY_PEER_ACCESS), RZ_CUDA_INVALID_HANDLE);
        leave();
        exit(0);
    }
    tell(back, &done, 1);
    hear(there, &done, 1);
    _exit(0);
}

static void export(int closes)
{
    struct setup s;
    struct rz_cuda_ipc_memory handle;
    rz_cuda_ptr memory = 0;
    char done = 1;
    int status = 0;
    is(pipe(there), 0);
    is(pipe(back), 0);
    const pid_t child = fork();
    if (child == 0) {
        close(there[1]); /* so that it ends when this process does */
        import(closes);
    }
    set_up(&s, RZ_CUDA_STREAM_NON_BLOCKING);
    ok(cuda.ipc_get(&handle, s.memory));
    is(cuda.ipc_open(&memory, handle, RZ_CUDA_IPC_LAZY_PEER_ACCESS), INVALID_CONTEXT);
    tell(there, &handle, sizeof handle);
    hear(back, &done, 1);
    ok(cuda.copy((uintptr_t)s.host, s.memory, BYTES, s.a));
    ok(cuda.stream_synchronize(s.a));
    expect_words(&s, 77);
    tear_down(&s);
    tell(there, &done, 1);
    is(waitpid(child, &status, 0), child);
    is(status, 0);
}

static void export_and_free(void)
{
    export(1);
}

static void free_what_another_has_open(void)
{
    export(0);
}

static void processes_share_memory(void **state)
{
    (void)state;
    passes(export_and_free);
    ends(free_what_another_has_open, "another process has");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contexts_are_counted),
        cmocka_unit_test(memory_is_what_was_allocated),
        cmocka_unit_test(host_memory_is_registered_once),
        cmocka_unit_test(streams_wait_for_words_and_events),
        cmocka_unit_test(legacy_stream_orders_blocking_ones),
        cmocka_unit_test(rows_are_copied),
        cmocka_unit_test(order_of_streams_is_drawn),
        cmocka_unit_test(graphs_are_replayed),
        cmocka_unit_test(what_cannot_be_captured_is_refused),
        cmocka_unit_test(processes_share_memory),
    };
    return cmocka_run_group_tests_name("fake_cuda", tests, NULL, NULL);
}
