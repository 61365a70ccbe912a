/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/emulation/kernels.h"

#include <cstring>

#define RZ_CUDA_SOURCE
#include "tests/emulation/cuda.h"

#include "kernels/cuda/kernels.h"

extern "C" __global__ void rz_probe_threshold(const rz_cuda_step step); /* probe.cu */

namespace {

/* Each takes one struct rz_cuda_step. */
template <void (*kernel)(const rz_cuda_step)>
void call(void *arguments)
{
    kernel(*static_cast<const rz_cuda_step *>(static_cast<void **>(arguments)[0]));
}

const struct {
    const char *name;
    void (*call)(void *arguments);
} kernels[] = {
    {"rz_cuda_scan_f32", call<rz_cuda_scan_f32>},
    {"rz_cuda_scan_f16", call<rz_cuda_scan_f16>},
    {"rz_cuda_scan_bf16", call<rz_cuda_scan_bf16>},
    {"rz_cuda_edit_rows", call<rz_cuda_edit_rows>},
    {"rz_cuda_resolve", call<rz_cuda_resolve>},
    {"rz_probe_threshold", call<rz_probe_threshold>},
};

} // namespace

int emulated_run(const emulated_launch *launch, void **arguments)
{
    for (const auto &kernel : kernels) {
        if (std::strcmp(kernel.name, launch->kernel) != 0)
            continue;
        emulation::run_grid({launch->grid_x, launch->grid_y, 1}, {launch->threads, 1, 1},
                            launch->seed, kernel.call, arguments);
        return 1;
    }
    return 0;
}
