/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_image_none.c - in place of bench_image.c, for builds without nvcc.
 */
#include <stddef.h>

#include "tools/bench_read.h"

const struct rz_cuda_image rz_bench_images[] = {{NULL, NULL}};
