/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_link_kernel.c - ways through the kernel: a pipe or a POSIX message queue for each receiver.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <string.h>
#include <unistd.h>

#include "tools/bench_link.h"

/* ------------------------------------------------------------------------------------------------
 * Pipes
 */

static int pipe_open(struct rz_link *link, struct rz_complaint *complaint)
{
    for (uint32_t r = 0; r < link->receivers; r++)
        if (pipe2(link->fds[r], O_CLOEXEC) != 0)
            return rz_complain(complaint, RZ_EXIT_FAILED, "pipe: %s", strerror(errno));
    return RZ_EXIT_OK;
}

static bool pipe_send(struct rz_link *link, const void *record)
{
    for (uint32_t r = 0; r < link->receivers; r++)
        for (size_t done = 0; done < link->bytes;) {
            const ssize_t n =
                write(link->fds[r][1], (const char *)record + done, link->bytes - done);
            if (n < 0 && errno != EINTR)
                return false;
            done += n > 0 ? (size_t)n : 0;
        }
    return true;
}

static bool pipe_receive(struct rz_link *link, uint32_t receiver, void *record)
{
    for (size_t done = 0; done < link->bytes;) {
        const ssize_t n = read(link->fds[receiver][0], (char *)record + done, link->bytes - done);
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

const struct rz_link_way rz_link_pipe = {.name = "pipe",
                                         .label = "pipe",
                                         .queues = true,
                                         .most_bytes = UINT32_MAX,
                                         .open = pipe_open,
                                         .send = pipe_send,
                                         .receive = pipe_receive};

/* ------------------------------------------------------------------------------------------------
 * POSIX message queues, with the limits that Linux sets for users who have not asked for more
 */

enum { MQUEUE_RECORDS = 10, MQUEUE_BYTES = 8192 };

static int mqueue_open(struct rz_link *link, struct rz_complaint *complaint)
{
    char name[64];
    snprintf(name, sizeof name, "/rankzero-bench-%ld", (long)getpid());
    struct mq_attr attributes = {.mq_maxmsg = MQUEUE_RECORDS, .mq_msgsize = (long)link->bytes};
    for (uint32_t r = 0; r < link->receivers; r++) {
        link->fds[r][0] = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attributes);
        if (link->fds[r][0] < 0)
            return rz_complain(complaint, RZ_EXIT_FAILED, "mq_open: %s", strerror(errno));
        mq_unlink(name);
    }
    return RZ_EXIT_OK;
}

static bool mqueue_send(struct rz_link *link, const void *record)
{
    for (uint32_t r = 0; r < link->receivers; r++)
        while (mq_send(link->fds[r][0], record, link->bytes, 0) != 0)
            if (errno != EINTR)
                return false;
    return true;
}

static bool mqueue_receive(struct rz_link *link, uint32_t receiver, void *record)
{
    ssize_t n;
    do
        n = mq_receive(link->fds[receiver][0], record, link->bytes, NULL);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)link->bytes;
}

const struct rz_link_way rz_link_mqueue = {.name = "mqueue",
                                           .label = "POSIX message queue",
                                           .queues = true,
                                           .most_bytes = MQUEUE_BYTES,
                                           .open = mqueue_open,
                                           .send = mqueue_send,
                                           .receive = mqueue_receive};
