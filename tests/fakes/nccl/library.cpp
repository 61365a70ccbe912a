/* SPDX-License-Identifier: Apache-2.0
 *
 * library.cpp - what is asked of NCCL but not of a communicator.
 */
#include <dlfcn.h>

#include "tests/fakes/nccl/calls.h"

namespace fake {

namespace {

template <typename F>
void find(void *library, const char *name, F *address)
{
    *address = reinterpret_cast<F>(dlsym(library, name));
    if (*address == nullptr)
        give_up("libcuda.so.1 is not the double: it has no %s", name);
}

} // namespace

std::mutex &nccl_mutex()
{
    static auto *mutex = new std::mutex;
    return *mutex;
}

const fake_cuda_calls &fake_cuda()
{
    static const fake_cuda_calls found = [] {
        void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
        if (library == nullptr)
            give_up("there is no libcuda.so.1 in this process");
        fake_cuda_calls calls = {};
        find(library, "fake_cuda_enqueue", &calls.enqueue);
        find(library, "fake_cuda_has_device_memory", &calls.has_device_memory);
        find(library, "fake_cuda_current_device", &calls.current_device);
        return calls;
    }();
    return found;
}

/* Int8, uint8, int32, uint32, int64, uint64, float16, float32, float64, bfloat16. */
size_t element_bytes(int type)
{
    constexpr size_t kBytes[] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2};
    constexpr int kTypes = sizeof kBytes / sizeof *kBytes;
    return type >= 0 && type < kTypes ? kBytes[type] : 0;
}

} // namespace fake

using namespace fake;

int ncclGetVersion(int *version)
{
    return call([&](guard &) {
        *version = static_cast<int>(chosen("RZ_FAKE_NCCL_VERSION", FAKE_NCCL_VERSION));
        return nccl_success;
    });
}

const char *ncclGetErrorString(int code)
{
    switch (code) {
    case nccl_success: return "no error";
    case nccl_unhandled_cuda_error:
        return "unhandled cuda error (run with NCCL_DEBUG=INFO for details)";
    case nccl_system_error: return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
    case nccl_internal_error:
        return "internal error - please report this issue to the NCCL developers";
    case nccl_invalid_argument: return "invalid argument (run with NCCL_DEBUG=WARN for details)";
    case nccl_invalid_usage: return "invalid usage (run with NCCL_DEBUG=WARN for details)";
    case nccl_remote_error: return "remote process exited or there was a network error";
    case nccl_in_progress: return "NCCL operation in progress";
    default: return "unknown result code";
    }
}
