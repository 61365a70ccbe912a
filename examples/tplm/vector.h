/* SPDX-License-Identifier: Apache-2.0
 *
 * vector.h - the model's arithmetic, with every order of adding fixed.
 *
 * A result depends on the operands alone: not on how rows of a matrix are shared out, on what else
 * is in the batch, or on the width of the machine's registers. Together with -ffp-contract=off this
 * makes the logits of one id the same bits everywhere.
 */
#ifndef TPLM_VECTOR_H
#define TPLM_VECTOR_H

#include <stddef.h>

#include "weights.h"

/* tplm_multiply - a block of a matrix times some vectors.
 *
 *   y[i][r] = scale[row + r] * sum over c of q[row + r][col + c] * x[i][c]
 *
 * for r < rows, c < cols, i < count; cols is a multiple of TPLM_LANES, at most TPLM_MAX_DIM. */
void tplm_multiply(const struct tplm_matrix *matrix, size_t row, size_t rows, size_t col,
                   size_t cols, const float *x, size_t x_stride, size_t count, float *y,
                   size_t y_stride);

/* tplm_dot - sum of a[i] * b[i], i < count, a multiple of TPLM_LANES: lane l takes the products
 * l, l + LANES, ... in turn, then the lanes are added in a tree. */
float tplm_dot(const float *a, const float *b, size_t count);

/* tplm_normalise - y = x / rms(x); y may be x. */
void tplm_normalise(const float *x, size_t count, float epsilon, float *y);

/* tplm_softmax - in place; count >= 1. */
void tplm_softmax(float *x, size_t count);

#endif
