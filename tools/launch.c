/* SPDX-License-Identifier: Apache-2.0
 *
 * launch.c - the processes of a run.
 */
#include "tools/launch.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tools/mpi_ranks.h"
#include "tools/say.h"
#include "tools/stop.h"

enum {
    OPEN_TIMEOUT_MS = 10000,      /* forked ranks start together */
    SUCCESS_GRACE_MS = 10000,     /* for a rank to end once rank 0 is done */
    FAILURE_GRACE_MS = 500,       /* the same when rank 0 has failed */
    SPEAKER_GRACE_NS = 500000000, /* for the rank that speaks, before another ends them all */
};

static void pause_ns(long ns)
{
    const struct timespec time = {.tv_nsec = ns};
    nanosleep(&time, NULL);
}

static bool started_by_mpirun(void)
{
    return getenv("OMPI_COMM_WORLD_SIZE") != NULL || getenv("PMI_RANK") != NULL ||
           getenv("PMIX_RANK") != NULL;
}

int rz_launch_begin(const char *prefix, struct rz_launch *launch, struct rz_complaint *complaint)
{
    *launch = (struct rz_launch){.prefix = prefix, .world = 1, .together = true};
    if (!started_by_mpirun())
        return RZ_EXIT_OK;
    const int status = rz_mpi_ranks_begin(&launch->rank, &launch->world, complaint);
    launch->mpi = status == RZ_EXIT_OK;
    return status;
}

/* A name that no other run has, so that runs side by side do not meet. */
static void make_name(char name[RZ_MAX_NAME])
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (uint64_t)time(NULL);
    snprintf(name, RZ_MAX_NAME, "sample-%ld-%016llx", (long)getpid(), (unsigned long long)random);
}

int rz_launch_plan(struct rz_launch *launch, uint32_t ranks, const char *job_name,
                   struct rz_complaint *complaint)
{
    if (launch->mpi && ranks != 0)
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "--ranks: expected without mpirun, which has started %u ranks already",
                           launch->world);
    if (launch->mpi && job_name != NULL)
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "--job: expected without mpirun, whose jobs have names of their own");
    if (ranks != 0)
        launch->world = ranks;
    if (job_name != NULL)
        snprintf(launch->job_name, sizeof launch->job_name, "%s", job_name);
    else
        make_name(launch->job_name);
    return RZ_EXIT_OK;
}

int rz_launch_agree(struct rz_launch *launch, int status, const struct rz_complaint *complaint)
{
    if (launch->mpi)
        return rz_mpi_ranks_agree(status, complaint, launch->prefix);
    if (status != RZ_EXIT_OK)
        rz_say(launch->prefix, 0, complaint->text);
    return status;
}

/* ------------------------------------------------------------------------------------------------
 * Forked ranks
 */

static void kill_children(struct rz_launch *launch)
{
    for (uint32_t r = 1; r < launch->world; r++)
        if (launch->children[r] > 0)
            kill(launch->children[r], SIGKILL);
}

static bool collect_child(struct rz_launch *launch, uint32_t rank, int options, int *how)
{
    pid_t pid;
    while ((pid = waitpid(launch->children[rank], how, options)) < 0 && errno == EINTR)
        ;
    if (pid == 0)
        return false;
    launch->children[rank] = 0;
    return true;
}

static int fork_rank(struct rz_launch *launch, uint32_t rank, struct rz_complaint *complaint)
{
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid < 0)
        return rz_complain(complaint, RZ_EXIT_FAILED, "cannot start rank %u: %s", rank,
                           strerror(errno));
    if (pid > 0) {
        launch->children[rank] = pid;
        return RZ_EXIT_OK;
    }
    /* If rank 0 dies before the job is open nobody else would tell. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(RZ_EXIT_FAILED);
    launch->rank = rank;
    memset(launch->children, 0, sizeof launch->children);
    return RZ_EXIT_OK;
}

int rz_launch_start(struct rz_launch *launch, struct rz_complaint *complaint)
{
    for (uint32_t r = 1; !launch->mpi && launch->rank == 0 && r < launch->world; r++) {
        const int status = fork_rank(launch, r, complaint);
        if (status != RZ_EXIT_OK)
            return status; /* rz_launch_end() collects those that were started */
    }
    return RZ_EXIT_OK;
}

