/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor_shared_memory.c - where jobs live, and what dead ones left there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <stdio.h>

#include "ipc/liveness.h"
#include "tools/doctor.h"

static const char directory[] = "/dev/shm";

/* A job's file shows for as long as its ranks gather; later only if that was cut short. */
static void report_file(struct rz_report *report, int dir_fd, const char *name)
{
    const int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        rz_report_item(report, "files_of_others", name);
        return;
    }
    rz_report_item(report, rz_liveness_held(fd, 0) ? "opening" : "leftovers", name);
    close(fd);
}

static void report_files(struct rz_report *report)
{
    rz_report_item(report, "opening", NULL);
    rz_report_item(report, "leftovers", NULL);
    DIR *dir = opendir(directory);
    if (dir == NULL)
        return;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL)
        if (strncmp(entry->d_name, "rankzero-", 9) == 0)
            report_file(report, dirfd(dir), entry->d_name);
    closedir(dir);
}

static void report_limit(struct rz_report *report)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
        return;
    if (limit.rlim_cur == RLIM_INFINITY)
        rz_report_text(report, "memlock_limit", "unlimited");
    else
        rz_report_number(report, "memlock_limit_bytes", limit.rlim_cur);
}

void rz_doctor_shared_memory(struct rz_report *report)
{
    rz_report_section(report, "shared_memory");
    rz_report_text(report, "directory", directory);
    struct statfs fs;
    if (statfs(directory, &fs) != 0) {
        rz_report_problem(report, "%s: %s", directory, strerror(errno));
        return;
    }
    const bool tmpfs = fs.f_type == TMPFS_MAGIC;
    const bool writable = access(directory, W_OK | X_OK) == 0;
    rz_report_bool(report, "tmpfs", tmpfs);
    rz_report_bool(report, "writable", writable);
    rz_report_number(report, "size_bytes", (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize);
    rz_report_number(report, "free_bytes", (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize);
    if (!tmpfs)
        rz_report_problem(report, "%s is not a tmpfs", directory);
    if (!writable)
        rz_report_problem(report, "%s is not writable", directory);
    report_files(report);
    report_limit(report);
}
