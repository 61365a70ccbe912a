/* SPDX-License-Identifier: Apache-2.0
 *
 * segment.c - segments on a tmpfs: O_TMPFILE, posix_fallocate, linkat.
 */
#include "ipc/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "internal/clock.h"
#include "ipc/layout.h"
#include "ipc/liveness.h"

/* Jobs are named among those of their user. */
static void name_file(struct rz_segment *segment, const char *job_name)
{
    snprintf(segment->file, sizeof segment->file, "rankzero-%lu-%s", (unsigned long)geteuid(),
             job_name);
}

static const char *job_name_of(const struct rz_segment *segment)
{
    return strchr(strchr(segment->file, '-') + 1, '-') + 1;
}

/* Never through a symlink, and not waiting for whoever may be at the other end of a special file.
 */
#define OPEN_FLAGS (O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

enum {
    OWNER = 0,         /* the rank that creates */
    CLEANER = 1 << 16, /* lock byte of who removes a leftover; no rank has it */
    RETRIES = 1000,    /* replacing leftovers that come back each time is somebody's attack */
    NAP_NS = 1000000,
    PIECE_BYTES = 4 << 20, /* reserved at a time: about a millisecond */
};

size_t rz_segment_page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

int rz_segment_check_name(const char *name, struct rz_error *err)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const size_t length = name != NULL ? strnlen(name, 64) : 0;
    if (length < 1 || length > 63 || name[0] == '.' || strspn(name, allowed) != length)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "job name: expected 1 to 63 characters of A-Z a-z 0-9 . _ - not starting "
                       "with '.', got %zu%s",
                       length, length > 63 ? " or more" : "");
    return RZ_OK;
}

static int fail_system(struct rz_error *err, const char *call, const char *about)
{
    const int code = errno;
    return rz_fail(err, RZ_E_SYS, RZ_NO_RANK, code, "%s: %.120s: %s", call, about, strerror(code));
}

/* Reserve all of the space now: on tmpfs a hole that cannot be filled is a SIGBUS in the middle of
 * a step. Piece by piece, as an interrupted piece is given back: signals that keep coming, a
 * profiler's say, would otherwise keep a large segment from ever being done. */
static int reserve(int fd, int dir_fd, size_t bytes, const char *dir, struct rz_error *err)
{
    struct statvfs space = {0};
    const bool known = fstatvfs(dir_fd, &space) == 0;
    size_t done = 0;
    while (done < bytes) {
        const size_t piece = bytes - done < PIECE_BYTES ? bytes - done : PIECE_BYTES;
        const int code = posix_fallocate(fd, (off_t)done, (off_t)piece);
        if (code == 0)
            done += piece;
        else if (code != EINTR)
            return rz_fail(err, RZ_E_SYS, RZ_NO_RANK, code,
                           "%.120s: expected room for %zu bytes, got %s (%llu free)", dir, bytes,
                           strerror(code),
                           known ? (unsigned long long)space.f_bavail * space.f_frsize : 0);
    }
    return RZ_OK;
}

int rz_segment_create(const char *dir, const char *name, size_t bytes, struct rz_segment *segment,
                      struct rz_error *err)
{
    const int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return fail_system(err, "open", dir);

    int status;
    const int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        status = fail_system(err, "O_TMPFILE", dir);
        goto err_close_dir;
    }
    status = reserve(fd, dir_fd, bytes, dir, err);
    if (status == RZ_OK)
        status = rz_liveness_claim(fd, OWNER, err);
    if (status != RZ_OK)
        goto err_close;

    const struct rz_segment_header header = {.magic = RZ_SEGMENT_MAGIC,
                                             .version = RZ_SEGMENT_VERSION,
                                             .page_bytes = (uint32_t)rz_segment_page_bytes(),
                                             .total_bytes = bytes};
    if (pwrite(fd, &header, sizeof header, 0) != (ssize_t)sizeof header) {
        status = fail_system(err, "pwrite", dir);
        goto err_close;
    }
    *segment = (struct rz_segment){.fd = fd, .dir_fd = dir_fd, .bytes = bytes};
    name_file(segment, name);
    return RZ_OK;

err_close:
    close(fd);
