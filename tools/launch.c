/* SPDX-License-Identifier: Apache-2.0
 *
 * launch.c - the processes of a run.
 */
#include "tools/launch.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
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
    *launch = (struct rz_launch){.prefix = prefix, .world = 1, .name_fd = -1, .together = true};
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

/* Ranks find one another by the name of their job, so of two runs that had the same one, each might
 * get some of the other's. An abstract socket has a name that is taken until the last of the
 * processes that hold it has ended, however it ends. */
static int claim_name(struct rz_launch *launch, const char *job_name,
                      struct rz_complaint *complaint)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int length = snprintf(address.sun_path + 1, sizeof address.sun_path - 1,
                                "rankzero-%ld-%s", (long)geteuid(), job_name);
    const socklen_t bytes =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, bytes) == 0) {
        launch->name_fd = fd;
        snprintf(launch->job_name, sizeof launch->job_name, "%s", job_name);
        return RZ_EXIT_OK;
    }
    const int code = errno;
    if (fd >= 0)
        close(fd);
    return rz_complain(complaint, RZ_EXIT_FAILED, "--job: expected a name of its own, got '%s': %s",
                       job_name, code == EADDRINUSE ? "a live run has it" : strerror(code));
}

int rz_launch_plan(struct rz_launch *launch, uint32_t ranks, enum rz_comm_kind comm,
                   const char *job_name, struct rz_complaint *complaint)
{
    if (launch->mpi && ranks != 0)
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "--ranks: expected without mpirun, which has started %u ranks already",
                           launch->world);
    if (launch->mpi && job_name != NULL)
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "--job: expected without mpirun, whose jobs have names of their own");
    if (!launch->mpi && comm == RZ_COMM_MPI)
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "--comm: expected auto or shm without mpirun, got mpi");
    if (ranks != 0)
        launch->world = ranks;
    if (job_name != NULL)
        return claim_name(launch, job_name, complaint);
    make_name(launch->job_name);
    return RZ_EXIT_OK;
}

int rz_launch_agree(struct rz_launch *launch, int status, uint64_t rows, uint64_t draws,
                    const struct rz_complaint *complaint)
{
    if (launch->mpi)
        return rz_mpi_ranks_agree(status, rows, draws, complaint, launch->prefix);
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
    /* If rank 0 dies before the job is open nobody else would tell; from then on the job does. */
    signal(SIGTERM, SIG_DFL);
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

/* Of a run that has failed anyway the reason has been said: who is left only waited for rank 0. */
static int kill_rest(struct rz_launch *launch, int status)
{
    kill_children(launch);
    for (uint32_t r = 1; r < launch->world; r++) {
        int how;
        if (launch->children[r] == 0)
            continue;
        collect_child(launch, r, 0, &how);
        char text[64];
        snprintf(text, sizeof text, "rank %u did not end and was killed", r);
        if (status == RZ_EXIT_OK)
            rz_say(launch->prefix, 0, text);
    }
    return status == RZ_EXIT_OK ? RZ_EXIT_FAILED : status;
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
        if (!left)
            return status;
        if (ms >= grace_ms)
            return kill_rest(launch, status);
        pause_ns(1000000);
    }
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
    const int status =
        rz_open_local(&local, launch->job_name, launch->rank, launch->world, job, err);
    if (launch->rank != 0)
        rz_stop_install();
    return status;
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
    if (seen_by_all(err->status) || err->status == RZ_E_PEER_DIED || err->status == RZ_E_TIMEOUT ||
        err->status == RZ_E_CORRUPT)
        return launch->rank == (err->rank == 0 && err->status != RZ_E_MISMATCH ? 1 : 0);
    /* A rank that could not open the job says so itself. */
    return err->rank < 0 || err->rank == (int32_t)launch->rank;
}

void rz_launch_report(struct rz_launch *launch, const struct rz_error *err)
{
    launch->together = seen_by_all(err->status);
    if (speaks(launch, err)) {
        /* Of a rank that is gone or has left the text says all that the status does. */
        const bool gone = err->status == RZ_E_PEER_DIED || err->status == RZ_E_CLOSED;
        char text[320];
        snprintf(text, sizeof text, "%s (%s)", err->text, rz_status_text(err->status));
        rz_say(launch->prefix, (int)launch->rank, gone ? err->text : text);
    }
}

static int end_mpi(const struct rz_launch *launch, int status)
{
    if (status != RZ_EXIT_OK && !launch->together) {
        rz_stop_die(); /* quietly: mpirun ends the others, if it is not about to already */
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
    status = collect_children(launch, status);
    if (launch->name_fd >= 0)
        close(launch->name_fd);
    return status;
}
