/* SPDX-License-Identifier: Apache-2.0
 *
 * gather.cpp - ncclGather(), which NCCL has since 2.28.
 */
#include "tests/fakes/nccl/comm.h"

using namespace fake;

namespace {

/* What the root and the others do; they must mean the same. */
std::vector<transfer> transfers_of(const void *from, void *to, size_t bytes, int root,
                                   const shared_state &s)
{
    std::vector<transfer> made;
    made.push_back({true, root, static_cast<char *>(const_cast<void *>(from)), bytes, 0, bytes});
    for (int rank = 0; s.rank == root && rank < s.ranks; rank++)
        made.push_back({false, rank, static_cast<char *>(to) + static_cast<size_t>(rank) * bytes,
                        bytes, 0, bytes});
    return made;
}

} // namespace

int ncclGather(const void *from, void *to, size_t count, int type, int root, rz_nccl_comm comm,
               rz_cuda_stream stream)
{
    return note_failure(call([&](guard &) -> int {
        expect_comm(comm, "ncclGather");
        int code = expect_ready(comm);
        if (code != nccl_success)
            return code;
        const shared_state &s = *comm->shared;
        const size_t bytes = count * element_bytes(type);
        if (element_bytes(type) == 0 || root < 0 || root >= s.ranks)
            return fail(comm, nccl_invalid_argument, "no such type or root");
        code = expect_device_memory(comm, from, bytes);
        if (code == nccl_success && s.rank == root)
            code = expect_device_memory(comm, to, bytes * static_cast<size_t>(s.ranks));
        if (code != nccl_success)
            return code;
        const auto what = static_cast<uint32_t>(bytes << 8) | static_cast<uint32_t>(root);
        if (!agree(s.meeting, comm->collectives++, what))
            give_up("ncclGather: rank %d has root %d and %zu bytes, another rank has not", s.rank,
                    root, bytes);
        return add_transfers(comm, stream, transfers_of(from, to, bytes, root, s));
    }));
}
