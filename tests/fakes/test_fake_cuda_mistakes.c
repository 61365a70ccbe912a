/* SPDX-License-Identifier: Apache-2.0
 *
 * test_fake_cuda_mistakes.c - kernels run in the double of libcuda, and it ends programs whose
 * mistakes a GPU may not show.
 */
#include <sys/mman.h>

#include "kernels/cuda/kernels.h"
#include "tests/fakes/device.h"

enum { VOCAB = 48, TILES = VOCAB / 16 };

/* What rz_cuda_scan_f32 reads and writes, in device memory. */
struct scanned {
    float logits[VOCAB];
    struct rz_shard_view shard;
    struct rz_cuda_row row;
    float tile_max[TILES];
    uint64_t scratch[32];
};

/* All arrays that the kernel has besides share the scratch. */
static struct rz_cuda_step step_of(rz_cuda_ptr memory)
{
    struct scanned *in = (struct scanned *)memory;
    struct rz_cuda_step step;
    for (size_t i = 0; i < sizeof step / sizeof memory; i++) {
        const rz_cuda_ptr scratch = (uintptr_t)in->scratch;
        memcpy((char *)&step + i * sizeof scratch, &scratch, sizeof scratch);
    }
    step.logits = (struct rz_logits_view){
        .dtype = RZ_F32, .vocab_size = VOCAB, .shard_count = 1, .shards = &in->shard};
    step.rows = &in->row;
    step.tile_max = in->tile_max;
    return step;
}

static void launch_scan(rz_cuda_function function, rz_cuda_ptr memory, rz_cuda_stream stream)
{
    struct rz_cuda_step step = step_of(memory);
    void *arguments[] = {&step};
    ok(cuda.launch(function, 1, 1, 1, 32, 1, 1, 0, stream, arguments, NULL));
    memset(&step, 0xFF, sizeof step); /* they are copied at the call */
}

static void launch_kernels(void)
{
    struct setup s;
    rz_cuda_module module = NULL;
    rz_cuda_function function = NULL;
    set_up(&s, RZ_CUDA_STREAM_NON_BLOCKING);
    is(sizeof(struct scanned) <= BYTES, 1);
    is(cuda.module_load(&module, "not an image of any kernels"), RZ_CUDA_INVALID_IMAGE);
    ok(cuda.module_load(&module, "rankzero no kernels"));
    is(cuda.module_function(&function, module, "rz_no_kernel"), RZ_CUDA_NOT_FOUND);
    ok(cuda.module_function(&function, module, "rz_cuda_scan_f32"));
    is(cuda.launch(function, 0, 1, 1, 32, 1, 1, 0, s.a, NULL, NULL), RZ_CUDA_INVALID_VALUE);
    is(cuda.launch(function, 1, 1, 1, 2048, 1, 1, 0, s.a, NULL, NULL), RZ_CUDA_INVALID_VALUE);

    struct scanned *here = (struct scanned *)(void *)s.host;
    memset(here, 0, sizeof *here);
    here->shard = (struct rz_shard_view){
        .logits = ((struct scanned *)s.memory)->logits, .row_stride = VOCAB, .count = VOCAB};
    here->row.draws = 1;
    for (int i = 0; i < VOCAB; i++)
        here->logits[i] = (float)(i % 7);
    here->logits[20] = 9;
    ok(cuda.copy(s.memory, (uintptr_t)s.host, sizeof *here, s.a));
    launch_scan(function, s.memory, s.a);
    ok(cuda.copy((uintptr_t)s.host, s.memory, sizeof *here, s.a));
    ok(cuda.stream_synchronize(s.a));
    is(here->tile_max[0], 6);
    is(here->tile_max[1], 9);
    is(here->tile_max[2], 6);
    ok(cuda.module_unload(module));
    tear_down(&s);
}

static void kernels_are_launched(void **state)
{
    (void)state;
    passes(launch_kernels);
}

static void launch_over_freed_memory(void)
{
    struct setup s;
    rz_cuda_module module = NULL;
    rz_cuda_function function = NULL;
    set_up(&s, RZ_CUDA_STREAM_NON_BLOCKING);
    ok(cuda.module_load(&module, "rankzero no kernels"));
    ok(cuda.module_function(&function, module, "rz_cuda_scan_f32"));
    ok(cuda.free(s.memory));
    launch_scan(function, s.memory, s.a);
}

static void launch_over_memory_of_the_host(void)
{
    struct setup s;
    struct scanned here;
    rz_cuda_module module = NULL;
    rz_cuda_function function = NULL;
    set_up(&s, RZ_CUDA_STREAM_NON_BLOCKING);
    ok(cuda.module_load(&module, "rankzero no kernels"));
    ok(cuda.module_function(&function, module, "rz_cuda_scan_f32"));
    launch_scan(function, (uintptr_t)&here, s.a);
}

