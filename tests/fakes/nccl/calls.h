/* SPDX-License-Identifier: Apache-2.0
 *
 * calls.h - every call of NCCL as it is declared to those who make it, what it returns, and what
 * the double asks of the double of libcuda.
 */
#ifndef RZ_TESTS_FAKES_NCCL_CALLS_H
#define RZ_TESTS_FAKES_NCCL_CALLS_H

#include <mutex>

#include "gpu/nccl.h"
#include "tests/fakes/cuda/fake.h"
#include "tests/fakes/settings.h"

#define FAKE_NCCL_VISIBLE __attribute__((visibility("default")))

/* A definition with other parameters does not compile. */
extern "C" {
#define FAKE_NCCL_DECLARE(member, symbol, parameters) FAKE_NCCL_VISIBLE int symbol parameters;
RZ_NCCL_CALLS(FAKE_NCCL_DECLARE)
#undef FAKE_NCCL_DECLARE
FAKE_NCCL_VISIBLE int ncclGather(const void *from, void *to, size_t count, int type, int root,
                                 rz_nccl_comm comm, rz_cuda_stream stream);
FAKE_NCCL_VISIBLE const char *ncclGetErrorString(int code);
FAKE_NCCL_VISIBLE const char *ncclGetLastError(rz_nccl_comm comm);
}

namespace fake {

enum nccl_code {
    nccl_success,
    nccl_unhandled_cuda_error,
    nccl_system_error,
    nccl_internal_error,
    nccl_invalid_argument,
    nccl_invalid_usage,
    nccl_remote_error,
    nccl_in_progress
};

/* All that is not shared with the thread that works is read and written under this lock. */
std::mutex &nccl_mutex();
using guard = std::unique_lock<std::mutex>;

template <typename F>
int call(F body)
{
    guard lock(nccl_mutex());
    return is_its_turn() ? code_of_failure(nccl_internal_error) : body(lock);
}

/* What libcuda.so.1 is there must be the double. */
struct fake_cuda_calls {
    decltype(&fake_cuda_enqueue) enqueue;
    decltype(&fake_cuda_has_device_memory) has_device_memory;
    decltype(&fake_cuda_current_device) current_device;
};
const fake_cuda_calls &fake_cuda();

/* Bytes of an element of an ncclDataType_t; 0 if there is none such. */
size_t element_bytes(int type);

} // namespace fake

#endif
