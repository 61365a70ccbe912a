/* SPDX-License-Identifier: Apache-2.0
 *
 * test_vector.c - the arithmetic is right, and blind to how work is cut up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "vector.h"

enum { ROWS = 37, COLS = 96, COUNT = 5 };

static float scale[ROWS];
static int8_t q[ROWS * COLS];
static float x[COUNT * COLS];
static const struct tplm_matrix matrix = {.scale = scale, .q = q, .rows = ROWS, .cols = COLS};

/* -1 to 1 */
static float random_float(void)
{
    static uint32_t random = 7;
    random = random * 1664525u + 1013904223u;
    return (float)(random >> 8) * 0x1p-23f - 1.0f;
}

static int fill(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++)
        scale[i] = random_float();
    for (size_t i = 0; i < ROWS * COLS; i++)
        q[i] = (int8_t)(127.0f * random_float());
    for (size_t i = 0; i < COUNT * COLS; i++)
        x[i] = random_float();
    return 0;
}

static void multiply_agrees_with_double(void **state)
{
    (void)state;
    float y[COUNT * ROWS];
    tplm_multiply(&matrix, 0, ROWS, 0, COLS, x, COLS, COUNT, y, ROWS);
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t r = 0; r < ROWS; r++) {
            double sum = 0.0, size = 0.0;
            for (size_t c = 0; c < COLS; c++) {
                const double term = (double)q[r * COLS + c] * (double)x[i * COLS + c];
                sum += term;
                size += fabs(term);
            }
            const double s = (double)scale[r];
            assert_true(fabs((double)y[i * ROWS + r] - s * sum) <=
                        fabs(s) * size * (double)COLS * 0x1p-24);
        }
    }
}

static void a_row_is_the_same_in_every_shard_and_batch(void **state)
{
    (void)state;
    float whole[COUNT * ROWS], part[COUNT * ROWS];
    tplm_multiply(&matrix, 0, ROWS, 0, COLS, x, COLS, COUNT, whole, ROWS);
    for (size_t row = 0; row < ROWS; row++) {
        for (size_t i = 0; i < COUNT; i++) {
            tplm_multiply(&matrix, row, 1, 0, COLS, x + i * COLS, COLS, 1, part, 1);
            assert_memory_equal(part, whole + i * ROWS + row, sizeof(float));
        }
        tplm_multiply(&matrix, row, ROWS - row, 0, COLS, x, COLS, COUNT, part, ROWS);
        for (size_t i = 0; i < COUNT; i++)
            assert_memory_equal(part + i * ROWS, whole + i * ROWS + row,
                                (ROWS - row) * sizeof(float));
    }
}

static void softmax_agrees_with_double(void **state)
{
    (void)state;
    enum { N = 300 };
    float p[N], y[N];
    for (size_t i = 0; i < N; i++)
        y[i] = 60.0f * random_float();
    y[7] = -INFINITY;
    memcpy(p, y, sizeof p);
    tplm_softmax(p, N);

    double sum = 0.0;
    for (size_t i = 0; i < N; i++)
        sum += exp((double)y[i]);
    for (size_t i = 0; i < N; i++) {
        const double expected = exp((double)y[i]) / sum;
        assert_true(fabs((double)p[i] - expected) <= expected * 1e-5 + 1e-37);
    }
}

static void normalised_vectors_have_rms_one(void **state)
{
    (void)state;
    float y[COLS];
    double square = 0.0;
    tplm_normalise(x, COLS, 1e-9f, y);
    for (size_t i = 0; i < COLS; i++)
        square += (double)y[i] * (double)y[i];
    assert_true(fabs(square / (double)COLS - 1.0) < 1e-5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(multiply_agrees_with_double),
        cmocka_unit_test(a_row_is_the_same_in_every_shard_and_batch),
        cmocka_unit_test(softmax_agrees_with_double),
        cmocka_unit_test(normalised_vectors_have_rms_one),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
