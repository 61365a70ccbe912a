/* SPDX-License-Identifier: Apache-2.0
 *
 * decode.c - START READING HERE: one step is forward(), rz_step(), append().
 *
 *     every rank    rank 0    every rank
 *     forward() --> draws --> append()       the last ids drawn go in, the next ids come out
 *
 * Only rank 0 knows how tokens are drawn. The others see ids, and all apply the same rule to them
 * to know which sequences go on, so that the next batch is the same on every rank.
 */
#include "decode.h"

#include <stdlib.h>

#include "clock.h"
#include "fail.h"

/* Rows of a step: the sequences that go on, in order of prompts. */
struct live {
    size_t count;
    size_t sequences[TPLM_MAX_PROMPTS];
};

/* This rank's columns of the logits, in memory of the host. Where the job has a GPU rz_logits() is
 * memory of that, which the model does not write to: then they are ours, and rz_step() copies them
 * there. */
struct slice {
    uint32_t first, count; /* ids */
    float *logits;         /* [sequences][stride] */
    size_t stride;
    float *own; /* the same, to be freed, or NULL */
};

static int find_slice(const struct tplm_decode *d, struct slice *slice, struct rz_error *err)
{
    *slice = (struct slice){0};
    rz_shard(d->job, &slice->first, &slice->count);
    if (d->options->device == TPLM_CPU) {
        slice->logits = rz_logits(d->job, &slice->stride);
        return RZ_OK;
    }
    slice->stride = slice->count;
    slice->logits = slice->own = calloc(d->batch->count * slice->stride, sizeof *slice->own);
    return slice->own != NULL ? RZ_OK : tplm_fail(err, RZ_E_NOMEM, "no memory for logits");
}

static int open_sequences(struct tplm_decode *d, struct rz_error *err)
{
    for (size_t i = 0; i < d->batch->count; i++) {
        struct tplm_sequence *sequence = &d->batch->sequences[i];
        struct rz_sampling sampling = d->options->sampling;
        sampling.seed += i;
        const int status = rz_sequence_open(d->job, &sampling, sequence->ids,
                                            (uint32_t)sequence->prompt_count, &sequence->handle);
        if (status != RZ_OK) {
            *err = *rz_last_error(d->job);
            return status;
        }
    }
    return RZ_OK;
}

/* All of the prompts but their last tokens, which are the first step's. */
static void prefill(struct tplm_decode *d, struct tplm_token *tokens, struct tplm_times *times)
{
    size_t count = 0;
    for (size_t i = 0; i < d->batch->count; i++) {
        const struct tplm_sequence *sequence = &d->batch->sequences[i];
        for (size_t p = 0; p + 1 < sequence->prompt_count; p++) {
            tokens[count++] =
                (struct tplm_token){.id = (size_t)sequence->ids[p], .sequence = i, .position = p};
            if (count == d->model->max_tokens) {
                tplm_model_forward(d->model, tokens, count);
                count = 0;
            }
        }
        times->prompt_tokens += sequence->prompt_count;
    }
    if (count > 0)
        tplm_model_forward(d->model, tokens, count);
}

static void find_live(const struct tplm_batch *batch, struct live *live)
{
    live->count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (!batch->sequences[i].ended)
            live->sequences[live->count++] = i;
    }
}

/* The last token of each live sequence in, this rank's logits of the next one out. */
static void forward(struct tplm_decode *d, const struct live *live, const struct slice *slice,
                    struct tplm_token *tokens)
{
    for (size_t i = 0; i < live->count; i++) {
        const struct tplm_sequence *sequence = &d->batch->sequences[live->sequences[i]];
        tokens[i] = (struct tplm_token){
            .id = (size_t)sequence->ids[sequence->count - 1],
            .sequence = live->sequences[i],
            .position = sequence->count - 1,
        };
    }
    tplm_model_forward(d->model, tokens, live->count);
    tplm_model_logits(d->model, live->count, slice->first, slice->count, slice->logits,
                      slice->stride);
}

static int draw(struct tplm_decode *d, const struct live *live, const struct slice *slice,
                int32_t *ids, struct rz_result *results, struct rz_error *err)
{
    struct rz_row rows[TPLM_MAX_PROMPTS] = {0};
    struct rz_batch batch;
    rz_batch_init(&batch);
    batch.logits_rows = (uint32_t)live->count;
    batch.logits = slice->own; /* NULL: they are in rz_logits() */
    batch.row_stride = slice->stride;
    if (rz_rank(d->job) == 0) {
        for (size_t i = 0; i < live->count; i++) {
            rows[i].logits_row = (uint32_t)i;
            rows[i].sequence = d->batch->sequences[live->sequences[i]].handle;
        }
        batch.rows = rows;
        batch.row_count = (uint32_t)live->count;
    }

    uint32_t count;
    const int status = rz_step(d->job, &batch, ids, &count, rz_rank(d->job) == 0 ? results : NULL);
    if (status != RZ_OK)
        *err = *rz_last_error(d->job);
    return status;
}

