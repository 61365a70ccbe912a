/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_read.h - a kernel that reads bytes of a GPU's memory and does hardly more: the yardstick of
 * `rankzero bench sample --backend cuda`.
 */
#ifndef RZ_TOOLS_BENCH_READ_H
#define RZ_TOOLS_BENCH_READ_H

#include <assert.h>
#include <stdint.h>

#include "kernels/cuda/image.h"

#define RZ_BENCH_READ_THREADS 256u /* of a block */
#define RZ_BENCH_READ_BYTES 16u    /* of a load */

struct rz_bench_read_args {
    const void *from; /* device, aligned to a load */
    uint64_t loads;
    uint32_t
        *sums; /* device, [blocks][RZ_BENCH_READ_WARPS]: of the 32-bit words that each warp has
                  read, so that it is seen to have read them, and no compiler leaves that out */
};

static_assert(sizeof(struct rz_bench_read_args) == 24, "the host and the device lay it out alike");

/* Ends with a name of NULL; nothing but that in a build without nvcc. */
extern const struct rz_cuda_image rz_bench_images[];

#ifdef __cplusplus
#ifdef RZ_CUDA_SOURCE
extern "C" {
__global__ void rz_bench_read(const struct rz_bench_read_args args);
}
#endif
#endif

#endif
