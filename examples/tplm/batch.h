/* SPDX-License-Identifier: Apache-2.0
 *
 * batch.h - the prompts that are decoded together, and what has been drawn for each.
 *
 * Rank 0 reads and encodes the prompts; the other ranks get the ids.
 */
#ifndef TPLM_BATCH_H
#define TPLM_BATCH_H

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"
#include "tokenizer.h"

struct tplm_sequence {
    int32_t *ids;        /* TPLM_END, the prompt, what was drawn; room for all that may be */
    size_t prompt_count; /* TPLM_END included */
    size_t count;
    bool ended;         /* TPLM_END was drawn, or there are as many tokens as were asked for */
    rz_sequence handle; /* rank 0 */
};

struct tplm_batch {
    size_t count;
    struct tplm_sequence sequences[TPLM_MAX_PROMPTS];
};

/* tplm_batch_read - encode the prompts of the command line or of its file. Rank 0 only. RZ_E_SYS,
 * RZ_E_ARG (no prompt, too many, one too long: `err` gives the line) or RZ_E_NOMEM; `batch` is to
 * be freed in any case. */
int tplm_batch_read(const struct tplm_options *options, const struct tplm_tokenizer *tokenizer,
                    struct tplm_batch *batch, struct rz_error *err);

/* tplm_batch_share - give rank 0's batch to the other ranks. Collective. RZ_E_NOMEM on the rank
 * that has none, which still takes part. */
int tplm_batch_share(MPI_Comm comm, size_t tokens, struct tplm_batch *batch, struct rz_error *err);

/* tplm_sequence_append - take in what was drawn; every rank applies the same rule to the same id,
 * so all know which sequences go on. `tokens` is the most that may be drawn. */
void tplm_sequence_append(struct tplm_sequence *sequence, int32_t id, size_t tokens);

void tplm_batch_free(struct tplm_batch *batch);

#endif
