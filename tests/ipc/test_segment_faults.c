/* SPDX-License-Identifier: Apache-2.0
 *
 * test_segment_faults.c - system calls that fail (-Wl,--wrap), and shared memory that is full.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/liveness.h"
#include "ipc/segment.h"
#include "tests/ipc/support.h"

#define NAME "job"
enum { PAGES = 3 };

/* ------------------------------------------------------------------------------------------------
 * Calls that fail on demand
 */

static int countdown; /* the call that makes it 0 fails; 0: none does */
static int with_error;
static const char *failed;  /* its name */
static off_t largest_piece; /* of memory that was asked for at once */

static bool fails(const char *call)
{
    if (countdown == 0 || --countdown > 0)
        return false;
    failed = call;
    errno = with_error;
    return true;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    return fails("open") ? -1 : __real_open(path, flags);
}

int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...)
{
    return fails("openat") ? -1 : __real_openat(dir, path, flags, 0600);
}

int __real_posix_fallocate(int fd, off_t offset, off_t bytes);
int __wrap_posix_fallocate(int fd, off_t offset, off_t bytes);
int __wrap_posix_fallocate(int fd, off_t offset, off_t bytes)
{
    if (fails("posix_fallocate"))
        return errno;
    largest_piece = bytes > largest_piece ? bytes : largest_piece;
    return __real_posix_fallocate(fd, offset, bytes);
}

int __real_fcntl(int fd, int command, void *argument);
int __wrap_fcntl(int fd, int command, void *argument);
int __wrap_fcntl(int fd, int command, void *argument)
{
    return fails("fcntl") ? -1 : __real_fcntl(fd, command, argument);
}

ssize_t __real_pwrite(int fd, const void *from, size_t bytes, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *from, size_t bytes, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *from, size_t bytes, off_t offset)
{
    return fails("pwrite") ? -1 : __real_pwrite(fd, from, bytes, offset);
}

ssize_t __real_pread(int fd, void *to, size_t bytes, off_t offset);
ssize_t __wrap_pread(int fd, void *to, size_t bytes, off_t offset);
ssize_t __wrap_pread(int fd, void *to, size_t bytes, off_t offset)
{
    return fails("pread") ? -1 : __real_pread(fd, to, bytes, offset);
}

int __real_linkat(int dir, const char *from, int to_dir, const char *to, int flags);
int __wrap_linkat(int dir, const char *from, int to_dir, const char *to, int flags);
int __wrap_linkat(int dir, const char *from, int to_dir, const char *to, int flags)
{
    return fails("linkat") ? -1 : __real_linkat(dir, from, to_dir, to, flags);
}

int __real_fstat(int fd, struct stat *file_stat);
int __wrap_fstat(int fd, struct stat *file_stat);
int __wrap_fstat(int fd, struct stat *file_stat)
{
    return fails("fstat") ? -1 : __real_fstat(fd, file_stat);
}

int __real_fstatat(int dir, const char *path, struct stat *file_stat, int flags);
int __wrap_fstatat(int dir, const char *path, struct stat *file_stat, int flags);
int __wrap_fstatat(int dir, const char *path, struct stat *file_stat, int flags)
{
    return fails("fstatat") ? -1 : __real_fstatat(dir, path, file_stat, flags);
}

void *__real_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    return fails("mmap") ? MAP_FAILED : __real_mmap(at, bytes, protection, flags, fd, offset);
}

/* ------------------------------------------------------------------------------------------------
 * Tests
 */

static size_t segment_bytes(void)
{
    return PAGES * rz_segment_page_bytes();
}

/* A dead job's segment, made here: the lock is gone with the descriptor, the name stays. */
static ino_t leave_leftover(void)
{
    struct rz_segment segment;
    assert_int_equal(rz_segment_create(scratch, NAME, segment_bytes(), &segment, NULL), RZ_OK);
    assert_int_equal(rz_segment_publish(&segment, NULL), RZ_OK);
    segment.linked = false;
    rz_segment_close(&segment);
    struct stat named;
    assert_int_equal(stat(segment_path(NAME), &named), 0);
    return named.st_ino;
}

/* A job's whole life. Replaces a leftover on its way; every step may fail. */
static int live(struct rz_error *err)
{
    struct rz_segment first = RZ_SEGMENT_NONE;
    struct rz_segment other = RZ_SEGMENT_NONE;
    void *address = NULL;
    int status = rz_segment_create(scratch, NAME, segment_bytes(), &first, err);
    if (status == RZ_OK)
        status = rz_segment_publish(&first, err);
    if (status == RZ_OK)
        status = rz_segment_attach(scratch, NAME, in_seconds(50), &other, err);
    if (status == RZ_OK)
        status = rz_liveness_claim(other.fd, 1, err);
    if (status == RZ_OK)
        status = rz_segment_map(&other, 0, segment_bytes(), true, &address, err);
    if (status == RZ_OK)
        assert_int_equal(munmap(address, segment_bytes()), 0);
    else
        assert_null(address);
    rz_segment_close(&other);
    rz_segment_close(&first);
    return status;
}

