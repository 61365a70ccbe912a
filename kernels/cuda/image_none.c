/* SPDX-License-Identifier: Apache-2.0
 *
 * image_none.c - in place of image.c, for builds without nvcc.
 */
#include <stddef.h>

#include "kernels/cuda/image.h"

const struct rz_cuda_image rz_cuda_images[] = {{NULL, NULL}};
