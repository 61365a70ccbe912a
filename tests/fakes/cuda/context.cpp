/* SPDX-License-Identifier: Apache-2.0
 *
 * context.cpp - the driver, devices, primary contexts, and the stack of contexts of a thread.
 */
#include "tests/fakes/cuda/context.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tests/fakes/cuda/calls.h"
#include "tests/fakes/cuda/stream.h"

namespace fake {

namespace {

constexpr uint64_t kMostDevices = 16;

CUctx_st contexts[kMostDevices];
thread_local std::vector<CUctx_st *> stack;

bool is_device(int device)
{
    return device >= 0 && device < device_count();
}

void check_exit()
{
    stop_working();
    const guard lock(machine_mutex());
    expect_nothing_alive(nullptr, "at exit");
    for (int device = 0; device < device_count(); device++)
        if (contexts[device].retained != 0 && !contexts[device].excused && must_leave_nothing())
            give_up("at exit: the primary context of device %d is retained %u times", device,
                    contexts[device].retained);
}

int attribute_of_device(int attribute)
{
    switch (attribute) {
    case RZ_CUDA_MULTIPROCESSORS: return 132;
    case RZ_CUDA_MEMORY_CLOCK_KHZ: return 2619000;
    case RZ_CUDA_MEMORY_BUS_BITS: return 5120;
    case RZ_CUDA_L2_BYTES: return static_cast<int>(chosen("RZ_FAKE_CUDA_L2", 64 << 10));
    case RZ_CUDA_CAPABILITY_MAJOR: return 9;
    case RZ_CUDA_CAPABILITY_MINOR: return 0;
    case RZ_CUDA_HOST_REGISTER: return 1;
    case RZ_CUDA_READ_ONLY_HOST_REGISTER:
        return static_cast<int>(chosen("RZ_FAKE_CUDA_READ_ONLY", 1));
    default: return -1;
    }
}

} // namespace

int device_count()
{
    const uint64_t count = chosen("RZ_FAKE_CUDA_DEVICES", 1);
    return static_cast<int>(count < kMostDevices ? count : kMostDevices);
}

uint64_t device_bytes()
{
    return chosen("RZ_FAKE_CUDA_MEMORY", uint64_t{4} << 30);
}

rz_cuda_uuid device_uuid(int device)
{
    rz_cuda_uuid uuid = {};
    std::memcpy(uuid.bytes, "rankzero fake \0\0", sizeof uuid.bytes);
    uuid.bytes[15] = static_cast<unsigned char>(device);
    return uuid;
}

CUctx_st *current_context()
{
    return stack.empty() ? nullptr : stack.back();
}

} // namespace fake

using namespace fake;

int cuInit(unsigned flags)
{
    return call(needs::nothing, [&](guard &) {
        if (flags != 0)
            return CUDA_ERROR_INVALID_VALUE;
        if (device_count() == 0)
            return CUDA_ERROR_NO_DEVICE;
        static bool checks = std::atexit(check_exit) == 0;
        if (!checks)
            give_up("atexit");
        note_start();
        return CUDA_SUCCESS;
    });
}

int cuDriverGetVersion(int *version)
{
    return call(needs::nothing, [&](guard &) {
        *version = static_cast<int>(chosen("RZ_FAKE_CUDA_DRIVER", 13000));
        return CUDA_SUCCESS;
    });
}

int cuDeviceGetCount(int *count)
{
    return call(needs::start, [&](guard &) {
        *count = device_count();
        return CUDA_SUCCESS;
    });
}

int cuDeviceGet(int *device, int ordinal)
{
    return call(needs::start, [&](guard &) {
        if (!is_device(ordinal))
            return CUDA_ERROR_INVALID_DEVICE;
        *device = ordinal;
        return CUDA_SUCCESS;
    });
}

int cuDeviceGetName(char *name, int bytes, int device)
{
    return call(needs::start, [&](guard &) {
        if (!is_device(device))
            return CUDA_ERROR_INVALID_DEVICE;
        if (bytes <= 0)
            return CUDA_ERROR_INVALID_VALUE;
        std::snprintf(name, static_cast<size_t>(bytes), "Fake GPU %d", device);
        return CUDA_SUCCESS;
    });
}

