/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_rows.h - rows of logits to time on, the same in every run.
 */
#ifndef RZ_TOOLS_BENCH_ROWS_H
#define RZ_TOOLS_BENCH_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "rankzero/rankzero.h"
#include "tools/bench_options.h"
#include "tools/npy.h"

/* Rows differ until this many have come; more of them would take long to make. */
enum { RZ_BENCH_DISTINCT = 64 };

struct rz_bench_rows {
    enum rz_bench_kind kind;
    enum rz_dtype dtype;
    uint32_t vocab;
    uint32_t rows;
    size_t row_bytes;  /* of logits */
    size_t row_stride; /* elements; rows begin on 64-byte boundaries */
    void *logits;      /* [rows][row_stride] */
};

static inline size_t rz_bench_item_bytes(enum rz_dtype dtype)
{
    return dtype == RZ_F32 ? 4 : 2;
}

static inline const void *rz_bench_row(const struct rz_bench_rows *set, uint32_t row)
{
    return (const char *)set->logits + row * set->row_stride * rz_bench_item_bytes(set->dtype);
}

/* rz_bench_open_file - logits of a file, with no more columns than a vocabulary may have. */
int rz_bench_open_file(const char *path, struct rz_npy *file, struct rz_complaint *complaint);

/* rz_bench_rows_make - `rows` rows (0: as many as make 256 MiB) of `vocab` logits; of RZ_BENCH_FILE
 * as many logits as a row of `file` has. On success the caller ends `set` with
 * rz_bench_rows_free(). */
int rz_bench_rows_make(enum rz_bench_kind kind, enum rz_dtype dtype, uint32_t vocab, uint32_t rows,
                       const struct rz_npy *file, struct rz_bench_rows *set,
                       struct rz_complaint *complaint);

void rz_bench_rows_free(struct rz_bench_rows *set);

/* rz_bench_random - the next of a sequence of 64 random bits (splitmix64). */
uint64_t rz_bench_random(uint64_t *state);

#endif
