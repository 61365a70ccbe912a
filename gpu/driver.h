/* SPDX-License-Identifier: Apache-2.0
 *
 * driver.h - what is called of CUDA's driver, in a table that is filled in at run time.
 *
 * Nothing here needs CUDA's headers, and nothing is linked with it: a program that was built
 * without either finds a GPU if there is one. Types and numbers are those of cuda.h, whose ABI does
 * not change; tests/gpu/cuda_abi.c compares them where the header is there.
 *
 * Only the driver is called, and only in the primary context of a device, which CUDA's runtime,
 * PyTorch and cuBLAS use too: streams and pointers of theirs are ours.
 */
#ifndef RZ_GPU_DRIVER_H
#define RZ_GPU_DRIVER_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "internal/error.h"

/* cudaStream_t and CUstream are both pointers to this. */
struct CUstream_st;

typedef uint64_t rz_cuda_ptr; /* an address in memory of a device, or that it can reach */
typedef struct CUstream_st *rz_cuda_stream;
typedef struct CUctx_st *rz_cuda_context;
typedef struct CUmod_st *rz_cuda_module;
typedef struct CUfunc_st *rz_cuda_function;
typedef struct CUevent_st *rz_cuda_event;
typedef struct CUgraph_st *rz_cuda_graph;
typedef struct CUgraphExec_st *rz_cuda_graph_exec;

struct rz_cuda_uuid {
    unsigned char bytes[16];
};

/* Memory of another process's device: CUipcMemHandle. */
struct rz_cuda_ipc_memory {
    unsigned char bytes[64];
};

/* CUDA_MEMCPY2D: `height` rows of `width` bytes. */
struct rz_cuda_copy_2d {
    size_t from_x, from_y;
    uint32_t from_type; /* RZ_CUDA_MEMORY_* */
    const void *from_host;
    rz_cuda_ptr from_device;
    void *from_array;
    size_t from_pitch;
    size_t to_x, to_y;
    uint32_t to_type;
    void *to_host;
    rz_cuda_ptr to_device;
    void *to_array;
    size_t to_pitch;
    size_t width, height;
};

static_assert(sizeof(void *) == 8, "CUDA has no 32-bit hosts");
static_assert(sizeof(struct rz_cuda_copy_2d) == 128, "as CUDA_MEMCPY2D");

/* CUresult, as far as a decision depends on it. */
enum {
    RZ_CUDA_SUCCESS = 0,
    RZ_CUDA_INVALID_VALUE = 1,
    RZ_CUDA_OUT_OF_MEMORY = 2,
    RZ_CUDA_NO_DEVICE = 100,
    RZ_CUDA_INVALID_IMAGE = 200,
    RZ_CUDA_INVALID_CONTEXT = 201,
    RZ_CUDA_NO_BINARY_FOR_GPU = 209,
    RZ_CUDA_INVALID_PTX = 218,
    RZ_CUDA_NO_JIT_COMPILER = 221,
    RZ_CUDA_UNSUPPORTED_PTX = 222,
    RZ_CUDA_INVALID_SOURCE = 300,
    RZ_CUDA_INVALID_HANDLE = 400,
    RZ_CUDA_NOT_FOUND = 500,
    RZ_CUDA_NOT_READY = 600,
    RZ_CUDA_ILLEGAL_ADDRESS = 700,
    RZ_CUDA_LAUNCH_FAILED = 719,
    RZ_CUDA_CAPTURE_UNSUPPORTED = 900,
    RZ_CUDA_CAPTURE_IMPLICIT = 906
};

/* CUdevice_attribute */
enum {
    RZ_CUDA_MULTIPROCESSORS = 16,
    RZ_CUDA_MEMORY_CLOCK_KHZ = 36,
    RZ_CUDA_MEMORY_BUS_BITS = 37,
    RZ_CUDA_L2_BYTES = 38,
    RZ_CUDA_CAPABILITY_MAJOR = 75,
    RZ_CUDA_CAPABILITY_MINOR = 76,
    RZ_CUDA_HOST_REGISTER = 99,
    RZ_CUDA_READ_ONLY_HOST_REGISTER = 113
};

/* CUpointer_attribute, CUmemorytype */
enum {
    RZ_CUDA_POINTER_MEMORY_TYPE = 2,
    RZ_CUDA_POINTER_DEVICE = 9,
    RZ_CUDA_POINTER_RANGE_START = 11,
    RZ_CUDA_POINTER_RANGE_BYTES = 12
};
enum { RZ_CUDA_MEMORY_HOST = 1, RZ_CUDA_MEMORY_DEVICE = 2 };

