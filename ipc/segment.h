/* SPDX-License-Identifier: Apache-2.0
 *
 * segment.h - a job's file in shared memory.
 *
 * Made without a name, its space reserved, filled in by its creator, and only then given its name:
 * nobody can see it half made, and a crash before that leaves nothing. Its creator is rank 0, whose
 * liveness tells whether a file found under a name is a job's or a leftover.
 *
 *     rank 0    create -> map, fill in -> publish -> (all have attached) unlink -> close
 *     others    attach -> map -> close
 */
#ifndef RZ_IPC_SEGMENT_H
#define RZ_IPC_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "internal/error.h"

struct rz_segment {
    int fd;        /* -1: not open; also holds this rank's liveness lock */
    int dir_fd;    /* -1 unless `linked` */
    size_t bytes;  /* of the file, a multiple of the page size */
    bool linked;   /* this process must unlink it */
    char file[96]; /* "rankzero-UID-NAME" */
};

/* A segment that is not open, for rz_segment_close(). */
#define RZ_SEGMENT_NONE ((struct rz_segment){.fd = -1, .dir_fd = -1})

/* Names: 1 to 63 of [A-Za-z0-9._-], not starting with '.'. RZ_E_ARG otherwise. */
int rz_segment_check_name(const char *name, struct rz_error *err);

size_t rz_segment_page_bytes(void);

/* rz_segment_create - make the segment of job `name` in `dir`, without a name yet: `bytes` of
 * zeros, a multiple of the page size, of which the first page is the header's and filled in. Claims
 * rank 0. RZ_E_SYS: no such directory, or no room (ENOSPC). */
int rz_segment_create(const char *dir, const char *name, size_t bytes, struct rz_segment *segment,
                      struct rz_error *err);

/* rz_segment_publish - give the segment its name. A leftover of that name, of whatever version,
 * whose creator is dead is replaced. RZ_E_EXISTS if a live job has it, or something that is no
 * segment of this user, which is left alone. */
int rz_segment_publish(struct rz_segment *segment, struct rz_error *err);

/* rz_segment_attach - open the segment of job `name` that a live rank 0 has published, waiting for
 * it until the deadline (RZ_E_TIMEOUT); a dead one's leftover is not it. RZ_E_CORRUPT, with the
 * reason, if what has that name cannot be a segment of this user and version. */
int rz_segment_attach(const char *dir, const char *name, uint64_t deadline_ns,
                      struct rz_segment *segment, struct rz_error *err);

/* rz_segment_map - map `bytes` at `offset`, both multiples of the page size and within the segment.
 * Populated, so that no step pays for a first touch; not locked, which containers often forbid, and
 * not in huge pages, which a ring of some pages gains nothing from. The mapping outlives the
 * segment; munmap(2) it. */
int rz_segment_map(const struct rz_segment *segment, size_t offset, size_t bytes, bool writable,
                   void **address, struct rz_error *err);

/* Take the name away; attached processes keep the memory. Does nothing the second time. */
void rz_segment_unlink(struct rz_segment *segment);

/* Unlink if that has not been done, give up this rank's liveness lock, close. */
void rz_segment_close(struct rz_segment *segment);

#endif
