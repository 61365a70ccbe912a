/* SPDX-License-Identifier: Apache-2.0
 *
 * decode.h - the decode loop: where the model meets rankzero.
 */
#ifndef TPLM_DECODE_H
#define TPLM_DECODE_H

#include "batch.h"
#include "dump.h"
#include "model.h"
#include "view.h"

struct tplm_decode {
    rz_job *job;
    struct tplm_model *model;
    const struct tplm_options *options; /* sampling.seed is set */
    struct tplm_batch *batch;
    struct tplm_view *view; /* rank 0; NULL on the others */
    struct tplm_dump *dump; /* rank 0, if there is one */
    MPI_Comm comm;
};

struct tplm_times {
    uint64_t prompt_tokens, prompt_ns;
    uint64_t steps, drawn, decode_ns;
    uint64_t model_ns;                /* of decode_ns: forward pass and LM head */
    uint64_t reduce_ns, reduce_bytes; /* of model_ns: the all-reduces */
};

/* tplm_decode_run - take the prompts through the model, then draw until every sequence has ended.
 * Collective. On failure the ranks are out of step, and the job is over. */
int tplm_decode_run(struct tplm_decode *decode, struct tplm_times *times, struct rz_error *err);

#endif
