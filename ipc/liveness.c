/* SPDX-License-Identifier: Apache-2.0
 *
 * liveness.c - liveness by open-file-description locks (fcntl_locking(2)).
 */
#include "ipc/liveness.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static struct flock byte_of(uint32_t rank)
{
    /* Locks may lie past the end of the file; l_pid must be 0 for this kind of lock. */
    return (struct flock){
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)rank, .l_len = 1};
}

int rz_liveness_claim(int fd, uint32_t rank, struct rz_error *err)
{
    struct flock lock = byte_of(rank);
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return RZ_OK;
    if (errno == EAGAIN || errno == EACCES)
        return rz_fail(err, RZ_E_EXISTS, (int)rank, errno,
                       "another process already is rank %u of this job", rank);
    return rz_fail(err, RZ_E_SYS, (int)rank, errno, "F_OFD_SETLK for rank %u failed", rank);
}

bool rz_liveness_held(int fd, uint32_t rank)
{
    struct flock lock = byte_of(rank);
    /* A failure to ask is not a death: only the kernel's answer is. */
    return fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}
