/* SPDX-License-Identifier: Apache-2.0
 *
 * test_stream_comm_faults.c - whatever call of CUDA or NCCL fails on one rank: every rank ends, and
 * leaves nothing behind. The doubles look for that when a process exits.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/comm/stream_job.h"
#include "tests/ipc/support.h"

enum { RANKS = 2 };

/* Equal shards, or a graph of unequal ones, which is launched once: see stop_step(). */
static struct job_setting setting_of(const struct rz_stream_comm_ops *ops, bool captured)
{
    return (struct job_setting){.ops = ops,
                                .world = RANKS,
                                .steps = captured ? 1 : 2,
                                .columns = {21, captured ? 5 : 21},
                                .row_stride = {24, captured ? 8 : 24},
                                .logit_bytes = 2,
                                .seed = 3, /* rows of the caller's are among the first */
                                .captured = captured,
                                .stops = NOBODY};
}

static void set(const char *library, const char *name, unsigned long value)
{
    char variable[64], text[32];
    snprintf(variable, sizeof variable, "RZ_FAKE_%s_%s", library, name);
    snprintf(text, sizeof text, "%lu", value);
    setenv(variable, text, 1);
}

static void unset(const char *library, const char *name)
{
    char variable[64];
    snprintf(variable, sizeof variable, "RZ_FAKE_%s_%s", library, name);
    unsetenv(variable);
}

/* How many calls of `library` a rank makes when all goes well. */
static unsigned long count_calls(const struct job_setting *setting, const char *library,
                                 uint32_t rank)
{
    char variable[64], path[128], text[64] = "";
    snprintf(variable, sizeof variable, "RZ_FAKE_%s_CALLS", library);
    snprintf(path, sizeof path, "%s/calls", scratch);
    setenv(variable, path, 1);
    set(library, "FAIL_RANK", rank);
    job_run_well(setting);
    unsetenv(variable);

    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    unlink(path);
    return strtoul(text, NULL, 10);
}

/* Run with the Nth of what `name` counts failing on `rank`. */
static void run_with(const struct job_setting *setting, const char *library, const char *name,
                     uint32_t rank, unsigned long n)
{
    struct job_outcome outcomes[JOB_WORLD];
    set(library, name, n);
    set(library, "FAIL_RANK", rank);
    job_run(setting, outcomes);
    unset(library, name);
    for (uint32_t r = 0; r < setting->world; r++) {
        const struct job_outcome *outcome = &outcomes[r];
        const bool says_why = outcome->status == RZ_OK || outcome->error.text[0] != '\0';
        /* What rank 0 failed to let go of, the double of another does not let it free. */
        if (setting->ops == &rz_stream_comm_ipc && rank == 0 && r != 0 &&
            outcomes[0].status == RZ_OK && outcome->exit_status == 1000 + SIGABRT)
            continue;
        if (outcome->exit_status != 0 || outcome->status == RZ_E_TIMEOUT ||
            outcome->status == RZ_E_CORRUPT || !says_why)
            fail_msg("%s%s, %s_%s=%lu on rank %u: rank %u ends with %d, %d: %s", setting->ops->name,
                     setting->captured ? " in a graph" : "", library, name, n, rank, r,
                     outcome->exit_status, outcome->status, outcome->error.text);
    }
}

static void walk_calls(const struct rz_stream_comm_ops *ops, const char *library)
{
    for (int captured = 0; captured <= 1; captured++)
        for (uint32_t rank = 0; rank < RANKS; rank++) {
            const struct job_setting setting = setting_of(ops, captured != 0);
            const unsigned long calls = count_calls(&setting, library, rank);
            assert_true(calls > 0);
            for (unsigned long n = 1; n <= calls; n++)
                run_with(&setting, library, "FAIL", rank, n);
        }
}

/* `most`: more than there is of it. */
static void walk_work(const struct rz_stream_comm_ops *ops, const char *library, const char *name,
                      unsigned long most)
{
    for (uint32_t rank = 0; rank < RANKS; rank++)
        for (unsigned long n = 1; n <= most; n++) {
            const struct job_setting setting = setting_of(ops, n % 2 == 0);
            run_with(&setting, library, name, rank, n);
        }
}

static void cuda_ipc_survives_each_call_of_cuda(void **state)
{
    (void)state;
    walk_calls(&rz_stream_comm_ipc, "CUDA");
    walk_work(&rz_stream_comm_ipc, "CUDA", "FAIL_WORK", 12);
}

static void nccl_survives_each_call_of_cuda(void **state)
{
    (void)state;
    walk_calls(&rz_stream_comm_nccl, "CUDA");
    walk_work(&rz_stream_comm_nccl, "CUDA", "FAIL_WORK", 12);
}

static void nccl_survives_each_call_of_nccl(void **state)
{
    (void)state;
    walk_calls(&rz_stream_comm_nccl, "NCCL");
    walk_work(&rz_stream_comm_nccl, "NCCL", "ASYNC_FAIL", 6);
}

int main(void)
{
    setenv("RZ_FAKE_CUDA_DEVICES", "2", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuda_ipc_survives_each_call_of_cuda),
        cmocka_unit_test(nccl_survives_each_call_of_cuda),
        cmocka_unit_test(nccl_survives_each_call_of_nccl),
    };
    return cmocka_run_group_tests_name("stream_comm_faults", tests, scratch_setup,
                                       scratch_teardown);
}
