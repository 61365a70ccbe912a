/* SPDX-License-Identifier: Apache-2.0
 *
 * npy_header.h - the dictionary at the head of a .npy file, a Python literal such as
 *
 *     {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
 */
#ifndef RZ_TOOLS_NPY_HEADER_H
#define RZ_TOOLS_NPY_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RZ_NPY_MAX_DIMENSIONS 32

struct rz_npy_header {
    char descr[16];
    bool fortran_order;
    unsigned dimensions;
    uint64_t shape[RZ_NPY_MAX_DIMENSIONS];
};

/* rz_npy_header_parse - read `text`, which ends with a NUL. Returns NULL, or what was expected
 * where the text is something else ("a whole number that fits 64 bits"), with *at its offset. */
const char *rz_npy_header_parse(const char *text, struct rz_npy_header *header, size_t *at);

#endif
