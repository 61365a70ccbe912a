/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_link.h - ways for a record to get from one process to others, behind one interface.
 *
 *     one process    open
 *     fork           receivers begin
 *     sender         send, send, ...        receivers    receive, receive, ...
 *     one process    close
 */
#ifndef RZ_TOOLS_BENCH_LINK_H
#define RZ_TOOLS_BENCH_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/ring.h"
#include "tools/complaint.h"

enum { RZ_LINK_MAX_RECEIVERS = 63 };

struct rz_link {
    const struct rz_link_way *way;
    uint32_t receivers;
    uint32_t bytes; /* of every record, at least 8 */
    void *memory;   /* shared: a line, or a ring */
    size_t memory_bytes;
    struct rz_waiter waiter; /* this process's, as are all that follow */
    struct rz_ring ring;
    uint64_t seen; /* line: what was there last */
    int fds[RZ_LINK_MAX_RECEIVERS][2];
};

struct rz_link_way {
    const char *name;
    const char *label;
    bool spins;  /* of use only where each process has a processor */
    bool queues; /* a record stays until all receivers have taken it */
    uint32_t most_bytes;
    int (*open)(struct rz_link *link, struct rz_complaint *complaint);
    void (*begin)(struct rz_link *link, uint32_t receiver); /* may be NULL */
    bool (*send)(struct rz_link *link, const void *record);
    bool (*receive)(struct rz_link *link, uint32_t receiver, void *record);
};

/* A bare cache line, of which a record's first 8 bytes are all that arrives: they must differ from
 * those of the record before. The limit of what two processors can do. */
extern const struct rz_link_way rz_link_line;

extern const struct rz_link_way rz_link_ring_spin;
extern const struct rz_link_way rz_link_ring_sleep;
extern const struct rz_link_way rz_link_pipe;
extern const struct rz_link_way rz_link_mqueue;

/* rz_link_open - on failure there is nothing to close. */
int rz_link_open(struct rz_link *link, const struct rz_link_way *way, uint32_t bytes,
                 uint32_t receivers, struct rz_complaint *complaint);

void rz_link_begin(struct rz_link *link, uint32_t receiver);

/* False: it cannot go on. */
bool rz_link_send(struct rz_link *link, const void *record);
bool rz_link_receive(struct rz_link *link, uint32_t receiver, void *record);

void rz_link_close(struct rz_link *link);

/* rz_link_waiter - of process `rank`, which spins for ever or not at all. */
struct rz_waiter rz_link_waiter(_Atomic uint64_t *sleepers, uint32_t rank, bool spins);

/* rz_link_share - zeros that children share; NULL: out of memory. munmap(2) it. */
void *rz_link_share(size_t bytes);

#endif
