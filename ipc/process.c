/* SPDX-License-Identifier: Apache-2.0
 *
 * process.c - what /proc/PID/stat tells (proc(5)).
 */
#include "ipc/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* PF_EXITING of the kernel's: set first of all when a thread ends. */
#define FLAG_EXITING 0x4ul

struct stat_line {
    long pid;
    unsigned long flags;
    unsigned long long started;
};

/* 0, or an errno. */
static int read_stat(const char *path, struct stat_line *line)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    char text[1024];
    const ssize_t bytes = read(fd, text, sizeof text - 1);
    const int code = errno;
    close(fd);
    if (bytes <= 0)
        return bytes < 0 ? code : EIO;
    text[bytes] = '\0';
    /* The name, in parentheses, may hold anything. Behind it: state, the 3rd field; flags are the
     * 9th, the start is the 22nd. */
    const char *at = strrchr(text, ')');
    if (at == NULL)
        return EIO;
    line->pid = strtol(text, NULL, 10);
    for (int field = 3; field <= 22; field++) {
        at = strchr(at + 1, ' ');
        if (at == NULL)
            return EIO;
        if (field == 9)
            line->flags = strtoul(at, NULL, 10);
        if (field == 22)
            line->started = strtoull(at, NULL, 10);
    }
    return 0;
}

struct rz_process rz_process_self(void)
{
    struct stat_line line = {0};
    struct stat namespace;
    /* Where /proc is of another namespace than this process, it tells of others. */
    if (read_stat("/proc/self/stat", &line) != 0 || line.pid != getpid() ||
        stat("/proc/self/ns/pid", &namespace) != 0)
        return (struct rz_process){0};
    return (struct rz_process){
        .pid_namespace = namespace.st_ino, .started = line.started, .pid = (int32_t)line.pid};
}

/* The first thread may have ended long before the others. */
static bool all_threads_exit(int32_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL)
        return errno == ENOENT;
    bool all = true;
    for (const struct dirent *task; all && (task = readdir(tasks)) != NULL;) {
        if (task->d_name[0] == '.')
            continue;
        struct stat_line line = {0};
        char file[128];
        snprintf(file, sizeof file, "%s/%.32s/stat", path, task->d_name);
        const int code = read_stat(file, &line);
        all = code == 0 ? (line.flags & FLAG_EXITING) != 0 : code == ENOENT || code == ESRCH;
    }
    closedir(tasks);
    return all;
}

bool rz_process_is_gone(const struct rz_process *process)
{
    const struct rz_process self = rz_process_self();
    if (process->pid <= 0 || self.pid == 0 || process->pid_namespace != self.pid_namespace)
        return false;
    char path[64];
    struct stat_line line = {0};
    snprintf(path, sizeof path, "/proc/%d/stat", process->pid);
    const int code = read_stat(path, &line);
    if (code != 0)
        return code == ENOENT || code == ESRCH;
    if (line.started != process->started)
        return true; /* another one has its number */
    return (line.flags & FLAG_EXITING) != 0 && all_threads_exit(process->pid);
}
