/* SPDX-License-Identifier: Apache-2.0
 *
 * faults.c - the scenes of test_faults.c and test_mpi_faults.c.
 */
#include "tests/runtime/faults.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "internal/clock.h"
#include "tests/runtime/ranks.h"
#include "tests/runtime/rows.h"

enum { GOOD_STEPS = 5, MAX_ROWS = 4, MAX_VOCAB = 500, STEP_TIMEOUT_MS = 500 };

static const uint64_t SECOND_NS = UINT64_C(1000000000);

struct rz_options fault_options(const struct fault_scene *scene)
{
    struct rz_options options;
    rz_options_init(&options);
    options.vocab_size = scene->vocab_size;
    options.max_rows = MAX_ROWS;
    options.comm = scene->comm;
    options.backend = scene->backend;
    options.step_timeout_ms = scene->fault != STOPS               ? 30000
                              : scene->backend == RZ_BACKEND_CUDA ? 8 * STEP_TIMEOUT_MS
                                                                  : STEP_TIMEOUT_MS;
    return options;
}

static int step_once(const struct fault_scene *scene, rz_job *job, uint64_t step, uint32_t rows)
{
    struct rz_sampling sampling;
    rz_sampling_init(&sampling);
    const struct rz_row row = {.sampling = &sampling};
    struct rz_batch batch;
    rz_batch_init(&batch);
    batch.logits_rows = rows;
    if (rz_rank(job) == 0) {
        batch.rows = &row;
        batch.row_count = 1;
    }
    int32_t ids[256];
    uint32_t count;
    if (scene->step != NULL) {
        uint32_t first, columns;
        float own[MAX_ROWS * MAX_VOCAB];
        rz_shard(job, &first, &columns);
        rows_write(own, columns, RZ_F32, 1, step, rows, first, columns);
        batch.logits = own;
        batch.row_stride = columns;
        return scene->step(scene->context, job, &batch, ids, &count, NULL);
    }
    rows_write_shard(job, RZ_F32, 1, step, rows);
    if (!scene->polls)
        return rz_step(job, &batch, ids, &count, NULL);
    int status = rz_step_begin(job, &batch);
    if (status != RZ_OK)
        return status;
    while ((status = rz_step_ready(job)) == 0)
        ;
    if (status < 0)
        return status;
    const uint64_t begin = rz_clock_ns();
    status = rz_step_finish(job, ids, &count, NULL);
    rank_expect(rz_clock_ns() - begin < STEP_TIMEOUT_MS * SECOND_NS / 1000, "finish does not wait");
    return status;
}

static int expected_status(const struct fault_scene *scene)
{
    switch (scene->fault) {
    case DIES: return RZ_E_PEER_DIED;
    case LEAVES: return RZ_E_CLOSED;
    case STOPS: return RZ_E_TIMEOUT;
    default: return RZ_E_MISMATCH;
    }
}

/* The culprit may be noticed a step later than it went: until then steps succeed. */
static void expect_error(const struct fault_scene *scene, rz_job *job, uint32_t rows)
{
    const uint32_t rank = rz_rank(job);
    const uint64_t begin = rz_clock_ns();
    uint64_t step = GOOD_STEPS;
    int status = RZ_OK;
    while (status == RZ_OK)
        status = step_once(scene, job, step++, rows);

    const struct rz_error *err = rz_last_error(job);
    char name[32];
    snprintf(name, sizeof name, "rank %u", scene->culprit);
    rank_expect(status == expected_status(scene), "rank %u got %d: %s", rank, status, err->text);
    rank_expect(strstr(err->text, name) != NULL, "rank %u: expected \"%s\" in \"%s\"", rank, name,
                err->text);
    rank_expect(err->rank == (int32_t)scene->culprit, "rank %u: about rank %d: %s", rank,
                (int)err->rank, err->text);
    rank_expect(rz_clock_ns() - begin < 10 * SECOND_NS, "rank %u: it took %.3f s", rank,
                (double)(rz_clock_ns() - begin) * 1e-9);
    rank_expect(step_once(scene, job, step, 1) == status, "a job that is over stays so");
}

void fault_play(const struct fault_scene *scene, rz_job *job)
{
    for (uint64_t step = 0; step < GOOD_STEPS; step++)
        rank_expect(step_once(scene, job, step, 1) == RZ_OK, "%s", rz_last_error(job)->text);

    const bool guilty = rz_rank(job) == scene->culprit;
    if (guilty && scene->fault == DIES)
        raise(SIGKILL);
    if (guilty && scene->fault == STOPS)
        raise(SIGSTOP);
    if (!guilty || scene->fault != LEAVES)
        expect_error(scene, job, guilty && scene->fault == BRINGS_MORE_ROWS ? 3 : 1);
    rz_close(job);
}
