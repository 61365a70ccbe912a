/* SPDX-License-Identifier: Apache-2.0
 *
 * support.h - what the tests of ipc/ share: a directory that must be empty in the end, processes,
 * random numbers, and records that can be told from each other.
 */
#ifndef RZ_TESTS_IPC_SUPPORT_H
#define RZ_TESTS_IPC_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

#include "internal/clock.h"

#define SECOND_NS UINT64_C(1000000000)

/* Far enough away that a test that gets there has failed. */
uint64_t in_seconds(uint64_t seconds);

/* A new directory on tmpfs; closing asserts that nothing is left in it. For cmocka's setup and
 * teardown, in this order; `scratch` is its path meanwhile. */
int scratch_setup(void **state);
int scratch_teardown(void **state);
extern char scratch[64];

/* "scratch/rankzero-UID-name", in a buffer that the next call uses again. */
const char *segment_path(const char *name);
int entries_of(const char *dir);
int open_fds(void);

/* Wait for another process to make the condition true; fail after a minute. */
#define await(condition)                                       \
    do {                                                       \
        const uint64_t limit = in_seconds(60);                 \
        while (!(condition))                                   \
            if (usleep(100) != 0 || rz_clock_ns() > limit)     \
                fail_msg("waited in vain for %s", #condition); \
    } while (0)

/* Run `function` in a process that ends, with status 0 if it returns true, in 60 s at the latest.
 * Children check with child_expect(), as cmocka's asserts belong to the parent. */
typedef bool child_function(void *argument);
pid_t child_start(child_function *function, void *argument);
/* The exit status, or 1000 + the signal that ended it. */
int child_wait(pid_t pid);

#define child_expect(condition)                             \
    do {                                                    \
        if (!(condition))                                   \
            child_fail(__FILE__, __LINE__, #condition, ""); \
    } while (0)
#define child_expect_ok(status, err)                                     \
    do {                                                                 \
        if ((status) != 0)                                               \
            child_fail(__FILE__, __LINE__, #status " == 0", (err).text); \
    } while (0)
_Noreturn void child_fail(const char *file, int line, const char *condition, const char *text);

/* Zeroed memory that children share. */
void *shared_memory(size_t bytes);
void shared_memory_free(void *memory, size_t bytes);

/* Random numbers; the seed is RZ_TEST_SEED or new, and printed. */
uint64_t random_seed(void);
uint64_t random_next(uint64_t *state);

/* The record with this sequence number: a type, a length up to `capacity` and bytes of its own. */
size_t record_make(uint64_t sequence, void *payload, size_t capacity, uint32_t *type);
bool record_is(uint64_t sequence, uint32_t type, const void *payload, size_t bytes,
               size_t capacity);

#endif
