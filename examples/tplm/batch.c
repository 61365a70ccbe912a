/* SPDX-License-Identifier: Apache-2.0
 *
 * batch.c - read prompts, share them, append to them.
 */
#include "batch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

/* A word is merged in quadratic time, so this bounds what a prompt of one long word costs. */
enum { MAX_PROMPT_BYTES = 16384 };

static int add(struct tplm_batch *batch, const struct tplm_tokenizer *tokenizer, const char *text,
               size_t bytes, size_t tokens, struct rz_error *err)
{
    const size_t number = batch->count + 1;
    if (batch->count == TPLM_MAX_PROMPTS)
        return tplm_fail(err, RZ_E_ARG, "expected at most %d prompts, got more", TPLM_MAX_PROMPTS);
    if (bytes > MAX_PROMPT_BYTES)
        return tplm_fail(err, RZ_E_ARG, "prompt %zu: expected at most %d bytes, got %zu", number,
                         MAX_PROMPT_BYTES, bytes);

    int32_t *ids = malloc((1 + bytes + tokens) * sizeof *ids);
    if (ids == NULL)
        return tplm_fail(err, RZ_E_NOMEM, "no memory for prompt %zu", number);
    ids[0] = TPLM_END;
    const size_t count = 1 + tplm_encode(tokenizer, text, bytes, ids + 1);
    batch->sequences[batch->count++] =
        (struct tplm_sequence){.ids = ids, .prompt_count = count, .count = count};
    return RZ_OK;
}

static int add_lines(struct tplm_batch *batch, const struct tplm_tokenizer *tokenizer, FILE *in,
                     size_t tokens, struct rz_error *err)
{
    char *line = NULL;
    size_t room = 0;
    int status = RZ_OK;
    for (ssize_t length; status == RZ_OK && (length = getline(&line, &room, in)) >= 0;) {
        while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
            length--;
        if (length > 0)
            status = add(batch, tokenizer, line, (size_t)length, tokens, err);
    }
    free(line);
    return status;
}

int tplm_batch_read(const struct tplm_options *options, const struct tplm_tokenizer *tokenizer,
                    struct tplm_batch *batch, struct rz_error *err)
{
    const size_t tokens = options->tokens;
    *batch = (struct tplm_batch){0};
    for (size_t i = 0; i < options->prompt_count; i++) {
        const char *text = options->prompts[i];
        const int status = add(batch, tokenizer, text, strlen(text), tokens, err);
        if (status != RZ_OK)
            return status;
    }
    if (options->prompts_path == NULL)
        return RZ_OK;

    const char *path = options->prompts_path;
    FILE *in = fopen(path, "r");
    if (in == NULL)
        return tplm_fail(err, RZ_E_SYS, "cannot open %s: %s", path, strerror(errno));
    errno = 0;
    int status = add_lines(batch, tokenizer, in, tokens, err);
    if (status == RZ_OK && ferror(in))
        status = tplm_fail(err, RZ_E_SYS, "cannot read %s: %s", path, strerror(errno));
    fclose(in);
    if (status == RZ_OK && batch->count == 0)
        status = tplm_fail(err, RZ_E_ARG, "%s: expected a prompt a line, got none", path);
    return status;
}

int tplm_batch_share(MPI_Comm comm, size_t tokens, struct tplm_batch *batch, struct rz_error *err)
{
    int rank, status = RZ_OK;
    MPI_Comm_rank(comm, &rank);

    int counts[1 + TPLM_MAX_PROMPTS] = {(int)batch->count};
    for (size_t i = 0; i < batch->count; i++)
        counts[1 + i] = (int)batch->sequences[i].prompt_count;
    MPI_Bcast(counts, 1 + TPLM_MAX_PROMPTS, MPI_INT, 0, comm);

    size_t total = 0;
    for (int i = 0; i < counts[0]; i++)
        total += (size_t)counts[1 + i];
    int32_t *ids = malloc((total + 1) * sizeof *ids);
    if (ids == NULL) {
        tplm_fail(err, RZ_E_NOMEM, "no memory for %zu ids of prompts", total);
        MPI_Abort(comm, EXIT_FAILURE); /* the others are on their way into the broadcast */
        return RZ_E_NOMEM;
    }
    for (size_t i = 0, at = 0; i < batch->count; at += batch->sequences[i++].prompt_count)
        memcpy(ids + at, batch->sequences[i].ids, batch->sequences[i].prompt_count * sizeof *ids);
    MPI_Bcast(ids, (int)total, MPI_INT32_T, 0, comm);

    for (size_t i = 0, at = 0; rank != 0 && i < (size_t)counts[0]; i++) {
        const size_t count = (size_t)counts[1 + i];
        struct tplm_sequence *sequence = &batch->sequences[i];
        *sequence = (struct tplm_sequence){.prompt_count = count, .count = count};
        sequence->ids = malloc((count + tokens) * sizeof *ids);
        if (sequence->ids == NULL) {
            status = tplm_fail(err, RZ_E_NOMEM, "no memory for prompt %zu", i + 1);
            break;
        }
        memcpy(sequence->ids, ids + at, count * sizeof *ids);
        batch->count = i + 1;
        at += count;
    }
    free(ids);
    return status;
}

void tplm_sequence_append(struct tplm_sequence *sequence, int32_t id, size_t tokens)
{
    if (id < 0 || id == TPLM_END) { /* negative: no logit was left to draw from */
        sequence->ended = true;
        return;
    }
    sequence->ids[sequence->count++] = id;
    sequence->ended = sequence->count == sequence->prompt_count + tokens;
}

void tplm_batch_free(struct tplm_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        free(batch->sequences[i].ids);
    *batch = (struct tplm_batch){0};
}
