/* SPDX-License-Identifier: Apache-2.0
 *
 * exchange.cu - parameters in, ids out, and who waits for whom.
 *
 *   work     one block, but for rz_cuda_fetch
 *   traffic  over PCIe: the parameters once; 4 bytes an id and some words
 *   bound    latency
 */
#define RZ_CUDA_SOURCE
#include "kernels/cuda/exchange.h"

#include "kernels/cuda/system.cuh"

namespace {

/* How long this kernel may go on waiting. */
struct patience {
    uint64_t begun, limit;
    const uint32_t *ended;

    /* RZ_CUDA_PENDING while there is reason to wait. */
    __device__ uint32_t state() const
    {
        if (load_acquire(ended) != 0)
            return RZ_CUDA_OVER;
        return clock_ns() - begun > limit ? RZ_CUDA_LATE : RZ_CUDA_PENDING;
    }

    /* RZ_CUDA_DONE once is_there(), or why it will not be. Who leaves the job may have done its
     * part just before: that counts. */
    template <typename Condition>
    __device__ uint32_t wait_until(Condition is_there) const
    {
        for (;;) {
            const uint32_t now = state();
            if (is_there())
                return RZ_CUDA_DONE;
            if (now != RZ_CUDA_PENDING)
                return now;
            wait_a_moment();
        }
    }
};

__device__ inline uint64_t *slot_of(const rz_cuda_ring &ring, uint64_t sequence)
{
    return reinterpret_cast<uint64_t *>(ring.slots + (sequence & ring.slot_mask) * ring.slot_bytes);
}

template <typename T>
__device__ T *of_rank(T *first, size_t stride, uint32_t rank)
{
    return reinterpret_cast<T *>(reinterpret_cast<uintptr_t>(first) + stride * rank);
}

/* Two ids to a word; past the last one, 0. */
__device__ inline uint64_t word_of_ids(const int32_t *ids, uint32_t count, uint32_t word)
{
    const uint32_t low = static_cast<uint32_t>(ids[2 * word]);
    const uint32_t high = 2 * word + 1 < count ? static_cast<uint32_t>(ids[2 * word + 1]) : 0;
    return static_cast<uint64_t>(high) << 32 | low;
}

/* The rows of a rank, once it has handed in this step, or why it will not. */
__device__ uint32_t wait_for_rank(const rz_cuda_await_args &args, const patience &patience,
                                  uint32_t rank, uint32_t *rows)
{
    const uint64_t *handed = of_rank(args.handed, args.stride, rank);
    const uint32_t step = static_cast<uint32_t>(args.orders->step);
    uint64_t seen = 0;
    const uint32_t state = patience.wait_until([&] {
        seen = load_acquire(handed);
        return static_cast<uint32_t>(seen) == step;
    });
    *rows = static_cast<uint32_t>(seen >> 32);
    return state == RZ_CUDA_DONE && *rows != args.orders->logits_rows ? RZ_CUDA_DIFFERS : state;
}

/* By all threads. */
__device__ void put_into_ring(const rz_cuda_publish_args &args)
{
    const uint64_t sequence = args.orders->sequence;
    const uint32_t count = args.orders->draw_count;
    uint64_t *slot = slot_of(args.ring, sequence);
    if (threadIdx.x == 0) {
        store_relaxed(slot, 0);
        fence_system(); /* a reader that sees a word of this record sees the 0, or later */
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        store_relaxed(slot + 1, args.kind | (RZ_CUDA_RECORD_BYTES + count * sizeof(int32_t)));
        store_relaxed(slot + 2, args.orders->step);
        store_relaxed(slot + 3, count);
    }
    for (uint32_t word = threadIdx.x; word < (count + 1) / 2; word += blockDim.x)
        store_relaxed(slot + 4 + word, word_of_ids(args.ids, count, word));
    fence_system();
    __syncthreads();
    if (threadIdx.x == 0) {
        store_release(slot, sequence);
        store_release(args.ring.tail, static_cast<uint32_t>(sequence));
    }
    __syncthreads(); /* the ids are there for whoever sees `ready` */
    for (uint32_t rank = threadIdx.x; rank < args.world; rank += blockDim.x)
        store_release(of_rank(args.ready, args.stride, rank), static_cast<uint32_t>(sequence));
}

/* How many ids the record has, if it is the one that is due; otherwise UINT32_MAX. */
__device__ inline uint32_t ids_in(const rz_cuda_take_args &args, const uint64_t *slot)
{
    const uint64_t kind = load_relaxed(slot + 1);
    const uint64_t count = load_relaxed(slot + 3);
    const uint64_t bytes = RZ_CUDA_RECORD_BYTES + count * sizeof(int32_t);
    const bool right = count <= args.max_rows && kind == (args.kind | bytes) &&
                       load_relaxed(slot + 2) == args.orders->step;
    return right ? static_cast<uint32_t>(count) : UINT32_MAX;
}

/* Copies this thread's share of the ids; whether all of it are ids, or -1. */
__device__ bool copy_ids(const rz_cuda_take_args &args, const uint64_t *words, uint32_t count)
{
    bool right = true;
    for (uint32_t i = threadIdx.x; i < count; i += blockDim.x) {
        const uint64_t word = load_relaxed(words + i / 2);
        const int32_t id = static_cast<int32_t>(static_cast<uint32_t>(word >> 32 * (i % 2)));
        right = right && id >= -1 && id < static_cast<int32_t>(args.vocab_size);
        args.ids[i] = id;
    }
    return right;
}

} // namespace

