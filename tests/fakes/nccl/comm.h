/* SPDX-License-Identifier: Apache-2.0
 *
 * comm.h - a communicator, as its calls and its work see it.
 */
#ifndef RZ_TESTS_FAKES_NCCL_COMM_H
#define RZ_TESTS_FAKES_NCCL_COMM_H

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/fakes/nccl/calls.h"
#include "tests/fakes/nccl/transfer.h"

namespace fake {

/* What work of a communicator needs, which may outlive it. */
struct shared_state {
    room *meeting;
    int rank, ranks;
    std::atomic<bool> aborted;
    std::atomic<uint64_t> plans; /* that wait, are being done, or are in a graph */
    ~shared_state()
    {
        if (meeting != nullptr)
            leave_room(meeting);
    }
};

/* Operations of a group that one stream does together. */
struct group {
    rz_cuda_stream stream;
    std::vector<transfer> transfers;
};

struct registration {
    const void *begin;
    size_t bytes;
};

} // namespace fake

struct ncclComm {
    std::shared_ptr<fake::shared_state> shared;
    rz_nccl_id id;
    bool blocks;
    int state;            /* what ncclCommGetAsyncError() says */
    bool has_met;         /* all ranks have come */
    bool finalized;       /* or about to be */
    uint64_t asks_left;   /* before a group is in its stream */
    uint64_t collectives; /* so far */
    std::string last_error;
    std::vector<fake::group> opened;  /* by calls in a group */
    std::vector<fake::group> waiting; /* that ended, and are not in their streams yet */
    std::map<void *, fake::registration> registrations;
};

namespace fake {

/* expect_comm - give up if it is none. */
void expect_comm(rz_nccl_comm comm, const char *call);

/* The code for a call on a communicator that is not ready for it; success if it is. */
int expect_ready(rz_nccl_comm comm);

int fail(rz_nccl_comm comm, int code, const char *why);

/* enqueue_waiting - put its groups into their streams. */
int enqueue_waiting(rz_nccl_comm comm);

/* add_transfers - of one call: enqueued when the group ends that the calling thread is in, else at
 * once. */
int add_transfers(rz_nccl_comm comm, rz_cuda_stream stream, const std::vector<transfer> &added);

/* note_failure - of a call: in a group it is what the group's end returns. Returns the code. */
int note_failure(int code);

/* The code for a buffer of an operation that is not all in device memory. */
int expect_device_memory(rz_nccl_comm comm, const void *memory, size_t bytes);

/* forget_comm - in the group that the calling thread is in. */
void forget_comm(rz_nccl_comm comm);

} // namespace fake

#endif
