/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_torch.c - start bench/seed_sampler.py and talk to it.
 */
#include "tools/bench_torch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/words.h"
#include "tools/number.h"

#define SCRIPT "bench/seed_sampler.py"
#define PYTHON "build/bench-venv/bin/python3"

/* ------------------------------------------------------------------------------------------------
 * Where things are
 */

/* Is the source tree in `folder`? */
static bool holds_script(const char *folder)
{
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/" SCRIPT, folder);
    return access(path, R_OK) == 0;
}

/* The source tree: a folder above this program, or the working directory. */
static bool find_root(char root[PATH_MAX])
{
    const ssize_t length = readlink("/proc/self/exe", root, PATH_MAX - 1);
    root[length > 0 ? length : 0] = '\0';
    for (char *slash = strrchr(root, '/'); slash != NULL; slash = strrchr(root, '/')) {
        *slash = '\0';
        if (holds_script(root))
            return true;
    }
    strcpy(root, ".");
    return holds_script(root);
}

static int find_python(const char *root, char python[PATH_MAX + 64], struct rz_complaint *complaint)
{
    const char *given = getenv("RANKZERO_BENCH_PYTHON");
    if (given != NULL)
        snprintf(python, PATH_MAX, "%s", given);
    else
        snprintf(python, PATH_MAX + 64, "%s/" PYTHON, root);
    if (access(python, X_OK) == 0)
        return RZ_EXIT_OK;
    return rz_complain(complaint, RZ_EXIT_FAILED,
                       "no PyTorch: expected %.300s, which scripts/bench-venv makes (or "
                       "RANKZERO_BENCH_PYTHON with the path of a Python that has it)",
                       python);
}

/* ------------------------------------------------------------------------------------------------
 * The process
 */

/* In the child: `to_child` and `from_child` become its stdin and stdout. */
static void become_python(const char *python, const char *script, int to_child, int from_child,
                          int logits_fd)
{
    char fd_text[16];
    snprintf(fd_text, sizeof fd_text, "%d", logits_fd);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_IGN); /* a Ctrl-C is ours to act on */
    if (dup2(to_child, STDIN_FILENO) >= 0 && dup2(from_child, STDOUT_FILENO) >= 0)
        execl(python, python, script, "--serve", fd_text, (char *)NULL);
    _exit(127);
}

static int start(struct rz_bench_torch *torch, const char *python, const char *script,
                 struct rz_complaint *complaint)
{
    int to[2], from[2];
    torch->logits_fd = memfd_create("rankzero-bench-logits", 0);
    if (torch->logits_fd < 0)
        return rz_complain(complaint, RZ_EXIT_FAILED, "memfd_create: %s", strerror(errno));
    if (pipe2(to, O_CLOEXEC) != 0)
        goto err_logits;
    if (pipe2(from, O_CLOEXEC) != 0)
        goto err_to;
    const pid_t pid = fork();
    if (pid < 0)
        goto err_from;
    if (pid == 0)
        become_python(python, script, to[0], from[1], torch->logits_fd);

    torch->pid = pid;
    close(to[0]);
    close(from[1]);
    torch->to = fdopen(to[1], "w");
    torch->from = fdopen(from[0], "r");
    if (torch->to == NULL || torch->from == NULL)
        return rz_complain_memory(complaint);
    return RZ_EXIT_OK;

err_from:
    close(from[0]);
    close(from[1]);
err_to:
    close(to[0]);
    close(to[1]);
err_logits:
    close(torch->logits_fd);
    return rz_complain(complaint, RZ_EXIT_FAILED, "cannot start Python: %s", strerror(errno));
}