extern "C" __global__ void __launch_bounds__(RZ_CUDA_EXCHANGE_THREADS, 1)
    rz_cuda_fetch(const rz_cuda_fetch_args args)
{
    const uint4 *from = static_cast<const uint4 *>(args.orders->fetch_from);
    uint4 *to = static_cast<uint4 *>(args.orders->fetch_to),
          *head = static_cast<uint4 *>(args.head);
    const uint64_t count = args.orders->fetch_bytes / sizeof(uint4);
    const uint64_t in_head = args.orders->head_bytes / sizeof(uint4);
    for (uint64_t i = blockIdx.x * blockDim.x + threadIdx.x; i < count;
         i += gridDim.x * blockDim.x) {
        const uint4 bytes = from[i];
        to[i] = bytes;
        if (i < in_head)
            head[i] = bytes;
    }
}

extern "C" __global__ void __launch_bounds__(RZ_CUDA_EXCHANGE_THREADS, 1)
    rz_cuda_hand_in(const rz_cuda_hand_in_args args)
{
    if (threadIdx.x != 0)
        return;
    const uint64_t rows = args.orders->logits_rows;
    /* What kernels before this one wrote is in memory of the device; the fence has it there for
     * whoever sees the word, from wherever. */
    fence_system();
    store_release(args.handed, rows << 32 | static_cast<uint32_t>(args.orders->step));
}

/* A thread waits for a rank; of those that fail, the lowest is told. */
extern "C" __global__ void __launch_bounds__(RZ_CUDA_EXCHANGE_THREADS, 1)
    rz_cuda_await(const rz_cuda_await_args args)
{
    __shared__ uint32_t first;
    const patience patience = {clock_ns(), args.orders->patience_ns, args.ended};
    const uint32_t rank = threadIdx.x;
    uint32_t rows = 0, state = RZ_CUDA_DONE;
    if (rank == 0)
        first = args.world;
    __syncthreads();
    if (rank > 0 && rank < args.world)
        state = wait_for_rank(args, patience, rank, &rows);
    if (state != RZ_CUDA_DONE)
        atomicMin(&first, rank);
    __syncthreads();
    if (first < args.world && rank == first) {
        args.outcome->rank = rank;
        args.outcome->rows = rows;
        store_release(&args.outcome->state, state);
    }
}

extern "C" __global__ void __launch_bounds__(RZ_CUDA_EXCHANGE_THREADS, 1)
    rz_cuda_publish(const rz_cuda_publish_args args)
{
    if (load_acquire(&args.outcome->state) != RZ_CUDA_PENDING)
        return; /* nobody can rely on what was drawn */
    /* A gather by NCCL that is aborted ends too, without its data: the job has ended by then. */
    const bool over = __syncthreads_or(load_acquire(args.ended) != 0) != 0;
    const bool fits = args.orders->row_count == args.row_count;
    if (!over && fits && args.ring.slots != nullptr)
        put_into_ring(args);
    /* The results that kernels before this one wrote are there for the host that sees it. */
    fence_system();
    if (threadIdx.x == 0)
        store_release(&args.outcome->state, over   ? RZ_CUDA_OVER
                                            : fits ? RZ_CUDA_DONE
                                                   : RZ_CUDA_OTHER_ROWS);
}

extern "C" __global__ void __launch_bounds__(RZ_CUDA_EXCHANGE_THREADS, 1)
    rz_cuda_take(const rz_cuda_take_args args)
{
    __shared__ uint32_t state, count;
    const uint64_t sequence = args.orders->sequence;
    const uint64_t *slot = slot_of(args.ring, sequence);
    if (threadIdx.x == 0) {
        const patience patience = {clock_ns(), args.orders->patience_ns, args.ended};
        state = patience.wait_until([&] { return load_acquire(slot) == sequence; });
        count = state == RZ_CUDA_DONE ? ids_in(args, slot) : 0;
        if (count == UINT32_MAX)
            state = RZ_CUDA_NOT_IDS;
    }
    __syncthreads();
    bool right = state == RZ_CUDA_DONE;
    if (right) {
        right = copy_ids(args, slot + 4, count);
        fence_system(); /* the second look at the stamp comes after the words */
        right = right && load_relaxed(slot) == sequence;
    }
    const bool wrong = __syncthreads_or(!right) != 0;
    if (wrong)
        for (uint32_t i = threadIdx.x; i < args.max_rows; i += blockDim.x)
            args.ids[i] = -1;
    if (threadIdx.x == 0) {
        args.outcome->count = wrong ? 0 : count;
        args.outcome->rank = 0;
        store_release(&args.outcome->state,
                      wrong && state == RZ_CUDA_DONE ? RZ_CUDA_NOT_IDS : state);
    }
}
