/* SPDX-License-Identifier: Apache-2.0
 *
 * kernels.h - launch the kernels of kernels/cuda/ on the CPU, by their names.
 */
#ifndef RZ_TESTS_EMULATION_KERNELS_H
#define RZ_TESTS_EMULATION_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct emulated_launch {
    const char *kernel; /* "rz_cuda_resolve" */
    uint32_t grid_x, grid_y;
    uint32_t threads; /* of a block */
    uint64_t seed;    /* draws the order of threads and blocks */
};

/* emulated_run - run a kernel to its end. arguments: a pointer to each, as of cuLaunchKernel().
 * False if there is no such kernel. */
int emulated_run(const struct emulated_launch *launch, void **arguments);

/* emulated_argument_bytes - of the one argument of a kernel; 0 if there is no such kernel. */
size_t emulated_argument_bytes(const char *name);

#ifdef __cplusplus
}
#endif

#endif
