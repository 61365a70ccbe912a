/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_peer.c - start a script of bench/ and talk to it.
 */
#include "tools/bench_peer.h"

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
#include "tools/say.h"

#define PYTHON "build/bench-venv/bin/python3"

static const struct {
    const char *name;
    const char *script;
} known[RZ_BENCH_PEERS] = {
    [RZ_BENCH_TORCH] = {"PyTorch", "bench/seed_sampler.py"},
    [RZ_BENCH_LLAMA] = {"llama.cpp", "bench/llama_sampler.py"},
    [RZ_BENCH_FLASHINFER] = {"FlashInfer", NULL},
    [RZ_BENCH_VLLM] = {"vLLM", NULL},
};

/* Those on a GPU share one, which is told whose. */
static const char gpu_script[] = "bench/gpu_samplers.py";

/* ------------------------------------------------------------------------------------------------
 * Where things are
 */

/* Is the source tree in `folder`? */
static bool holds_script(const char *folder, const char *script)
{
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", folder, script);
    return access(path, R_OK) == 0;
}

bool rz_bench_find_root(const char *script, char root[PATH_MAX])
{
    const ssize_t length = readlink("/proc/self/exe", root, PATH_MAX - 1);
    root[length > 0 ? length : 0] = '\0';
    for (char *slash = strrchr(root, '/'); slash != NULL; slash = strrchr(root, '/')) {
        *slash = '\0';
        if (holds_script(root, script))
            return true;
    }
    strcpy(root, ".");
    return holds_script(root, script);
}

static int find_python(const char *root, const char *name, char python[PATH_MAX + 64],
                       struct rz_complaint *complaint)
{
    const char *given = getenv("RANKZERO_BENCH_PYTHON");
    if (given != NULL)
        snprintf(python, PATH_MAX, "%s", given);
    else
        snprintf(python, PATH_MAX + 64, "%s/" PYTHON, root);
    if (access(python, X_OK) == 0)
        return RZ_EXIT_OK;
    return rz_complain(complaint, RZ_EXIT_FAILED,
                       "no %s: expected %.300s, which scripts/bench-venv makes (or "
                       "RANKZERO_BENCH_PYTHON with the path of a Python that has it)",
                       name, python);
}

/* ------------------------------------------------------------------------------------------------
 * The process
 */

/* In the child: `to_child` and `from_child` become its stdin and stdout. */
static void become_python(const char *python, const char *script, const char *whose, int to_child,
                          int from_child, int logits_fd)
{
    char fd_text[16];
    snprintf(fd_text, sizeof fd_text, "%d", logits_fd);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_IGN); /* a Ctrl-C is ours to act on */
    if (fcntl(logits_fd, F_SETFD, 0) == 0 && dup2(to_child, STDIN_FILENO) >= 0 &&
        dup2(from_child, STDOUT_FILENO) >= 0)
        execl(python, python, script, "--serve", fd_text, whose, (char *)NULL);
    _exit(127);
}

static int start(struct rz_bench_peer *peer, const char *python, const char *script,
                 const char *whose, struct rz_complaint *complaint)
{
    int to[2], from[2];
    peer->logits_fd = memfd_create("rankzero-bench-logits", MFD_CLOEXEC);
    if (peer->logits_fd < 0)
        return rz_complain(complaint, RZ_EXIT_FAILED, "memfd_create: %s", strerror(errno));
    if (pipe2(to, O_CLOEXEC) != 0)
        goto err_logits;
    if (pipe2(from, O_CLOEXEC) != 0)
        goto err_to;
    const pid_t pid = fork();
    if (pid < 0)
        goto err_from;
    if (pid == 0)
        become_python(python, script, whose, to[0], from[1], peer->logits_fd);

    peer->pid = pid;
    close(to[0]);
    close(from[1]);
    peer->to = fdopen(to[1], "w");
    peer->from = fdopen(from[0], "r");
    if (peer->to == NULL || peer->from == NULL)
        return rz_complain_memory(complaint);
    return RZ_EXIT_OK;

err_from:
    close(from[0]);
    close(from[1]);
err_to:
    close(to[0]);
    close(to[1]);
err_logits:
    close(peer->logits_fd);
    return rz_complain(complaint, RZ_EXIT_FAILED, "cannot start Python: %s", strerror(errno));
}

/* Say one line and wait for one. It answers "error ..." where something fails. */
static int ask(struct rz_bench_peer *peer, const char *line, struct rz_complaint *complaint)
{
    fputs(line, peer->to);
    if (fflush(peer->to) != 0 || fgets(peer->line, sizeof peer->line, peer->from) == NULL)
        return rz_complain(complaint, RZ_EXIT_FAILED, "%s ended where it should have answered",
                           peer->script);
    peer->line[strcspn(peer->line, "\n")] = '\0';
    if (strncmp(peer->line, "error ", 6) == 0)
        return rz_complain(complaint, RZ_EXIT_FAILED, "%s: %.800s", peer->script, peer->line + 6);
    return RZ_EXIT_OK;
}

static void end(struct rz_bench_peer *peer)
{
    if (peer->to != NULL)
        fclose(peer->to);
    if (peer->from != NULL)
        fclose(peer->from);
    if (peer->pid > 0) {
        kill(peer->pid, SIGKILL); /* it holds nothing that needs to be tidied up */
        waitpid(peer->pid, NULL, 0);
        close(peer->logits_fd);
    }
    *peer = (struct rz_bench_peer){0};
}

