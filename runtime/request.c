/* SPDX-License-Identifier: Apache-2.0
 *
 * request.c - check a step's batch and turn its rows into tasks for a sampler.
 */
#include "runtime/request.h"

#include <stdlib.h>

#include "internal/size_math.h"
#include "runtime/sampling.h"

enum { MAX_ITEM_BYTES = 4096 }; /* of a caller's row or result: more than any version will have */

int rz_request_create(struct rz_request *request, uint32_t max_rows, struct rz_error *err)
{
    *request = (struct rz_request){
        .tasks = calloc(max_rows, sizeof *request->tasks),
        .first_draws = calloc(max_rows, sizeof *request->first_draws),
        .samplings = calloc(max_rows, sizeof *request->samplings),
        .histories = calloc(max_rows, sizeof *request->histories),
    };
    if (request->tasks == NULL || request->first_draws == NULL || request->samplings == NULL ||
        request->histories == NULL) {
        rz_request_destroy(request);
        return rz_fail(err, RZ_E_NOMEM, RZ_NO_RANK, 0, "no memory for %u rows", max_rows);
    }
    return RZ_OK;
}

void rz_request_destroy(struct rz_request *request)
{
    free(request->tasks);
    free(request->first_draws);
    free(request->samplings);
    free(request->histories);
    *request = (struct rz_request){0};
}

int rz_batch_read(const struct rz_batch *given, const struct rz_plan *plan, uint32_t rank,
                  struct rz_batch *batch, struct rz_error *err)
{
    if (given == NULL || !rz_struct_read(batch, sizeof *batch, given, sizeof given->size))
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "batch: expected a struct made by rz_batch_init() of this version");
    if (batch->logits_rows < 1 || batch->logits_rows > plan->max_rows)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "batch.logits_rows: expected 1 to %u (max_rows), got %u", plan->max_rows,
                       batch->logits_rows);
    if (batch->logits != NULL && batch->row_stride < plan->columns[rank])
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "batch.row_stride: expected at least this rank's %u columns, got %zu",
                       plan->columns[rank], batch->row_stride);
    if (rank == 0 && (batch->rows == NULL || batch->row_count < 1))
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "batch.rows: expected at least one row on rank 0, got %u",
                       batch->rows == NULL ? 0 : batch->row_count);
    if (rank != 0 && (batch->rows != NULL || batch->row_count != 0))
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "batch.rows: expected none on rank %u (rank 0 alone knows requests), got %u",
                       rank, batch->row_count);
    if (batch->result_size > MAX_ITEM_BYTES)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "batch.result_size: expected sizeof(struct rz_result), got %zu",
                       batch->result_size);
    return RZ_OK;
}

/* A caller's row, which may be shorter than ours. */
static int read_row(const struct rz_batch *batch, uint32_t index, struct rz_row *row,
                    struct rz_error *err)
{
    const char *theirs = (const char *)batch->rows + index * batch->row_size;
    const size_t known = batch->row_size < sizeof *row ? batch->row_size : sizeof *row;
    memset(row, 0, sizeof *row);
    memcpy(row, theirs, known);
    for (size_t i = known; i < batch->row_size; i++)
        if (theirs[i] != 0)
            return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                           "row: fields that this version does not know are set");
    if (row->draws == 0)
        row->draws = 1;
    return RZ_OK;
}

static int check_row(const struct rz_row *row, const struct rz_batch *batch,
                     const struct rz_plan *plan, struct rz_error *err)
{
    if (row->logits_row >= batch->logits_rows)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0, "logits_row: expected 0 to %u, got %u",
                       batch->logits_rows - 1, row->logits_row);
    if ((row->flags & ~(RZ_ROW_POSITION | RZ_ROW_DRAFT)) != 0)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "flags: expected RZ_ROW_POSITION and RZ_ROW_DRAFT at most, got %#x",
                       row->flags);
    if (row->reserved != 0)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0, "reserved: expected 0, got %u", row->reserved);
    const int status =
        rz_ids_check("prompt_ids", row->prompt_ids, row->prompt_count, plan->vocab_size, err);
    if (status != RZ_OK)
        return status;
    return rz_ids_check("output_ids", row->output_ids, row->output_count, plan->vocab_size, err);
}

/* A row that brings its own parameters. */
static int read_stateless(const struct rz_row *row, const struct rz_plan *plan,
                          struct rz_sampling *sampling, struct rz_row_task *task,
                          struct rz_error *err)
{
    int status = rz_sampling_resolve(row->sampling, plan->vocab_size, sampling, err);
    if (status != RZ_OK)
        return status;
    task->sampling = sampling;
    task->seed = sampling->seed;
    if ((sampling->flags & RZ_SAMPLING_SEED) == 0 &&
        (status = rz_seed_random(&task->seed, err)) != RZ_OK)
        return status;
    task->prompt_ids = row->prompt_ids;
    task->prompt_count = row->prompt_count;
    task->output_length = row->output_count;
    task->position = (uint64_t)row->prompt_count + row->output_count;
    return RZ_OK;
}

