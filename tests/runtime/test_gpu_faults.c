/* SPDX-License-Identifier: Apache-2.0
 *
 * test_gpu_faults.c - jobs with GPUs in which something goes wrong: a rank dies, leaves, stops or
 * disagrees; there is no GPU, or one that a job cannot have; a call of the driver fails, any of
 * them.
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

#include "rankzero/cuda.h"
#include "tests/runtime/faults.h"
#include "tests/runtime/gpu_steps.h"
#include "tests/runtime/ranks.h"

enum { WORLD = 3, VOCAB = 500 };

static scene_step *const ways[] = {gpu_step_of_device_memory, gpu_step_enqueued, gpu_step_replayed};
enum { WAYS = sizeof ways / sizeof ways[0] };

/* ------------------------------------------------------------------------------------------------
 * Ranks that go wrong
 */

static int play(uint32_t rank, uint32_t world, const char *name, void *argument)
{
    struct fault_scene scene = *(const struct fault_scene *)argument;
    const struct rz_options options = fault_options(&scene);
    struct gpu_caller caller;
    gpu_caller_open(&caller, 0, rank);
    scene.context = &caller;
    fault_play(&scene, rank_open(&options, name, rank, world));
    gpu_caller_close(&caller);
    exit(0); /* what is left behind is told at the end of the process */
}

static void expect_scene_by(uint32_t comm, enum fault fault, uint32_t culprit, scene_step *step)
{
    struct fault_scene scene = {.fault = fault,
                                .culprit = culprit,
                                .vocab_size = VOCAB,
                                .backend = RZ_BACKEND_CUDA,
                                .comm = comm,
                                .step = step};
    struct ranks ranks;
    int status[RZ_MAX_WORLD];
    ranks_start(&ranks, WORLD, play, &scene);
    for (uint32_t r = 0; r < WORLD && fault == STOPS; r++) { /* the others end first */
        siginfo_t ended;
        if (r != culprit)
            assert_int_equal(waitid(P_PID, (id_t)ranks.pid[r], &ended, WEXITED | WNOWAIT), 0);
    }
    if (fault == STOPS)
        assert_int_equal(kill(ranks.pid[culprit], SIGCONT), 0);
    ranks_wait(&ranks, status);
    for (uint32_t r = 0; r < WORLD; r++)
        assert_int_equal(status[r], fault == DIES && r == culprit ? RANK_DIED + SIGKILL : 0);
    assert_int_equal(shm_leftovers(), 0);
}

static void expect_scene(enum fault fault, uint32_t culprit, scene_step *step)
{
    expect_scene_by(RZ_COMM_CUDA_IPC, fault, culprit, step);
}

/* A host that waits for its stream, which waits for a rank that will not come. */
static void a_stream_that_is_waited_for_goes_on_when_a_rank_dies(void **state)
{
    (void)state;
    const char *real = getenv("RZ_TEST_GPUS");
    for (uint32_t culprit = 0; culprit < WORLD; culprit += 2) {
        expect_scene_by(RZ_COMM_CUDA_IPC, DIES, culprit, gpu_step_synchronized);
        if (real != NULL && strtoul(real, NULL, 10) < WORLD)
            continue; /* NCCL takes a GPU a rank */
        setenv("RZ_FAKE_CUDA_DEVICES", "3", 1);
        expect_scene_by(RZ_COMM_NCCL, DIES, culprit, gpu_step_synchronized);
        unsetenv("RZ_FAKE_CUDA_DEVICES");
    }
}

static void a_killed_rank_is_named_by_all(void **state)
{
    (void)state;
    for (uint32_t culprit = 0; culprit < WORLD; culprit++)
        for (uint32_t way = 0; way < WAYS; way++)
            expect_scene(DIES, culprit, ways[way]);
}

static void a_rank_that_leaves_is_named_by_all(void **state)
{
    (void)state;
    for (uint32_t culprit = 0; culprit < WORLD; culprit += 2)
        for (uint32_t way = 0; way < WAYS; way++)
            expect_scene(LEAVES, culprit, ways[way]);
}

static void a_stopped_rank_is_a_timeout_that_names_it(void **state)
{
    (void)state;
    for (uint32_t culprit = 0; culprit < WORLD; culprit += 2)
        for (uint32_t way = 0; way < WAYS; way++)
            expect_scene(STOPS, culprit, ways[way]);
}

static void a_rank_with_more_rows_is_named_by_all(void **state)
{
    (void)state;
    for (uint32_t way = 0; way < WAYS; way++)
        if (ways[way] != gpu_step_replayed) /* which refuses them */
            expect_scene(BRINGS_MORE_ROWS, 1, ways[way]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_rank_is_named_by_all),
        cmocka_unit_test(a_stream_that_is_waited_for_goes_on_when_a_rank_dies),
        cmocka_unit_test(a_rank_that_leaves_is_named_by_all),
        cmocka_unit_test(a_stopped_rank_is_a_timeout_that_names_it),
        cmocka_unit_test(a_rank_with_more_rows_is_named_by_all),
    };
    return cmocka_run_group_tests_name("runtime_gpu_faults", tests, NULL, NULL);
}
