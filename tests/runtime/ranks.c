/* SPDX-License-Identifier: Apache-2.0
 *
 * ranks.c - ranks as forked processes.
 */
#include "tests/runtime/ranks.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIMIT_S = 60 };

void ranks_start(struct ranks *ranks, uint32_t world, rank_function *function, void *argument)
{
    static unsigned jobs;
    *ranks = (struct ranks){.world = world};
    snprintf(ranks->name, sizeof ranks->name, "test-%d-%u", (int)getpid(), jobs++);
    fflush(NULL);
    for (uint32_t rank = 0; rank < world; rank++) {
        const pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            /* A hang is a failure, and leaves nothing running; nor does a failure of the parent,
             * when this rank may be stopped. */
            alarm(LIMIT_S);
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            _exit(function(rank, world, ranks->name, argument));
        }
        ranks->pid[rank] = pid;
    }
}

void ranks_wait(struct ranks *ranks, int *status)
{
    for (uint32_t rank = 0; rank < ranks->world; rank++) {
        int state = 0;
        assert_int_equal(waitpid(ranks->pid[rank], &state, 0), ranks->pid[rank]);
        status[rank] = WIFEXITED(state) ? WEXITSTATUS(state) : RANK_DIED + WTERMSIG(state);
    }
}

void ranks_run(uint32_t world, rank_function *function, void *argument)
{
    struct ranks ranks;
    int status[RZ_MAX_WORLD] = {0};
    ranks_start(&ranks, world, function, argument);
    ranks_wait(&ranks, status);
    for (uint32_t rank = 0; rank < world; rank++)
        assert_int_equal(status[rank], 0);
}

void rank_fail(const char *file, int line, const char *condition, const char *text)
{
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, condition, text);
    _exit(1);
}

rz_job *rank_open(const struct rz_options *options, const char *name, uint32_t rank, uint32_t world)
{
    rz_job *job = NULL;
    struct rz_error err;
    const int status = rz_open_local(options, name, rank, world, &job, &err);
    rank_expect(status == RZ_OK, "rank %u: %s", rank, err.text);
    return job;
}

int shm_leftovers(void)
{
    int found = 0;
    DIR *dir = opendir("/dev/shm");
    assert_non_null(dir);
    char ours[64];
    snprintf(ours, sizeof ours, "rankzero-%u-test-%d-", (unsigned)geteuid(), (int)getpid());
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        found += strncmp(entry->d_name, ours, strlen(ours)) == 0;
    closedir(dir);
    return found;
}
