/* SPDX-License-Identifier: Apache-2.0
 *
 * ring_find.h - find a segment, which may have lost its name long ago, and open it to read.
 */
#ifndef RZ_TOOLS_RING_FIND_H
#define RZ_TOOLS_RING_FIND_H

#include <limits.h>

#include "tools/complaint.h"

struct rz_found_segment {
    int fd;
    char path[PATH_MAX];
};

/* rz_ring_find_name - the segment of the job or ring `name` of this user: in `dir` or, once it has
 * been unlinked, among the files that a process that attached has open. */
int rz_ring_find_name(const char *dir, const char *name, struct rz_found_segment *found,
                      struct rz_complaint *complaint);

/* rz_ring_find_pid - the one that process `pid` has open. */
int rz_ring_find_pid(const char *pid, struct rz_found_segment *found,
                     struct rz_complaint *complaint);

/* rz_ring_find - by `pid`, unless that is NULL; by path if `name` has a '/' in it; or by name. */
int rz_ring_find(const char *dir, const char *name, const char *pid, struct rz_found_segment *found,
                 struct rz_complaint *complaint);

/* rz_ring_find_file - the file at `path`. Refused if it is no file, or another user's. */
int rz_ring_find_file(const char *path, struct rz_found_segment *found,
                      struct rz_complaint *complaint);

#endif
