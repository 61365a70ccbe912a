/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/gpu_kernels.h"

#include <stdbool.h>

/* What drivers say to a fat binary in which nothing is for them, be it that the GPU or that they
 * are too old. */
static bool is_not_for_it(int code)
{
    return code == RZ_CUDA_INVALID_IMAGE || code == RZ_CUDA_NO_BINARY_FOR_GPU ||
           code == RZ_CUDA_INVALID_PTX || code == RZ_CUDA_NO_JIT_COMPILER ||
           code == RZ_CUDA_UNSUPPORTED_PTX || code == RZ_CUDA_INVALID_SOURCE;
}

int rz_gpu_kernels_exist(const struct rz_cuda_image *images, struct rz_error *err)
{
    if (images->name == NULL)
        return rz_fail(err, RZ_E_UNSUPPORTED, RZ_NO_RANK, 0,
                       "this build has no kernels for GPUs: expected one with RZ_WITH_CUDA, which "
                       "takes nvcc");
    return RZ_OK;
}

int rz_gpu_kernels_load(struct rz_gpu_kernels *kernels, const struct rz_device *device,
                        const struct rz_cuda_image *images, struct rz_error *err)
{
    const struct rz_cuda *cuda = device->cuda;
    const int status = rz_gpu_kernels_exist(images, err);
    if (status != RZ_OK)
        return status;
    kernels->device = device;
    for (; images->name != NULL; images++) {
        const int code = cuda->module_load(&kernels->modules[kernels->count], images->data);
        if (is_not_for_it(code))
            return rz_fail(err, RZ_E_UNSUPPORTED, RZ_NO_RANK, code,
                           "no kernels for GPU %d (%s, compute capability %d.%d) and a driver for "
                           "CUDA %d.%d",
                           device->ordinal, device->name, device->capability / 10,
                           device->capability % 10, cuda->version / 1000,
                           cuda->version % 1000 / 10);
        if (code != RZ_CUDA_SUCCESS)
            return rz_cuda_fail(cuda, code, "cuModuleLoadData", err);
        kernels->count++;
    }
    return RZ_OK;
}

int rz_gpu_kernels_get(const struct rz_gpu_kernels *kernels, const char *name,
                       rz_cuda_function *function, struct rz_error *err)
{
    const struct rz_cuda *cuda = kernels->device->cuda;
    int code = RZ_CUDA_NOT_FOUND;
    for (uint32_t m = 0; m < kernels->count && code == RZ_CUDA_NOT_FOUND; m++)
        code = cuda->module_function(function, kernels->modules[m], name);
    return code == RZ_CUDA_SUCCESS ? RZ_OK : rz_cuda_fail(cuda, code, name, err);
}

void rz_gpu_kernels_unload(struct rz_gpu_kernels *kernels)
{
    while (kernels->count > 0)
        kernels->device->cuda->module_unload(kernels->modules[--kernels->count]);
}
