/* SPDX-License-Identifier: Apache-2.0
 *
 * scratch.h - one temporary file with given bytes.
 */
#ifndef RZ_TESTS_TOOLS_SCRATCH_H
#define RZ_TESTS_TOOLS_SCRATCH_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct scratch {
    char path[64];
};

static inline struct scratch scratch_write(const void *bytes, size_t count)
{
    struct scratch s = {"/tmp/rankzero-test-XXXXXX"};
    const int fd = mkstemp(s.path);
    if (fd < 0 || write(fd, bytes, count) != (ssize_t)count)
        abort();
    close(fd);
    return s;
}

static inline void scratch_remove(struct scratch *s)
{
    unlink(s->path);
}

#endif
