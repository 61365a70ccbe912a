/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "kernels/cuda/image_data.h"
#include "tools/bench_read.h"

RZ_CUDA_IMAGE_DATA(bench_read)

const struct rz_cuda_image rz_bench_images[] = {{"bench_read", rz_cuda_image_bench_read},
                                                {NULL, NULL}};
