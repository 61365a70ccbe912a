/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/nccl/transfer.h"

#include <algorithm>
#include <cstring>

#include "tests/fakes/settings.h"

namespace fake {

namespace {

constexpr uint64_t kLengthBytes = sizeof(uint64_t);

/* Up to `most` bytes; how many there was room for. */
size_t write_some(channel *c, const char *from, size_t most)
{
    const uint64_t written = c->written.load(std::memory_order_relaxed);
    const uint64_t read = c->read.load(std::memory_order_acquire);
    const size_t at = written % kChannelBytes;
    const size_t count = std::min({most, kChannelBytes - (written - read), kChannelBytes - at});
    std::memcpy(c->bytes + at, from, count);
    c->written.store(written + count, std::memory_order_release);
    return count;
}

size_t read_some(channel *c, char *to, size_t most)
{
    const uint64_t read = c->read.load(std::memory_order_relaxed);
    const uint64_t written = c->written.load(std::memory_order_acquire);
    const size_t at = read % kChannelBytes;
    const size_t count = std::min({most, size_t{written - read}, kChannelBytes - at});
    std::memcpy(to, c->bytes + at, count);
    c->read.store(read + count, std::memory_order_release);
    return count;
}

/* As much as can be moved at once of the length or the message, whichever is next. */
size_t move_some(channel *c, transfer *t)
{
    const bool length = t->done < kLengthBytes;
    char *memory = length ? reinterpret_cast<char *>(&t->announced) + t->done
                          : t->memory + (t->done - kLengthBytes);
    const size_t left = (length ? kLengthBytes : kLengthBytes + t->bytes) - t->done;
    const size_t count = t->sends ? write_some(c, memory, left) : read_some(c, memory, left);
    t->done += count;
    return count;
}

bool is_done(const transfer &t)
{
    return t.done == kLengthBytes + t.bytes;
}

void move(room *r, int rank, transfer *t)
{
    channel *c = t->sends ? &r->channels[rank][t->peer] : &r->channels[t->peer][rank];
    while (!is_done(*t) && move_some(c, t) != 0)
        if (t->done == kLengthBytes && t->announced != t->bytes)
            give_up("rank %d expects %zu bytes of rank %d, which sends %llu", rank, t->bytes,
                    t->peer, static_cast<unsigned long long>(t->announced));
}

} // namespace

bool move_on(room *r, int rank, std::vector<transfer> *group)
{
    bool waits[2][kMostRanks] = {}; /* for an earlier message of this peer */
    bool all = true;
    for (transfer &t : *group) {
        bool &held = waits[t.sends ? 1 : 0][t.peer];
        if (!held)
            move(r, rank, &t);
        held = held || !is_done(t);
        all = all && !held;
    }
    return all;
}

} // namespace fake