/* On failure nothing runs, and the complaint says what is missing. */
static int find_and_start(enum rz_bench_peer_kind kind, bool on_gpu, struct rz_bench_peer *peer,
                          struct rz_complaint *complaint)
{
    *peer = (struct rz_bench_peer){.script = on_gpu ? gpu_script : known[kind].script};
    char root[PATH_MAX], python[PATH_MAX + 64], script[PATH_MAX + 64];
    if (!rz_bench_find_root(peer->script, root))
        return rz_complain(complaint, RZ_EXIT_FAILED,
                           "expected %s in a folder above this program or in the working "
                           "directory, found none",
                           peer->script);
    snprintf(script, sizeof script, "%s/%s", root, peer->script);
    int status = find_python(root, known[kind].name, python, complaint);
    if (status == RZ_EXIT_OK)
        status = start(peer, python, script, on_gpu ? rz_bench_peers[kind] : NULL, complaint);
    if (status == RZ_EXIT_OK)
        status = ask(peer, "hello\n", complaint);
    if (status == RZ_EXIT_OK)
        snprintf(peer->version, sizeof peer->version, "%.63s", peer->line);
    else
        end(peer);
    return status;
}

unsigned rz_bench_peers_start(const struct rz_bench_options *options,
                              struct rz_bench_peer peers[RZ_BENCH_PEERS],
                              char versions[RZ_BENCH_PEERS][64])
{
    unsigned count = 0;
    for (unsigned p = 0; p < RZ_BENCH_PEERS; p++) {
        struct rz_complaint missing;
        char text[sizeof missing.text + 64];
        peers[p] = (struct rz_bench_peer){0};
        if ((options->peers & 1u << p) == 0)
            continue;
        if (find_and_start((enum rz_bench_peer_kind)p, options->on_gpu, &peers[p], &missing) ==
            RZ_EXIT_OK) {
            memcpy(versions[count++], peers[p].version, sizeof versions[0]);
            continue;
        }
        snprintf(text, sizeof text, "--against %s is left out: %s", rz_bench_peers[p],
                 missing.text);
        rz_say("rankzero bench sample", 0, text);
    }
    return count;
}

void rz_bench_peers_end(struct rz_bench_peer peers[RZ_BENCH_PEERS])
{
    for (unsigned p = 0; p < RZ_BENCH_PEERS; p++)
        end(&peers[p]);
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

static void split_names(struct rz_bench_peer *peer)
{
    char *rest = NULL;
    strtok_r(peer->line, "\t", &rest);
    peer->name_count = 0;
    for (char *name = strtok_r(NULL, "\t", &rest);
         name != NULL && peer->name_count < RZ_BENCH_MAX_PEER_NAMES;
         name = strtok_r(NULL, "\t", &rest))
        peer->names[peer->name_count++] = name;
}

/* The first `rows` of a set; `more` for the end of the line. */
static int hand_over(struct rz_bench_peer *peer, unsigned number, const struct rz_bench_rows *set,
                     uint32_t rows, const char *more, struct rz_complaint *complaint)
{
    const size_t bytes = rows * set->row_stride * rz_bench_item_bytes(set->dtype);
    if (write_all(peer->logits_fd, set->logits, bytes) != 0)
        return rz_complain(complaint, RZ_EXIT_FAILED, "cannot hand logits over: %s",
                           strerror(errno));
    char line[192];
    snprintf(line, sizeof line, "rows %u %s %u %zu %u%s\n", number, rz_dtype_words[set->dtype],
             set->vocab, set->row_stride, rows, more);
    const int status = ask(peer, line, complaint);
    if (status == RZ_EXIT_OK)
        split_names(peer);
    return status;
}

int rz_bench_peer_rows(struct rz_bench_peer *peer, unsigned number, const struct rz_bench_rows *set,
                       struct rz_complaint *complaint)
{
    return hand_over(peer, number, set, rz_bench_peer_row_count(set), "", complaint);
}

int rz_bench_peer_gpu_rows(struct rz_bench_peer *peer, unsigned number,
                           const struct rz_bench_rows *set, uint32_t batch, uint32_t inputs,
                           bool graph, struct rz_complaint *complaint)
{
    char more[64];
    snprintf(more, sizeof more, " %u %u %s", batch, inputs, graph ? "graph" : "stream");
    const uint32_t rows = set->rows < batch ? set->rows : batch;
    return hand_over(peer, number, set, rows, more, complaint);
}

const struct rz_bench_filter *rz_bench_peer_filter(const char *name, int *backend_length)
{
    const char *slash = strchr(name, '/');
    for (size_t i = 0; slash != NULL && i < RZ_BENCH_FILTERS; i++)
        if (strcmp(rz_bench_filters[i].name, slash + 1) == 0) {
            *backend_length = (int)(slash - name);
            return &rz_bench_filters[i];
        }
    return NULL;
}

int rz_bench_peer_time(struct rz_bench_peer *peer, unsigned number, const char *name, uint64_t *ns,
                       struct rz_complaint *complaint)
{
    char line[128];
    snprintf(line, sizeof line, "time %u %s\n", number, name);
    const int status = ask(peer, line, complaint);
    if (status == RZ_EXIT_OK && !rz_number_whole(peer->line, UINT64_MAX, ns))
        return rz_complain(complaint, RZ_EXIT_FAILED, "%s: expected nanoseconds, got '%.200s'",
                           peer->script, peer->line);
    return status;
}
