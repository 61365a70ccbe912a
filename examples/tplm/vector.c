/* SPDX-License-Identifier: Apache-2.0
 *
 * vector.c - dot products in fixed lanes, and an exp of the model's own.
 *
 * The lanes are spelled out with the vector extension of gcc and clang, so that the compiler needs
 * no licence to reorder sums (-ffast-math) to use SIMD. The hot loops are compiled twice, for AVX2
 * too where there is such a thing: registers of twice the width, the same lanes, the same bits.
 */
#include "vector.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__)
#define WIDE __attribute__((target("avx2")))
static bool have_wide(void)
{
    return __builtin_cpu_supports("avx2");
}
#else
#define WIDE
static bool have_wide(void)
{
    return false;
}
#endif

/* Half the lanes: 16 floats at once would be a register that few machines have. */
enum { HALF = TPLM_LANES / 2 };
typedef float half_lanes __attribute__((vector_size(HALF * sizeof(float))));

INLINE float dot(const float *a, const float *b, size_t count)
{
    half_lanes low = {0}, high = {0};
    for (size_t i = 0; i < count; i += TPLM_LANES) {
        half_lanes a_low, a_high, b_low, b_high;
        memcpy(&a_low, a + i, sizeof a_low);
        memcpy(&a_high, a + i + HALF, sizeof a_high);
        memcpy(&b_low, b + i, sizeof b_low);
        memcpy(&b_high, b + i + HALF, sizeof b_high);
        low += a_low * b_low;
        high += a_high * b_high;
    }
    low += high;
    return ((low[0] + low[4]) + (low[2] + low[6])) + ((low[1] + low[5]) + (low[3] + low[7]));
}

/* An int8 row as floats, so that each vector of a batch finds it converted, in the L1 cache. */
INLINE void expand(const int8_t *q, size_t count, float *out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (float)q[i];
}

/* A block of a matrix and the vectors that it is to be applied to: see vector.h. */
struct product {
    const struct tplm_matrix *matrix;
    size_t row, rows, col, cols;
    const float *x;
    size_t x_stride, count;
    float *y;
    size_t y_stride;
};

INLINE void multiply(const struct product *p)
{
    float weights[TPLM_MAX_DIM];
    for (size_t r = 0; r < p->rows; r++) {
        const size_t row = p->row + r;
        expand(p->matrix->q + row * p->matrix->cols + p->col, p->cols, weights);
        for (size_t i = 0; i < p->count; i++)
            p->y[i * p->y_stride + r] =
                p->matrix->scale[row] * dot(weights, p->x + i * p->x_stride, p->cols);
    }
}

WIDE static void multiply_wide(const struct product *p)
{
    multiply(p);
}

static void multiply_anywhere(const struct product *p)
{
    multiply(p);
}

void tplm_multiply(const struct tplm_matrix *matrix, size_t row, size_t rows, size_t col,
                   size_t cols, const float *x, size_t x_stride, size_t count, float *y,
                   size_t y_stride)
{
    const struct product product = {.matrix = matrix,
                                    .row = row,
                                    .rows = rows,
                                    .col = col,
                                    .cols = cols,
                                    .x = x,
                                    .x_stride = x_stride,
                                    .count = count,
                                    .y = y,
                                    .y_stride = y_stride};
    if (have_wide())
        multiply_wide(&product);
    else
        multiply_anywhere(&product);
}

float tplm_dot(const float *a, const float *b, size_t count)
{
    return dot(a, b, count);
}

void tplm_normalise(const float *x, size_t count, float epsilon, float *y)
{
    const float mean_square = tplm_dot(x, x, count) / (float)count;
    const float scale = 1.0f / sqrtf(mean_square + epsilon);
    for (size_t i = 0; i < count; i++)
        y[i] = x[i] * scale;
}

/* exp(x) for x <= 0, within 2 ulp. libm's may differ from one machine to the next, and with it the
 * last bit of a logit. */
static float exp_of_negative(float x)
{
    if (!(x > -87.0f)) /* below the smallest normal float; nothing next to exp(0) = 1 */
        return 0.0f;

    /* x = n ln 2 + r, |r| <= ln 2 / 2: n rounded by adding 1.5 * 2^23, ln 2 in two parts. */
    const float n = (x * 0x1.715476p+0f + 0x1.8p23f) - 0x1.8p23f;
    const float r = (x - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f;

    /* The Taylor series of exp(r), then times 2^n by its bits: n is -126 to 0. */
    float p = 1.0f / 5040.0f;
    p = p * r + 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    const uint32_t bits = (uint32_t)((int32_t)n + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

void tplm_softmax(float *x, size_t count)
{
    float max = x[0];
    for (size_t i = 1; i < count; i++)
        max = x[i] > max ? x[i] : max;

    float sum = 0.0f;
    for (size_t i = 0; i < count; i++) {
        x[i] = exp_of_negative(x[i] - max);
        sum += x[i];
    }
    for (size_t i = 0; i < count; i++)
        x[i] /= sum;
}
