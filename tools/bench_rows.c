/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_rows.c - make rows of each kind, from a fixed seed or a file.
 */
#include "tools/bench_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal/size_math.h"
#include "kernels/row.h"

enum {
    BUFFER_BYTES = 256 << 20,
    ALIGNMENT = 64,
    PEAKS = 20,
};

/* ------------------------------------------------------------------------------------------------
 * Random numbers
 */

/* https://prng.di.unimi.it/splitmix64.c */
uint64_t rz_bench_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* In (0, 1). */
static double uniform(uint64_t *state)
{
    return ((double)(rz_bench_random(state) >> 12) + 0.5) * 0x1p-52;
}

static uint32_t below(uint32_t limit, uint64_t *state)
{
    return (uint32_t)((rz_bench_random(state) >> 32) * limit >> 32);
}

/* ------------------------------------------------------------------------------------------------
 * Kinds
 */

static void make_flat(float *row, uint32_t vocab, uint64_t *state)
{
    for (uint32_t i = 0; i < vocab; i++)
        row[i] = (float)(0.01 * (uniform(state) - 0.5));
}

static void make_peaked(float *row, uint32_t vocab, uint64_t *state)
{
    const double deviation = 2.0, two_pi = 6.283185307179586;
    for (uint32_t i = 0; i < vocab; i += 2) { /* Box and Muller: two at a time */
        const double radius = deviation * sqrt(-2.0 * log(uniform(state)));
        const double angle = two_pi * uniform(state);
        row[i] = (float)(radius * cos(angle));
        if (i + 1 < vocab)
            row[i + 1] = (float)(radius * sin(angle));
    }
    for (int i = 0; i < PEAKS; i++)
        row[below(vocab, state)] = 18.0f - 0.5f * (float)i;
}

static void make_zipf(float *row, uint32_t vocab, uint64_t *state)
{
    for (uint32_t i = 0; i < vocab; i++) {
        const uint32_t j = below(i + 1, state); /* Fisher and Yates, from the inside */
        row[i] = row[j];
        row[j] = -logf((float)(i + 1));
    }
}

static int read_row(const struct rz_npy *file, uint32_t index, float *row,
                    struct rz_complaint *complaint)
{
    const size_t count = file->columns;
    const int status = rz_npy_read(file, index % file->rows, 0, count, row, complaint);
    if (status != RZ_EXIT_OK || file->type == RZ_NPY_F32)
        return status;
    /* From the end, since what is read takes half of the room. */
    const enum rz_dtype dtype = file->type == RZ_NPY_F16 ? RZ_F16 : RZ_BF16;
    for (size_t i = count; i-- > 0;) {
        uint16_t bits;
        memcpy(&bits, (const char *)row + i * sizeof bits, sizeof bits);
        row[i] = rz_float_from_16_bits(bits, dtype);
    }
    return RZ_EXIT_OK;
}

static int make_row(const struct rz_bench_rows *set, uint32_t index, const struct rz_npy *file,
                    float *row, struct rz_complaint *complaint)
{
    uint64_t state = ((uint64_t)set->kind << 32) + index;
    switch (set->kind) {
    case RZ_BENCH_FLAT: make_flat(row, set->vocab, &state); return RZ_EXIT_OK;
    case RZ_BENCH_PEAKED: make_peaked(row, set->vocab, &state); return RZ_EXIT_OK;
    case RZ_BENCH_ZIPF: make_zipf(row, set->vocab, &state); return RZ_EXIT_OK;
    case RZ_BENCH_FILE: break;
    }
    return read_row(file, index, row, complaint);
}

/* ------------------------------------------------------------------------------------------------
 * Types
 */