/* Fail the first call, the second, ... until the life has no more calls. */
static void no_failing_call_leaves_anything_behind(void **state)
{
    (void)state;
    const int before = open_fds();
    const int errors[] = {EMFILE, EIO};
    for (size_t e = 0; e < sizeof errors / sizeof errors[0]; e++) {
        int calls = 0;
        do {
            const ino_t leftover = leave_leftover();
            struct rz_error err = {0};
            struct stat named;
            failed = NULL;
            with_error = errors[e];
            countdown = ++calls;
            const int status = live(&err);
            countdown = 0;
            assert_int_equal(open_fds(), before);
            if (status != RZ_OK) {
                assert_int_equal(err.status, status);
                assert_true(strlen(err.text) > 0);
                if (stat(segment_path(NAME), &named) == 0) { /* then it was never replaced */
                    assert_int_equal(named.st_ino, leftover);
                    assert_int_equal(unlink(segment_path(NAME)), 0);
                }
            }
            /* A lock that cannot be asked for is taken to be held, what cannot be removed is tried
             * again, and a file that cannot be told from ours is removed with our name; nothing
             * else goes unnoticed. */
            if (failed != NULL && status == RZ_OK)
                assert_true(strcmp(failed, "fcntl") == 0 || strcmp(failed, "fstatat") == 0 ||
                            strcmp(failed, "fstat") == 0);
            assert_int_equal(entries_of(scratch), 0);
        } while (failed != NULL);
        assert_true(calls > 10);
    }
}

static void full_memory_says_how_much_was_asked_for(void **state)
{
    (void)state;
    struct rz_segment segment = RZ_SEGMENT_NONE;
    struct rz_error err = {0};
    const int before = open_fds();
    with_error = ENOSPC;
    countdown = 3; /* open, openat, posix_fallocate */
    assert_int_equal(rz_segment_create(scratch, NAME, segment_bytes(), &segment, &err), RZ_E_SYS);
    assert_string_equal(failed, "posix_fallocate");
    assert_int_equal(err.detail, ENOSPC);
    char asked[64];
    snprintf(asked, sizeof asked, "room for %zu bytes", segment_bytes());
    assert_non_null(strstr(err.text, asked));
    assert_non_null(strstr(err.text, "free)"));
    assert_non_null(strstr(err.text, scratch));
    assert_int_equal(segment.fd, -1);
    assert_int_equal(open_fds(), before);
}

static void interrupted_reservation_goes_on(void **state)
{
    (void)state;
    struct rz_segment segment = RZ_SEGMENT_NONE;
    enum { MOST_AT_ONCE = 4 << 20 };
    const size_t bytes = 2 * MOST_AT_ONCE + segment_bytes();
    with_error = EINTR;
    largest_piece = 0;
    for (int piece = 0; piece < 3; piece++) {
        countdown = 3 + piece;
        assert_int_equal(rz_segment_create(scratch, NAME, bytes, &segment, NULL), RZ_OK);
        assert_string_equal(failed, "posix_fallocate");
        struct stat made;
        assert_int_equal(fstat(segment.fd, &made), 0);
        assert_int_equal(made.st_size, bytes);
        assert_true((size_t)made.st_blocks * 512 >= bytes);
        rz_segment_close(&segment);
    }
    assert_int_equal(largest_piece, MOST_AT_ONCE); /* what an interruption may cost */
}

static void failing_mmap_is_an_error(void **state)
{
    (void)state;
    struct rz_segment segment = RZ_SEGMENT_NONE;
    struct rz_error err = {0};
    void *address = NULL;
    assert_int_equal(rz_segment_create(scratch, NAME, segment_bytes(), &segment, NULL), RZ_OK);
    with_error = ENOMEM;
    countdown = 1;
    assert_int_equal(rz_segment_map(&segment, 0, segment_bytes(), true, &address, &err), RZ_E_SYS);
    assert_int_equal(err.detail, ENOMEM);
    assert_non_null(strstr(err.text, "mmap"));
    assert_null(address);
    rz_segment_close(&segment);
}

/* Not SIGBUS at the first touch, as ftruncate() would have it. */
static void small_tmpfs_is_full_at_creation(void **state)
{
    (void)state;
    char small[96];
    snprintf(small, sizeof small, "%s/small", scratch);
    assert_int_equal(mkdir(small, 0700), 0);
    if (mount("tmpfs", small, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k") != 0) {
        assert_int_equal(rmdir(small), 0);
        skip();
    }
    const size_t page = rz_segment_page_bytes();
    struct rz_segment segment = RZ_SEGMENT_NONE;
    struct rz_error err = {0};
    const int full = rz_segment_create(small, NAME, (65536 / page + 1) * page, &segment, &err);
    struct rz_segment fits = RZ_SEGMENT_NONE;
    const int enough = rz_segment_create(small, NAME, page, &fits, NULL);
    const int left = entries_of(small);
    rz_segment_close(&fits);
    rz_segment_close(&segment);
    assert_int_equal(umount(small), 0);
    assert_int_equal(rmdir(small), 0);
    assert_int_equal(full, RZ_E_SYS);
    assert_int_equal(err.detail, ENOSPC);
    assert_non_null(strstr(err.text, "(65536 free)"));
    assert_int_equal(enough, RZ_OK);
    assert_int_equal(left, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(no_failing_call_leaves_anything_behind), TEST(full_memory_says_how_much_was_asked_for),
        TEST(interrupted_reservation_goes_on),        TEST(failing_mmap_is_an_error),
        TEST(small_tmpfs_is_full_at_creation),
    };
    return cmocka_run_group_tests_name("segment_faults", tests, NULL, NULL);
}