static int judge_child(const struct rz_launch *launch, uint32_t rank, int how)
{
    if (WIFEXITED(how))
        return WEXITSTATUS(how);
    if (!rz_stop_requested()) {
        char text[96];
        snprintf(text, sizeof text, "rank %u was ended by signal %d (%s)", rank, WTERMSIG(how),
                 strsignal(WTERMSIG(how)));
        rz_say(launch->prefix, 0, text);
    }
    return RZ_EXIT_FAILED;
}

/* Wait for all children, the unwilling ones not for ever. */
static int collect_children(struct rz_launch *launch, int status)
{
    const int grace_ms = status == RZ_EXIT_OK ? SUCCESS_GRACE_MS : FAILURE_GRACE_MS;
    for (int ms = 0;; ms++) {
        bool left = false;
        for (uint32_t r = 1; r < launch->world; r++) {
            int how;
            if (launch->children[r] == 0)
                continue;
            if (!collect_child(launch, r, WNOHANG, &how)) {
                left = true;
                continue;
            }
            const int judged = judge_child(launch, r, how);
            status = judged > status ? judged : status;
        }
        if (!left || ms >= grace_ms)
            break;
        pause_ns(1000000);
    }

    kill_children(launch);
    for (uint32_t r = 1; r < launch->world; r++) {
        int how;
        if (launch->children[r] == 0)
            continue;
        collect_child(launch, r, 0, &how);
        char text[64];
        snprintf(text, sizeof text, "rank %u did not end and was killed", r);
        rz_say(launch->prefix, 0, text);
        status = RZ_EXIT_FAILED;
    }
    return status;
}

/* ------------------------------------------------------------------------------------------------
 * The job
 */

int rz_launch_open(struct rz_launch *launch, const struct rz_options *options, rz_job **job,
                   struct rz_error *err)
{
    launch->together = false;
    if (launch->mpi)
        return rz_mpi_ranks_open(options, job, err);
    struct rz_options local = *options;
    local.open_timeout_ms = OPEN_TIMEOUT_MS;
    return rz_open_local(&local, launch->job_name, launch->rank, launch->world, job, err);
}

/* Failures that every rank gets at the same call. */
static bool seen_by_all(int status)
{
    return status == RZ_E_MISMATCH || status == RZ_E_ARG || status == RZ_E_UNSUPPORTED;
}

static bool speaks(const struct rz_launch *launch, const struct rz_error *err)
{
    /* Who left the job has said why; if all of us were told to stop there is nothing to say. */
    if (err->status == RZ_E_CLOSED)
        return launch->rank == 0 && !rz_stop_requested();
    if (seen_by_all(err->status) || err->status == RZ_E_PEER_DIED || err->status == RZ_E_TIMEOUT)
        return launch->rank == (err->rank == 0 && err->status != RZ_E_MISMATCH ? 1 : 0);
    return true;
}

void rz_launch_report(struct rz_launch *launch, const struct rz_error *err)
{
    launch->together = seen_by_all(err->status);
    if (speaks(launch, err)) {
        char text[320];
        snprintf(text, sizeof text, "%s (%s)", err->text, rz_status_text(err->status));
        rz_say(launch->prefix, (int)launch->rank, text);
    }
}

static int end_mpi(const struct rz_launch *launch, int status)
{
    if (status != RZ_EXIT_OK && !launch->together) {
        if (launch->rank != 0)
            pause_ns(SPEAKER_GRACE_NS);
        rz_mpi_ranks_abort(status);
    }
    rz_mpi_ranks_end();
    return status;
}

int rz_launch_end(struct rz_launch *launch, int status)
{
    if (launch->mpi)
        return end_mpi(launch, status);
    if (launch->rank != 0)
        _exit(status);
    return collect_children(launch, status);
}
