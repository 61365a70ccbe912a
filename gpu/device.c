/* SPDX-License-Identifier: Apache-2.0 */
#include "gpu/device.h"

#include <string.h>

static int attribute(const struct rz_device *device, int which, int *value, struct rz_error *err)
{
    const int code = device->cuda->device_attribute(value, which, device->device);
    return code == RZ_CUDA_SUCCESS ? RZ_OK
                                   : rz_cuda_fail(device->cuda, code, "cuDeviceGetAttribute", err);
}

/* The device of the thread's current context, or -1. */
static int current_device(const struct rz_cuda *cuda)
{
    rz_cuda_context context = NULL;
    int device = -1;
    if (cuda->context_current(&context) != RZ_CUDA_SUCCESS || context == NULL)
        return -1;
    return cuda->context_device(&device) == RZ_CUDA_SUCCESS ? device : -1;
}

static int choose(struct rz_device *device, uint32_t choice, uint32_t rank, struct rz_error *err)
{
    const struct rz_cuda *cuda = device->cuda;
    int count = 0;
    int code = cuda->device_count(&count);
    if (code != RZ_CUDA_SUCCESS)
        return rz_cuda_fail(cuda, code, "cuDeviceGetCount", err);
    if (count < 1)
        return rz_fail(err, RZ_E_UNSUPPORTED, RZ_NO_RANK, 0, "the driver finds no GPU");
    if (choice > (uint32_t)count)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0, "device: expected 0 to %d, got %u", count - 1,
                       choice - 1);
    const int current = choice == 0 ? current_device(cuda) : -1;
    device->ordinal = choice > 0 ? (int)(choice - 1) : (int)(rank % (uint32_t)count);
    for (int i = 0; i < count; i++) {
        int candidate = -1;
        code = cuda->device(&candidate, i);
        if (code != RZ_CUDA_SUCCESS)
            return rz_cuda_fail(cuda, code, "cuDeviceGet", err);
        if (current >= 0 && candidate == current)
            device->ordinal = i;
        if (device->ordinal == i)
            device->device = candidate;
    }
    return RZ_OK;
}

static int describe(struct rz_device *device, struct rz_error *err)
{
    const struct rz_cuda *cuda = device->cuda;
    int major = 0, minor = 0;
    int code = cuda->device_uuid(&device->uuid, device->device);
    if (code != RZ_CUDA_SUCCESS)
        return rz_cuda_fail(cuda, code, "cuDeviceGetUuid", err);
    code = cuda->device_name(device->name, sizeof device->name, device->device);
    if (code != RZ_CUDA_SUCCESS)
        return rz_cuda_fail(cuda, code, "cuDeviceGetName", err);
    device->name[sizeof device->name - 1] = '\0';
    int status = attribute(device, RZ_CUDA_MULTIPROCESSORS, &device->multiprocessors, err);
    if (status == RZ_OK)
        status = attribute(device, RZ_CUDA_CAPABILITY_MAJOR, &major, err);
    if (status == RZ_OK)
        status = attribute(device, RZ_CUDA_CAPABILITY_MINOR, &minor, err);
    device->capability = 10 * major + minor;
    if (status == RZ_OK && device->capability < 80)
        status = rz_fail(err, RZ_E_UNSUPPORTED, RZ_NO_RANK, 0,
                         "%s: expected compute capability 8.0 or later, got %d.%d", device->name,
                         major, minor);
    return status;
}

/* What needs the context. */
static int make_stream(struct rz_device *device, struct rz_error *err)
{
    const struct rz_cuda *cuda = device->cuda;
    int status = rz_device_enter(device, err);
    if (status != RZ_OK)
        return status;
    int code = cuda->stream_create(&device->stream, RZ_CUDA_STREAM_NON_BLOCKING);
    if (code != RZ_CUDA_SUCCESS)
        status = rz_cuda_fail(cuda, code, "cuStreamCreate", err);
    if (status == RZ_OK) {
        code = cuda->event_create(&device->done, RZ_CUDA_EVENT_NO_TIMING);
        if (code != RZ_CUDA_SUCCESS)
            status = rz_cuda_fail(cuda, code, "cuEventCreate", err);
    }
    rz_device_leave(device);
    return status;
}