/* Flags: CU_STREAM_NON_BLOCKING, CU_EVENT_DISABLE_TIMING, CU_EVENT_RECORD_EXTERNAL,
 * CU_MEMHOSTALLOC_* and CU_MEMHOSTREGISTER_*, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS,
 * CU_STREAM_WAIT_VALUE_GEQ, CU_STREAM_CAPTURE_STATUS_NONE and _ACTIVE,
 * CU_STREAM_CAPTURE_MODE_THREAD_LOCAL. */
enum { RZ_CUDA_STREAM_NON_BLOCKING = 1 };
enum { RZ_CUDA_EVENT_TIMED = 0, RZ_CUDA_EVENT_NO_TIMING = 2 };
enum { RZ_CUDA_HOST_PORTABLE = 1, RZ_CUDA_HOST_MAPPED = 2, RZ_CUDA_HOST_READ_ONLY = 8 };
enum { RZ_CUDA_EVENT_RECORD_EXTERNAL = 1 };
enum { RZ_CUDA_IPC_LAZY_PEER_ACCESS = 1 };
enum { RZ_CUDA_WAIT_AT_LEAST = 0 };
enum { RZ_CUDA_NOT_CAPTURING = 0, RZ_CUDA_CAPTURING = 1 };
enum { RZ_CUDA_CAPTURE_GLOBAL = 0, RZ_CUDA_CAPTURE_THREAD_LOCAL = 1, RZ_CUDA_CAPTURE_RELAXED = 2 };