/* A row of a sequence; *history is set if the drawn id is to be appended. */
static int read_sequence(const struct rz_row *row, const struct rz_sequence_table *table,
                         uint64_t step, struct rz_row_task *task,
                         struct rz_sequence_state **history, struct rz_error *err)
{
    struct rz_sequence_state *state = rz_sequence_table_find(table, row->sequence);
    if (state == NULL)
        return rz_fail(err, RZ_E_SEQUENCE, RZ_NO_RANK, 0, "sequence %#llx: there is none such",
                       (unsigned long long)row->sequence);
    if (row->sampling != NULL || row->prompt_count != 0)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "expected no sampling and no prompt_ids in a row of a sequence");
    if ((row->flags & RZ_ROW_DRAFT) == 0) {
        if (row->draws != 1)
            return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                           "draws: expected 1 in a row of a sequence that is not a draft, got %u",
                           row->draws);
        if (row->output_count != 0)
            return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                           "output_ids: expected none in a row of a sequence that is not a draft, "
                           "got %u",
                           row->output_count);
        if (state->last_step == step)
            return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                           "the sequence is in an earlier row of this step too");
        if (!rz_sequence_has_room(state, 1))
            return rz_fail(err, RZ_E_SEQUENCE, RZ_NO_RANK, 0,
                           "the sequence has its max_tokens of %u already", state->output_limit);
        *history = state;
    }
    task->sampling = &state->sampling;
    task->seed = state->seed;
    task->history = state->history;
    task->history_count = state->history_count;
    task->output_length = state->output_length + row->output_count;
    task->position = (uint64_t)state->prompt_length + state->output_length + row->output_count;
    return RZ_OK;
}

/* A sequence may be drawn for once a step: marks those of rows 0 .. count-1 as drawn for, or takes
 * the marks back. A step that is refused and tried again has the same number. */
static void unmark(struct rz_request *request, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (request->histories[i] != NULL)
            request->histories[i]->last_step = 0;
}

static int read_task(struct rz_request *request, uint32_t index, const struct rz_batch *batch,
                     const struct rz_plan *plan, const struct rz_sequence_table *table,
                     uint64_t step, struct rz_error *err)
{
    struct rz_row row;
    int status = read_row(batch, index, &row, err);
    if (status == RZ_OK)
        status = check_row(&row, batch, plan, err);
    if (status != RZ_OK)
        return status;

    struct rz_row_task *task = &request->tasks[index];
    struct rz_sequence_state *history = NULL;
    *task = (struct rz_row_task){
        .logits_row = row.logits_row,
        .draws = row.draws,
        .output_ids = row.output_ids,
        .output_count = row.output_count,
        .bitmask = row.bitmask,
    };
    status = row.sequence == 0 ? read_stateless(&row, plan, &request->samplings[index], task, err)
                               : read_sequence(&row, table, step, task, &history, err);
    if (status != RZ_OK)
        return status;
    if ((row.flags & RZ_ROW_POSITION) != 0)
        task->position = row.position;
    if (row.draws > plan->max_rows - request->draw_count)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "draws: expected at most %u ids (max_rows) in a step, got %llu",
                       plan->max_rows, (unsigned long long)request->draw_count + row.draws);
    if (history != NULL)
        history->last_step = step;
    request->histories[index] = history;
    request->first_draws[index] = request->draw_count;
    request->draw_count += row.draws;
    return RZ_OK;
}

int rz_request_read(struct rz_request *request, const struct rz_batch *batch,
                    const struct rz_plan *plan, const struct rz_sequence_table *table,
                    uint64_t step, struct rz_error *err)
{
    if (batch->row_size < sizeof(uint32_t) || batch->row_size > MAX_ITEM_BYTES)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "batch.row_size: expected sizeof(struct rz_row), got %zu", batch->row_size);
    if (batch->row_count > plan->max_rows)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "batch.row_count: expected at most %u (max_rows), got %u", plan->max_rows,
                       batch->row_count);
    request->draw_count = 0;
    request->row_count = batch->row_count;
    for (uint32_t i = 0; i < batch->row_count; i++) {
        struct rz_error cause = {0};
        const int status = read_task(request, i, batch, plan, table, step, &cause);
        if (status != RZ_OK) {
            unmark(request, i);
            return rz_fail(err, status, RZ_NO_RANK, cause.detail, "row %u: %.200s", i, cause.text);
        }
    }
    return RZ_OK;
}
