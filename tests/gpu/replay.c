/* SPDX-License-Identifier: Apache-2.0
 *
 * replay.c - a decode loop that is captured once and replayed, as docs/gpu.md shows it: written
 * with CUDA's own names, which a caller of rz_step_enqueue() uses.
 *
 *   replay JOB RANK WORLD
 *
 * Prints the id of every step. Fails if what follows the draw on the GPU does not find the last
 * one.
 */
#include <cuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rankzero/cuda.h"

enum { VOCAB = 5000, STEPS = 6 };

/* A failure of CUDA's ends the program: this is about what comes in which order. */
static void must(CUresult result, const char *call)
{
    if (result == CUDA_SUCCESS)
        return;
    fprintf(stderr, "replay: %s: %d\n", call, (int)result);
    exit(EXIT_FAILURE);
}
#define MUST(call) must(call, #call)

/* In place of a model: kernels that leave this rank's logits, one row of them, in rz_logits(). */
struct model {
    CUdeviceptr logits, weights;
    size_t bytes;
    CUdeviceptr fed; /* the id that goes in next */
};

static void launch_model(struct model *model, CUstream stream)
{
    MUST(cuMemcpyAsync(model->logits, model->weights, model->bytes, stream));
}

/* What comes after the draw, and reads the id where the GPU has it. */
static void launch_rest(struct model *model, const int32_t *id, CUstream stream)
{
    MUST(cuMemcpyAsync(model->fed, (CUdeviceptr)(uintptr_t)id, sizeof *id, stream));
}

static int decode(rz_job *job, struct model *model, CUstream stream, int32_t *drawn)
{
    struct rz_sampling sampling; /* rank 0 has the rows, as in every step */
    rz_sampling_init(&sampling);
    sampling.flags = RZ_SAMPLING_SEED;
    sampling.seed = 7;
    sampling.top_p = 0.9f;
    struct rz_row row = {.sampling = &sampling, .flags = RZ_ROW_POSITION};
    struct rz_batch batch;
    rz_batch_init(&batch);
    batch.logits_rows = 1; /* in rz_logits() */
    batch.rows = rz_rank(job) == 0 ? &row : NULL;
    batch.row_count = rz_rank(job) == 0 ? 1 : 0;

    const int32_t *id; /* in memory of this rank's GPU */
    CUgraph graph;
    CUgraphExec exec;
    MUST(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    launch_model(model, stream);
    int status = rz_step_enqueue(job, &batch, stream, &id); /* is recorded: nothing begins */
    if (status == RZ_OK)
        launch_rest(model, id, stream);
    MUST(cuStreamEndCapture(stream, &graph));
    MUST(cuGraphInstantiate(&exec, graph, 0));

    for (uint32_t step = 0; status == RZ_OK && step < STEPS; step++) {
        row.position = step; /* and whatever else changes: seeds, filters, histories */
        status = rz_step_prepare(job, &batch);
        if (status != RZ_OK)
            break;
        MUST(cuGraphLaunch(exec, stream));
        uint32_t count;
        status = rz_step_finish(job, &drawn[step], &count, NULL); /* the host has the id too */
    }
    MUST(cuStreamSynchronize(stream));
    MUST(cuGraphExecDestroy(exec));
    MUST(cuGraphDestroy(graph));
    return status;
}

static void open_model(rz_job *job, struct model *model, CUstream stream)
{
    static float logits[VOCAB];
    uint32_t first, count;
    size_t stride;
    rz_shard(job, &first, &count);
    for (uint32_t i = 0; i < count; i++)
        logits[i] = -0.001f * (float)(first + i);
    model->logits = (CUdeviceptr)(uintptr_t)rz_logits(job, &stride);
    model->bytes = count * sizeof *logits;
    MUST(cuMemAlloc(&model->weights, sizeof logits));
    MUST(cuMemAlloc(&model->fed, sizeof(int32_t)));
    MUST(cuMemcpyAsync(model->weights, (CUdeviceptr)(uintptr_t)logits, model->bytes, stream));
    MUST(cuStreamSynchronize(stream));
}

static void close_model(struct model *model, CUstream stream, int32_t *fed)
{
    MUST(cuMemcpyAsync((CUdeviceptr)(uintptr_t)fed, model->fed, sizeof *fed, stream));
    MUST(cuStreamSynchronize(stream));
    MUST(cuMemFree(model->weights));
    MUST(cuMemFree(model->fed));
}

static int show(const int32_t *drawn, int32_t fed)
{
    for (uint32_t step = 0; step < STEPS; step++)
        printf("%d\n", (int)drawn[step]);
    if (fed == drawn[STEPS - 1])
        return EXIT_SUCCESS;
    fprintf(stderr, "replay: expected %d on the GPU, got %d\n", (int)drawn[STEPS - 1], (int)fed);
    return EXIT_FAILURE;
}

static int run(const char *name, uint32_t rank, uint32_t world, struct rz_error *err)
{
    int32_t drawn[STEPS] = {0}, fed = -1;
    struct model model = {0};
    CUdevice device;
    CUcontext context;
    CUstream stream;
    int devices;
    MUST(cuInit(0));
    MUST(cuDeviceGetCount(&devices));
    MUST(cuDeviceGet(&device, (int)rank % devices));
    MUST(cuDevicePrimaryCtxRetain(&context, device));
    MUST(cuCtxPushCurrent(context));
    MUST(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));

    struct rz_options options;
    rz_options_init(&options);
    options.vocab_size = VOCAB;
    options.max_rows = 1;
    options.backend = RZ_BACKEND_CUDA; /* options.device is 0: that of the current context */
    rz_job *job;
    int status = rz_open_local(&options, name, rank, world, &job, err);
    if (status == RZ_OK) {
        open_model(job, &model, stream);
        status = decode(job, &model, stream, drawn);
        *err = *rz_last_error(job);
        rz_close(job);
        close_model(&model, stream, &fed);
    }
    MUST(cuStreamDestroy(stream));
    MUST(cuCtxPopCurrent(&context));
    MUST(cuDevicePrimaryCtxRelease(device));
    if (status == RZ_OK)
        return show(drawn, fed);
    fprintf(stderr, "replay: %s\n", err->text);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct rz_error err = {0};
    if (argc != 4) {
        fprintf(stderr, "usage: replay JOB RANK WORLD\n");
        return 2;
    }
    const uint32_t rank = (uint32_t)strtoul(argv[2], NULL, 10);
    return run(argv[1], rank, (uint32_t)strtoul(argv[3], NULL, 10), &err);
}
