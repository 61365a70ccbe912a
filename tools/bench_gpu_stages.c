/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_gpu_stages.c - where the time of a step of one rank goes: on the GPU, by events, and in the
 * calls of the host, by its clock.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal/clock.h"
#include "rankzero/cuda.h"
#include "tools/bench_gpu_run.h"
#include "tools/bench_gpu_step.h"
#include "tools/stop.h"

enum {
    STEPS = 10, /* of a repeat; their mean counts */
    HOST_STAGES = 4,
    MOST_STAGES = RZ_BENCH_MOST_STAGES + HOST_STAGES,
};

/* After those of the GPU. */
static const char *const host_stages[HOST_STAGES] = {"rz_step", "rz_step less kernels",
                                                     "rz_step_enqueue", "rz_step_finish"};

struct stages {
    const struct rz_bench_gpu_set *set;
    const struct rz_bench_tasks *tasks;
    uint32_t batch, repeats;
    struct rz_bench_gpu_draw draw;
    struct rz_bench_gpu_step step;
    struct rz_result expected[RZ_BENCH_DISTINCT];
    rz_job *job;
    struct rz_row *rows; /* [batch] */
    int32_t *ids;        /* [batch] */
    double *ns;          /* [MOST_STAGES][repeats] */
    double host_ns[3];   /* sums: rz_step, rz_step_enqueue, rz_step_finish */
};

/* ------------------------------------------------------------------------------------------------
 * The calls of a host
 */

static int open_job(struct stages *s, struct rz_complaint *complaint)
{
    const struct rz_bench_rows *rows = &s->set->rows;
    struct rz_options options;
    struct rz_error err;
    char name[RZ_MAX_NAME];
    rz_options_init(&options);
    options.vocab_size = rows->vocab;
    options.dtype = rows->dtype;
    options.max_rows = s->batch;
    options.backend = RZ_BACKEND_CUDA;
    options.device = 1 + (uint32_t)s->set->gpu->device.ordinal;
    snprintf(name, sizeof name, "bench-%ld", (long)getpid());
    if (rz_open_local(&options, name, 0, 1, &s->job, &err) == RZ_OK)
        return RZ_EXIT_OK;
    return rz_complain(complaint, RZ_EXIT_FAILED, "%s", err.text);
}

static int make_rows(struct stages *s, struct rz_complaint *complaint)
{
    s->rows = calloc(s->batch, sizeof *s->rows);
    s->ids = calloc(s->batch, sizeof *s->ids);
    if (s->rows == NULL || s->ids == NULL)
        return rz_complain_memory(complaint);
    for (uint32_t r = 0; r < s->batch; r++) {
        const struct rz_row_task task = rz_bench_tasks_row(s->tasks, r, 0);
        s->rows[r] = (struct rz_row){.logits_row = r,
                                     .flags = RZ_ROW_POSITION,
                                     .sampling = task.sampling,
                                     .prompt_ids = task.prompt_ids,
                                     .prompt_count = task.prompt_count,
                                     .bitmask = task.bitmask};
    }
    return RZ_EXIT_OK;
}

/* Either way on the input of that number. */
static int run_calls(struct stages *s, uint32_t input, struct rz_complaint *complaint)
{
    const struct rz_bench_gpu_set *set = s->set;
    const int32_t *device_ids;
    struct rz_batch batch;
    uint32_t count;
    rz_batch_init(&batch);
    batch.logits_rows = batch.row_count = s->batch;
    batch.rows = s->rows;
    batch.row_stride = set->rows.row_stride;
    batch.logits =
        (const void *)(uintptr_t)(set->logits + input * rz_bench_gpu_set_bytes(set, s->batch));
    const uint64_t begun = rz_clock_ns();
    int status = rz_step(s->job, &batch, s->ids, &count, NULL);
    const uint64_t stepped = rz_clock_ns();
    if (status == RZ_OK)
        status = rz_step_enqueue(s->job, &batch, set->gpu->device.stream, &device_ids);
    const uint64_t enqueued = rz_clock_ns();
    if (status == RZ_OK)
        status = rz_step_finish(s->job, s->ids, &count, NULL);
    if (status != RZ_OK)
        return rz_complain(complaint, RZ_EXIT_FAILED, "%s", rz_last_error(s->job)->text);
    s->host_ns[0] += (double)(stepped - begun);
    s->host_ns[1] += (double)(enqueued - stepped);
    s->host_ns[2] += (double)(rz_clock_ns() - enqueued);
    return RZ_EXIT_OK;
}

/* ------------------------------------------------------------------------------------------------
 * Repeats
 */

static double *ns_of(const struct stages *s, uint32_t stage, uint32_t repeat)
{
    return &s->ns[(size_t)stage * s->repeats + repeat];
}

/* The kernels that draw are those after the first. */
static double kernels_ns(const struct stages *s, uint32_t repeat)
{
    double sum = 0.0;
    for (uint32_t stage = 1; stage <= s->draw.work.plan.count; stage++)
        sum += *ns_of(s, stage, repeat);
    return sum;
}

