/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_link.c - what all ways share, and those through shared memory: a line, and our ring.
 */
#include "tools/bench_link.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLOTS = 64 };

#define NO_DEADLINE UINT64_MAX

/* A process that ends is seen by the one that forked it, which ends the others. */
static int watch_nobody(void *context, struct rz_error *err)
{
    (void)context, (void)err;
    return RZ_OK;
}

struct rz_waiter rz_link_waiter(_Atomic uint64_t *sleepers, uint32_t rank, bool spins)
{
    const uint64_t for_ever = UINT64_C(1000000000) * 3600;
    return (struct rz_waiter){
        .sleepers = sleepers, .rank = rank, .spin_ns = spins ? for_ever : 0, .watch = watch_nobody};
}

void *rz_link_share(size_t bytes)
{
    void *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return memory != MAP_FAILED ? memory : NULL;
}

int rz_link_open(struct rz_link *link, const struct rz_link_way *way, uint32_t bytes,
                 uint32_t receivers, struct rz_complaint *complaint)
{
    *link = (struct rz_link){.way = way, .bytes = bytes, .receivers = receivers};
    memset(link->fds, -1, sizeof link->fds);
    const int status = way->open(link, complaint);
    if (status != RZ_EXIT_OK)
        rz_link_close(link);
    return status;
}

void rz_link_begin(struct rz_link *link, uint32_t receiver)
{
    if (link->way->begin != NULL)
        link->way->begin(link, receiver);
}

bool rz_link_send(struct rz_link *link, const void *record)
{
    return link->way->send(link, record);
}

bool rz_link_receive(struct rz_link *link, uint32_t receiver, void *record)
{
    return link->way->receive(link, receiver, record);
}

void rz_link_close(struct rz_link *link)
{
    for (uint32_t r = 0; r < link->receivers; r++)
        for (int end = 0; end < 2; end++)
            if (link->fds[r][end] >= 0)
                close(link->fds[r][end]);
    if (link->memory != NULL)
        munmap(link->memory, link->memory_bytes);
    *link = (struct rz_link){0};
}

static int share(struct rz_link *link, size_t bytes, struct rz_complaint *complaint)
{
    link->memory = rz_link_share(bytes);
    link->memory_bytes = bytes;
    return link->memory != NULL ? RZ_EXIT_OK : rz_complain_memory(complaint);
}

/* ------------------------------------------------------------------------------------------------
 * A line
 */

static int line_open(struct rz_link *link, struct rz_complaint *complaint)
{
    return share(link, RZ_LINE_BYTES, complaint);
}

static bool line_send(struct rz_link *link, const void *record)
{
    uint64_t word;
    memcpy(&word, record, sizeof word);
    /* release: pairs with line_receive(). */
    atomic_store_explicit((_Atomic uint64_t *)link->memory, word, memory_order_release);
    return true;
}

static bool line_receive(struct rz_link *link, uint32_t receiver, void *record)
{
    (void)receiver;
    uint64_t word;
    /* No pause: this is the limit. acquire: pairs with line_send(). */
    do
        word = atomic_load_explicit((_Atomic uint64_t *)link->memory, memory_order_acquire);
    while (word == link->seen);
    link->seen = word;
    memcpy(record, &word, sizeof word);
    return true;
}

const struct rz_link_way rz_link_line = {.name = "line",
                                         .label = "bare cache line",
                                         .spins = true,
                                         .most_bytes = UINT32_MAX,
                                         .open = line_open,
                                         .send = line_send,
                                         .receive = line_receive};

/* ------------------------------------------------------------------------------------------------
 * Our ring: the mask of sleepers, cursors, data. The sender is rank 0, a receiver r is rank 1 + r.
 */

static void ring_view(struct rz_link *link, uint32_t rank)
{
    const uint32_t world = 1 + link->receivers;
    char *memory = link->memory;
    link->waiter = rz_link_waiter(link->memory, rank, link->way->spins);
    rz_ring_open(&link->ring, &(struct rz_ring_config){.control = memory + RZ_LINE_BYTES,
                                                       .data = memory + RZ_LINE_BYTES +
                                                               rz_ring_control_bytes(world),
                                                       .slots = SLOTS,
                                                       .payload_bytes = link->bytes,
                                                       .rank = rank,
                                                       .producer = 0,
                                                       .world = world,
                                                       .first_sequence = 1,
                                                       .waiter = &link->waiter});
}

static int ring_open(struct rz_link *link, struct rz_complaint *complaint)
{
    const size_t bytes = RZ_LINE_BYTES + rz_ring_control_bytes(1 + link->receivers) +
                         rz_ring_data_bytes(SLOTS, link->bytes);
    const int status = share(link, bytes, complaint);
    if (status == RZ_EXIT_OK)
        ring_view(link, 0);
    return status;
}

static void ring_begin(struct rz_link *link, uint32_t receiver)
{
    ring_view(link, 1 + receiver);
}

static bool ring_send(struct rz_link *link, const void *record)
{
    struct rz_error err;
    return rz_ring_publish(&link->ring, 1, record, link->bytes, NO_DEADLINE, &err) == RZ_OK;
}

static bool ring_receive(struct rz_link *link, uint32_t receiver, void *record)
{
    (void)receiver;
    struct rz_error err;
    uint32_t type;
    size_t bytes;
    return rz_ring_consume(&link->ring, &type, record, link->bytes, &bytes, NO_DEADLINE, &err) ==
           RZ_OK;
}

const struct rz_link_way rz_link_ring_spin = {.name = "ring-spin",
                                              .label = "ring, spinning",
                                              .spins = true,
                                              .queues = true,
                                              .most_bytes = UINT32_MAX,
                                              .open = ring_open,
                                              .begin = ring_begin,
                                              .send = ring_send,
                                              .receive = ring_receive};

const struct rz_link_way rz_link_ring_sleep = {.name = "ring-sleep",
                                               .label = "ring, sleeping",
                                               .queues = true,
                                               .most_bytes = UINT32_MAX,
                                               .open = ring_open,
                                               .begin = ring_begin,
                                               .send = ring_send,
                                               .receive = ring_receive};
