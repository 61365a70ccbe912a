/* SPDX-License-Identifier: Apache-2.0
 *
 * sample_run.c - load this rank's columns, step, hand what was drawn to the output.
 */
#include "tools/sample_run.h"

#include <stdlib.h>

#include "tools/progress.h"
#include "tools/sample_plan.h"
#include "tools/say.h"
#include "tools/stop.h"

struct run {
    const struct rz_sample_input *input;
    struct rz_launch *launch;
    struct rz_output *output; /* NULL but on rank 0 */
    rz_job *job;
    char *logits;        /* [step_size][row_bytes]: the job's, or, of a job with GPUs, ours */
    char *staged_logits; /* ours, or NULL */
    size_t row_bytes;
    uint32_t first, columns; /* this rank's */
    uint32_t step_size;
    uint32_t loaded_row, loaded_count; /* rows of the file that `logits` holds */
    struct rz_piece *pieces;           /* [step_size]; so the rest */
    int32_t *ids;
    struct rz_row *rows; /* NULL but on rank 0; so the two below */
    struct rz_result *results;
    uint32_t *masks; /* [step_size][words of a row of the bitmask's file], or NULL */
};

static void free_buffers(struct run *run)
{
    free(run->pieces);
    free(run->ids);
    free(run->rows);
    free(run->results);
    free(run->masks);
    free(run->staged_logits);
}

static int allocate_buffers(struct run *run, struct rz_complaint *complaint)
{
    const size_t n = run->step_size;
    const struct rz_npy *bitmask = &run->input->bitmask;
    run->pieces = calloc(n, sizeof *run->pieces);
    run->ids = calloc(n, sizeof *run->ids);
    bool ok = run->pieces != NULL && run->ids != NULL;
    if (run->output != NULL) {
        run->rows = calloc(n, sizeof *run->rows);
        run->results = calloc(n, sizeof *run->results);
        ok = ok && run->rows != NULL && run->results != NULL;
        if (bitmask->fd >= 0) {
            run->masks = calloc(n, bitmask->columns * sizeof *run->masks);
            ok = ok && run->masks != NULL;
        }
    }
    if (ok)
        return RZ_EXIT_OK;
    free_buffers(run);
    return rz_complain_memory(complaint);
}

/* Draws of one row over many steps find their logits where the step before left them. */
static int load_logits(struct run *run, uint32_t row, uint32_t count,
                       struct rz_complaint *complaint)
{
    if (row == run->loaded_row && count == run->loaded_count)
        return RZ_EXIT_OK;
    for (uint32_t i = 0; i < count; i++) {
        const int status = rz_npy_read(&run->input->logits, row + i, run->first, run->columns,
                                       run->logits + i * run->row_bytes, complaint);
        if (status != RZ_EXIT_OK)
            return status;
    }
    run->loaded_row = row;
    run->loaded_count = count;
    return RZ_EXIT_OK;
}

/* The mask of a piece's row: its own, or that of the file, or none. */
static int load_mask(struct run *run, uint32_t piece, const uint32_t **mask,
                     struct rz_complaint *complaint)
{
    const struct rz_npy *file = &run->input->bitmask;
    const uint32_t row = run->pieces[piece].row;
    *mask = run->input->rows[row].bitmask;
    if (*mask != NULL || run->masks == NULL)
        return RZ_EXIT_OK;
    uint32_t *words = run->masks + piece * file->columns;
    *mask = words;
    return rz_npy_read(file, row, 0, file->columns, words, complaint);
}

static int fill_row(struct run *run, uint32_t piece, struct rz_complaint *complaint)
{
    const struct rz_piece *p = &run->pieces[piece];
    const struct rz_row_params *params = &run->input->rows[p->row];
    run->rows[piece] = (struct rz_row){
        .logits_row = p->row - run->pieces[0].row,
        .draws = p->count,
        .flags = RZ_ROW_POSITION,
        .sampling = &params->sampling,
        .prompt_ids = params->prompt_ids,
        .output_ids = params->output_ids,
        .prompt_count = params->prompt_count,
        .output_count = params->output_count,
        .position = params->position + p->first,
    };
    return load_mask(run, piece, &run->rows[piece].bitmask, complaint);
}

static int write_pieces(struct run *run, uint32_t count, struct rz_complaint *complaint)
{
    const struct rz_result *results = run->results;
    for (uint32_t i = 0; i < count; i++) {
        const struct rz_piece *p = &run->pieces[i];
        const struct rz_row_params *params = &run->input->rows[p->row];
        const struct rz_draws draws = {
            .row = p->row,
            .first = p->first,
            .total = params->count,
            .count = p->count,
            .logprobs = (params->sampling.flags & RZ_SAMPLING_LOGPROBS) != 0,
            .results = results,
        };
        const int status = rz_output_write(run->output, &draws, complaint);
        if (status != RZ_EXIT_OK)
            return status;
        results += p->count;
    }
    return RZ_EXIT_OK;
}