static int run_repeat(struct stages *s, uint32_t repeat, struct rz_complaint *complaint)
{
    const uint32_t on_gpu = s->step.stage_count;
    int status = RZ_EXIT_OK;
    memset(s->host_ns, 0, sizeof s->host_ns);
    for (uint32_t i = 0; i < STEPS && status == RZ_EXIT_OK; i++) {
        double ns[RZ_BENCH_MOST_STAGES];
        status = rz_bench_gpu_step_run(&s->step, s->expected, ns, complaint);
        for (uint32_t stage = 0; stage < on_gpu && status == RZ_EXIT_OK; stage++)
            *ns_of(s, stage, repeat) += ns[stage] / STEPS;
    }
    for (uint32_t i = 0; i < STEPS && status == RZ_EXIT_OK; i++)
        status = run_calls(s, i % s->draw.work.inputs, complaint);
    *ns_of(s, on_gpu, repeat) = s->host_ns[0] / STEPS;
    *ns_of(s, on_gpu + 1, repeat) = s->host_ns[0] / STEPS - kernels_ns(s, repeat);
    *ns_of(s, on_gpu + 2, repeat) = s->host_ns[1] / STEPS;
    *ns_of(s, on_gpu + 3, repeat) = s->host_ns[2] / STEPS;
    return status;
}

static int add_results(const struct stages *s, struct rz_bench_gpu_results *results,
                       struct rz_complaint *complaint)
{
    const struct rz_bench_rows *rows = &s->set->rows;
    for (uint32_t stage = 0; stage < s->step.stage_count + HOST_STAGES; stage++) {
        const bool on_gpu = stage < s->step.stage_count;
        struct rz_bench_gpu_result *result = rz_bench_gpu_add(results, complaint);
        if (result == NULL)
            return RZ_EXIT_FAILED;
        *result = (struct rz_bench_gpu_result){
            .backend = "cuda",
            .filter = s->tasks->filter,
            .stage = on_gpu ? s->step.stages[stage] : host_stages[stage - s->step.stage_count],
            .kind = rows->kind,
            .dtype = rows->dtype,
            .vocab = rows->vocab,
            .batch = s->batch,
            .repeats = s->repeats,
            .ours = true,
            .mode = {.cold = true},
            .bytes = (double)s->batch * (double)rows->row_bytes,
            .batch_ns = rz_bench_spread(ns_of(s, stage, 0), s->repeats),
            .times_ours = -1.0,
        };
    }
    return RZ_EXIT_OK;
}

static int begin(struct stages *s, struct rz_complaint *complaint)
{
    double ignored[RZ_BENCH_MOST_STAGES];
    int status = rz_bench_gpu_draw_make(s->set, s->tasks, s->batch, &s->draw, complaint);
    if (status == RZ_EXIT_OK)
        status = rz_bench_gpu_expect(s->set, s->tasks, s->expected, complaint);
    if (status == RZ_EXIT_OK)
        status = rz_bench_gpu_step_make(&s->draw, &s->step, complaint);
    if (status == RZ_EXIT_OK)
        status = make_rows(s, complaint);
    if (status == RZ_EXIT_OK)
        status = open_job(s, complaint);
    if (status == RZ_EXIT_OK)
        status = rz_bench_gpu_step_run(&s->step, s->expected, ignored, complaint);
    return status == RZ_EXIT_OK ? run_calls(s, 0, complaint) : status;
}

static void end(struct stages *s)
{
    struct rz_complaint ignored;
    rz_bench_gpu_wait(s->set->gpu, &ignored); /* what failed has been said */
    rz_close(s->job);
    if (s->step.draw != NULL)
        rz_bench_gpu_step_free(&s->step);
    rz_bench_gpu_draw_free(&s->draw);
    free(s->rows);
    free(s->ids);
    free(s->ns);
}

static int time_stages(const struct rz_bench_gpu_set *set, const struct rz_bench_tasks *tasks,
                       uint32_t batch, struct rz_bench_gpu_results *results,
                       struct rz_complaint *complaint)
{
    struct stages s = {
        .set = set, .tasks = tasks, .batch = batch, .repeats = results->options->repeats};
    s.ns = calloc((size_t)MOST_STAGES * s.repeats, sizeof *s.ns);
    int status = s.ns != NULL ? begin(&s, complaint) : rz_complain_memory(complaint);
    for (uint32_t r = 0; r < s.repeats && status == RZ_EXIT_OK; r++)
        if (rz_stop_requested() == 0)
            status = run_repeat(&s, r, complaint);
    if (status == RZ_EXIT_OK)
        status = add_results(&s, results, complaint);
    end(&s);
    return status;
}

int rz_bench_gpu_time_stages(const struct rz_bench_gpu_set *set,
                             const struct rz_bench_extras *extras,
                             struct rz_bench_gpu_results *results, struct rz_complaint *complaint)
{
    const struct rz_bench_options *options = results->options;
    int status = RZ_EXIT_OK;
    for (unsigned f = 0; f < RZ_BENCH_FILTERS && status == RZ_EXIT_OK; f++) {
        struct rz_bench_tasks tasks;
        if ((options->filters & 1u << f) == 0)
            continue;
        status =
            rz_bench_tasks_make(&rz_bench_filters[f], extras, set->rows.vocab, &tasks, complaint);
        if (status != RZ_EXIT_OK)
            break;
        for (uint32_t i = 0; i < options->batch_count && status == RZ_EXIT_OK; i++)
            if (rz_stop_requested() == 0)
                status = time_stages(set, &tasks, options->batches[i], results, complaint);
        rz_bench_tasks_free(&tasks);
    }
    return status;
}
