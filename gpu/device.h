/* SPDX-License-Identifier: Apache-2.0
 *
 * device.h - one GPU as a rank uses it: its primary context, a stream of our own, memory.
 */
#ifndef RZ_GPU_DEVICE_H
#define RZ_GPU_DEVICE_H

#include <stdbool.h>

#include "gpu/driver.h"

struct rz_device {
    const struct rz_cuda *cuda;
    int ordinal; /* among the GPUs that this process sees */
    int device;  /* CUdevice */
    rz_cuda_context context;
    rz_cuda_stream stream; /* for steps that are given no other */
    rz_cuda_event done;    /* of the last thing enqueued in a step */
    int multiprocessors;
    int capability; /* 90 is 9.0 */
    struct rz_cuda_uuid uuid;
    char name[64];
    int entered;      /* how often, without having left */
    int capture_mode; /* of the thread, to go back to */
};

/* rz_device_open - `choice`: ordinal + 1, or 0: the device of the context that is current on this
 * thread, or the one that is numbered `rank` modulo their number. RZ_E_ARG: there is no such
 * device. On failure nothing is held. */
int rz_device_open(struct rz_device *device, const struct rz_cuda *cuda, uint32_t choice,
                   uint32_t rank, struct rz_error *err);

/* rz_device_of_uuid - the CUdevice with this UUID, or -1: this process sees none such, which
 * CUDA_VISIBLE_DEVICES may have hidden. */
int rz_device_of_uuid(const struct rz_cuda *cuda, const struct rz_cuda_uuid *uuid);

/* All zero is allowed. What was allocated has been freed. */
void rz_device_close(struct rz_device *device);

/* Calls that use a device are made between these two, which leave the thread's own context as it
 * was. In between, a capture that somebody has begun does not forbid calls that have nothing to do
 * with it: allocations, queries of events. */
int rz_device_enter(struct rz_device *device, struct rz_error *err);
void rz_device_leave(struct rz_device *device);

/* rz_device_allocate - memory of the device, for `what` in words. RZ_E_NOMEM says how much was
 * asked for and how much is free. Nothing (0) for 0 bytes. */
int rz_device_allocate(const struct rz_device *device, size_t bytes, const char *what,
                       rz_cuda_ptr *address, struct rz_error *err);

/* rz_device_free - 0 is allowed; sets it to 0. */
void rz_device_free(const struct rz_device *device, rz_cuda_ptr *address);

/* rz_device_pin - memory of the host that the device reads and writes too, zeroed, and its address
 * there. */
int rz_device_pin(const struct rz_device *device, size_t bytes, const char *what, void **host,
                  rz_cuda_ptr *address, struct rz_error *err);
void rz_device_unpin(const struct rz_device *device, void **host);

/* rz_device_find - which GPU's memory `address` is; -1: of none, but the host's. */
int rz_device_find(const struct rz_device *device, const void *address, int *ordinal,
                   struct rz_error *err);

/* rz_device_bytes_at - how many bytes the allocation has from `address` on, as far as the driver
 * tells; SIZE_MAX where it does not. */
size_t rz_device_bytes_at(const struct rz_device *device, const void *address);

/* rz_device_check_stream - RZ_OK if `stream` is one of this device, else RZ_E_ARG, or RZ_E_GPU if
 * that cannot be told; *capturing: is work on it recorded instead of done? */
int rz_device_check_stream(const struct rz_device *device, rz_cuda_stream stream, bool *capturing,
                           struct rz_error *err);

#endif
