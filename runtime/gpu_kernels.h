/* SPDX-License-Identifier: Apache-2.0
 *
 * gpu_kernels.h - images of kernels, loaded on a GPU, and kernels by their names.
 */
#ifndef RZ_RUNTIME_GPU_KERNELS_H
#define RZ_RUNTIME_GPU_KERNELS_H

#include "gpu/device.h"
#include "kernels/cuda/image.h"

struct rz_gpu_kernels {
    const struct rz_device *device;
    uint32_t count;
    rz_cuda_module modules[RZ_CUDA_MOST_IMAGES];
};

/* rz_gpu_kernels_exist - RZ_E_UNSUPPORTED: the list is empty, as in a build without nvcc. */
int rz_gpu_kernels_exist(const struct rz_cuda_image *images, struct rz_error *err);

/* rz_gpu_kernels_load - add the kernels of a list of images. All of these calls are made in the
 * device's context. RZ_E_UNSUPPORTED: the list is empty, or has no code for this GPU and driver.
 * After a failure too rz_gpu_kernels_unload() is due. */
int rz_gpu_kernels_load(struct rz_gpu_kernels *kernels, const struct rz_device *device,
                        const struct rz_cuda_image *images, struct rz_error *err);

/* rz_gpu_kernels_get - a kernel of any of the images. */
int rz_gpu_kernels_get(const struct rz_gpu_kernels *kernels, const char *name,
                       rz_cuda_function *function, struct rz_error *err);

void rz_gpu_kernels_unload(struct rz_gpu_kernels *kernels);

#endif
