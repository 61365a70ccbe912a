/* SPDX-License-Identifier: Apache-2.0
 *
 * context.h - the devices, and the primary context of each.
 */
#ifndef RZ_TESTS_FAKES_CUDA_CONTEXT_H
#define RZ_TESTS_FAKES_CUDA_CONTEXT_H

#include "tests/fakes/cuda/machine.h"

struct CUctx_st {
    int device;
    uint32_t retained;
    int failure;           /* what every call returns once work has failed */
    bool excused;          /* its release was made to fail */
    uint64_t bytes_in_use; /* of its device's memory */
    CUstream_st *legacy;   /* the stream that is called NULL */
};

namespace fake {

int device_count();
uint64_t device_bytes();
rz_cuda_uuid device_uuid(int device);

/* The calling thread's; nullptr if there is none. */
CUctx_st *current_context();

} // namespace fake

#endif
