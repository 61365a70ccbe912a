/* SPDX-License-Identifier: Apache-2.0
 *
 * test_stream_comm.c - gather between GPUs: what rank 0 gets, and how ranks learn that there is
 * nothing to be got.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "comm/stream_shard.h"
#include "tests/comm/stream_job.h"
#include "tests/ipc/support.h"

static const struct rz_stream_comm_ops *const both[] = {&rz_stream_comm_ipc, &rz_stream_comm_nccl};

/* A job of as many ranks as this, whose shards are equal or not. */
static struct job_setting setting_of(const struct rz_stream_comm_ops *ops, uint32_t world,
                                     bool equal)
{
    struct job_setting setting = {
        .ops = ops, .world = world, .steps = 4, .logit_bytes = 2, .seed = 1, .stops = NOBODY};
    for (uint32_t r = 0; r < world; r++) {
        setting.columns[r] = equal ? 21 : 5 + 9 * r;
        setting.row_stride[r] = equal ? 24 : 8 + 8 * r;
    }
    return setting;
}

/* ------------------------------------------------------------------------------------------------
 * Rows
 */

static void rank_0_gets_the_rows_of_all(void **state)
{
    (void)state;
    uint64_t random = random_seed();
    for (size_t i = 0; i < 2; i++)
        for (uint32_t world = 1; world <= JOB_WORLD; world++)
            for (int equal = 0; equal <= 1; equal++) {
                struct job_setting setting = setting_of(both[i], world, equal != 0);
                setting.seed = random_next(&random);
                setting.logit_bytes = setting.seed % 2 == 0 ? 2 : 4;
                job_run_well(&setting);
            }
}

static void ranks_of_one_gpu_gather_by_cuda_ipc(void **state)
{
    (void)state;
    uint64_t random = random_seed();
    for (uint32_t world = 2; world <= JOB_WORLD; world++) {
        struct job_setting setting = setting_of(&rz_stream_comm_ipc, world, false);
        setting.seed = random_next(&random);
        setting.one_gpu = true;
        job_run_well(&setting);
    }
}

static void a_captured_gather_brings_the_rows_of_each_launch(void **state)
{
    (void)state;
    uint64_t random = random_seed();
    for (size_t i = 0; i < 2; i++)
        for (int equal = 0; equal <= 1; equal++) {
            struct job_setting setting = setting_of(both[i], 3, equal != 0);
            setting.seed = random_next(&random);
            setting.captured = true;
            job_run_well(&setting);
        }
}

/* ------------------------------------------------------------------------------------------------
 * Places where it cannot be
 */

static void expect_all(const struct job_setting *setting, int status, const char *text)
{
    struct job_outcome outcomes[JOB_WORLD];
    job_run(setting, outcomes);
    for (uint32_t r = 0; r < setting->world; r++) {
        assert_int_equal(outcomes[r].exit_status, 0);
        assert_string_equal(outcomes[r].error.text, text);
        assert_int_equal(outcomes[r].status, status);
    }
}

static void nccl_says_which_ranks_have_the_same_gpu(void **state)
{
    (void)state;
    struct job_setting setting = setting_of(&rz_stream_comm_nccl, 3, true);
    setting.one_gpu = true;
    expect_all(&setting, RZ_E_UNSUPPORTED,
               "ranks 0 and 1 have the same GPU, which NCCL cannot do: comm cuda_ipc can");
}

static void old_nccl_is_not_used(void **state)
{
    (void)state;
    const struct job_setting setting = setting_of(&rz_stream_comm_nccl, 2, true);
    setenv("RZ_FAKE_NCCL_VERSION", "21805", 1);
    expect_all(&setting, RZ_E_UNSUPPORTED,
               "libnccl.so.2: expected version 21900 or later, got 21805");
    unsetenv("RZ_FAKE_NCCL_VERSION");
}

static void cuda_ipc_says_whose_gpu_is_out_of_reach(void **state)
{
    (void)state;
    struct job_setting setting = setting_of(&rz_stream_comm_ipc, 3, true);
    setting.without_access = true;
    struct job_outcome outcomes[JOB_WORLD];
    job_run(&setting, outcomes);
    assert_int_equal(outcomes[0].status, RZ_E_UNSUPPORTED);
    assert_int_equal(outcomes[0].error.rank, 1);
    assert_string_equal(outcomes[0].error.text,
                        "comm cuda_ipc: the GPU of rank 0 cannot read the memory of rank 1's");
    for (uint32_t r = 0; r < setting.world; r++)
        assert_int_equal(outcomes[r].exit_status, 0);

    setting.one_gpu = true; /* is asked for nothing */
    job_run_well(&setting);
}

static void lack_of_memory_names_the_bytes(void **state)
{
    (void)state;
    const struct job_setting setting = setting_of(&rz_stream_comm_nccl, 1, true);
    setenv("RZ_FAKE_CUDA_MEMORY", "1048576", 1);
    expect_all(&setting, RZ_E_NOMEM,
               "cuMemAlloc of 240 bytes for logits: CUDA_ERROR_OUT_OF_MEMORY (out of memory)");
    unsetenv("RZ_FAKE_CUDA_MEMORY");
}

