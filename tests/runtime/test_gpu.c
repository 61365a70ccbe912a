/* SPDX-License-Identifier: Apache-2.0
 *
 * test_gpu.c - steps with GPUs draw the ids that steps without draw: however logits come, whether a
 * host or a stream waits, captured or not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "rankzero/cuda.h"
#include "tests/runtime/gpu_steps.h"
#include "tests/runtime/ranks.h"
#include "tests/runtime/rows.h"

struct run {
    struct scene scene;
    struct scene_hash *hashes; /* [world], shared with the parent */
};

static int play(uint32_t rank, uint32_t world, const char *name, void *argument)
{
    const struct run *run = argument;
    struct scene scene = run->scene;
    struct gpu_caller caller;
    if (scene.step != NULL) {
        gpu_caller_open(&caller, scene.options.device, rank);
        scene.context = &caller;
    }
    rz_job *job = rank_open(&scene.options, name, rank, world);
    run->hashes[rank] = scene_play(&scene, job);
    rz_close(job);
    if (scene.step != NULL)
        gpu_caller_close(&caller);
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
    // LATER assert_int_equal(run.hashes[0].results, SCENE_RESULTS_HASH);
    munmap(run.hashes, bytes);
    assert_int_equal(shm_leftovers(), 0);
}

static struct scene gpu_scene(scene_step *step)
{
    struct scene scene;
    scene_init(&scene);
    scene.options.backend = RZ_BACKEND_CUDA;
    scene.options.comm = RZ_COMM_CUDA_IPC;
    scene.own_buffer = true;
    scene.step = step;
    return scene;
}

static const uint32_t uneven[RZ_MAX_WORLD] = {1, 500, 17, 485};
static const uint32_t with_nothing[RZ_MAX_WORLD] = {0, 1003, 0};

/* On one GPU, or with one for each rank: the double has as many as it is told, a machine what it
 * has. */
static const struct {
    uint32_t world;
    const uint32_t *split;
    uint32_t comm;
    const char *devices;
} shapes[] = {{1, NULL, RZ_COMM_AUTO, "1"},         {2, NULL, RZ_COMM_CUDA_IPC, "1"},
              {3, NULL, RZ_COMM_NCCL, "3"},         {4, uneven, RZ_COMM_CUDA_IPC, "1"},
              {3, with_nothing, RZ_COMM_NCCL, "4"}, {3, with_nothing, RZ_COMM_AUTO, "2"}};

static void expect_everywhere(scene_step *step)
{
    const char *real = getenv("RZ_TEST_GPUS");
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct scene scene = gpu_scene(step);
        scene.options.split = shapes[i].split;
        scene.options.comm = shapes[i].comm;
        scene.split_step = i % 2 == 1;
        setenv("RZ_FAKE_CUDA_DEVICES", shapes[i].devices, 1);
        if (real != NULL && strtoul(real, NULL, 10) < shapes[i].world &&
            shapes[i].comm == RZ_COMM_NCCL) {
            print_message("NCCL with %u ranks: not on %s GPUs\n", shapes[i].world, real);
            scene.options.comm = RZ_COMM_CUDA_IPC;
        }
        expect_same_ids(&scene, shapes[i].world);
    }
    unsetenv("RZ_FAKE_CUDA_DEVICES");
}

static void logits_of_the_host_are_copied(void **state)
{
    (void)state;
    for (uint32_t dtype = RZ_F32; dtype <= RZ_BF16; dtype++) {
        struct scene scene = gpu_scene(NULL);
        scene.options.dtype = dtype;
        expect_same_ids(&scene, 2);
    }
    expect_everywhere(NULL);
}

static void logits_of_the_device_are_read(void **state)
{
    (void)state;
    expect_everywhere(gpu_step_of_device_memory);
}

static void steps_on_a_stream(void **state)
{
    (void)state;
    expect_everywhere(gpu_step_enqueued);
}

static void a_device_that_only_knows_writable_memory(void **state)
{
    (void)state;
    struct scene scene = gpu_scene(gpu_step_enqueued);
    setenv("RZ_FAKE_CUDA_READ_ONLY", "0", 1);
    expect_same_ids(&scene, 2);
    unsetenv("RZ_FAKE_CUDA_READ_ONLY");
}

static void steps_of_a_graph(void **state)
{
    (void)state;
    expect_everywhere(gpu_step_replayed);
}

/* Histories of so many ids: none, more than there was room for at first, and some. */
static int draw_with_histories(uint32_t rank, uint32_t world, const char *name, void *argument)
{
    (void)argument;
    enum { MOST = 400000 };
    static const uint32_t counts[] = {0, MOST, 7};
    static const uint32_t backends[] = {RZ_BACKEND_REFERENCE, RZ_BACKEND_CUDA};
    static int32_t history[MOST];
    int32_t drawn[2][3];
    for (uint32_t i = 0; i < MOST; i++)
        history[i] = (int32_t)(i * 7 % SCENE_VOCAB);
    for (uint32_t b = 0; b < 2; b++) {
        struct rz_options options;
        rz_options_init(&options);
        options.vocab_size = SCENE_VOCAB;
        options.max_rows = 1;
        options.backend = backends[b];
        rz_job *job = rank_open(&options, name, rank, world);
        float logits[SCENE_VOCAB];
        rows_write(logits, SCENE_VOCAB, RZ_F32, SCENE_SEED, 0, 1, 0, SCENE_VOCAB);
        for (uint32_t i = 0; i < 3; i++) {
            struct rz_sampling sampling;
            rz_sampling_init(&sampling);
            sampling.flags = RZ_SAMPLING_SEED;
            sampling.repetition_penalty = 1.3f;
            const struct rz_row row = {
                .sampling = &sampling, .output_ids = history, .output_count = counts[i]};
            struct rz_batch batch;
            rz_batch_init(&batch);
            batch.logits_rows = batch.row_count = 1;
            batch.logits = logits;
            batch.row_stride = SCENE_VOCAB;
            batch.rows = &row;
            uint32_t count;
            rank_expect(rz_step(job, &batch, &drawn[b][i], &count, NULL) == RZ_OK, "%s",
                        rz_last_error(job)->text);
        }
        rz_close(job);
    }
    rank_expect(memcmp(drawn[0], drawn[1], sizeof drawn[0]) == 0, "other ids than the reference's");
    exit(0);
}

static void room_is_made_for_long_lists(void **state)
{
    (void)state;
    ranks_run(1, draw_with_histories, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_of_the_host_are_copied),
        cmocka_unit_test(logits_of_the_device_are_read),
        cmocka_unit_test(steps_on_a_stream),
        cmocka_unit_test(steps_of_a_graph),
        cmocka_unit_test(room_is_made_for_long_lists),
        cmocka_unit_test(a_device_that_only_knows_writable_memory),
    };
    return cmocka_run_group_tests_name("runtime_gpu", tests, NULL, NULL);
}
