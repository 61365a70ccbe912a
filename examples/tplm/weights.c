/* SPDX-License-Identifier: Apache-2.0
 *
 * weights.c - find the matrices in a file of weights.
 *
 * The matrices stay where they were read: every count in the file is a multiple of 4 bytes, so the
 * scales are aligned. Like the format, this takes a little-endian machine.
 */
#include "weights.h"

#include <math.h>
#include <string.h>

#include "fail.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the weights are used in place and are little-endian"
#endif

enum { SHAPE_BYTES = 32, WEIGHTS_VERSION = 1 };

static int check_range(const char *path, const char *name, size_t value, size_t low, size_t high,
                       size_t multiple, struct rz_error *err)
{
    if (value >= low && value <= high && value % multiple == 0)
        return RZ_OK;
    return tplm_fail(err, RZ_E_ARG,
                     "%s: expected %s to be a multiple of %zu from %zu to %zu, got %zu", path, name,
                     multiple, low, high, value);
}

static int check_shape(const char *path, const struct tplm_shape *s, struct rz_error *err)
{
    int status;
    if ((status = check_range(path, "vocab", s->vocab, 1, 1 << 18, 1, err)) != RZ_OK ||
        (status = check_range(path, "layers", s->layers, 1, TPLM_MAX_LAYERS, 1, err)) != RZ_OK ||
        (status = check_range(path, "heads", s->heads, 1, TPLM_MAX_HEADS, 1, err)) != RZ_OK ||
        (status = check_range(path, "window", s->window, 1, 1 << 16, 1, err)) != RZ_OK)
        return status;

    /* Heads and their share of the MLP must fill whole steps of a dot product. */
    const size_t multiple = s->heads * TPLM_LANES;
    if ((status = check_range(path, "dim", s->dim, multiple, TPLM_MAX_DIM, multiple, err)) != RZ_OK)
        return status;
    status =
        check_range(path, "hidden", s->hidden, multiple, s->heads * TPLM_MAX_DIM, multiple, err);
    if (status != RZ_OK)
        return status;

    if (!(s->rope_base > 1.0f) || !isfinite(s->rope_base) || !(s->norm_eps > 0.0f) ||
        !isfinite(s->norm_eps))
        return tplm_fail(err, RZ_E_ARG,
                         "%s: expected rope_base > 1 and norm_eps > 0, got %g and %g", path,
                         (double)s->rope_base, (double)s->norm_eps);
    return RZ_OK;
}

static void read_shape(const unsigned char *body, struct tplm_shape *shape)
{
    shape->vocab = tplm_load_u32(body);
    shape->dim = tplm_load_u32(body + 4);
    shape->layers = tplm_load_u32(body + 8);
    shape->heads = tplm_load_u32(body + 12);
    shape->hidden = tplm_load_u32(body + 16);
    shape->window = tplm_load_u32(body + 20);
    memcpy(&shape->rope_base, body + 24, sizeof shape->rope_base);
    memcpy(&shape->norm_eps, body + 28, sizeof shape->norm_eps);
}

static size_t matrix_bytes(size_t rows, size_t cols)
{
    return rows * (sizeof(float) + cols);
}

static size_t expected_bytes(const struct tplm_shape *s)
{
    const size_t layer = 4 * matrix_bytes(s->dim, s->dim) + matrix_bytes(s->hidden, s->dim) +
                         matrix_bytes(s->dim, s->hidden);
    return SHAPE_BYTES + matrix_bytes(s->vocab, s->dim) + s->layers * layer;
}

static struct tplm_matrix take_matrix(const unsigned char **at, size_t rows, size_t cols)
{
    const struct tplm_matrix matrix = {
        .scale = (const float *)(const void *)*at,
        .q = (const int8_t *)(*at + rows * sizeof(float)),
        .rows = rows,
        .cols = cols,
    };
    *at += matrix_bytes(rows, cols);
    return matrix;
}

int tplm_weights_load(const char *path, struct tplm_weights *weights, struct rz_error *err)
{
    struct tplm_file file;
    int status = tplm_file_read(path, "tplm-w\r\n", WEIGHTS_VERSION, &file, err);
    if (status != RZ_OK)
        return status;

    struct tplm_shape s = {0};
    if (file.body_bytes < SHAPE_BYTES) {
        status = tplm_fail(err, RZ_E_ARG, "%s: expected a shape of %d bytes, got %zu", path,
                           SHAPE_BYTES, file.body_bytes);
        goto err_free;
    }
    read_shape(file.body, &s);
    status = check_shape(path, &s, err);
    if (status != RZ_OK)
        goto err_free;
    if (file.body_bytes != expected_bytes(&s)) {
        status = tplm_fail(err, RZ_E_ARG, "%s: expected %zu bytes for the shape it states, got %zu",
                           path, expected_bytes(&s), file.body_bytes);
        goto err_free;
    }

    const unsigned char *at = file.body + SHAPE_BYTES;
    weights->shape = s;
    weights->file = file;
    weights->embed = take_matrix(&at, s.vocab, s.dim);
    for (size_t i = 0; i < s.layers; i++) {
        struct tplm_layer *layer = &weights->layers[i];
        layer->query = take_matrix(&at, s.dim, s.dim);
        layer->key = take_matrix(&at, s.dim, s.dim);
        layer->value = take_matrix(&at, s.dim, s.dim);
        layer->out = take_matrix(&at, s.dim, s.dim);
        layer->up = take_matrix(&at, s.hidden, s.dim);
        layer->down = take_matrix(&at, s.dim, s.hidden);
    }
    return RZ_OK;

err_free:
    tplm_file_free(&file);
    return status;
}

void tplm_weights_free(struct tplm_weights *weights)
{
    tplm_file_free(&weights->file);
}
