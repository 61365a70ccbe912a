/* SPDX-License-Identifier: Apache-2.0
 *
 * cuda_images.c - in place of the library's own kernels/cuda/image*.c: an image that the double of
 * libcuda takes for the kernels of the emulation, and no other driver for anything.
 */
#include <stddef.h>

#include "kernels/cuda/image.h"

const struct rz_cuda_image rz_cuda_images[] = {{"all", "rankzero no kernels"}, {NULL, NULL}};