/* Say one line and wait for one. It answers "error ..." where something fails. */
static int ask(struct rz_bench_torch *torch, const char *line, struct rz_complaint *complaint)
{
    fputs(line, torch->to);
    if (fflush(torch->to) != 0 || fgets(torch->line, sizeof torch->line, torch->from) == NULL)
        return rz_complain(complaint, RZ_EXIT_FAILED,
                           SCRIPT " ended where it should have answered");
    torch->line[strcspn(torch->line, "\n")] = '\0';
    if (strncmp(torch->line, "error ", 6) == 0)
        return rz_complain(complaint, RZ_EXIT_FAILED, SCRIPT ": %.800s", torch->line + 6);
    return RZ_EXIT_OK;
}

int rz_bench_torch_start(struct rz_bench_torch *torch, struct rz_complaint *complaint)
{
    *torch = (struct rz_bench_torch){0};
    char root[PATH_MAX], python[PATH_MAX + 64], script[PATH_MAX + 64];
    if (!find_root(root))
        return rz_complain(complaint, RZ_EXIT_FAILED,
                           "expected " SCRIPT " in a folder above this program or in the working "
                           "directory, found none");
    snprintf(script, sizeof script, "%s/" SCRIPT, root);
    int status = find_python(root, python, complaint);
    if (status == RZ_EXIT_OK)
        status = start(torch, python, script, complaint);
    if (status == RZ_EXIT_OK)
        status = ask(torch, "hello\n", complaint);
    if (status != RZ_EXIT_OK)
        rz_bench_torch_end(torch);
    return status;
}

void rz_bench_torch_end(struct rz_bench_torch *torch)
{
    if (torch->to != NULL)
        fclose(torch->to);
    if (torch->from != NULL)
        fclose(torch->from);
    if (torch->pid > 0) {
        kill(torch->pid, SIGKILL); /* it holds nothing that needs to be tidied up */
        waitpid(torch->pid, NULL, 0);
        close(torch->logits_fd);
    }
    *torch = (struct rz_bench_torch){0};
}

/* ------------------------------------------------------------------------------------------------
 * Rows and times
 */

static int write_all(int fd, const void *bytes, size_t count)
{
    if (ftruncate(fd, (off_t)count) != 0)
        return -1;
    for (size_t done = 0; done < count;) {
        const ssize_t n = pwrite(fd, (const char *)bytes + done, count - done, (off_t)done);
        if (n < 0 && errno != EINTR)
            return -1;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static void split_names(struct rz_bench_torch *torch)
{
    char *rest = NULL;
    strtok_r(torch->line, "\t", &rest);
    torch->name_count = 0;
    for (char *name = strtok_r(NULL, "\t", &rest);
         name != NULL && torch->name_count < RZ_BENCH_MAX_TORCH_NAMES;
         name = strtok_r(NULL, "\t", &rest))
        torch->names[torch->name_count++] = name;
}

int rz_bench_torch_rows(struct rz_bench_torch *torch, unsigned number,
                        const struct rz_bench_rows *set, struct rz_complaint *complaint)
{
    const uint32_t rows = rz_bench_torch_row_count(set);
    const size_t bytes = rows * set->row_stride * rz_bench_item_bytes(set->dtype);
    if (write_all(torch->logits_fd, set->logits, bytes) != 0)
        return rz_complain(complaint, RZ_EXIT_FAILED, "cannot hand logits over: %s",
                           strerror(errno));
    char line[128];
    snprintf(line, sizeof line, "rows %u %s %u %zu %u\n", number, rz_dtype_words[set->dtype],
             set->vocab, set->row_stride, rows);
    const int status = ask(torch, line, complaint);
    if (status == RZ_EXIT_OK)
        split_names(torch);
    return status;
}

int rz_bench_torch_time(struct rz_bench_torch *torch, unsigned number, const char *name,
                        uint64_t *ns, struct rz_complaint *complaint)
{
    char line[128];
    snprintf(line, sizeof line, "time %u %s\n", number, name);
    const int status = ask(torch, line, complaint);
    if (status == RZ_EXIT_OK && !rz_number_whole(torch->line, UINT64_MAX, ns))
        return rz_complain(complaint, RZ_EXIT_FAILED, SCRIPT ": expected nanoseconds, got '%.200s'",
                           torch->line);
    return status;
}
