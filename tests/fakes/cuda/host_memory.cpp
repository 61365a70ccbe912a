/* SPDX-License-Identifier: Apache-2.0
 *
 * host_memory.cpp - memory of the host that devices can reach, and what is known of a pointer.
 */
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>

#include "tests/fakes/cuda/calls.h"
#include "tests/fakes/cuda/memory.h"
#include "tests/fakes/cuda/stream.h"

namespace fake {

namespace {

/* Is there memory at all of these addresses, that the process may write to if that is asked? */
bool is_mapped(uintptr_t begin, uintptr_t end, bool to_write)
{
    std::FILE *maps = std::fopen("/proc/self/maps", "r");
    if (maps == nullptr)
        give_up("/proc/self/maps: %s", std::strerror(errno));
    char line[4096];
    while (begin < end && std::fgets(line, sizeof line, maps) != nullptr) {
        /* "from-to rwxp ..." */
        char *rest = nullptr;
        const uintptr_t from = std::strtoull(line, &rest, 16);
        const uintptr_t to = std::strtoull(rest + 1, &rest, 16);
        const bool may_read = rest[1] == 'r', may_write = rest[2] == 'w';
        if (from <= begin && begin < to && may_read && (may_write || !to_write))
            begin = to;
    }
    std::fclose(maps);
    return begin >= end;
}

} // namespace

} // namespace fake

using namespace fake;

int cuMemHostAlloc(void **address, size_t bytes, unsigned flags)
{
    return call(needs::context, [&](guard &) -> int {
        if (const int code = refuse_in_capture())
            return code;
        if (bytes == 0 || flags > 7)
            return CUDA_ERROR_INVALID_VALUE;
        block b = {};
        b.what = kind::pinned_memory;
        b.context = current_context();
        b.mapped_bytes = whole_pages(bytes);
        void *at = mmap(nullptr, b.mapped_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED)
            return CUDA_ERROR_OUT_OF_MEMORY;
        b.mapped = b.begin = reinterpret_cast<uintptr_t>(at);
        b.end = b.begin + bytes;
        fill_with_garbage(at, bytes);
        forbid_bytes(b.end, b.mapped + b.mapped_bytes);
        add_block(b);
        *address = at;
        return CUDA_SUCCESS;
    });
}

/* The addresses stay taken, by nothing. */
int cuMemFreeHost(void *address)
{
    return destroy(address, [&](guard &lock) -> int {
        if (const int code = refuse_in_capture())
            return code;
        const block *b = find_start(reinterpret_cast<uintptr_t>(address), kind::pinned_memory);
        if (b == nullptr)
            return CUDA_ERROR_INVALID_VALUE;
        forget_bytes(b->begin, b->end, "cuMemFreeHost", lock);
        allow_bytes(b->mapped, b->mapped + b->mapped_bytes);
        return_pages(b->mapped, b->mapped_bytes);
        remove_block(b);
        return CUDA_SUCCESS;
    });
}

int cuMemHostRegister_v2(void *address, size_t bytes, unsigned flags)
{
    return call(needs::context, [&](guard &) -> int {
        if (const int code = refuse_in_capture())
            return code;
        const bool read_only = (flags & RZ_CUDA_HOST_READ_ONLY) != 0;
        const auto begin = reinterpret_cast<uintptr_t>(address);
        if (address == nullptr || bytes == 0 || flags > 15 || is_device_address(begin))
            return CUDA_ERROR_INVALID_VALUE;
        if (read_only && chosen("RZ_FAKE_CUDA_READ_ONLY", 1) == 0)
            return CUDA_ERROR_NOT_SUPPORTED;
        if (overlaps_a_block(begin, bytes))
            return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
        if (!is_mapped(begin, begin + bytes, !read_only))
            return CUDA_ERROR_INVALID_VALUE;
        block b = {};
        b.what = kind::registered_memory;
        b.context = current_context();
        b.begin = begin;
        b.end = begin + bytes;
        b.read_only = read_only;
        add_block(b);
        return CUDA_SUCCESS;
    });
}

int cuMemHostUnregister(void *address)
{
    return destroy(address, [&](guard &lock) -> int {
        if (const int code = refuse_in_capture())
            return code;
        const block *b = find_start(reinterpret_cast<uintptr_t>(address), kind::registered_memory);
        if (b == nullptr)
            return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
        forget_bytes(b->begin, b->end, "cuMemHostUnregister", lock);
        if (!is_mapped(b->begin, b->end, false))
            give_up("cuMemHostUnregister: the memory at %p was unmapped first", address);
        remove_block(b);
        return CUDA_SUCCESS;
    });
}

int cuMemHostGetDevicePointer_v2(rz_cuda_ptr *device, void *host, unsigned flags)
{
    return call(needs::context, [&](guard &) {
        const block *b = find_block(reinterpret_cast<uintptr_t>(host), 1);
        if (flags != 0 || b == nullptr || is_device_memory(b))
            return CUDA_ERROR_INVALID_VALUE;
        *device = reinterpret_cast<uintptr_t>(host);
        return CUDA_SUCCESS;
    });
}

int cuPointerGetAttribute(void *value, int attribute, rz_cuda_ptr address)
{
    return call(needs::context, [&](guard &) {
        const block *b = find_block(address, 1);
        if (b == nullptr)
            return CUDA_ERROR_INVALID_VALUE;
        int found = 0;
        if (attribute == RZ_CUDA_POINTER_RANGE_START || attribute == RZ_CUDA_POINTER_RANGE_BYTES) {
            const uint64_t range =
                attribute == RZ_CUDA_POINTER_RANGE_START ? b->begin : b->end - b->begin;
            std::memcpy(value, &range, sizeof range);
            return CUDA_SUCCESS;
        }
        switch (attribute) {
        case RZ_CUDA_POINTER_MEMORY_TYPE:
            found = is_device_memory(b) ? RZ_CUDA_MEMORY_DEVICE : RZ_CUDA_MEMORY_HOST;
            break;
        case RZ_CUDA_POINTER_DEVICE: found = b->context->device; break;
        default: give_up("cuPointerGetAttribute: the double has no attribute %d", attribute);
        }
        std::memcpy(value, &found, sizeof found);
        return CUDA_SUCCESS;
    });
}
