/* SPDX-License-Identifier: Apache-2.0
 *
 * model.c - the forward pass.
 *
 * Nothing here adds in an order that depends on the number of ranks, on the batch, or on how a
 * prompt is cut into calls: each dot product is tplm_dot()'s, attention goes through positions from
 * the oldest to the newest, and heads are summed by tplm_allreduce_add().
 */
#include "model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "vector.h"

static size_t head_dim(const struct tplm_model *model)
{
    return model->weights->shape.dim / model->weights->shape.heads;
}

/* Columns of the MLP that belong to one head. */
static size_t slice_cols(const struct tplm_model *model)
{
    return model->weights->shape.hidden / model->weights->shape.heads;
}

static void release(struct tplm_model *model)
{
    float *arrays[] = {model->keys,   model->values, model->x,     model->normed,
                       model->query,  model->key,    model->value, model->hidden,
                       model->scores, model->turn,   model->terms};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        free(arrays[i]);
    free(model->frequency);
}

static int reserve(struct tplm_model *model)
{
    const struct tplm_shape *s = &model->weights->shape;
    const size_t own = model->reduce.count * head_dim(model);
    const size_t tokens = model->max_tokens;

    model->keys = calloc(model->max_sequences * s->layers * model->weights->shape.window,
                         own * sizeof(float));
    model->values = calloc(model->max_sequences * s->layers * model->weights->shape.window,
                           own * sizeof(float));
    model->x = calloc(tokens * s->dim, sizeof(float));
    model->normed = calloc(tokens * s->dim, sizeof(float));
    model->query = calloc(tokens * own, sizeof(float));
    model->key = calloc(tokens * own, sizeof(float));
    model->value = calloc(tokens * own, sizeof(float));
    model->hidden = calloc(tokens * slice_cols(model), sizeof(float));
    model->scores = calloc(s->window, sizeof(float));
    model->turn = calloc(tokens * head_dim(model), sizeof(float));
    model->terms = calloc(s->heads * tokens * s->dim, sizeof(float));
    model->frequency = calloc(head_dim(model) / 2, sizeof(double));
    return model->keys && model->values && model->x && model->normed && model->query &&
           model->key && model->value && model->hidden && model->scores && model->turn &&
           model->terms && model->frequency;
}

int tplm_model_open(const struct tplm_weights *weights, MPI_Comm comm, size_t max_sequences,
                    size_t max_tokens, struct tplm_model *model, struct rz_error *err)
{
    struct tplm_model m = {
        .weights = weights,
        .max_sequences = max_sequences,
        .max_tokens = max_tokens,
    };
    const int status = tplm_allreduce_open(comm, weights->shape.heads, &m.reduce, err);
    if (status != RZ_OK)
        return status;

    if (!reserve(&m)) {
        release(&m);
        tplm_allreduce_close(&m.reduce);
        return tplm_fail(err, RZ_E_NOMEM, "no memory for the KV cache of %zu sequences",
                         max_sequences);
    }
    const size_t half = head_dim(&m) / 2;
    for (size_t i = 0; i < half; i++)
        m.frequency[i] = pow((double)weights->shape.rope_base, -(double)i / (double)half);
    *model = m;
    return RZ_OK;
}

void tplm_model_close(struct tplm_model *model)
{
    release(model);
    tplm_allreduce_close(&model->reduce);
    *model = (struct tplm_model){0};
}

static void embed(struct tplm_model *model, const struct tplm_token *tokens, size_t count)
{
    const struct tplm_matrix *matrix = &model->weights->embed;
    const size_t dim = matrix->cols;
    for (size_t i = 0; i < count; i++) {
        float *x = model->x + i * dim;
        for (size_t c = 0; c < dim; c++)
            x[c] = matrix->scale[tokens[i].id] * (float)matrix->q[tokens[i].id * dim + c];
        tplm_normalise(x, dim, model->weights->shape.norm_eps, x);
    }
}

static void normalise_all(struct tplm_model *model, size_t count)
{
    const struct tplm_shape *s = &model->weights->shape;
    for (size_t i = 0; i < count; i++)
        tplm_normalise(model->x + i * s->dim, s->dim, s->norm_eps, model->normed + i * s->dim);
}

/* Rotary positions: dimension i of a head turns with dimension i + half. */
static void prepare_turns(struct tplm_model *model, const struct tplm_token *tokens, size_t count)
{
    const size_t dim = head_dim(model), half = dim / 2;
    for (size_t i = 0; i < count; i++) {
        for (size_t d = 0; d < half; d++) {
            const double angle = (double)tokens[i].position * model->frequency[d];
            model->turn[i * dim + d] = (float)cos(angle);
            model->turn[i * dim + half + d] = (float)sin(angle);
        }
    }
}

static void turn_head(const float *turn, size_t half, float *head)
{
    const float *cosine = turn, *sine = turn + half;
    for (size_t d = 0; d < half; d++) {
        const float a = head[d], b = head[half + d];
        head[d] = a * cosine[d] - b * sine[d];
        head[half + d] = a * sine[d] + b * cosine[d];
    }
}

