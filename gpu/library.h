/* SPDX-License-Identifier: Apache-2.0
 *
 * library.h - functions of a shared library that may or may not be there, by name.
 */
#ifndef RZ_GPU_LIBRARY_H
#define RZ_GPU_LIBRARY_H

#include <stddef.h>

#include "internal/error.h"

struct rz_library_call {
    const char *symbol;
    size_t offset; /* in the table, of the pointer to it */
    int required;  /* 0: the pointer is NULL where the library lacks it */
};

/* rz_library_open - open `name` and fill in a table of its functions. The library stays loaded
 * until the process ends, whatever becomes of the table: threads of its own may outlive every job.
 * RZ_E_UNSUPPORTED: there is none (`origin` says what brings it), or it lacks a function. */
int rz_library_open(const char *name, const char *origin, const struct rz_library_call *calls,
                    size_t count, void *table, struct rz_error *err);

#endif