err_close_dir:
    close(dir_fd);
    return status;
}

/* Is what `fd` has open a segment that this user made, of whatever version? Otherwise RZ_E_CORRUPT.
 */
static int check_origin(int fd, const char *file, struct stat *file_stat,
                        struct rz_segment_header *header, struct rz_error *err)
{
    if (fstat(fd, file_stat) != 0)
        return fail_system(err, "fstat", file);
    if (!S_ISREG(file_stat->st_mode))
        return rz_fail(err, RZ_E_CORRUPT, OWNER, 0, "%s: expected a regular file", file);
    if (file_stat->st_uid != geteuid())
        return rz_fail(err, RZ_E_CORRUPT, OWNER, 0, "%s: expected owner %ld, got %ld", file,
                       (long)geteuid(), (long)file_stat->st_uid);
    if ((file_stat->st_mode & 077) != 0)
        return rz_fail(err, RZ_E_CORRUPT, OWNER, 0, "%s: expected mode 0600, got %#o", file,
                       (unsigned)file_stat->st_mode & 07777u);
    /* Copied once; only the copy is looked at. */
    if (pread(fd, header, sizeof *header, 0) != (ssize_t)sizeof *header)
        return rz_fail(err, RZ_E_CORRUPT, OWNER, 0, "%s: expected a header, got %lld bytes", file,
                       (long long)file_stat->st_size);
    if (header->magic != RZ_SEGMENT_MAGIC)
        return rz_fail(err, RZ_E_CORRUPT, OWNER, 0, "%s: expected a segment, got something else",
                       file);
    return RZ_OK;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Remove the file of our name if its creator is dead. RZ_OK: the name may be free now.
 *
 * One process at a time may remove a leftover: the one that holds the cleaner's lock on it. Whether
 * the name still is that file's is looked at under the lock, so that a successor's is never
 * removed. The dead creator's own lock is left alone: whoever sees it held may believe that the job
 * lives. */
static int remove_leftover(const struct rz_segment *segment, struct rz_error *err)
{
    const int fd = openat(segment->dir_fd, segment->file, OPEN_FLAGS);
    if (fd < 0)
        return errno == ENOENT ? RZ_OK
                               : rz_fail(err, RZ_E_EXISTS, RZ_NO_RANK, errno,
                                         "%s is in the way: %s", segment->file, strerror(errno));
    int status = RZ_OK;
    struct stat locked, named;
    struct rz_segment_header header;
    struct rz_error why;
    if (check_origin(fd, segment->file, &locked, &header, &why) != RZ_OK)
        status =
            rz_fail(err, RZ_E_EXISTS, RZ_NO_RANK, why.detail, "in the way is %.200s", why.text);
    else if (rz_liveness_held(fd, OWNER))
        status = rz_fail(err, RZ_E_EXISTS, RZ_NO_RANK, 0, "a live job already has the name %s",
                         job_name_of(segment));
    else if (rz_liveness_claim(fd, CLEANER, NULL) != RZ_OK)
        nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL); /* somebody else is at it */
    else if (fstatat(segment->dir_fd, segment->file, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
             is_same_file(&locked, &named))
        unlinkat(segment->dir_fd, segment->file, 0);
    close(fd);
    return status;
}

int rz_segment_publish(struct rz_segment *segment, struct rz_error *err)
{
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", segment->fd);
    for (int i = 0; i < RETRIES; i++) {
        if (linkat(AT_FDCWD, self, segment->dir_fd, segment->file, AT_SYMLINK_FOLLOW) == 0) {
            segment->linked = true;
            return RZ_OK;
        }
        if (errno != EEXIST)
            return fail_system(err, "linkat", segment->file);
        const int status = remove_leftover(segment, err);
        if (status != RZ_OK)
            return status;
    }
    return rz_fail(err, RZ_E_EXISTS, RZ_NO_RANK, 0, "%s comes back as often as it is removed",
                   segment->file);
}

/* Is it laid out as this version does it? */
static int check_layout(const struct rz_segment_header *header, const char *file, off_t file_bytes,
                        struct rz_error *err)
{
    if (header->version != RZ_SEGMENT_VERSION)
        return rz_fail(err, RZ_E_CORRUPT, OWNER, 0, "%s: expected a segment of version %u, got %u",
                       file, RZ_SEGMENT_VERSION, header->version);
    const size_t page = rz_segment_page_bytes();
    if (header->page_bytes != page)
        return rz_fail(err, RZ_E_CORRUPT, OWNER, 0, "%s: expected pages of %zu bytes, got %u", file,
                       page, header->page_bytes);
    if (header->total_bytes < page || header->total_bytes % page != 0 ||
        header->total_bytes != (uint64_t)file_bytes)
        return rz_fail(err, RZ_E_CORRUPT, OWNER, 0,
                       "%s: expected the %llu bytes of its header, got a file of %lld", file,
                       (unsigned long long)header->total_bytes, (long long)file_bytes);
    return RZ_OK;
}

/* RZ_OK with *fd -1: there is no segment of a live creator yet. What a dead one has left behind is
 * no error, whatever its version: rank 0 may be about to replace it. */
static int try_attach(int dir_fd, const char *file, int *fd, size_t *bytes, struct rz_error *err)
{
    *fd = openat(dir_fd, file, OPEN_FLAGS);
    if (*fd < 0) {
        if (errno == ENOENT)
            return RZ_OK;
        if (errno == ELOOP || errno == EISDIR || errno == ENXIO)
            return rz_fail(err, RZ_E_CORRUPT, OWNER, errno, "%s: expected a regular file: %s", file,
                           strerror(errno));
        return fail_system(err, "open", file);
    }
    struct stat file_stat;
    struct rz_segment_header header;
    int status = check_origin(*fd, file, &file_stat, &header, err);
    if (status == RZ_OK && rz_liveness_held(*fd, OWNER)) {
        status = check_layout(&header, file, file_stat.st_size, err);
        if (status == RZ_OK) {
            *bytes = (size_t)header.total_bytes;
            return RZ_OK;
        }
    }
    close(*fd);
    *fd = -1;
    return status;
}

int rz_segment_attach(const char *dir, const char *name, uint64_t deadline_ns,
                      struct rz_segment *segment, struct rz_error *err)
{
    const int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return fail_system(err, "open", dir);
    struct rz_segment found = RZ_SEGMENT_NONE;
    name_file(&found, name);

