/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_ring_nano.c - run bench/nano_shm.py and read its times.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/bench_peer.h"
#include "tools/bench_ring_case.h"
#include "tools/number.h"

static const char script[] = "bench/nano_shm.py";

/* Any Python will do. */
static void become_python(const char *path, const struct rz_ring_case *c, int out)
{
    char bytes[16], rounds[16];
    snprintf(bytes, sizeof bytes, "%" PRIu32, c->bytes);
    snprintf(rounds, sizeof rounds, "%" PRIu32, c->rounds);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_IGN); /* it ends soon; a Ctrl-C is ours to act on */
    if (dup2(out, STDOUT_FILENO) >= 0)
        execlp("python3", "python3", path, bytes, rounds, (char *)NULL);
    _exit(127);
}

static int read_times(FILE *from, const struct rz_ring_case *c, uint32_t *samples,
                      struct rz_complaint *complaint)
{
    char line[32];
    for (uint32_t i = 0; i < c->rounds; i++) {
        uint64_t ns;
        if (fgets(line, sizeof line, from) == NULL)
            return rz_complain(complaint, RZ_EXIT_FAILED,
                               "expected python3, and %" PRIu32 " times from %s, got %" PRIu32,
                               c->rounds, script, i);
        line[strcspn(line, "\n")] = '\0';
        if (!rz_number_whole(line, UINT32_MAX, &ns))
            return rz_complain(complaint, RZ_EXIT_FAILED, "%s: expected nanoseconds, got '%s'",
                               script, line);
        samples[i] = (uint32_t)ns;
    }
    return RZ_EXIT_OK;
}

int rz_ring_time_nano(const struct rz_ring_case *c, uint32_t *samples,
                      struct rz_complaint *complaint)
{
    char root[PATH_MAX], path[PATH_MAX + 64];
    if (!rz_bench_find_root(script, root))
        return rz_complain(complaint, RZ_EXIT_FAILED,
                           "expected %s in a folder above this program or in the working "
                           "directory, found none",
                           script);
    snprintf(path, sizeof path, "%s/%s", root, script);

    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return rz_complain(complaint, RZ_EXIT_FAILED, "pipe: %s", strerror(errno));
    const pid_t pid = fork();
    if (pid == 0)
        become_python(path, c, ends[1]);
    close(ends[1]);
    FILE *from = fdopen(ends[0], "r");
    const int status =
        pid < 0 || from == NULL
            ? rz_complain(complaint, RZ_EXIT_FAILED, "cannot start Python: %s", strerror(errno))
            : read_times(from, c, samples, complaint);
    if (from != NULL)
        fclose(from);
    else
        close(ends[0]);
    if (pid > 0)
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    return status;
}
