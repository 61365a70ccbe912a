/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.cpp - pages, and what is known to be where.
 */
#include "tests/fakes/cuda/memory.h"

#include <cstring>
#include <map>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define FAKE_CUDA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FAKE_CUDA_ASAN 1
#endif
#endif

#ifdef FAKE_CUDA_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace fake {

namespace {

/* Addresses are never used twice, so that what is freed is known for ever. Nothing is there but
 * what is allocated. */
constexpr size_t kAddresses = size_t{1} << 40;

std::map<uintptr_t, block> &blocks()
{
    static auto *all = new std::map<uintptr_t, block>;
    return *all;
}

uintptr_t first_address()
{
    static const uintptr_t first = [] {
        void *all = mmap(nullptr, kAddresses, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (all == MAP_FAILED)
            give_up("mmap: no addresses for device memory");
        return reinterpret_cast<uintptr_t>(all);
    }();
    return first;
}

} // namespace

block *find_block(uintptr_t begin, size_t bytes)
{
    auto found = blocks().upper_bound(begin);
    if (found == blocks().begin())
        return nullptr;
    block &b = (--found)->second;
    return begin >= b.begin && begin <= b.end && bytes <= b.end - begin ? &b : nullptr;
}

block *find_start(uintptr_t begin, kind what)
{
    const auto found = blocks().find(begin);
    return found == blocks().end() || found->second.what != what ? nullptr : &found->second;
}

block *find_opened(uint64_t inode)
{
    for (auto &one : blocks())
        if (one.second.what == kind::opened_memory && one.second.inode == inode)
            return &one.second;
    return nullptr;
}

bool overlaps_a_block(uintptr_t begin, size_t bytes)
{
    const auto next = blocks().lower_bound(begin);
    return find_block(begin, 1) != nullptr ||
           (next != blocks().end() && next->first < begin + bytes);
}

block *add_block(const block &b)
{
    born(reinterpret_cast<const void *>(b.begin), b.what, b.context);
    return &(blocks()[b.begin] = b);
}

void remove_block(const block *b)
{
    gone(reinterpret_cast<const void *>(b->begin));
    blocks().erase(b->begin);
}

bool is_device_memory(const block *b)
{
    return b != nullptr && (b->what == kind::device_memory || b->what == kind::opened_memory);
}

bool is_device_address(uintptr_t address)
{
    return address - first_address() < kAddresses;
}

size_t page_bytes()
{
    static const auto bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    return bytes;
}

size_t whole_pages(size_t bytes)
{
    return (bytes + page_bytes() - 1) / page_bytes() * page_bytes();
}

/* With a page after it that nobody may touch. */
void *place_pages(size_t bytes, int file)
{
    static uintptr_t next = first_address() + page_bytes();
    if (bytes + page_bytes() > first_address() + kAddresses - next)
        give_up("all addresses for device memory are used");
    void *at = reinterpret_cast<void *>(next);
    if (mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED)
        return nullptr;
    next += bytes + page_bytes();
    return at;
}

void return_pages(uintptr_t begin, size_t bytes)
{
    if (mmap(reinterpret_cast<void *>(begin), bytes, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
        give_up("mmap: pages cannot be given back");
}

void fill_with_garbage(void *begin, size_t bytes)
{
    uint64_t words[512];
    for (uint64_t &word : words)
        word = random_below(UINT64_MAX);
    for (size_t done = 0; done < bytes; done += sizeof words)
        std::memcpy(static_cast<char *>(begin) + done, words,
                    bytes - done < sizeof words ? bytes - done : sizeof words);
}

#ifdef FAKE_CUDA_ASAN
void allow_bytes(uintptr_t begin, uintptr_t end)
{
    __asan_unpoison_memory_region(reinterpret_cast<void *>(begin), end - begin);
}

void forbid_bytes(uintptr_t begin, uintptr_t end)
{
    __asan_poison_memory_region(reinterpret_cast<void *>(begin), end - begin);
}
#else
void allow_bytes(uintptr_t, uintptr_t) {}

void forbid_bytes(uintptr_t, uintptr_t) {}
#endif

void expect_usable(const task &what)
{
    for (const use &one : what.uses)
        if (one.end > one.begin && is_device_address(one.begin) &&
            find_block(one.begin, one.how == use::unknown ? 1 : one.end - one.begin) == nullptr)
            give_up("%s in a graph uses device memory at %#llx, which is freed", what.name.c_str(),
                    static_cast<unsigned long long>(one.begin));
}

} // namespace fake
