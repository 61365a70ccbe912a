/* SPDX-License-Identifier: Apache-2.0
 *
 * image.h - the kernels as nvcc made them, in the library.
 */
#ifndef RZ_KERNELS_CUDA_IMAGE_H
#define RZ_KERNELS_CUDA_IMAGE_H

#include <stdint.h>

struct rz_cuda_image {
    const char *name; /* "scan": of kernels/cuda/scan.cu */
    const void *data; /* a fat binary, for cuModuleLoadData() */
};

#define RZ_CUDA_MOST_IMAGES 8u

/* Ends with a name of NULL; nothing but that in a build without nvcc. */
extern const struct rz_cuda_image rz_cuda_images[];

#endif