int rz_device_open(struct rz_device *device, const struct rz_cuda *cuda, uint32_t choice,
                   uint32_t rank, struct rz_error *err)
{
    *device = (struct rz_device){.cuda = cuda};
    int status = choose(device, choice, rank, err);
    if (status == RZ_OK)
        status = describe(device, err);
    if (status == RZ_OK) {
        const int code = cuda->primary_retain(&device->context, device->device);
        if (code != RZ_CUDA_SUCCESS) {
            device->context = NULL;
            status = rz_cuda_fail(cuda, code, "cuDevicePrimaryCtxRetain", err);
        }
    }
    if (status == RZ_OK)
        status = make_stream(device, err);
    if (status != RZ_OK)
        rz_device_close(device);
    return status;
}

int rz_device_of_uuid(const struct rz_cuda *cuda, const struct rz_cuda_uuid *uuid)
{
    int count = 0;
    cuda->device_count(&count);
    for (int i = 0; i < count; i++) {
        int device;
        struct rz_cuda_uuid its;
        if (cuda->device(&device, i) == RZ_CUDA_SUCCESS &&
            cuda->device_uuid(&its, device) == RZ_CUDA_SUCCESS &&
            memcmp(&its, uuid, sizeof its) == 0)
            return device;
    }
    return -1;
}

void rz_device_close(struct rz_device *device)
{
    if (device->context != NULL && rz_device_enter(device, NULL) == RZ_OK) {
        if (device->done != NULL)
            device->cuda->event_destroy(device->done);
        if (device->stream != NULL)
            device->cuda->stream_destroy(device->stream);
        rz_device_leave(device);
    }
    if (device->context != NULL)
        device->cuda->primary_release(device->device);
    *device = (struct rz_device){0};
}

int rz_device_enter(struct rz_device *device, struct rz_error *err)
{
    const struct rz_cuda *cuda = device->cuda;
    int code = cuda->context_push(device->context);
    if (code != RZ_CUDA_SUCCESS)
        return rz_cuda_fail(cuda, code, "cuCtxPushCurrent", err);
    if (device->entered++ > 0)
        return RZ_OK;
    device->capture_mode = RZ_CUDA_CAPTURE_RELAXED;
    code = cuda->exchange_capture_mode(&device->capture_mode);
    if (code == RZ_CUDA_SUCCESS)
        return RZ_OK;
    device->entered = 0;
    rz_cuda_context ours = NULL;
    cuda->context_pop(&ours);
    return rz_cuda_fail(cuda, code, "cuThreadExchangeStreamCaptureMode", err);
}

void rz_device_leave(struct rz_device *device)
{
    rz_cuda_context ours = NULL;
    if (--device->entered == 0)
        device->cuda->exchange_capture_mode(&device->capture_mode);
    device->cuda->context_pop(&ours);
}

int rz_device_allocate(const struct rz_device *device, size_t bytes, const char *what,
                       rz_cuda_ptr *address, struct rz_error *err)
{
    *address = 0;
    if (bytes == 0)
        return RZ_OK;
    const int code = device->cuda->allocate(address, bytes);
    if (code == RZ_CUDA_SUCCESS)
        return RZ_OK;
    *address = 0;
    if (code != RZ_CUDA_OUT_OF_MEMORY)
        return rz_cuda_fail(device->cuda, code, "cuMemAlloc", err);
    size_t left = 0, total = 0;
    device->cuda->memory_free_bytes(&left, &total);
    return rz_fail(err, RZ_E_NOMEM, RZ_NO_RANK, code,
                   "GPU %d (%s): no memory for %s: %zu bytes, %zu of %zu are free", device->ordinal,
                   device->name, what, bytes, left, total);
}

void rz_device_free(const struct rz_device *device, rz_cuda_ptr *address)
{
    if (*address != 0)
        device->cuda->free(*address);
    *address = 0;
}

