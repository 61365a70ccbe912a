/* SPDX-License-Identifier: Apache-2.0
 *
 * operation.cpp - groups, and what is sent and received in them.
 */
#include <algorithm>
#include <list>

#include "tests/fakes/nccl/comm.h"

namespace fake {

namespace {

/* Of the calling thread. */
struct open_group {
    uint32_t depth;
    int failure;
    std::vector<rz_nccl_comm> comms; /* that have operations in it */
};

thread_local open_group opened;

/* What a stream does of a group, as often as it is asked to. */
struct plan {
    std::shared_ptr<shared_state> shared;
    std::vector<transfer> transfers;
    bool never; /* it is never done */
    bool has_run;
    std::list<std::vector<transfer>> runs;
};

int poll(void *asked, void **run)
{
    auto *own = static_cast<plan *>(asked);
    auto *left = static_cast<std::vector<transfer> *>(*run);
    if (left == nullptr) {
        if (own->shared->aborted.load() && own->has_run)
            give_up("a graph is replayed whose communicator is gone");
        own->has_run = true;
        own->runs.push_front(own->transfers);
        *run = left = &own->runs.front();
    }
    const bool ends = own->shared->aborted.load();
    if (!ends && (own->never || !move_on(own->shared->meeting, own->shared->rank, left)))
        return FAKE_CUDA_NOT_YET;
    own->runs.remove_if([left](const std::vector<transfer> &one) { return &one == left; });
    return FAKE_CUDA_DONE;
}

void release(void *asked)
{
    auto *own = static_cast<plan *>(asked);
    own->shared->plans.fetch_sub(1);
    delete own;
}

/* From this operation on, of all in the process, the peers are gone. */
bool peers_are_gone()
{
    static uint64_t operations = 0;
    const uint64_t last = chosen("RZ_FAKE_NCCL_ASYNC_FAIL", 0);
    return last != 0 && ++operations >= last && is_rank_chosen();
}

int enqueue(rz_nccl_comm comm, const group &g)
{
    auto *own = new plan{comm->shared, g.transfers, peers_are_gone(), false, {}};
    const bool gone = own->never;
    comm->shared->plans.fetch_add(1);
    std::vector<fake_cuda_range> ranges;
    for (const transfer &t : g.transfers)
        ranges.push_back({t.memory, t.bytes, t.sends ? 0 : 1});
    const fake_cuda_work work = {"NCCL",        poll,         release, own, comm->shared.get(),
                                 ranges.data(), ranges.size()};
    const int code = fake_cuda().enqueue(g.stream, &work);
    if (code != RZ_CUDA_SUCCESS)
        return fail(comm, nccl_unhandled_cuda_error, "the work cannot be enqueued");
    return gone ? fail(comm, nccl_remote_error, "a peer is gone") : nccl_success;
}

/* Groups of a communicator that blocks are in their streams when the call returns; of others some
 * time later, while the caller asks. */
int hand_in(rz_nccl_comm comm)
{
    std::move(comm->opened.begin(), comm->opened.end(), std::back_inserter(comm->waiting));
    comm->opened.clear();
    if (comm->blocks) {
        const int code = enqueue_waiting(comm);
        comm->state = code;
        return code == nccl_remote_error ? nccl_success : code;
    }
    comm->state = nccl_in_progress;
    comm->asks_left = random_below(3);
    return nccl_in_progress;
}

/* The transfers of each stream come together. */
void add_to_group(rz_nccl_comm comm, rz_cuda_stream stream, const std::vector<transfer> &added)
{
    for (group &g : comm->opened) {
        if (g.stream != stream)
            continue;
        g.transfers.insert(g.transfers.end(), added.begin(), added.end());
        return;
    }
    comm->opened.push_back({stream, added});
}

int end_group()
{
    int code = opened.failure;
    for (rz_nccl_comm comm : opened.comms) {
        if (opened.failure != nccl_success) {
            comm->opened.clear();
            continue;
        }
        const int result = hand_in(comm);
        if (code == nccl_success || (code == nccl_in_progress && result != nccl_success))
            code = result;
    }
    opened.failure = nccl_success;
    opened.comms.clear();
    return code;
}

} // namespace

int enqueue_waiting(rz_nccl_comm comm)
{
    int code = nccl_success;
    for (const group &g : comm->waiting) {
        const int result = enqueue(comm, g);
        code = code == nccl_success ? result : code;
    }
    comm->waiting.clear();
    return code;
}

int expect_device_memory(rz_nccl_comm comm, const void *memory, size_t bytes)
{
    if (bytes == 0 || fake_cuda().has_device_memory(memory, bytes) != 0)
        return nccl_success;
    return fail(comm, nccl_invalid_argument, "the buffer is not in device memory");
}

int add_transfers(rz_nccl_comm comm, rz_cuda_stream stream, const std::vector<transfer> &added)
{
    add_to_group(comm, stream, added);
    std::vector<rz_nccl_comm> &comms = opened.comms;
    if (std::find(comms.begin(), comms.end(), comm) == comms.end())
        comms.push_back(comm);
    return opened.depth > 0 ? nccl_success : end_group();
}

void forget_comm(rz_nccl_comm comm)
{
    std::vector<rz_nccl_comm> &comms = opened.comms;
    comms.erase(std::remove(comms.begin(), comms.end(), comm), comms.end());
}

int note_failure(int code)
{
    if (code > nccl_success && code != nccl_in_progress && opened.depth > 0 &&
        opened.failure == nccl_success)
        opened.failure = code;
    return code;
}

namespace {

int send_or_receive(bool sends, void *memory, size_t count, int type, int peer, rz_nccl_comm comm,
                    rz_cuda_stream stream)
{
    return note_failure(call([&](guard &) -> int {
        expect_comm(comm, sends ? "ncclSend" : "ncclRecv");
        int code = expect_ready(comm);
        if (code != nccl_success)
            return code;
        const size_t bytes = count * element_bytes(type);
        if (element_bytes(type) == 0 || peer < 0 || peer >= comm->shared->ranks)
            return fail(comm, nccl_invalid_argument, "no such type or peer");
        code = expect_device_memory(comm, memory, bytes);
        if (code != nccl_success)
            return code;
        return add_transfers(comm, stream,
                             {{sends, peer, static_cast<char *>(memory), bytes, 0, bytes}});
    }));
}

} // namespace

} // namespace fake

using namespace fake;

int ncclGroupStart(void)
{
    return call([&](guard &) {
        opened.depth++;
        return nccl_success;
    });
}

/* Made to fail, it ends the group without doing any of it. */
int ncclGroupEnd(void)
{
    guard lock(nccl_mutex());
    if (opened.depth == 0)
        return nccl_invalid_usage;
    if (is_its_turn() && opened.failure == nccl_success)
        opened.failure = code_of_failure(nccl_internal_error);
    return --opened.depth > 0 ? nccl_success : end_group();
}

int ncclSend(const void *from, size_t count, int type, int peer, rz_nccl_comm comm,
             rz_cuda_stream stream)
{
    return send_or_receive(true, const_cast<void *>(from), count, type, peer, comm, stream);
}

int ncclRecv(void *to, size_t count, int type, int peer, rz_nccl_comm comm, rz_cuda_stream stream)
{
    return send_or_receive(false, to, count, type, peer, comm, stream);
}
