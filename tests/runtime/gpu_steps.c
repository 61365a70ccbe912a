/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/runtime/gpu_steps.h"

#include <string.h>

#include "rankzero/cuda.h"
#include "tests/runtime/ranks.h"

static void expect(const struct rz_cuda *cuda, int code, const char *call)
{
    struct rz_error err;
    if (code != RZ_CUDA_SUCCESS)
        rz_cuda_fail(cuda, code, call, &err);
    rank_expect(code == RZ_CUDA_SUCCESS, "%s", err.text);
}

static void enter(struct gpu_caller *caller)
{
    struct rz_error err;
    rank_expect(rz_device_enter(&caller->device, &err) == RZ_OK, "%s", err.text);
}

void gpu_caller_open(struct gpu_caller *caller, uint32_t device, uint32_t rank)
{
    struct rz_error err;
    *caller = (struct gpu_caller){.logits = 0};
    int status = rz_cuda_open(&caller->cuda, &err);
    if (status == RZ_OK)
        status = rz_device_open(&caller->device, &caller->cuda, device, rank, &err);
    rank_expect(status == RZ_OK, "%s", err.text);
}

void gpu_caller_close(struct gpu_caller *caller)
{
    enter(caller);
    if (caller->exec != NULL) {
        expect(&caller->cuda, caller->cuda.graph_exec_destroy(caller->exec), "cuGraphExecDestroy");
        expect(&caller->cuda, caller->cuda.graph_destroy(caller->graph), "cuGraphDestroy");
    }
    rz_device_free(&caller->device, &caller->logits);
    rz_device_leave(&caller->device);
    rz_device_close(&caller->device);
}

void gpu_caller_upload(struct gpu_caller *caller, rz_job *job, struct rz_batch *batch,
                       size_t logit_bytes)
{
    const struct rz_cuda *cuda = &caller->cuda;
    uint32_t first, columns;
    struct rz_error err;
    rz_shard(job, &first, &columns);
    /* No more than the rows have: of the last one only its columns. */
    const size_t bytes =
        ((batch->logits_rows - 1) * batch->row_stride + columns) * logit_bytes + logit_bytes;
    enter(caller);
    if (caller->logits_bytes < bytes) {
        rz_device_free(&caller->device, &caller->logits);
        rank_expect(rz_device_allocate(&caller->device, bytes, "a test's logits", &caller->logits,
                                       &err) == RZ_OK,
                    "%s", err.text);
        caller->logits_bytes = bytes;
    }
    expect(cuda,
           cuda->copy(caller->logits, (rz_cuda_ptr)(uintptr_t)batch->logits, bytes - logit_bytes,
                      caller->device.stream),
           "cuMemcpyAsync");
    rz_device_leave(&caller->device);
    batch->logits = (const void *)(uintptr_t)caller->logits;
}

void gpu_caller_ids(struct gpu_caller *caller, int32_t *ids, uint32_t count)
{
    const struct rz_cuda *cuda = &caller->cuda;
    enter(caller);
    expect(cuda,
           cuda->copy((rz_cuda_ptr)(uintptr_t)ids, (rz_cuda_ptr)(uintptr_t)caller->ids,
                      count * sizeof *ids, caller->device.stream),
           "cuMemcpyAsync");
    expect(cuda, cuda->stream_synchronize(caller->device.stream), "cuStreamSynchronize");
    rz_device_leave(&caller->device);
}

/* The scene's logits are of f32 unless a test says otherwise. */
enum { LOGIT_BYTES = 4 };

int gpu_step_of_device_memory(void *context, rz_job *job, const struct rz_batch *given,
                              int32_t *ids, uint32_t *count, struct rz_result *results)
{
    struct gpu_caller *caller = context;
    struct rz_batch batch = *given;
    gpu_caller_upload(caller, job, &batch, LOGIT_BYTES);
    enter(caller); /* rz_step() knows nothing of the stream that the logits come by */
    expect(&caller->cuda, caller->cuda.stream_synchronize(caller->device.stream),
           "cuStreamSynchronize");
    rz_device_leave(&caller->device);
    return rz_step(job, &batch, ids, count, results);
}

/* Ids on the device are those that the host gets. */
static int finish(struct gpu_caller *caller, rz_job *job, int32_t *ids, uint32_t *count,
                  struct rz_result *results)
{
    int32_t there[256];
    int status = RZ_OK;
    while ((status = rz_step_ready(job)) == 0)
        ;
    if (status == 1)
        status = rz_step_finish(job, ids, count, results);
    if (status != RZ_OK)
        return status;
    gpu_caller_ids(caller, there, *count);
    rank_expect(memcmp(there, ids, *count * sizeof *ids) == 0,
                "rank %u: ids on the device are others than on the host", rz_rank(job));
    return RZ_OK;
}

int gpu_step_enqueued(void *context, rz_job *job, const struct rz_batch *given, int32_t *ids,
                      uint32_t *count, struct rz_result *results)
{
    struct gpu_caller *caller = context;
    struct rz_batch batch = *given;
    gpu_caller_upload(caller, job, &batch, LOGIT_BYTES);
    const int status = rz_step_enqueue(job, &batch, caller->device.stream, &caller->ids);
    return status == RZ_OK ? finish(caller, job, ids, count, results) : status;
}

int gpu_step_synchronized(void *context, rz_job *job, const struct rz_batch *given, int32_t *ids,
                          uint32_t *count, struct rz_result *results)
{
    struct gpu_caller *caller = context;
    struct rz_batch batch = *given;
    gpu_caller_upload(caller, job, &batch, LOGIT_BYTES);
    const int status = rz_step_enqueue(job, &batch, caller->device.stream, &caller->ids);
    if (status != RZ_OK)
        return status;
    enter(caller);
    caller->cuda.stream_synchronize(caller->device.stream); /* whatever comes of it */
    rz_device_leave(&caller->device);
    return rz_step_finish(job, ids, count, results);
}

static int capture(struct gpu_caller *caller, rz_job *job, const struct rz_batch *batch)
{
    const struct rz_cuda *cuda = &caller->cuda;
    const rz_cuda_stream stream = caller->device.stream;
    enter(caller);
    expect(cuda, cuda->capture_begin(stream, RZ_CUDA_CAPTURE_THREAD_LOCAL), "cuStreamBeginCapture");
    const int status = rz_step_enqueue(job, batch, stream, &caller->ids);
    expect(cuda, cuda->capture_end(stream, &caller->graph), "cuStreamEndCapture");
    expect(cuda, cuda->graph_instantiate(&caller->exec, caller->graph, 0), "cuGraphInstantiate");
    rz_device_leave(&caller->device);
    return status;
}

int gpu_step_replayed(void *context, rz_job *job, const struct rz_batch *given, int32_t *ids,
                      uint32_t *count, struct rz_result *results)
{
    struct gpu_caller *caller = context;
    struct rz_batch batch = *given;
    gpu_caller_upload(caller, job, &batch, LOGIT_BYTES);
    int status = caller->exec == NULL ? capture(caller, job, &batch) : RZ_OK;
    if (status == RZ_OK)
        status = rz_step_prepare(job, &batch);
    if (status != RZ_OK)
        return status;
    enter(caller);
    expect(&caller->cuda, caller->cuda.graph_launch(caller->exec, caller->device.stream),
           "cuGraphLaunch");
    rz_device_leave(&caller->device);
    return finish(caller, job, ids, count, results);
}
