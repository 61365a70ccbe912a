/* SPDX-License-Identifier: Apache-2.0
 *
 * ring_find.c - segments by name, by process, by path.
 *
 * A segment is unlinked as soon as all have attached. Its ranks keep it open, for their locks, and
 * /proc/PID/fd has it: under its old name for those that attached, under none for who made it.
 */
#include "tools/ring_find.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/layout.h"

int rz_ring_find_file(const char *path, struct rz_found_segment *found,
                      struct rz_complaint *complaint)
{
    /* Looked at before it is opened, as to open a device or a pipe may do something. */
    struct stat info;
    if (stat(path, &info) != 0)
        return rz_complain(complaint, RZ_EXIT_FAILED, "%.200s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return rz_complain(complaint, RZ_EXIT_FAILED, "%.200s: expected a regular file", path);
    if (info.st_uid != geteuid() && geteuid() != 0)
        return rz_complain(complaint, RZ_EXIT_FAILED, "%.200s: expected owner %ld, got %ld", path,
                           (long)geteuid(), (long)info.st_uid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return rz_complain(complaint, RZ_EXIT_FAILED, "%.200s: %s", path, strerror(errno));
    found->fd = fd;
    snprintf(found->path, sizeof found->path, "%s", path);
    return RZ_EXIT_OK;
}

/* Does the file begin as a segment does? */
static bool is_segment(int fd)
{
    struct rz_segment_header header;
    return pread(fd, &header, sizeof header, 0) == (ssize_t)sizeof header &&
           header.magic == RZ_SEGMENT_MAGIC;
}

/* Was that the name of the file? Unlinked files have " (deleted)" behind it. */
static bool has_name(const char *link, const char *file)
{
    char target[PATH_MAX];
    const ssize_t length = readlink(link, target, sizeof target - 1);
    if (length < 0)
        return false;
    target[length] = '\0';
    const char *name = strrchr(target, '/');
    const size_t bytes = strlen(file);
    return name != NULL && strncmp(name + 1, file, bytes) == 0 &&
           (name[1 + bytes] == '\0' || strcmp(name + 1 + bytes, " (deleted)") == 0);
}

/* Segments that the process has open, those once named `file` only, unless that is NULL: how many
 * different ones, and the last one found. */
static int search_process(const char *pid, const char *file, struct rz_found_segment *found)
{
    char folder[64];
    snprintf(folder, sizeof folder, "/proc/%.20s/fd", pid);
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return 0;
    int count = 0;
    ino_t seen = 0;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        char link[sizeof folder + sizeof entry->d_name];
        snprintf(link, sizeof link, "%s/%s", folder, entry->d_name);
        struct rz_found_segment one;
        struct rz_complaint why;
        struct stat info;
        if (entry->d_name[0] == '.' || (file != NULL && !has_name(link, file)) ||
            rz_ring_find_file(link, &one, &why) != RZ_EXIT_OK)
            continue;
        if (!is_segment(one.fd) || fstat(one.fd, &info) != 0 || info.st_ino == seen) {
            close(one.fd);
            continue;
        }
        if (count++ > 0)
            close(found->fd);
        seen = info.st_ino;
        *found = one;
    }
    closedir(dir);
    return count;
}

int rz_ring_find_pid(const char *pid, struct rz_found_segment *found,
                     struct rz_complaint *complaint)
{
    char folder[64];
    snprintf(folder, sizeof folder, "/proc/%.20s/fd", pid);
    if (access(folder, R_OK | X_OK) != 0)
        return rz_complain(complaint, RZ_EXIT_FAILED, "process %.20s: %s", pid, strerror(errno));
    const int count = search_process(pid, NULL, found);
    if (count == 1)
        return RZ_EXIT_OK;
    if (count == 0)
        return rz_complain(complaint, RZ_EXIT_FAILED, "process %.20s has no segment open", pid);
    close(found->fd);
    return rz_complain(complaint, RZ_EXIT_FAILED,
                       "process %.20s has %d segments open: name one, %.100s say", pid, count,
                       found->path);
}

/* In any process: an unlinked file's name is told by those that attached to it. */
static bool search_all(const char *file, struct rz_found_segment *found)
{
    DIR *dir = opendir("/proc");
    if (dir == NULL)
        return false;
    bool here = false;
    const struct dirent *entry;
    while (!here && (entry = readdir(dir)) != NULL)
        if (isdigit((unsigned char)entry->d_name[0]))
            here = search_process(entry->d_name, file, found) > 0;
    closedir(dir);
    return here;
}

int rz_ring_find_name(const char *dir, const char *name, struct rz_found_segment *found,
                      struct rz_complaint *complaint)
{
    char file[NAME_MAX], path[PATH_MAX];
    snprintf(file, sizeof file, "rankzero-%lu-%.63s", (unsigned long)geteuid(), name);
    snprintf(path, sizeof path, "%.2000s/%s", dir, file);
    if (access(path, F_OK) == 0)
        return rz_ring_find_file(path, found, complaint);
    if (search_all(file, found))
        return RZ_EXIT_OK;
    return rz_complain(complaint, RZ_EXIT_FAILED,
                       "%.63s: neither in %.200s nor open in any process that attached to it", name,
                       dir);
}

int rz_ring_find(const char *dir, const char *name, const char *pid, struct rz_found_segment *found,
                 struct rz_complaint *complaint)
{
    if (pid != NULL)
        return rz_ring_find_pid(pid, found, complaint);
    if (strchr(name, '/') != NULL)
        return rz_ring_find_file(name, found, complaint);
    return rz_ring_find_name(dir, name, found, complaint);
}
