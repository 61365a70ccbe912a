/* SPDX-License-Identifier: Apache-2.0
 *
 * room.h - memory that the ranks of a communicator share.
 *
 * It is a memfd of whoever made the unique id, which says where others find it: nothing is left of
 * it when all processes are gone. Between any two ranks, each way, there is a ring of bytes.
 */
#ifndef RZ_TESTS_FAKES_NCCL_ROOM_H
#define RZ_TESTS_FAKES_NCCL_ROOM_H

#include <atomic>
#include <cstddef>

#include "gpu/nccl.h"

namespace fake {

constexpr int kMostRanks = 32;
constexpr size_t kChannelBytes = size_t{16} << 10;

/* One rank writes and one reads, both modulo the size of `bytes`. */
struct channel {
    alignas(64) std::atomic<uint64_t> written;
    alignas(64) std::atomic<uint64_t> read;
    alignas(64) char bytes[kChannelBytes];
};

struct seat {
    std::atomic<uint32_t> taken;
    int32_t ranks; /* that this rank expects */
    rz_cuda_uuid device;
};

struct room {
    std::atomic<uint32_t> present; /* ranks whose seats are filled in */
    seat seats[kMostRanks];
    /* What the nth collective is, by n modulo their number: see agree(). */
    std::atomic<uint64_t> collectives[256];
    channel channels[kMostRanks][kMostRanks]; /* from, to */
};

/* make_id - a new room's. The process keeps it open until forget_id(). */
bool make_id(rz_nccl_id *id);
void forget_id(const rz_nccl_id &id);

/* enter_room - nullptr: there is no such room any more, or it never was. */
room *enter_room(const rz_nccl_id &id);
void leave_room(room *r);

/* agree - is the nth collective of all that have come to it the same? */
bool agree(room *r, uint64_t n, uint32_t what);

} // namespace fake

#endif
