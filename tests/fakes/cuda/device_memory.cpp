/* SPDX-License-Identifier: Apache-2.0
 *
 * device_memory.cpp - cuMemAlloc and cuMemFree, and the same memory in other processes.
 *
 * Every allocation is a memfd, which another process opens through /proc: nothing is left of it
 * when the processes are gone, however they go. It ends where its last page ends, but for what is
 * lacking to the alignment that the driver promises.
 */
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fakes/cuda/calls.h"
#include "tests/fakes/cuda/memory.h"
#include "tests/fakes/cuda/stream.h"

namespace fake {

namespace {

constexpr size_t kAlignment = 256;
constexpr uint64_t kMagic = 0x72667A6B69706332; /* of a handle */

struct handle {
    uint64_t magic;
    int32_t process, file, device, unused;
    uint64_t inode, bytes;
};

static_assert(sizeof(handle) <= sizeof(rz_cuda_ipc_memory), "it is copied into one");

uint64_t inode_of(int file)
{
    struct stat status = {};
    return fstat(file, &status) == 0 ? status.st_ino : 0;
}

/* Map the pages of a block whose size is known, and forbid what is before and after it. */
bool map_block(block *b, size_t bytes)
{
    b->mapped_bytes = whole_pages(bytes);
    void *at = place_pages(b->mapped_bytes, b->file);
    if (at == nullptr)
        return false;
    b->mapped = reinterpret_cast<uintptr_t>(at);
    b->begin = b->mapped + (b->mapped_bytes - bytes) / kAlignment * kAlignment;
    b->end = b->begin + bytes;
    forbid_bytes(b->mapped, b->begin);
    forbid_bytes(b->end, b->mapped + b->mapped_bytes);
    return true;
}

void unmap_block(const block *b)
{
    allow_bytes(b->mapped, b->mapped + b->mapped_bytes);
    return_pages(b->mapped, b->mapped_bytes);
    close(b->file);
    remove_block(b);
}

void expect_not_open_elsewhere(const block *b)
{
    if (is_open_elsewhere(b) && !has_failed_on_demand() && must_leave_nothing())
        give_up("cuMemFree: another process has %#llx open",
                static_cast<unsigned long long>(b->begin));
}

/* The file behind a handle, or -1. */
int open_file(const handle &from)
{
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%d/fd/%d", from.process, from.file);
    const int file = open(path, O_RDWR | O_CLOEXEC);
    if (file >= 0 && inode_of(file) == from.inode && flock(file, LOCK_SH | LOCK_NB) == 0)
        return file;
    if (file >= 0)
        close(file);
    return -1;
}

} // namespace

/* Whoever does holds a lock, until it ends if need be. */
bool is_open_elsewhere(const block *b)
{
    return flock(b->file, LOCK_EX | LOCK_NB) != 0;
}

} // namespace fake

using namespace fake;

int cuMemAlloc_v2(rz_cuda_ptr *address, size_t bytes)
{
    return call(needs::context, [&](guard &) -> int {
        if (const int code = refuse_in_capture())
            return code;
        if (bytes == 0)
            return CUDA_ERROR_INVALID_VALUE;
        CUctx_st *context = current_context();
        if (bytes > device_bytes() - context->bytes_in_use)
            return CUDA_ERROR_OUT_OF_MEMORY;
        block b = {};
        b.what = kind::device_memory;
        b.context = context;
        b.file = memfd_create("fake device memory", MFD_CLOEXEC);
        if (b.file < 0 || ftruncate(b.file, static_cast<off_t>(whole_pages(bytes))) != 0 ||
            !map_block(&b, bytes))
            give_up("cuMemAlloc: %s", std::strerror(errno));
        b.inode = inode_of(b.file);
        fill_with_garbage(reinterpret_cast<void *>(b.begin), bytes);
        context->bytes_in_use += bytes;
        *address = add_block(b)->begin;
        return CUDA_SUCCESS;
    });
}

int cuMemFree_v2(rz_cuda_ptr address)
{
    return destroy(reinterpret_cast<void *>(address), [&](guard &lock) -> int {
        if (const int code = refuse_in_capture())
            return code;
        const block *b = find_start(address, kind::device_memory);
        if (b == nullptr)
            return CUDA_ERROR_INVALID_VALUE;
        forget_bytes(b->begin, b->end, "cuMemFree", lock);
        expect_not_open_elsewhere(b);
        b->context->bytes_in_use -= b->end - b->begin;
        unmap_block(b);
        return CUDA_SUCCESS;
    });
}

int cuMemGetInfo_v2(size_t *free, size_t *total)
{
    return call(needs::context, [&](guard &) {
        *total = device_bytes();
        *free = *total - current_context()->bytes_in_use;
        return CUDA_SUCCESS;
    });
}

int cuIpcGetMemHandle(rz_cuda_ipc_memory *to, rz_cuda_ptr address)
{
    return call(needs::context, [&](guard &) {
        const block *b = find_block(address, 1);
        if (b == nullptr || b->what != kind::device_memory)
            return CUDA_ERROR_INVALID_VALUE;
        if (b->begin != address)
            give_up("cuIpcGetMemHandle: %#llx is inside an allocation, whose start is what another "
                    "process gets",
                    static_cast<unsigned long long>(address));
        const handle made = {kMagic, getpid(), b->file,          b->context->device,
                             0,      b->inode, b->end - b->begin};
        *to = {};
        std::memcpy(to->bytes, &made, sizeof made);
        return CUDA_SUCCESS;
    });
}

int cuIpcOpenMemHandle_v2(rz_cuda_ptr *address, rz_cuda_ipc_memory from, unsigned flags)
{
    return call(needs::context, [&](guard &) -> int {
        if (const int code = refuse_in_capture())
            return code;
        handle asked = {};
        std::memcpy(&asked, from.bytes, sizeof asked);
        if (flags != RZ_CUDA_IPC_LAZY_PEER_ACCESS || asked.magic != kMagic)
            return CUDA_ERROR_INVALID_VALUE;
        if (asked.process == getpid())
            return CUDA_ERROR_INVALID_CONTEXT;
        block *known = find_opened(asked.inode);
        if (known != nullptr) {
            known->opened++;
            *address = known->begin;
            return CUDA_SUCCESS;
        }
        block b = {};
        b.what = kind::opened_memory;
        b.context = current_context();
        b.inode = asked.inode;
        b.opened = 1;
        b.file = open_file(asked);
        if (b.file < 0)
            return CUDA_ERROR_INVALID_HANDLE;
        if (!map_block(&b, asked.bytes))
            give_up("cuIpcOpenMemHandle: %s", std::strerror(errno));
        *address = add_block(b)->begin;
        return CUDA_SUCCESS;
    });
}

int cuIpcCloseMemHandle(rz_cuda_ptr address)
{
    return destroy(reinterpret_cast<void *>(address), [&](guard &lock) -> int {
        block *b = find_start(address, kind::opened_memory);
        if (b == nullptr)
            return CUDA_ERROR_INVALID_VALUE;
        if (--b->opened > 0)
            return CUDA_SUCCESS;
        forget_bytes(b->begin, b->end, "cuIpcCloseMemHandle", lock);
        unmap_block(b);
        return CUDA_SUCCESS;
    });
}

extern "C" FAKE_CUDA_VISIBLE int fake_cuda_has_device_memory(const void *begin, size_t bytes)
{
    const guard lock(machine_mutex());
    return is_device_memory(find_block(reinterpret_cast<uintptr_t>(begin), bytes));
}