static int prepare_step(struct run *run, uint32_t pieces, struct rz_batch *batch,
                        struct rz_complaint *complaint)
{
    rz_batch_init(batch);
    batch->logits_rows = run->pieces[pieces - 1].row - run->pieces[0].row + 1;
    batch->logits = run->staged_logits;
    batch->row_stride = run->row_bytes / run->input->logits.item_bytes;
    int status = load_logits(run, run->pieces[0].row, batch->logits_rows, complaint);
    if (run->output == NULL)
        return status;
    batch->rows = run->rows;
    batch->row_count = pieces;
    for (uint32_t i = 0; status == RZ_EXIT_OK && i < pieces; i++)
        status = fill_row(run, i, complaint);
    return status;
}

/* One step of `pieces` pieces. Says what fails. */
static int step(struct run *run, uint32_t pieces, uint32_t *drawn)
{
    struct rz_complaint complaint;
    struct rz_batch batch;
    int status = prepare_step(run, pieces, &batch, &complaint);
    if (status == RZ_EXIT_OK) {
        if (rz_step(run->job, &batch, run->ids, drawn, run->results) != RZ_OK) {
            rz_launch_report(run->launch, rz_last_error(run->job));
            return RZ_EXIT_FAILED;
        }
        if (run->output != NULL)
            status = write_pieces(run, pieces, &complaint);
    }
    if (status != RZ_EXIT_OK && !rz_stop_requested()) /* the signal may have cut a write short */
        rz_say(run->launch->prefix, (int)run->launch->rank, complaint.text);
    return status;
}

static int draw_all(struct run *run)
{
    struct rz_progress progress = {0};
    if (run->output != NULL)
        rz_progress_start(&progress, run->input->draws, "draws", run->output);

    struct rz_sample_cursor cursor = {0};
    uint64_t done = 0;
    int status = RZ_EXIT_OK;
    uint32_t pieces;
    while (status == RZ_EXIT_OK &&
           (pieces = rz_sample_step_next(run->input, &cursor, run->step_size, run->pieces)) > 0) {
        uint32_t drawn = 0;
        status = rz_stop_requested() ? RZ_EXIT_FAILED : step(run, pieces, &drawn);
        done += drawn;
        rz_progress_update(&progress, done);
    }
    rz_progress_end(&progress);
    return status;
}

/* Where the job has memory for logits, but for that of a GPU: what is read from a file is copied
 * there in the step. */
static int find_logits(struct run *run, bool on_gpu)
{
    struct rz_complaint complaint;
    size_t row_stride;
    run->logits = rz_logits(run->job, &row_stride);
    run->row_bytes = row_stride * run->input->logits.item_bytes;
    rz_shard(run->job, &run->first, &run->columns);
    if (!on_gpu)
        return RZ_EXIT_OK;
    run->logits = run->staged_logits = malloc(run->step_size * run->row_bytes);
    if (run->logits != NULL)
        return RZ_EXIT_OK;
    const int status = rz_complain_memory(&complaint);
    rz_say(run->launch->prefix, (int)run->launch->rank, complaint.text);
    return status;
}

static int run_job(struct run *run, const struct rz_sample_options *options)
{
    struct rz_options job_options;
    rz_options_init(&job_options);
    job_options.vocab_size = run->input->vocab_size;
    job_options.vocab_padded = run->input->columns;
    job_options.split = options->split;
    job_options.dtype = run->input->dtype;
    job_options.max_rows = run->step_size;
    job_options.mode = options->mode;
    job_options.backend = options->backend;
    job_options.comm = options->comm;
    job_options.threads = options->threads;
    job_options.device = options->device;

    struct rz_error err;
    if (rz_launch_open(run->launch, &job_options, &run->job, &err) != RZ_OK) {
        rz_launch_report(run->launch, &err);
        return RZ_EXIT_FAILED;
    }
    int status = find_logits(run, options->backend == RZ_BACKEND_CUDA);
    if (status == RZ_EXIT_OK)
        status = draw_all(run);
    rz_close(run->job);
    return status;
}

int rz_sample_run(const struct rz_sample_options *options, const struct rz_sample_input *input,
                  struct rz_launch *launch, struct rz_output *output)
{
    struct run run = {
        .input = input,
        .launch = launch,
        .output = output,
        .step_size = rz_sample_step_size(input),
    };
    struct rz_complaint complaint;
    int status = allocate_buffers(&run, &complaint);
    if (status != RZ_EXIT_OK) {
        launch->together = false;
        rz_say(launch->prefix, (int)launch->rank, complaint.text);
        return status;
    }
    status = run_job(&run, options);
    free_buffers(&run);
    return status;
}
