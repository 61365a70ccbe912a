/* SPDX-License-Identifier: Apache-2.0
 *
 * fail.h - one way to say what went wrong, in rankzero's own error record.
 */
#ifndef TPLM_FAIL_H
#define TPLM_FAIL_H

#include <stdarg.h>
#include <stdio.h>

#include "rankzero/status.h"

/* Fill `err` and return `status`, so that a caller can `return tplm_fail(...)`. */
__attribute__((format(printf, 3, 4))) static inline int tplm_fail(struct rz_error *err, int status,
                                                                  const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    err->status = status;
    err->rank = -1;
    err->detail = 0;
    return status;
}

/* The analyzer does not look into functions with variable arguments, and would go on with a failure
 * that returned RZ_OK. */
#ifdef __clang_analyzer__
#define tplm_fail(err, status, ...) ((void)(err), (void)snprintf(NULL, 0, __VA_ARGS__), (status))
#endif

#endif
