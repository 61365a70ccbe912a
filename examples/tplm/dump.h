/* SPDX-License-Identifier: Apache-2.0
 *
 * dump.h - write what rankzero was given and what it drew, for `rankzero sample` to repeat.
 *
 * Three files: NAME.npy, float32 [draws, vocab]; NAME.jsonl, an object a draw with its parameters,
 * seed and position; NAME.ids.npy, int32 [draws]. Draws are in order of steps, in a step of
 * prompts.
 */
#ifndef TPLM_DUMP_H
#define TPLM_DUMP_H

#include <stdio.h>

#include "batch.h"

struct tplm_dump {
    FILE *logits, *params, *ids;
    char *path; /* of the logits */
    size_t vocab, draws;
};

/* tplm_dump_open - create the files. `path` ends in .npy. RZ_E_SYS or RZ_E_NOMEM. */
int tplm_dump_open(const char *path, size_t vocab, struct tplm_dump *dump, struct rz_error *err);

/* tplm_dump_add - one draw: logits[vocab], the sequence as it was before, what was drawn. */
void tplm_dump_add(struct tplm_dump *dump, const float *logits, const struct rz_sampling *sampling,
                   const struct tplm_sequence *sequence, const struct rz_result *result);

/* tplm_dump_close - complete the files. RZ_E_SYS if any write since open has failed; the files are
 * closed all the same. */
int tplm_dump_close(struct tplm_dump *dump, struct rz_error *err);

#endif
