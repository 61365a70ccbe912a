/* SPDX-License-Identifier: Apache-2.0 */
#include "gpu/driver.h"

#include "gpu/library.h"

static const struct rz_library_call calls[] = {
#define CALL(member, symbol, parameters) {#symbol, offsetof(struct rz_cuda, member), 1},
    RZ_CUDA_CALLS(CALL)
#undef CALL
};

static int fail_start(const struct rz_cuda *cuda, int code, const char *call, struct rz_error *err)
{
    const char *text = NULL;
    cuda->error_text(code, &text);
    return rz_fail(err, RZ_E_UNSUPPORTED, RZ_NO_RANK, code, "no GPU that can be used: %s: %.160s",
                   call, text != NULL ? text : "an unknown error");
}

int rz_cuda_open(struct rz_cuda *cuda, struct rz_error *err)
{
    const int status = rz_library_open("libcuda.so.1", "NVIDIA's driver", calls,
                                       sizeof calls / sizeof calls[0], cuda, err);
    if (status != RZ_OK)
        return status;
    int code = cuda->driver_version(&cuda->version);
    if (code != RZ_CUDA_SUCCESS)
        return fail_start(cuda, code, "cuDriverGetVersion", err);
    if (cuda->version < RZ_CUDA_OLDEST_DRIVER)
        return rz_fail(err, RZ_E_UNSUPPORTED, RZ_NO_RANK, 0,
                       "the driver is one for CUDA %d.%d: expected %d.%d or later",
                       cuda->version / 1000, cuda->version % 1000 / 10,
                       RZ_CUDA_OLDEST_DRIVER / 1000, RZ_CUDA_OLDEST_DRIVER % 1000 / 10);
    code = cuda->init(0);
    int devices = 0;
    if (code == RZ_CUDA_SUCCESS)
        code = cuda->device_count(&devices);
    if (code == RZ_CUDA_SUCCESS && devices == 0)
        code = RZ_CUDA_NO_DEVICE;
    return code == RZ_CUDA_SUCCESS ? RZ_OK : fail_start(cuda, code, "cuInit", err);
}

int rz_cuda_fail(const struct rz_cuda *cuda, int code, const char *call, struct rz_error *err)
{
    const char *name = NULL, *text = NULL;
    cuda->error_name(code, &name);
    cuda->error_text(code, &text);
    return rz_fail(err, code == RZ_CUDA_OUT_OF_MEMORY ? RZ_E_NOMEM : RZ_E_GPU, RZ_NO_RANK, code,
                   "%s: %.60s (%.120s)", call, name != NULL ? name : "an unknown error",
                   text != NULL ? text : "no description");
}
