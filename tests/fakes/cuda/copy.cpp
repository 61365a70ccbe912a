/* SPDX-License-Identifier: Apache-2.0
 *
 * copy.cpp - copies and cuMemsetD32Async.
 */
#include <cstring>

#include "tests/fakes/cuda/calls.h"
#include "tests/fakes/cuda/memory.h"
#include "tests/fakes/cuda/stream.h"

using namespace fake;

namespace {

/* Where rows of bytes are. */
struct place {
    uintptr_t begin;
    size_t pitch;
};

struct extent {
    size_t width, height;
};

size_t span(place at, extent of)
{
    return (of.height - 1) * at.pitch + of.width;
}

/* What kind of memory it is; false where it is no memory that a copy can touch. */
bool look_up(place at, extent of, bool writes, bool *is_pageable)
{
    const block *b = find_block(at.begin, span(at, of));
    *is_pageable = b == nullptr;
    if (b == nullptr)
        return at.begin != 0 && !is_device_address(at.begin) && find_block(at.begin, 1) == nullptr;
    if (writes && b->read_only)
        give_up("a copy writes to %#llx, which is registered as read-only",
                static_cast<unsigned long long>(at.begin));
    return true;
}

/* Memory that is not pinned is read and written before the call returns, as the driver may do. */
int enqueue_copy(const char *name, place to, place from, extent of, rz_cuda_stream stream,
                 guard &lock)
{
    CUstream_st *s = find_stream(stream, name);
    if (of.width == 0 || of.height == 0)
        return CUDA_SUCCESS;
    bool pageable_to = false, pageable_from = false;
    if (!look_up(to, of, true, &pageable_to) || !look_up(from, of, false, &pageable_from))
        return CUDA_ERROR_INVALID_VALUE;
    const auto run = [to, from, of] {
        for (size_t row = 0; row < of.height; row++)
            std::memcpy(reinterpret_cast<void *>(to.begin + row * to.pitch),
                        reinterpret_cast<const void *>(from.begin + row * from.pitch), of.width);
        return FAKE_CUDA_DONE;
    };
    const int code = enqueue(s, {name,
                                 run,
                                 {{use::writes, to.begin, to.begin + span(to, of)},
                                  {use::reads, from.begin, from.begin + span(from, of)}},
                                 nullptr,
                                 false});
    if (code != CUDA_SUCCESS || s->capture != nullptr || (!pageable_to && !pageable_from))
        return code;
    CUctx_st *context = s->context;
    wait_for(s->last, lock);
    return context->failure;
}

/* One side of a 2-D copy. */
bool find_place(uint32_t type, const void *host, rz_cuda_ptr device, const void *array, size_t x,
                size_t y, size_t pitch, extent of, place *found)
{
    if (array != nullptr || (type != RZ_CUDA_MEMORY_HOST && type != RZ_CUDA_MEMORY_DEVICE))
        give_up("cuMemcpy2DAsync: the double copies from and to memory only");
    const uintptr_t begin =
        type == RZ_CUDA_MEMORY_HOST ? reinterpret_cast<uintptr_t>(host) : device;
    *found = {begin + y * pitch + x, pitch};
    return pitch >= x + of.width &&
           is_device_memory(find_block(begin, 1)) <= (type == RZ_CUDA_MEMORY_DEVICE) &&
           (type == RZ_CUDA_MEMORY_HOST || find_block(begin, 1) != nullptr);
}

} // namespace

int cuMemcpyAsync(rz_cuda_ptr to, rz_cuda_ptr from, size_t bytes, rz_cuda_stream stream)
{
    return call(needs::context, [&](guard &lock) {
        return enqueue_copy("cuMemcpyAsync", {to, bytes}, {from, bytes}, {bytes, 1}, stream, lock);
    });
}

int cuMemcpy2DAsync_v2(const rz_cuda_copy_2d *copy, rz_cuda_stream stream)
{
    return call(needs::context, [&](guard &lock) -> int {
        const extent of = {copy->width, copy->height};
        place to = {}, from = {};
        if (!find_place(copy->to_type, copy->to_host, copy->to_device, copy->to_array, copy->to_x,
                        copy->to_y, copy->to_pitch, of, &to) ||
            !find_place(copy->from_type, copy->from_host, copy->from_device, copy->from_array,
                        copy->from_x, copy->from_y, copy->from_pitch, of, &from))
            return CUDA_ERROR_INVALID_VALUE;
        return enqueue_copy("cuMemcpy2DAsync", to, from, of, stream, lock);
    });
}

int cuMemsetD32Async(rz_cuda_ptr address, unsigned value, size_t count, rz_cuda_stream stream)
{
    return call(needs::context, [&](guard &) -> int {
        CUstream_st *s = find_stream(stream, "cuMemsetD32Async");
        const block *b = find_block(address, count * sizeof value);
        if (address % sizeof value != 0 || b == nullptr || b->read_only)
            return CUDA_ERROR_INVALID_VALUE;
        if (count == 0)
            return CUDA_SUCCESS;
        const auto run = [address, value, count] {
            auto *words = reinterpret_cast<unsigned *>(address);
            for (size_t i = 0; i < count; i++)
                words[i] = value;
            return FAKE_CUDA_DONE;
        };
        return enqueue(s, {"cuMemsetD32Async",
                           run,
                           {{use::writes, address, address + count * sizeof value}},
                           nullptr,
                           false});
    });
}
