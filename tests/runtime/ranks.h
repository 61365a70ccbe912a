/* SPDX-License-Identifier: Apache-2.0
 *
 * ranks.h - run a test's ranks as processes of their own.
 */
#ifndef RZ_TESTS_RANKS_H
#define RZ_TESTS_RANKS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "rankzero/rankzero.h"

/* What a rank does; its return value becomes its exit status. Checks are rank_expect()s: cmocka's
 * asserts belong to the parent. */
typedef int rank_function(uint32_t rank, uint32_t world, const char *name, void *argument);

#define RANK_DIED 1000 /* + signal: what ranks_run reports for a rank that was killed */

/* ranks_start / ranks_wait - fork `world` ranks with a job name of their own, and wait for all of
 * them; status[r] is rank r's exit status or RANK_DIED + signal. Ranks that are not done in 60 s
 * are killed. ranks_run does both and asserts that every status is 0. */
struct ranks {
    uint32_t world;
    int pid[RZ_MAX_WORLD];
    char name[RZ_MAX_NAME];
};
void ranks_start(struct ranks *ranks, uint32_t world, rank_function *function, void *argument);
void ranks_wait(struct ranks *ranks, int *status);
void ranks_run(uint32_t world, rank_function *function, void *argument);

/* In a rank: print what was expected and end this rank with status 1 unless `condition`. */
#define rank_expect(condition, ...)                               \
    do {                                                          \
        if (!(condition)) {                                       \
            char rank_text[512];                                  \
            snprintf(rank_text, sizeof rank_text, __VA_ARGS__);   \
            rank_fail(__FILE__, __LINE__, #condition, rank_text); \
        }                                                         \
    } while (0)
_Noreturn void rank_fail(const char *file, int line, const char *condition, const char *text);

/* Open this rank's side of the job, or end this rank. */
rz_job *rank_open(const struct rz_options *options, const char *name, uint32_t rank,
                  uint32_t world);

/* Files that rankzero has left in /dev/shm. */
int shm_leftovers(void);

#endif