/* Whole rows of this step's logits on rank 0, by way of MPI and not of rankzero: [live][vocab]. */
static void gather_logits(struct tplm_decode *d, const struct live *live, const struct slice *slice,
                          float *whole)
{
    const int world = (int)rz_world(d->job);
    int counts[RZ_MAX_WORLD], offsets[RZ_MAX_WORLD];
    const int own[2] = {(int)slice->first, (int)slice->count};
    int all[2 * RZ_MAX_WORLD];
    MPI_Gather(own, 2, MPI_INT, all, 2, MPI_INT, 0, d->comm);
    for (int r = 0; r < world && rz_rank(d->job) == 0; r++) {
        offsets[r] = all[2 * r];
        counts[r] = all[2 * r + 1];
    }
    for (size_t i = 0; i < live->count; i++)
        MPI_Gatherv(slice->logits + i * slice->stride, (int)slice->count, MPI_FLOAT,
                    whole + i * d->model->weights->shape.vocab, counts, offsets, MPI_FLOAT, 0,
                    d->comm);
}

static void dump_draws(struct tplm_decode *d, const struct live *live, const float *whole,
                       const struct rz_result *results)
{
    for (size_t i = 0; i < live->count; i++)
        tplm_dump_add(d->dump, whole + i * d->model->weights->shape.vocab, &d->options->sampling,
                      &d->batch->sequences[live->sequences[i]], &results[i]);
}

static void append(struct tplm_decode *d, const struct live *live, const int32_t *ids)
{
    for (size_t i = 0; i < live->count; i++)
        tplm_sequence_append(&d->batch->sequences[live->sequences[i]], ids[i], d->options->tokens);
}

/* Steps until no sequence is live. `whole` is NULL where nothing is dumped. */
static int run_steps(struct tplm_decode *d, const struct slice *slice, struct tplm_token *tokens,
                     float *whole, struct tplm_times *times, struct rz_error *err)
{
    int32_t ids[TPLM_MAX_PROMPTS];
    struct rz_result results[TPLM_MAX_PROMPTS];
    struct live live;

    for (find_live(d->batch, &live); live.count > 0; find_live(d->batch, &live)) {
        const uint64_t begin_ns = tplm_now_ns();
        forward(d, &live, slice, tokens);
        times->model_ns += tplm_now_ns() - begin_ns;

        if (whole != NULL)
            gather_logits(d, &live, slice, whole);
        const int status = draw(d, &live, slice, ids, results, err);
        if (status != RZ_OK)
            return status;
        if (d->dump != NULL)
            dump_draws(d, &live, whole, results);
        append(d, &live, ids);
        if (d->view != NULL)
            tplm_view_step(d->view);

        times->steps++;
        times->drawn += live.count;
    }
    return RZ_OK;
}

int tplm_decode_run(struct tplm_decode *decode, struct tplm_times *times, struct rz_error *err)
{
    struct tplm_decode *d = decode;
    *times = (struct tplm_times){0};
    struct tplm_token *tokens = calloc(d->model->max_tokens, sizeof *tokens);
    float *whole = NULL;
    struct slice slice;
    int status = find_slice(d, &slice, err);
    if (status != RZ_OK)
        goto out;
    if (d->options->dump_path != NULL)
        whole = calloc(d->batch->count * d->model->weights->shape.vocab, sizeof *whole);
    if (tokens == NULL || (d->options->dump_path != NULL && whole == NULL)) {
        status = tplm_fail(err, RZ_E_NOMEM, "no memory for a batch of %zu", d->batch->count);
        goto out;
    }
    if (rz_rank(d->job) == 0) {
        status = open_sequences(d, err);
        if (status != RZ_OK)
            goto out;
    }
    if (d->view != NULL)
        tplm_view_step(d->view);

    uint64_t begin_ns = tplm_now_ns();
    prefill(d, tokens, times);
    times->prompt_ns = tplm_now_ns() - begin_ns;

    const struct tplm_allreduce before = d->model->reduce;
    begin_ns = tplm_now_ns();
    status = run_steps(d, &slice, tokens, whole, times, err);
    times->decode_ns = tplm_now_ns() - begin_ns;
    times->reduce_ns = d->model->reduce.ns - before.ns;
    times->reduce_bytes = d->model->reduce.bytes - before.bytes;

out:
    free(slice.own);
    free(whole);
    free(tokens);
    return status;
}