static void unload_in_use(void)
{
    struct setup s;
    rz_cuda_module module = NULL;
    rz_cuda_function function = NULL;
    set_up(&s, RZ_CUDA_STREAM_NON_BLOCKING);
    ok(cuda.module_load(&module, "rankzero no kernels"));
    ok(cuda.module_function(&function, module, "rz_cuda_scan_f32"));
    ok(cuda.stream_wait_value(s.a, (uintptr_t)s.gate, 1, RZ_CUDA_WAIT_AT_LEAST));
    launch_scan(function, s.memory, s.a);
    ok(cuda.module_unload(module));
}

/* ------------------------------------------------------------------------------------------------
 * Mistakes that a GPU may not show
 */

static void copy_without_order(void)
{
    struct setup s;
    set_up(&s, RZ_CUDA_STREAM_NON_BLOCKING);
    ok(cuda.set_words(s.memory, 7, WORDS, s.a));
    ok(cuda.copy((uintptr_t)s.host, s.memory, BYTES, s.b));
}

static void free_in_use(void)
{
    struct setup s;
    set_up(&s, RZ_CUDA_STREAM_NON_BLOCKING);
    ok(cuda.set_words(s.memory, 7, WORDS, s.a));
    ok(cuda.free(s.memory));
}

static void free_host_in_use(void)
{
    struct setup s;
    set_up(&s, RZ_CUDA_STREAM_NON_BLOCKING);
    ok(cuda.copy(s.memory, (uintptr_t)s.host, BYTES, s.a));
    ok(cuda.host_free(s.host));
}

static void use_destroyed_stream(void)
{
    struct setup s;
    set_up(&s, RZ_CUDA_STREAM_NON_BLOCKING);
    ok(cuda.stream_destroy(s.a));
    cuda.set_words(s.memory, 7, WORDS, s.a);
}

static void leave_work(void)
{
    struct setup s;
    set_up(&s, RZ_CUDA_STREAM_NON_BLOCKING);
    ok(cuda.event_record(s.event, s.a));
    tear_down(&s);
}

static void leave_a_stream(void)
{
    rz_cuda_stream stream = NULL;
    enter();
    ok(cuda.stream_create(&stream, 0));
    leave();
}

static void leave_a_context(void)
{
    enter();
}

static void leave_a_stream_knowingly(void)
{
    setenv("RZ_FAKE_CUDA_LEAKS", "0", 1);
    leave_a_stream();
}

static void write_to_read_only(void)
{
    struct setup s;
    void *pages = mmap(NULL, BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    set_up(&s, RZ_CUDA_STREAM_NON_BLOCKING);
    ok(cuda.host_register(pages, BYTES, RZ_CUDA_HOST_READ_ONLY));
    cuda.copy((uintptr_t)pages, s.memory, BYTES, s.a);
}

static void replay_over_freed_memory(void)
{
    struct setup s;
    rz_cuda_graph graph = NULL;
    rz_cuda_graph_exec exec = NULL;
    set_up(&s, RZ_CUDA_STREAM_NON_BLOCKING);
    ok(cuda.capture_begin(s.a, RZ_CUDA_CAPTURE_THREAD_LOCAL));
    ok(cuda.set_words(s.memory, 5, 1, s.a));
    ok(cuda.capture_end(s.a, &graph));
    ok(cuda.graph_instantiate(&exec, graph, 0));
    ok(cuda.free(s.memory));
    cuda.graph_launch(exec, s.a);
}

static void mistakes_end_the_program(void **state)
{
    (void)state;
    ends(copy_without_order, "no order between them");
    ends(free_in_use, "cuMemFree: cuMemsetD32Async");
    ends(free_host_in_use, "cuMemFreeHost: cuMemcpyAsync");
    ends(use_destroyed_stream, "is no stream");
    ends(leave_a_stream, "stream");
    ends(leave_a_context, "retained 1 times");
    ends(write_to_read_only, "read-only");
    ends(replay_over_freed_memory, "is freed");
    ends(launch_over_freed_memory, "not allocated");
    ends(launch_over_memory_of_the_host, "not pinned");
    ends(leave_work, "not known to be done");
    ends(unload_in_use, "cuModuleUnload: rz_cuda_scan_f32");
    passes(leave_a_stream_knowingly);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_are_launched),
        cmocka_unit_test(mistakes_end_the_program),
    };
    return cmocka_run_group_tests_name("fake_cuda_mistakes", tests, NULL, NULL);
}
