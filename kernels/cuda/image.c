/* SPDX-License-Identifier: Apache-2.0
 *
 * image.c - the fat binaries of kernels/cuda/, put into the library.
 */
#include <stddef.h>

#include "kernels/cuda/image.h"
#include "kernels/cuda/image_data.h"

#define IMAGES(X) X(scan) X(edit) X(resolve) X(sample) X(exchange)

IMAGES(RZ_CUDA_IMAGE_DATA)

const struct rz_cuda_image rz_cuda_images[] = {
#define ENTRY(name) {#name, rz_cuda_image_##name},
    IMAGES(ENTRY) /* */
    {NULL, NULL},
};