    int status;
    while ((status = try_attach(dir_fd, found.file, &found.fd, &found.bytes, err)) == RZ_OK &&
           found.fd < 0) {
        if (rz_clock_ns() >= deadline_ns) {
            status = rz_fail(err, RZ_E_TIMEOUT, OWNER, 0,
                             "rank 0 did not open job %s in %.100s in time", name, dir);
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    }
    close(dir_fd);
    if (status == RZ_OK)
        *segment = found;
    return status;
}

int rz_segment_map(const struct rz_segment *segment, size_t offset, size_t bytes, bool writable,
                   void **address, struct rz_error *err)
{
    if (offset > segment->bytes || bytes > segment->bytes - offset)
        return rz_fail(err, RZ_E_CORRUPT, OWNER, 0,
                       "%s: expected at least %zu bytes, got a segment of %zu", segment->file,
                       offset + bytes, segment->bytes);
    void *mapped = mmap(NULL, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ,
                        MAP_SHARED | MAP_POPULATE, segment->fd, (off_t)offset);
    if (mapped == MAP_FAILED)
        return fail_system(err, "mmap", segment->file);
    *address = mapped;
    return RZ_OK;
}

void rz_segment_unlink(struct rz_segment *segment)
{
    if (!segment->linked)
        return;
    segment->linked = false;
    /* If somebody has removed our file by hand, another job may have its name by now. */
    struct stat ours, named;
    const bool another =
        fstat(segment->fd, &ours) == 0 &&
        fstatat(segment->dir_fd, segment->file, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
        !is_same_file(&ours, &named);
    if (!another)
        unlinkat(segment->dir_fd, segment->file, 0);
}

void rz_segment_close(struct rz_segment *segment)
{
    if (segment->fd < 0)
        return;
    rz_segment_unlink(segment);
    if (segment->dir_fd >= 0)
        close(segment->dir_fd);
    close(segment->fd);
    *segment = RZ_SEGMENT_NONE;
}
