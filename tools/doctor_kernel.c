/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor_kernel.c - what of the kernel we use, or would.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "tools/doctor.h"

/* Called with nothing to wait for, it fails one way if it is there and another if it is not. */
static bool has_futex_waitv(void)
{
    return syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0) == 0 || errno != ENOSYS;
}

static bool has_pidfd(void)
{
    const long fd = syscall(SYS_pidfd_open, getpid(), 0);
    if (fd < 0)
        return false;
    close((int)fd);
    return true;
}

static bool has_ofd_locks(void)
{
    const int fd = memfd_create("rankzero-doctor", MFD_CLOEXEC);
    if (fd < 0)
        return false;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    const bool has = fcntl(fd, F_OFD_SETLK, &lock) == 0;
    close(fd);
    return has;
}

void rz_doctor_kernel(struct rz_report *report)
{
    struct utsname name;
    const bool ofd_locks = has_ofd_locks();
    rz_report_section(report, "kernel");
    rz_report_text(report, "release", uname(&name) == 0 ? name.release : NULL);
    rz_report_bool(report, "ofd_locks", ofd_locks);
    rz_report_bool(report, "futex_waitv", has_futex_waitv());
    rz_report_bool(report, "pidfd", has_pidfd());
    if (!ofd_locks)
        rz_report_problem(report, "no open-file-description locks: a dead rank is not noticed");
}