/* ------------------------------------------------------------------------------------------------
 * Ranks that are not there
 */

static void expect_death(const struct job_setting *setting)
{
    struct job_outcome outcomes[JOB_WORLD];
    job_run(setting, outcomes);
    for (uint32_t r = 0; r < setting->world; r++) {
        const struct job_outcome *outcome = &outcomes[r];
        const bool is_as_expected =
            r == setting->stops ? outcome->exit_status == 1000 + SIGKILL
                                : outcome->exit_status == 0 && outcome->status == RZ_E_PEER_DIED &&
                                      outcome->error.rank == (int)setting->stops;
        if (!is_as_expected)
            fail_msg("%s%s, rank %u dies at %d: rank %u ends with %d, %d: %s", setting->ops->name,
                     setting->captured ? " in a graph" : "", setting->stops, (int)setting->place, r,
                     outcome->exit_status, outcome->status, outcome->error.text);
    }
}

static void the_death_of_a_rank_ends_every_wait(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++)
        for (uint32_t stops = 0; stops < 3; stops++)
            for (int captured = 0; captured <= 1; captured++)
                for (int place = BEFORE_TELLING; place <= BEFORE_HANDING_IN; place++) {
                    struct job_setting setting = setting_of(both[i], 3, captured != 0);
                    if (both[i] == &rz_stream_comm_ipc &&
                        (place == BEFORE_FIRST_GATHER || (stops == 0 && place == BEFORE_TELLING)))
                        continue; /* it does not come there */
                    setting.captured = captured != 0;
                    setting.stops = stops;
                    setting.place = (enum job_place)place;
                    expect_death(&setting);
                }
}

static void open_ends_at_its_deadline(void **state)
{
    (void)state;
    static const char *const texts[] = {"rank 1 is late",
                                        "ncclCommInitRankConfig was not done in time",
                                        "a first gather was not done in time"};
    for (size_t i = 0; i < 2; i++)
        for (int place = BEFORE_TELLING; place <= BEFORE_FIRST_GATHER; place++) {
            struct job_setting setting = setting_of(both[i], 2, true);
            if (both[i] == &rz_stream_comm_ipc && place != BEFORE_TELLING)
                continue; /* all that rank 0 waits for */
            setting.open_ns = SECOND_NS;
            setting.stops = 1;
            setting.stops_alive = true;
            setting.place = (enum job_place)place;
            struct job_outcome outcomes[JOB_WORLD];
            job_run(&setting, outcomes);
            assert_string_equal(outcomes[0].error.text, texts[place]);
            assert_int_equal(outcomes[0].status, RZ_E_TIMEOUT);
            assert_int_equal(outcomes[0].exit_status, 0);
        }
}

/* ------------------------------------------------------------------------------------------------
 * What others tell
 */

static int say_closed(void *context, struct rz_error *err)
{
    return *(bool *)context ? rz_fail(err, RZ_E_CLOSED, 2, 0, "rank 2 left") : RZ_OK;
}

static void lines_that_cannot_be_are_not_believed(void **state)
{
    (void)state;
    bool closed = false;
    struct rz_stream_comm_line line = {.state = 3};
    const struct rz_stream_comm_config config = {
        .lines = {NULL, &line}, .peers = {.context = &closed, .check = say_closed}};
    struct rz_stream_comm_told told;
    struct rz_error err;
    assert_int_equal(rz_stream_hear(&config, 1, &told, &err), RZ_E_CORRUPT);
    assert_int_equal(err.rank, 1);
    assert_string_equal(err.text, "rank 1's line for GPUs: expected 0 to 2, got 3");

    atomic_store(&line.state, RZ_STREAM_LINE_DONE);
    assert_int_equal(rz_stream_hear(&config, 1, &told, &err), RZ_E_CLOSED);
    assert_string_equal(err.text, "rank 1 gave up opening the gather between GPUs");
    closed = true;
    assert_int_equal(rz_stream_hear(&config, 1, &told, &err), RZ_E_CLOSED);
    assert_string_equal(err.text, "rank 2 left");
}

int main(void)
{
    setenv("RZ_FAKE_CUDA_DEVICES", "4", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rank_0_gets_the_rows_of_all),
        cmocka_unit_test(ranks_of_one_gpu_gather_by_cuda_ipc),
        cmocka_unit_test(a_captured_gather_brings_the_rows_of_each_launch),
        cmocka_unit_test(nccl_says_which_ranks_have_the_same_gpu),
        cmocka_unit_test(old_nccl_is_not_used),
        cmocka_unit_test(cuda_ipc_says_whose_gpu_is_out_of_reach),
        cmocka_unit_test(lack_of_memory_names_the_bytes),
        cmocka_unit_test(the_death_of_a_rank_ends_every_wait),
        cmocka_unit_test(open_ends_at_its_deadline),
        cmocka_unit_test(lines_that_cannot_be_are_not_believed),
    };
    return cmocka_run_group_tests_name("stream_comm", tests, NULL, NULL);
}
