/* SPDX-License-Identifier: Apache-2.0
 *
 * error.h - how a failure is recorded by the first function that knows of it.
 *
 * Functions that can fail take a `struct rz_error *err` as their last argument, which may be NULL.
 * They return rz_fail(...)'s value; those above pass both on unchanged.
 */
#ifndef RZ_INTERNAL_ERROR_H
#define RZ_INTERNAL_ERROR_H

#include <stdarg.h>
#include <stdio.h>

#include "rankzero/status.h"

#define RZ_NO_RANK (-1)

/* rz_fail - fill `err` and return `status`. `detail` is an errno (or a library's code) or 0. */
__attribute__((format(printf, 5, 6))) static inline int
rz_fail(struct rz_error *err, int status, int rank, int detail, const char *format, ...)
{
    if (err != NULL) {
        err->status = status;
        err->rank = rank;
        err->detail = detail;
        va_list args;
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return status;
}

/* The analyzer does not look into functions with variable arguments, and would go on with a failure
 * that returned RZ_OK. */
#ifdef __clang_analyzer__
#define rz_fail(err, status, rank, detail, ...) \
    ((void)(err), (void)(rank), (void)(detail), (void)snprintf(NULL, 0, __VA_ARGS__), (status))
#endif

#endif