/* X(member, symbol, parameters). Every one returns a CUresult. All are in CUDA 12.0. */
#define RZ_CUDA_CALLS(X)                                                                           \
    X(init, cuInit, (unsigned flags))                                                              \
    X(driver_version, cuDriverGetVersion, (int *version))                                          \
    X(error_name, cuGetErrorName, (int code, const char **name))                                   \
    X(error_text, cuGetErrorString, (int code, const char **text))                                 \
    X(device_count, cuDeviceGetCount, (int *count))                                                \
    X(device, cuDeviceGet, (int *device, int ordinal))                                             \
    X(device_name, cuDeviceGetName, (char *name, int bytes, int device))                           \
    X(device_uuid, cuDeviceGetUuid_v2, (struct rz_cuda_uuid * uuid, int device))                   \
    X(device_attribute, cuDeviceGetAttribute, (int *value, int attribute, int device))             \
    X(device_memory, cuDeviceTotalMem_v2, (size_t * bytes, int device))                            \
    X(device_can_access, cuDeviceCanAccessPeer, (int *can, int device, int peer))                  \
    X(primary_retain, cuDevicePrimaryCtxRetain, (rz_cuda_context * context, int device))           \
    X(primary_release, cuDevicePrimaryCtxRelease_v2, (int device))                                 \
    X(context_current, cuCtxGetCurrent, (rz_cuda_context * context))                               \
    X(context_push, cuCtxPushCurrent_v2, (rz_cuda_context context))                                \
    X(context_pop, cuCtxPopCurrent_v2, (rz_cuda_context * context))                                \
    X(context_device, cuCtxGetDevice, (int *device))                                               \
    X(module_load, cuModuleLoadData, (rz_cuda_module * module, const void *image))                 \
    X(module_unload, cuModuleUnload, (rz_cuda_module module))                                      \
    X(module_function, cuModuleGetFunction,                                                        \
      (rz_cuda_function * function, rz_cuda_module module, const char *name))                      \
    X(launch, cuLaunchKernel,                                                                      \
      (rz_cuda_function function, unsigned grid_x, unsigned grid_y, unsigned grid_z,               \
       unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,                \
       rz_cuda_stream stream, void **arguments, void **extra))                                     \
    X(memory_free_bytes, cuMemGetInfo_v2, (size_t * free, size_t * total))                         \
    X(allocate, cuMemAlloc_v2, (rz_cuda_ptr * address, size_t bytes))                              \
    X(free, cuMemFree_v2, (rz_cuda_ptr address))                                                   \
    X(host_allocate, cuMemHostAlloc, (void **address, size_t bytes, unsigned flags))               \
    X(host_free, cuMemFreeHost, (void *address))                                                   \
    X(host_register, cuMemHostRegister_v2, (void *address, size_t bytes, unsigned flags))          \
    X(host_unregister, cuMemHostUnregister, (void *address))                                       \
    X(host_device_pointer, cuMemHostGetDevicePointer_v2,                                           \
      (rz_cuda_ptr * device, void *host, unsigned flags))                                          \
    X(pointer_attribute, cuPointerGetAttribute, (void *value, int attribute, rz_cuda_ptr address)) \
    X(copy, cuMemcpyAsync,                                                                         \
      (rz_cuda_ptr to, rz_cuda_ptr from, size_t bytes, rz_cuda_stream stream))                     \
    X(copy_2d, cuMemcpy2DAsync_v2, (const struct rz_cuda_copy_2d *copy, rz_cuda_stream stream))    \
    X(set_words, cuMemsetD32Async,                                                                 \
      (rz_cuda_ptr address, unsigned value, size_t count, rz_cuda_stream stream))                  \
    X(stream_create, cuStreamCreate, (rz_cuda_stream * stream, unsigned flags))                    \
    X(stream_destroy, cuStreamDestroy_v2, (rz_cuda_stream stream))                                 \
    X(stream_query, cuStreamQuery, (rz_cuda_stream stream))                                        \
    X(stream_synchronize, cuStreamSynchronize, (rz_cuda_stream stream))                            \
    X(stream_context, cuStreamGetCtx, (rz_cuda_stream stream, rz_cuda_context * context))          \
    X(stream_capturing, cuStreamIsCapturing, (rz_cuda_stream stream, int *status))                 \
    X(stream_wait_event, cuStreamWaitEvent,                                                        \
      (rz_cuda_stream stream, rz_cuda_event event, unsigned flags))                                \
    X(stream_wait_value, cuStreamWaitValue32_v2,                                                   \
      (rz_cuda_stream stream, rz_cuda_ptr address, uint32_t value, unsigned flags))                \
    X(event_create, cuEventCreate, (rz_cuda_event * event, unsigned flags))                        \
    X(event_destroy, cuEventDestroy_v2, (rz_cuda_event event))                                     \
    X(event_record, cuEventRecord, (rz_cuda_event event, rz_cuda_stream stream))                   \
    X(event_record_flags, cuEventRecordWithFlags,                                                  \
      (rz_cuda_event event, rz_cuda_stream stream, unsigned flags))                                \
    X(event_query, cuEventQuery, (rz_cuda_event event))                                            \
    X(event_elapsed_ms, cuEventElapsedTime,                                                        \
      (float *milliseconds, rz_cuda_event from, rz_cuda_event to))                                 \
    X(ipc_get, cuIpcGetMemHandle, (struct rz_cuda_ipc_memory * handle, rz_cuda_ptr address))       \
    X(ipc_open, cuIpcOpenMemHandle_v2,                                                             \
      (rz_cuda_ptr * address, struct rz_cuda_ipc_memory handle, unsigned flags))                   \
    X(ipc_close, cuIpcCloseMemHandle, (rz_cuda_ptr address))                                       \
    X(exchange_capture_mode, cuThreadExchangeStreamCaptureMode, (int *mode))                       \
    X(capture_begin, cuStreamBeginCapture_v2, (rz_cuda_stream stream, int mode))                   \
    X(capture_end, cuStreamEndCapture, (rz_cuda_stream stream, rz_cuda_graph * graph))             \
    X(graph_instantiate, cuGraphInstantiateWithFlags,                                              \
      (rz_cuda_graph_exec * exec, rz_cuda_graph graph, unsigned long long flags))                  \
    X(graph_launch, cuGraphLaunch, (rz_cuda_graph_exec exec, rz_cuda_stream stream))               \
    X(graph_exec_destroy, cuGraphExecDestroy, (rz_cuda_graph_exec exec))                           \
    X(graph_destroy, cuGraphDestroy, (rz_cuda_graph graph))

struct rz_cuda {
    int version; /* of CUDA that the driver has: 13000 is 13.0 */
#define RZ_CUDA_MEMBER(member, symbol, parameters) int(*member) parameters;
    RZ_CUDA_CALLS(RZ_CUDA_MEMBER)
#undef RZ_CUDA_MEMBER
};

/* CUDA 13.0: of the driver 580. Older ones do not load what nvcc 13 makes. */
#define RZ_CUDA_OLDEST_DRIVER 13000

/* rz_cuda_open - fill in the table and start the driver. There is nothing to undo.
 * RZ_E_UNSUPPORTED: no libcuda.so.1, it is too old, or it finds no GPU, with the reason in `err`.
 */
int rz_cuda_open(struct rz_cuda *cuda, struct rz_error *err);

/* rz_cuda_fail - record that `call` returned `code`, a CUresult: RZ_E_NOMEM for lack of memory,
 * RZ_E_GPU for the rest. */
int rz_cuda_fail(const struct rz_cuda *cuda, int code, const char *call, struct rz_error *err);

#endif
