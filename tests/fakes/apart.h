/* SPDX-License-Identifier: Apache-2.0
 *
 * apart.h - bodies of tests that run in processes of their own: their libraries begin anew, and
 * they may end in any way.
 */
#ifndef RZ_TESTS_FAKES_APART_H
#define RZ_TESTS_FAKES_APART_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* In such bodies cmocka's asserts have nowhere to go. */
#define is(found, expected)                                                       \
    do {                                                                          \
        const long long is_found = (long long)(found);                            \
        if (is_found != (long long)(expected)) {                                  \
            fprintf(stderr, "line %d: %s is %lld\n", __LINE__, #found, is_found); \
            _exit(1);                                                             \
        }                                                                         \
    } while (0)
#define ok(call) is(call, 0)

static char apart_said[4096]; /* by the last that ran */

/* Its exit status, or minus the signal that ended it. */
static inline int run_apart(void (*body)(void))
{
    int said[2];
    assert_int_equal(pipe(said), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(said[1], STDERR_FILENO);
        body();
        exit(0);
    }
    close(said[1]);
    size_t length = 0;
    ssize_t got = 0;
    while ((got = read(said[0], apart_said + length, sizeof apart_said - 1 - length)) > 0)
        length += (size_t)got;
    apart_said[length] = '\0';
    close(said[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static inline void passes(void (*body)(void))
{
    const int status = run_apart(body);
    if (status != 0)
        fail_msg("status %d: %s", status, apart_said);
}

/* It is ended by a double, with this message. */
static inline void ends(void (*body)(void), const char *message)
{
    const int status = run_apart(body);
    if (status != -SIGABRT || strstr(apart_said, message) == NULL)
        fail_msg("status %d, expected '%s', got: %s", status, message, apart_said);
}

#endif
