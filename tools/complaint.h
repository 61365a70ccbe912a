/* SPDX-License-Identifier: Apache-2.0
 *
 * complaint.h - what the command says when it cannot go on, and the exit status that goes with it.
 *
 * Functions that can fail return an exit status, 0 for success, and take a complaint to fill as
 * their last argument; those above pass both on. Nothing prints before the ranks have agreed on
 * who speaks.
 */
#ifndef RZ_TOOLS_COMPLAINT_H
#define RZ_TOOLS_COMPLAINT_H

#include <stdarg.h>
#include <stdio.h>

enum {
    RZ_EXIT_OK = 0,
    RZ_EXIT_FAILED = 1, /* a file, the machine or another rank is at fault */
    RZ_EXIT_USAGE = 2,  /* the command line is wrong */
};

struct rz_complaint {
    char text[1024]; /* one line, no newline: what it is about, what was expected, what was got */
};

/* rz_complain - fill `complaint` and return `exit_status`. */
__attribute__((format(printf, 3, 4))) static inline int
rz_complain(struct rz_complaint *complaint, int exit_status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(complaint->text, sizeof complaint->text, format, args);
    va_end(args);
    return exit_status;
}

/* As in internal/error.h: the analyzer would go on with a failure that returned success. */
#ifdef __clang_analyzer__
#define rz_complain(complaint, exit_status, ...) \
    ((void)snprintf((complaint)->text, sizeof(complaint)->text, __VA_ARGS__), (exit_status))
#endif

static inline int rz_complain_memory(struct rz_complaint *complaint)
{
    return rz_complain(complaint, RZ_EXIT_FAILED, "out of memory");
}

#endif
