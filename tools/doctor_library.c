/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor_library.c - does the library work here? One step of a job of one rank tells.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "internal/clock.h"
#include "kernels/sampler.h"
#include "rankzero/rankzero.h"
#include "runtime/workers.h"
#include "tools/doctor.h"

enum { VOCAB = 64, BEST = 41 };

/* Draw greedily from a row whose largest logit is known. */
static bool draw(rz_job *job, int32_t *id)
{
    size_t row_stride;
    float *logits = rz_logits(job, &row_stride);
    memset(logits, 0, VOCAB * sizeof *logits);
    logits[BEST] = 1.0f;

    struct rz_sampling greedy;
    rz_sampling_init(&greedy);
    greedy.temperature = 0.0f;
    const struct rz_row row = {.sampling = &greedy};
    struct rz_batch batch;
    rz_batch_init(&batch);
    batch.logits_rows = batch.row_count = 1;
    batch.rows = &row;
    uint32_t count;
    return rz_step(job, &batch, id, &count, NULL) == RZ_OK;
}

static void try_a_step(struct rz_report *report)
{
    char name[RZ_MAX_NAME], text[64];
    snprintf(name, sizeof name, "doctor-%ld", (long)getpid());
    struct rz_options options;
    rz_options_init(&options);
    options.vocab_size = VOCAB;
    options.max_rows = 1;

    rz_job *job;
    struct rz_error err;
    const uint64_t before = rz_clock_ns();
    if (rz_open_local(&options, name, 0, 1, &job, &err) != RZ_OK) {
        rz_report_text(report, "a_step", "failed");
        rz_report_problem(report, "a job does not open: %s", err.text);
        return;
    }
    const uint64_t opened = rz_clock_ns();
    int32_t id = -1;
    if (!draw(job, &id)) {
        rz_report_text(report, "a_step", "failed");
        rz_report_problem(report, "a step fails: %s", rz_last_error(job)->text);
    } else if (id != BEST) {
        rz_report_text(report, "a_step", "wrong");
        rz_report_problem(report, "a greedy step drew id %d, expected %d", (int)id, BEST);
    } else {
        snprintf(text, sizeof text, "works (open %.0f us, first step %.0f us)",
                 (double)(opened - before) * 1e-3, (double)(rz_clock_ns() - opened) * 1e-3);
        rz_report_text(report, "a_step", text);
    }
    rz_close(job);
}

void rz_doctor_library(struct rz_report *report)
{
    rz_report_section(report, "library");
    rz_report_text(report, "version", rz_version());
    const struct rz_sampler_ops *ops = rz_sampler_find(RZ_BACKEND_AUTO);
    rz_report_text(report, "back_end", ops != NULL ? ops->name : NULL);
    if (ops == NULL)
        rz_report_problem(report, "no back end runs here");
    rz_report_text(report, "threads",
                   rz_workers_kind != NULL ? rz_workers_kind : "one: this build has no OpenMP");
    rz_report_number(report, "largest_vocabulary", RZ_MAX_VOCAB);
    rz_report_number(report, "most_ranks", RZ_MAX_WORLD);
    try_a_step(report);
}