int rz_device_pin(const struct rz_device *device, size_t bytes, const char *what, void **host,
                  rz_cuda_ptr *address, struct rz_error *err)
{
    const struct rz_cuda *cuda = device->cuda;
    *host = NULL;
    *address = 0;
    int code = cuda->host_allocate(host, bytes, RZ_CUDA_HOST_PORTABLE | RZ_CUDA_HOST_MAPPED);
    if (code != RZ_CUDA_SUCCESS) {
        *host = NULL;
        if (code == RZ_CUDA_OUT_OF_MEMORY)
            return rz_fail(err, RZ_E_NOMEM, RZ_NO_RANK, code,
                           "no pinned memory of the host for %s: %zu bytes", what, bytes);
        return rz_cuda_fail(cuda, code, "cuMemHostAlloc", err);
    }
    memset(*host, 0, bytes);
    code = cuda->host_device_pointer(address, *host, 0);
    if (code == RZ_CUDA_SUCCESS)
        return RZ_OK;
    rz_device_unpin(device, host);
    return rz_cuda_fail(cuda, code, "cuMemHostGetDevicePointer", err);
}

void rz_device_unpin(const struct rz_device *device, void **host)
{
    if (*host != NULL)
        device->cuda->host_free(*host);
    *host = NULL;
}

/* Of memory that it has not allocated or registered the driver knows nothing: an error. */
int rz_device_find(const struct rz_device *device, const void *address, int *ordinal,
                   struct rz_error *err)
{
    const struct rz_cuda *cuda = device->cuda;
    const rz_cuda_ptr at = (rz_cuda_ptr)(uintptr_t)address;
    unsigned type = 0;
    *ordinal = -1;
    int code = cuda->pointer_attribute(&type, RZ_CUDA_POINTER_MEMORY_TYPE, at);
    if (code == RZ_CUDA_INVALID_VALUE || (code == RZ_CUDA_SUCCESS && type != RZ_CUDA_MEMORY_DEVICE))
        return RZ_OK;
    if (code == RZ_CUDA_SUCCESS)
        code = cuda->pointer_attribute(ordinal, RZ_CUDA_POINTER_DEVICE, at);
    return code == RZ_CUDA_SUCCESS ? RZ_OK : rz_cuda_fail(cuda, code, "cuPointerGetAttribute", err);
}

size_t rz_device_bytes_at(const struct rz_device *device, const void *address)
{
    const rz_cuda_ptr at = (rz_cuda_ptr)(uintptr_t)address;
    rz_cuda_ptr start = 0;
    size_t bytes = 0;
    if (device->cuda->pointer_attribute(&start, RZ_CUDA_POINTER_RANGE_START, at) !=
            RZ_CUDA_SUCCESS ||
        device->cuda->pointer_attribute(&bytes, RZ_CUDA_POINTER_RANGE_BYTES, at) !=
            RZ_CUDA_SUCCESS ||
        at < start || at - start > bytes)
        return SIZE_MAX;
    return bytes - (at - start);
}

static bool is_about_the_stream(int code)
{
    return code == RZ_CUDA_INVALID_VALUE || code == RZ_CUDA_INVALID_CONTEXT ||
           code == RZ_CUDA_INVALID_HANDLE;
}

int rz_device_check_stream(const struct rz_device *device, rz_cuda_stream stream, bool *capturing,
                           struct rz_error *err)
{
    const struct rz_cuda *cuda = device->cuda;
    rz_cuda_context context = NULL;
    int state = RZ_CUDA_NOT_CAPTURING;
    int code = cuda->stream_context(stream, &context);
    if (is_about_the_stream(code))
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, code, "stream: not one of CUDA's");
    if (code != RZ_CUDA_SUCCESS)
        return rz_cuda_fail(cuda, code, "cuStreamGetCtx", err);
    if (context != device->context)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "stream: expected one of the primary context of GPU %d, got another's",
                       device->ordinal);
    code = cuda->stream_capturing(stream, &state);
    if (code != RZ_CUDA_SUCCESS)
        return rz_cuda_fail(cuda, code, "cuStreamIsCapturing", err);
    if (state != RZ_CUDA_NOT_CAPTURING && state != RZ_CUDA_CAPTURING)
        return rz_fail(err, RZ_E_STATE, RZ_NO_RANK, 0,
                       "stream: its capture was made invalid by an earlier call");
    *capturing = state == RZ_CUDA_CAPTURING;
    return RZ_OK;
}
