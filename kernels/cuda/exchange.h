/* SPDX-License-Identifier: Apache-2.0
 *
 * exchange.h - what is launched on a GPU around the sampling kernels, so that a step needs no host:
 *
 *   rz_cuda_fetch      parameters, from pinned memory of the host to the device's
 *   rz_cuda_hand_in    a rank's logits are there: says so in memory shared by the job's processes
 *   rz_cuda_await      rank 0: until all ranks have handed in
 *   rz_cuda_publish    rank 0: ids into the ring, and the outcome: the step is done
 *   rz_cuda_take       other ranks: ids out of the ring, into memory of their device
 *
 * The ring and the words live in memory of the host that several processes map and have registered
 * with CUDA. What changes from step to step is read from `orders`, in pinned memory, when a kernel
 * runs: a captured step can be replayed.
 *
 * Memory orders, all at system scope. Words are written by one side only; none is read, changed and
 * written, which PCIe cannot do in one.
 *
 *   hand_in   everything the stream did before; release store of `handed`
 *   await     acquire load of `handed`; barrier of the block; the kernels after it
 *   publish   stamp = 0; fence; words; fence by each thread; barrier; release store of the stamp,
 *             then of the tail and of every rank's `ready`
 *   take      acquire load of the stamp, equal to the sequence; words; fence; the stamp again
 *
 * as rz_ring_publish() and rz_ring_consume() have it, either of which may be on the other end.
 *
 * Whatever waits ends when the job does (`ended`), or when patience_ns have passed, and says so in
 * the outcome: then nothing is published, and ids are -1.
 */
#ifndef RZ_KERNELS_CUDA_EXCHANGE_H
#define RZ_KERNELS_CUDA_EXCHANGE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define RZ_CUDA_EXCHANGE_THREADS 256u /* of a block of these kernels */
#define RZ_CUDA_FETCH_BLOCKS 32u

/* What the host writes before each run, pinned. */
struct rz_cuda_orders {
    uint64_t sequence;      /* of the record in the ring */
    uint64_t step;          /* number of the step, in the record */
    uint64_t patience_ns;   /* a kernel waits for other ranks no longer */
    const void *fetch_from; /* parameters: pinned, 16-byte aligned, as all of these */
    void *fetch_to;         /* on the device */
    uint64_t fetch_bytes;
    uint64_t head_bytes;  /* the first of them go to fetch_args.head too */
    uint32_t logits_rows; /* of this step, on every rank */
    uint32_t draw_count;  /* rank 0: ids of this step */
    uint32_t row_count;   /* rank 0: rows that are drawn */
    uint32_t reserved;
};

/* enum: how waiting ended */
#define RZ_CUDA_PENDING 0u /* the step has not come to its end */
#define RZ_CUDA_DONE 1u
#define RZ_CUDA_LATE 2u    /* `rank` did not come in time */
#define RZ_CUDA_OVER 3u    /* the job has ended */
#define RZ_CUDA_DIFFERS 4u /* `rank` handed in `rows` rows */
#define RZ_CUDA_OTHER_ROWS \
    6u                     /* what was launched is for another number of rows than was asked for */
#define RZ_CUDA_NOT_IDS 5u /* what is in the ring is not what rank 0 publishes */

/* What the device says of a run, pinned; the host sets it to zero before. `state` is written last,
 * with release, once the results are there. */
struct rz_cuda_outcome {
    uint32_t state; /* RZ_CUDA_* */
    uint32_t rank;
    uint32_t rows;
    uint32_t count; /* take: ids */
};

struct rz_cuda_fetch_args {
    const struct rz_cuda_orders *orders;
    void *head; /* on the device: what kernels are launched with leads there, in every replay */
};

/* `handed` of a rank: its step's low 32 bits, and above them its rows. */
struct rz_cuda_hand_in_args {
    const struct rz_cuda_orders *orders;
    uint64_t *handed;
};

struct rz_cuda_await_args {
    const struct rz_cuda_orders *orders;
    struct rz_cuda_outcome *outcome;
    const uint32_t *ended;  /* not 0 once the job is over */
    const uint64_t *handed; /* of rank 0 */
    size_t stride;          /* bytes to that of the next rank */
    uint32_t world;
    uint32_t reserved;
};

/* A record in the ring: kind, then words of the payload: the step, the count of ids, the ids. */
struct rz_cuda_ring {
    char *slots;
    size_t slot_bytes;
    uint64_t slot_mask; /* slots - 1 */
    uint32_t *tail;
};

struct rz_cuda_publish_args {
    const struct rz_cuda_orders *orders;
    struct rz_cuda_outcome *outcome;
    const uint32_t *ended;    /* then nothing is published: what was gathered may not be there */
    const int32_t *ids;       /* device */
    struct rz_cuda_ring ring; /* slots NULL: into none, the host publishes */
    uint64_t kind;            /* of such a record, but for its bytes */
    uint32_t *ready;          /* of rank 0: the sequence's low 32 bits, for cuStreamWaitValue32() */
    size_t stride;
    uint32_t world;
    uint32_t row_count; /* that the kernels before were launched for */
};

struct rz_cuda_take_args {
    const struct rz_cuda_orders *orders;
    struct rz_cuda_outcome *outcome;
    const uint32_t *ended;
    int32_t *ids; /* device, [max_rows] */
    struct rz_cuda_ring ring;
    uint64_t kind;
    uint32_t max_rows;
    uint32_t vocab_size;
};

static_assert(sizeof(struct rz_cuda_orders) == 72, "the host and the device lay it out alike");
static_assert(sizeof(struct rz_cuda_publish_args) == 96,
              "the host and the device lay it out alike");
static_assert(sizeof(struct rz_cuda_take_args) == 80, "the host and the device lay it out alike");

/* A slot: stamp, kind, payload. */
#define RZ_CUDA_SLOT_KIND 8u
#define RZ_CUDA_SLOT_PAYLOAD 16u
#define RZ_CUDA_RECORD_BYTES 16u /* of the step and the count, before the ids */

#ifdef __cplusplus
#ifdef RZ_CUDA_SOURCE
extern "C" {
__global__ void rz_cuda_fetch(const struct rz_cuda_fetch_args args);
__global__ void rz_cuda_hand_in(const struct rz_cuda_hand_in_args args);
__global__ void rz_cuda_await(const struct rz_cuda_await_args args);
__global__ void rz_cuda_publish(const struct rz_cuda_publish_args args);
__global__ void rz_cuda_take(const struct rz_cuda_take_args args);
}
#endif
#endif

#endif
