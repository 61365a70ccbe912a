/* SPDX-License-Identifier: Apache-2.0
 *
 * bell.h - a word in shared memory that the kernel changes when the process of a rank dies.
 *
 * The lock on a file (liveness.h) is given up only when the memory of the dead process has been
 * torn down, which takes 50 us a MiB. Robust futexes (set_robust_list(2)) are seen to before that:
 * the kernel marks the word of a thread that ends, and wakes one who sleeps on it. So this is what
 * wakes sleepers within a millisecond.
 *
 * A bell belongs to a thread, a rank to a process: a thread that opened a job may end while others
 * go on with it. Therefore a bell that rings is no more than a reason to look whether the process
 * is still there: in /proc, and by its lock.
 *
 * Each rank has a page of the segment of its own for its bell, followed in its address space by a
 * private one:
 *
 *      who: pid, start ...                     word | owner, kind, links
 *     [ page of the segment, read by all           ][ private page          ]
 *
 * A pthread_mutex_t lies across the border: but for the word, what libc and the kernel go by, the
 * links of a list above all, is out of the reach of other processes.
 */
#ifndef RZ_IPC_BELL_H
#define RZ_IPC_BELL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "internal/error.h"
#include "ipc/segment.h"

/* This process's own. Zero: none. */
struct rz_bell {
    char *pages; /* the two of the drawing */
    pid_t pid;   /* a forked child has no part in it */
    pid_t tid;   /* of the thread that has it */
};

/* rz_bell_bytes - what each rank's bell takes of a segment: a page. */
size_t rz_bell_bytes(void);

/* rz_bell_hang - this process's, at `offset` in the segment, where its bell is the only one. It is
 * the calling thread's for now. Where libc has another layout of mutexes than is expected there is
 * no bell, which is no error. RZ_E_SYS: no memory. */
int rz_bell_hang(struct rz_bell *bell, const struct rz_segment *segment, size_t offset,
                 struct rz_error *err);

/* rz_bell_mind - any thread of this process, before it sleeps: if the thread that had the bell has
 * ended, it is the calling one's from now on. */
void rz_bell_mind(struct rz_bell *bell);

/* rz_bell_remove - nobody shall take this for a death. If another thread has the bell and lives,
 * the private page stays for as long as the process does, as that thread's libc may write to it. In
 * a forked child the parent's bell is left alone. */
void rz_bell_remove(struct rz_bell *bell);

/* rz_bell_word - the word to sleep on, in a mapping of a rank's page. */
const _Atomic uint32_t *rz_bell_word(const void *page);

/* rz_bell_rings - has the thread that had it ended? Costs a load. */
bool rz_bell_rings(const void *page);

/* rz_bell_tolls - does it ring, and is the process that hung it gone or on its way out? */
bool rz_bell_tolls(const void *page);

#endif