/* Where the cache has the keys (or values) of one head: [kept][head_dim]. */
static float *cached(const struct tplm_model *model, float *cache, size_t sequence, size_t layer,
                     size_t own_head)
{
    const size_t heads = model->reduce.count, layers = model->weights->shape.layers;
    return cache + (((sequence * layers) + layer) * heads + own_head) *
                       model->weights->shape.window * head_dim(model);
}

static void attend(struct tplm_model *model, const float *keys, const float *values,
                   size_t position, const float *query, float *out)
{
    const size_t dim = head_dim(model), window = model->weights->shape.window;
    const size_t count = position + 1 < window ? position + 1 : window;
    const size_t oldest = position + 1 - count;
    const float scale = 1.0f / sqrtf((float)dim);

    for (size_t i = 0; i < count; i++)
        model->scores[i] =
            scale * tplm_dot(query, keys + (oldest + i) % model->weights->shape.window * dim, dim);
    tplm_softmax(model->scores, count);

    memset(out, 0, dim * sizeof *out);
    for (size_t i = 0; i < count; i++) {
        const float *value = values + (oldest + i) % model->weights->shape.window * dim;
        for (size_t d = 0; d < dim; d++)
            out[d] += model->scores[i] * value[d];
    }
}

static void attention(struct tplm_model *model, size_t layer, const struct tplm_token *tokens,
                      size_t count)
{
    const struct tplm_layer *w = &model->weights->layers[layer];
    const size_t dim = model->weights->shape.dim, size = head_dim(model);
    const size_t heads = model->reduce.count, own = heads * size;
    const size_t first_row = model->reduce.first * size;

    normalise_all(model, count);
    const float *x = model->normed;
    tplm_multiply(&w->query, first_row, own, 0, dim, x, dim, count, model->query, own);
    tplm_multiply(&w->key, first_row, own, 0, dim, x, dim, count, model->key, own);
    tplm_multiply(&w->value, first_row, own, 0, dim, x, dim, count, model->value, own);

    /* Token by token: the next one may take the place in the cache of the oldest that this one
     * still sees. */
    for (size_t i = 0; i < count; i++) {
        const struct tplm_token *token = &tokens[i];
        const float *turn = model->turn + i * size;
        const size_t slot = token->position % model->weights->shape.window * size;
        for (size_t h = 0; h < heads; h++) {
            float *query = model->query + i * own + h * size;
            float *key = model->key + i * own + h * size;
            float *keys = cached(model, model->keys, token->sequence, layer, h);
            float *values = cached(model, model->values, token->sequence, layer, h);

            turn_head(turn, size / 2, query);
            turn_head(turn, size / 2, key);
            memcpy(keys + slot, key, size * sizeof *key);
            memcpy(values + slot, model->value + i * own + h * size, size * sizeof *key);
            attend(model, keys, values, token->position, query, key); /* `key` is cached: reuse */
        }
    }

    for (size_t h = 0; h < heads; h++) {
        const size_t head = model->reduce.first + h;
        tplm_multiply(&w->out, 0, dim, head * size, size, model->key + h * size, own, count,
                      model->terms + head * count * dim, dim);
    }
    tplm_allreduce_add(&model->reduce, model->terms, count * dim, model->x);
}

static void mlp(struct tplm_model *model, size_t layer, size_t count)
{
    const struct tplm_layer *w = &model->weights->layers[layer];
    const size_t dim = model->weights->shape.dim, cols = slice_cols(model);

    normalise_all(model, count);
    for (size_t h = 0; h < model->reduce.count; h++) {
        const size_t head = model->reduce.first + h;
        float *hidden = model->hidden;
        tplm_multiply(&w->up, head * cols, cols, 0, dim, model->normed, dim, count, hidden, cols);
        for (size_t i = 0; i < count * cols; i++)
            hidden[i] = hidden[i] > 0.0f ? hidden[i] * hidden[i] : 0.0f;
        tplm_multiply(&w->down, 0, dim, head * cols, cols, hidden, cols, count,
                      model->terms + head * count * dim, dim);
    }
    tplm_allreduce_add(&model->reduce, model->terms, count * dim, model->x);
}

void tplm_model_forward(struct tplm_model *model, const struct tplm_token *tokens, size_t count)
{
    embed(model, tokens, count);
    prepare_turns(model, tokens, count);
    for (size_t layer = 0; layer < model->weights->shape.layers; layer++) {
        attention(model, layer, tokens, count);
        mlp(model, layer, count);
    }
}

void tplm_model_logits(struct tplm_model *model, size_t count, size_t first, size_t ids,
                       float *logits, size_t stride)
{
    const size_t dim = model->weights->shape.dim;
    normalise_all(model, count);
    tplm_multiply(&model->weights->embed, first, ids, 0, dim, model->normed, dim, count, logits,
                  stride);
}