/* Rounded to the nearest, to even on a tie; NaN stays one. */
static uint16_t to_bfloat16(float value)
{
    const uint32_t bits = rz_float_bits(value);
    if (value != value)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static uint16_t to_float16(float value)
{
    const uint16_t sign = (uint16_t)(rz_float_bits(value) >> 16 & 0x8000u);
    const float magnitude = fabsf(value);
    if (value != value)
        return sign | 0x7e00u;
    if (magnitude >= 65520.0f)
        return sign | 0x7c00u;
    if (magnitude < 0x1p-14f) /* subnormal, or rounded up to the smallest that is not */
        return (uint16_t)(sign | (uint16_t)lrintf(magnitude * 0x1p+24f));
    const uint32_t bits = rz_float_bits(magnitude) - 0x38000000u;
    return (uint16_t)(sign | (bits + 0xfffu + (bits >> 13 & 1u)) >> 13);
}

static void store_row(const float *row, const struct rz_bench_rows *set, void *to)
{
    if (set->dtype == RZ_F32) {
        memcpy(to, row, set->vocab * sizeof *row);
        return;
    }
    uint16_t *bits = to;
    for (uint32_t i = 0; i < set->vocab; i++)
        bits[i] = set->dtype == RZ_F16 ? to_float16(row[i]) : to_bfloat16(row[i]);
}

/* ------------------------------------------------------------------------------------------------
 * A buffer full
 */

static int fill(struct rz_bench_rows *set, const struct rz_npy *file,
                struct rz_complaint *complaint)
{
    float *row = malloc(set->vocab * sizeof *row);
    if (row == NULL)
        return rz_complain_memory(complaint);
    const size_t stride_bytes = set->row_stride * rz_bench_item_bytes(set->dtype);
    char *to = set->logits;
    int status = RZ_EXIT_OK;
    for (uint32_t r = 0; r < set->rows && status == RZ_EXIT_OK; r++, to += stride_bytes) {
        if (r >= RZ_BENCH_DISTINCT) {
            memcpy(to, to - RZ_BENCH_DISTINCT * stride_bytes, stride_bytes);
            continue;
        }
        status = make_row(set, r, file, row, complaint);
        if (status == RZ_EXIT_OK)
            store_row(row, set, to);
    }
    free(row);
    return status;
}

int rz_bench_rows_make(enum rz_bench_kind kind, enum rz_dtype dtype, uint32_t vocab, uint32_t rows,
                       const struct rz_npy *file, struct rz_bench_rows *set,
                       struct rz_complaint *complaint)
{
    struct rz_bench_rows made = {.kind = kind, .dtype = dtype, .vocab = vocab, .rows = rows};
    if (kind == RZ_BENCH_FILE)
        made.vocab = (uint32_t)file->columns;
    const size_t item_bytes = rz_bench_item_bytes(dtype);
    made.row_bytes = made.vocab * item_bytes;
    const size_t stride_bytes = rz_round_up(made.row_bytes, ALIGNMENT);
    made.row_stride = stride_bytes / item_bytes;
    if (rows == 0)
        made.rows = (uint32_t)(BUFFER_BYTES / stride_bytes);
    if (made.rows > RZ_MAX_ROWS)
        made.rows = RZ_MAX_ROWS;

    made.logits = aligned_alloc(ALIGNMENT, made.rows * stride_bytes);
    if (made.logits == NULL)
        return rz_complain(complaint, RZ_EXIT_FAILED, "no memory for %u rows of %u logits",
                           made.rows, made.vocab);
    const int status = fill(&made, file, complaint);
    if (status != RZ_EXIT_OK) {
        free(made.logits);
        return status;
    }
    *set = made;
    return RZ_EXIT_OK;
}

void rz_bench_rows_free(struct rz_bench_rows *set)
{
    free(set->logits);
    *set = (struct rz_bench_rows){0};
}

int rz_bench_open_file(const char *path, struct rz_npy *file, struct rz_complaint *complaint)
{
    const int status = rz_npy_open(path, RZ_NPY_F32 | RZ_NPY_F16 | RZ_NPY_U16, file, complaint);
    if (status != RZ_EXIT_OK || file->columns <= RZ_MAX_VOCAB)
        return status;
    rz_npy_close(file);
    return rz_complain(complaint, RZ_EXIT_FAILED,
                       "%s: expected a vocabulary of at most %u columns, got %llu", path,
                       RZ_MAX_VOCAB, (unsigned long long)file->columns);
}
