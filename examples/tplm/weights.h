/* SPDX-License-Identifier: Apache-2.0
 *
 * weights.h - the model's matrices, as int8 rows with a scale each.
 *
 * Body of the file (frame: checked_file.h, magic "tplm-w\r\n", version 1), little-endian:
 *
 *     uint32 vocab, dim, layers, heads, hidden, window
 *     fp32   rope_base, norm_eps
 *     matrix embed                          [vocab, dim]   also the LM head
 *     per layer:
 *         matrix query, key, value, out     [dim, dim]
 *         matrix up                         [hidden, dim]
 *         matrix down                       [dim, hidden]
 *
 * A matrix of [rows, cols] is fp32 scale[rows], then int8 q[rows][cols]; it stands for
 * scale[r] * q[r][c] and is applied as y = W x.
 */
#ifndef TPLM_WEIGHTS_H
#define TPLM_WEIGHTS_H

#include "checked_file.h"

enum {
    TPLM_LANES = 16,     /* floats that a dot product takes at a time: see vector.h */
    TPLM_MAX_DIM = 4096, /* most columns of a dot product */
    TPLM_MAX_HEADS = 64,
    TPLM_MAX_LAYERS = 64,
};

struct tplm_shape {
    size_t vocab, dim, layers, heads, hidden, window;
    float rope_base, norm_eps;
};

struct tplm_matrix {
    const float *scale;
    const int8_t *q;
    size_t rows, cols;
};

struct tplm_layer {
    struct tplm_matrix query, key, value, out, up, down;
};

struct tplm_weights {
    struct tplm_shape shape;
    struct tplm_matrix embed;
    struct tplm_layer layers[TPLM_MAX_LAYERS];
    struct tplm_file file; /* what the matrices point into */
};

/* tplm_weights_load - read and check a file of weights. RZ_E_SYS, RZ_E_ARG or RZ_E_NOMEM. */
int tplm_weights_load(const char *path, struct tplm_weights *weights, struct rz_error *err);

void tplm_weights_free(struct tplm_weights *weights);

#endif