int cuDeviceGetUuid_v2(rz_cuda_uuid *uuid, int device)
{
    return call(needs::start, [&](guard &) {
        if (!is_device(device))
            return CUDA_ERROR_INVALID_DEVICE;
        *uuid = device_uuid(device);
        return CUDA_SUCCESS;
    });
}

int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    return call(needs::start, [&](guard &) {
        if (!is_device(device))
            return CUDA_ERROR_INVALID_DEVICE;
        if (attribute_of_device(attribute) < 0)
            return CUDA_ERROR_INVALID_VALUE;
        *value = attribute_of_device(attribute);
        return CUDA_SUCCESS;
    });
}

int cuDeviceTotalMem_v2(size_t *bytes, int device)
{
    return call(needs::start, [&](guard &) {
        if (!is_device(device))
            return CUDA_ERROR_INVALID_DEVICE;
        *bytes = device_bytes();
        return CUDA_SUCCESS;
    });
}

int cuDeviceCanAccessPeer(int *can, int device, int peer)
{
    return call(needs::start, [&](guard &) {
        if (!is_device(device) || !is_device(peer))
            return CUDA_ERROR_INVALID_DEVICE;
        *can = device != peer;
        return CUDA_SUCCESS;
    });
}

int cuDevicePrimaryCtxRetain(rz_cuda_context *context, int device)
{
    return call(needs::start, [&](guard &) {
        if (!is_device(device))
            return CUDA_ERROR_INVALID_DEVICE;
        CUctx_st &own = contexts[device];
        if (own.failure != CUDA_SUCCESS)
            return static_cast<cuda_code>(own.failure);
        if (own.legacy == nullptr)
            own.legacy = new CUstream_st{&own, true, true, {}, {}, {}};
        own.device = device;
        own.retained++;
        *context = &own;
        return CUDA_SUCCESS;
    });
}

/* Nothing of a context may be left when it goes. A new one of this device begins without failures,
 * as the real one. */
int cuDevicePrimaryCtxRelease_v2(int device)
{
    guard lock(machine_mutex());
    if (!is_device(device))
        return CUDA_ERROR_INVALID_DEVICE;
    CUctx_st &own = contexts[device];
    const int code = begin_call(needs::start);
    own.excused = own.excused || code != CUDA_SUCCESS;
    if (code != CUDA_SUCCESS)
        return code;
    if (own.retained == 0)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (own.retained == 1) {
        expect_nothing_alive(&own, "when its primary context is released");
        expect_idle(&own, "when its primary context is released");
        own.failure = CUDA_SUCCESS;
    }
    own.retained--;
    return CUDA_SUCCESS;
}

int cuCtxGetCurrent(rz_cuda_context *context)
{
    return call(needs::start, [&](guard &) {
        *context = current_context();
        return CUDA_SUCCESS;
    });
}

int cuCtxPushCurrent_v2(rz_cuda_context context)
{
    return call_on_stack([&](guard &) {
        if (context == nullptr)
            return CUDA_ERROR_INVALID_CONTEXT;
        if (context < contexts || context >= contexts + kMostDevices)
            give_up("cuCtxPushCurrent: %p is no context", static_cast<void *>(context));
        if (context->retained == 0)
            return CUDA_ERROR_CONTEXT_IS_DESTROYED;
        stack.push_back(context);
        return CUDA_SUCCESS;
    });
}

int cuCtxPopCurrent_v2(rz_cuda_context *context)
{
    return call_on_stack([&](guard &) {
        if (stack.empty())
            return CUDA_ERROR_INVALID_CONTEXT;
        if (context != nullptr)
            *context = stack.back();
        stack.pop_back();
        return CUDA_SUCCESS;
    });
}

int cuCtxGetDevice(int *device)
{
    return call(needs::start, [&](guard &) {
        if (stack.empty())
            return CUDA_ERROR_INVALID_CONTEXT;
        *device = stack.back()->device;
        return CUDA_SUCCESS;
    });
}

extern "C" FAKE_CUDA_VISIBLE int fake_cuda_current_device(rz_cuda_uuid *uuid)
{
    const guard lock(machine_mutex());
    const CUctx_st *context = current_context();
    if (context == nullptr)
        return CUDA_ERROR_INVALID_CONTEXT;
    *uuid = device_uuid(context->device);
    return CUDA_SUCCESS;
}
