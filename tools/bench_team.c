/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench_team.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/stop.h"

uint32_t rz_team_processors(void)
{
    cpu_set_t cpus;
    return sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? (uint32_t)CPU_COUNT(&cpus) : 1;
}

/* To the index-th of those that we may run on. A failure costs precision, and no more. */
static void pin(uint32_t index)
{
    cpu_set_t all, one;
    if (sched_getaffinity(0, sizeof all, &all) != 0)
        return;
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all) && index-- == 0) {
            CPU_SET(cpu, &one);
            sched_setaffinity(0, sizeof one, &one);
            return;
        }
}

static void kill_all(const pid_t *pids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (pids[i] > 0)
            kill(pids[i], SIGKILL);
}

/* Until all have ended; the first that fails, and a signal, end the others. */
static bool wait_for_all(pid_t *pids, uint32_t count)
{
    bool well = true;
    for (uint32_t left = count; left > 0;) {
        int status;
        const pid_t pid = waitpid(-1, &status, 0);
        if (pid < 0 && errno != EINTR)
            return false;
        bool ended = false;
        for (uint32_t i = 0; i < count && pid > 0; i++)
            if (pids[i] == pid) {
                pids[i] = 0;
                left--;
                ended = true;
            }
        const bool bad = ended && !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        if (well && (bad || rz_stop_requested() != 0)) {
            well = false;
            kill_all(pids, count);
        }
    }
    return well;
}

int rz_team_run(uint32_t count, bool (*member)(void *context, uint32_t index), void *context,
                struct rz_complaint *complaint)
{
    pid_t pids[RZ_TEAM_MAX] = {0};
    const bool own_processors = count <= rz_team_processors();
    uint32_t started = 0;
    for (; started < count; started++) {
        const pid_t pid = fork();
        if (pid < 0)
            break;
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (own_processors)
                pin(started);
            _exit(member(context, started) ? 0 : 1);
        }
        pids[started] = pid;
    }
    const int error = errno;
    if (started < count)
        kill_all(pids, started);
    const bool well = wait_for_all(pids, started);
    if (started < count)
        return rz_complain(complaint, RZ_EXIT_FAILED, "fork: %s", strerror(error));
    return well ? RZ_EXIT_OK
                : rz_complain(complaint, RZ_EXIT_FAILED, "a process of a measurement failed");
}
