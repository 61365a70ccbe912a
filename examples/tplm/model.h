/* SPDX-License-Identifier: Apache-2.0
 *
 * model.h - this rank's share of a decoder-only transformer.
 *
 * Heads are shared out over ranks, each with its slice of the MLP and its own part of the KV cache;
 * x, the residual stream, is the same on every rank:
 *
 *     x = norm(embed[id])
 *     per layer:  x += sum over heads of  out[:, head]   * attention(head of norm(x))
 *                 x += sum over heads of  down[:, slice] * relu(up[slice] * norm(x))^2
 *     logits[id] = embed[id] . norm(x)
 *
 * A token sees itself and the window - 1 tokens before it.
 */
#ifndef TPLM_MODEL_H
#define TPLM_MODEL_H

#include "allreduce.h"
#include "weights.h"

/* One token of one sequence, on its way through the model. */
struct tplm_token {
    size_t id;
    size_t sequence; /* below the max_sequences of open */
    size_t position; /* of the token in its sequence */
};

struct tplm_model {
    const struct tplm_weights *weights;
    struct tplm_allreduce reduce;
    size_t max_sequences, max_tokens;
    float *keys, *values;       /* [sequences][layers][own heads][window][head_dim], the last
                                   being a ring: position p is at p % window */
    float *x, *normed;          /* [max_tokens][dim] */
    float *query, *key, *value; /* [max_tokens][own heads * head_dim] */
    float *hidden;              /* [max_tokens][hidden / heads] */
    float *scores;              /* [window] */
    float *turn;                /* [max_tokens][head_dim]: cosines, then sines, of a position */
    float *terms;               /* [heads][max_tokens][dim] */
    double *frequency;          /* [head_dim / 2] */
};

/* tplm_model_open - make room for `max_sequences` and for `max_tokens` (at least as many) in one
 * call of tplm_model_forward(). Collective over `comm`. Borrows `weights` and `comm` until close.
 * RZ_E_ARG if there are more ranks than heads, RZ_E_NOMEM. */
int tplm_model_open(const struct tplm_weights *weights, MPI_Comm comm, size_t max_sequences,
                    size_t max_tokens, struct tplm_model *model, struct rz_error *err);

void tplm_model_close(struct tplm_model *model);

/* tplm_model_forward - take tokens[0 .. count) through all layers.
 *
 * Collective, with the same tokens on every rank. The tokens of a sequence come in order of
 * position, without gaps, over all calls. */
void tplm_model_forward(struct tplm_model *model, const struct tplm_token *tokens, size_t count);

/* tplm_model_logits - the logits of ids first .. first + ids - 1 after each token of the last
 * forward call: logits[i * stride + id - first]. Not collective. */
void tplm_model_logits(struct tplm_model *model, size_t count, size_t first, size_t ids,
                       float *logits, size_t stride);

#endif
