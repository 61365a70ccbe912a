/* SPDX-License-Identifier: Apache-2.0
 *
 * npy.h - NumPy's .npy files: one array of one or two dimensions in C order, little-endian.
 *
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, versions 1 to 3.
 * A one-dimensional array is read as a single row.
 */
#ifndef RZ_TOOLS_NPY_H
#define RZ_TOOLS_NPY_H

#include <stddef.h>
#include <stdint.h>

#include "tools/complaint.h"

/* Types of elements; they combine to a set. */
enum rz_npy_type {
    RZ_NPY_F32 = 1,
    RZ_NPY_F16 = 2,
    RZ_NPY_U16 = 4,
    RZ_NPY_U32 = 8,
    RZ_NPY_I32 = 16,
};

/* An array that is open for reading. */
struct rz_npy {
    const char *path; /* the caller's */
    int fd;
    enum rz_npy_type type;
    size_t item_bytes;
    uint64_t rows;    /* >= 1 */
    uint64_t columns; /* >= 1 */
    uint64_t data_at; /* bytes before the first element */
};

/* rz_npy_open - open `path`, whose elements must be of one of `types`, and check that all of it is
 * there. `npy` is set only on success; the caller ends it with rz_npy_close(). */
int rz_npy_open(const char *path, unsigned types, struct rz_npy *npy,
                struct rz_complaint *complaint);

/* rz_npy_read - copy `count` elements of `row` from `column` on, which must exist, to `to`. */
int rz_npy_read(const struct rz_npy *npy, uint64_t row, uint64_t column, size_t count, void *to,
                struct rz_complaint *complaint);

void rz_npy_close(struct rz_npy *npy);

#define RZ_NPY_HEADER_BYTES 128

/* rz_npy_header_i32 - the header of a file of int32 [rows, columns], which is all that comes before
 * the elements. */
void rz_npy_header_i32(uint64_t rows, uint64_t columns, char header[RZ_NPY_HEADER_BYTES]);

#endif
