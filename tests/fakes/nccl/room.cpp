/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/nccl/room.h"

#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fake {

namespace {

constexpr uint64_t kMagic = 0x72667A6E63636C31; /* of an id */

struct place {
    uint64_t magic;
    int32_t process, file;
    uint64_t inode;
};

static_assert(sizeof(place) <= sizeof(rz_nccl_id), "it is copied into one");

place place_of(const rz_nccl_id &id)
{
    place at = {};
    std::memcpy(&at, id.bytes, sizeof at);
    return at;
}

uint64_t inode_of(int file)
{
    struct stat status = {};
    return fstat(file, &status) == 0 ? status.st_ino : 0;
}

} // namespace

bool make_id(rz_nccl_id *id)
{
    const int file = memfd_create("fake NCCL", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, sizeof(room)) != 0)
        return false;
    const place at = {kMagic, getpid(), file, inode_of(file)};
    *id = {};
    std::memcpy(id->bytes, &at, sizeof at);
    return true;
}

void forget_id(const rz_nccl_id &id)
{
    const place at = place_of(id);
    if (at.process == getpid() && inode_of(at.file) == at.inode)
        close(at.file);
}

room *enter_room(const rz_nccl_id &id)
{
    const place at = place_of(id);
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%d/fd/%d", at.process, at.file);
    const int file = at.magic == kMagic ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return nullptr;
    void *memory = MAP_FAILED;
    if (inode_of(file) == at.inode)
        memory = mmap(nullptr, sizeof(room), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    return memory == MAP_FAILED ? nullptr : static_cast<room *>(memory);
}

void leave_room(room *r)
{
    munmap(r, sizeof *r);
}

/* An entry is its collective's number, from 1, above what it is. Whoever comes first writes it; the
 * entry of a later one says nothing of this one. */
bool agree(room *r, uint64_t n, uint32_t what)
{
    std::atomic<uint64_t> &entry = r->collectives[n % 256];
    const uint64_t own = (n + 1) << 32 | what;
    uint64_t found = entry.load();
    while (found >> 32 < own >> 32)
        if (entry.compare_exchange_weak(found, own))
            return true;
    return found >> 32 > own >> 32 || found == own;
}

} // namespace fake
