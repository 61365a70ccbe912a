/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/emulation/kernels.h"

#include <cstring>

#define RZ_CUDA_SOURCE
#include "tests/emulation/cuda.h"

#include "kernels/cuda/exchange.h"
#include "kernels/cuda/kernels.h"
#include "tools/bench_read.h"

extern "C" __global__ void rz_probe_threshold(const rz_cuda_step step); /* probe.cu */
extern "C" __global__ void rz_probe_exp2_near(const rz_cuda_step step);

namespace {

/* Each takes one struct by value. */
template <typename Argument, void (*kernel)(const Argument)>
void call(void *arguments)
{
    kernel(*static_cast<const Argument *>(static_cast<void **>(arguments)[0]));
}

struct entry {
    const char *name;
    size_t argument_bytes;
    void (*call)(void *arguments);
};

#define KERNEL(name, argument) entry({#name, sizeof(argument), call<argument, name>})

const entry kernels[] = {
    KERNEL(rz_cuda_scan_f32, rz_cuda_step),        KERNEL(rz_cuda_scan_f16, rz_cuda_step),
    KERNEL(rz_cuda_scan_bf16, rz_cuda_step),       KERNEL(rz_cuda_edit_rows, rz_cuda_step),
    KERNEL(rz_cuda_resolve, rz_cuda_step),         KERNEL(rz_cuda_fetch, rz_cuda_fetch_args),
    KERNEL(rz_cuda_hand_in, rz_cuda_hand_in_args), KERNEL(rz_cuda_await, rz_cuda_await_args),
    KERNEL(rz_cuda_publish, rz_cuda_publish_args), KERNEL(rz_cuda_take, rz_cuda_take_args),
    KERNEL(rz_cuda_sample_f32, rz_cuda_step),      KERNEL(rz_cuda_sample_f16, rz_cuda_step),
    KERNEL(rz_cuda_sample_bf16, rz_cuda_step),     KERNEL(rz_probe_threshold, rz_cuda_step),
    KERNEL(rz_probe_exp2_near, rz_cuda_step),      KERNEL(rz_bench_read, rz_bench_read_args),
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

size_t emulated_argument_bytes(const char *name)
{
    for (const auto &kernel : kernels)
        if (std::strcmp(kernel.name, name) == 0)
            return kernel.argument_bytes;
    return 0;
}
