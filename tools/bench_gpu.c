/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench_gpu.h"

#include <time.h>

#include "kernels/cuda/image.h"
#include "tools/bench_read.h"
#include "tools/stop.h"

static int complain(const struct rz_error *err, struct rz_complaint *complaint)
{
    return rz_complain(complaint, RZ_EXIT_FAILED, "--backend cuda: %s", err->text);
}

/* ------------------------------------------------------------------------------------------------
 * The device
 */

static int load(struct rz_bench_gpu *gpu, struct rz_error *err)
{
    int status = rz_gpu_kernels_load(&gpu->kernels, &gpu->device, rz_cuda_images, err);
    if (status == RZ_OK && rz_bench_images[0].name != NULL)
        status = rz_gpu_kernels_load(&gpu->kernels, &gpu->device, rz_bench_images, err);
    return status;
}

int rz_bench_gpu_open(uint32_t choice, struct rz_bench_gpu *gpu, struct rz_complaint *complaint)
{
    struct rz_error err;
    *gpu = (struct rz_bench_gpu){0};
    int status = rz_cuda_open(&gpu->cuda, &err);
    if (status == RZ_OK)
        status = rz_device_open(&gpu->device, &gpu->cuda, choice, 0, &err);
    if (status == RZ_OK)
        status = rz_device_enter(&gpu->device, &err);
    gpu->entered = status == RZ_OK;
    if (status == RZ_OK)
        status = load(gpu, &err);
    if (status != RZ_OK)
        return complain(&err, complaint);
    int bytes = 0;
    const int code = gpu->cuda.device_attribute(&bytes, RZ_CUDA_L2_BYTES, gpu->device.device);
    gpu->l2_bytes = (size_t)bytes;
    return rz_bench_gpu_check(gpu, code, "cuDeviceGetAttribute", complaint);
}

void rz_bench_gpu_close(struct rz_bench_gpu *gpu)
{
    if (gpu->entered) {
        rz_gpu_kernels_unload(&gpu->kernels);
        rz_device_leave(&gpu->device);
    }
    rz_device_close(&gpu->device);
    *gpu = (struct rz_bench_gpu){0};
}

int rz_bench_gpu_check(const struct rz_bench_gpu *gpu, int code, const char *call,
                       struct rz_complaint *complaint)
{
    struct rz_error err;
    if (code == RZ_CUDA_SUCCESS)
        return RZ_EXIT_OK;
    rz_cuda_fail(&gpu->cuda, code, call, &err);
    return complain(&err, complaint);
}

int rz_bench_gpu_allocate(const struct rz_bench_gpu *gpu, size_t bytes, const char *what,
                          rz_cuda_ptr *at, struct rz_complaint *complaint)
{
    struct rz_error err;
    const int status = rz_device_allocate(&gpu->device, bytes, what, at, &err);
    return status == RZ_OK ? RZ_EXIT_OK : complain(&err, complaint);
}

/* Times are of events: how the host waits does not show in them. Who asks the command to stop need
 * not wait for a GPU that does not come to an end. */
int rz_bench_gpu_wait(const struct rz_bench_gpu *gpu, struct rz_complaint *complaint)
{
    const struct timespec moment = {.tv_nsec = 20000};
    int code;
    while ((code = gpu->cuda.stream_query(gpu->device.stream)) == RZ_CUDA_NOT_READY) {
        if (rz_stop_requested())
            rz_stop_die();
        nanosleep(&moment, NULL);
    }
    return rz_bench_gpu_check(gpu, code, "cuStreamQuery", complaint);
}

int rz_bench_gpu_copy(const struct rz_bench_gpu *gpu, rz_cuda_ptr to, rz_cuda_ptr from,
                      size_t bytes, struct rz_complaint *complaint)
{
    const int status = rz_bench_gpu_check(gpu, gpu->cuda.copy(to, from, bytes, gpu->device.stream),
                                          "cuMemcpyAsync", complaint);
    return status == RZ_EXIT_OK ? rz_bench_gpu_wait(gpu, complaint) : status;
}

/* ------------------------------------------------------------------------------------------------
 * Work
 */

int rz_bench_gpu_find(const struct rz_bench_gpu *gpu, struct rz_bench_gpu_work *work,
                      struct rz_complaint *complaint)
{
    struct rz_error err;
    for (uint32_t i = 0; i < work->plan.count; i++)
        if (rz_gpu_kernels_get(&gpu->kernels, work->plan.launches[i].kernel, &work->functions[i],
                               &err) != RZ_OK)
            return complain(&err, complaint);
    return RZ_EXIT_OK;
}

int rz_bench_gpu_launch_one(const struct rz_bench_gpu *gpu, const struct rz_bench_gpu_work *work,
                            uint32_t which, uint32_t input, struct rz_complaint *complaint)
{
    const struct rz_cuda_launch *launch = &work->plan.launches[which];
    void *argument = work->arguments + input * work->argument_bytes;
    const int code =
        gpu->cuda.launch(work->functions[which], launch->grid_x, launch->grid_y, 1, launch->threads,
                         1, 1, 0, gpu->device.stream, &argument, NULL);
    return rz_bench_gpu_check(gpu, code, launch->kernel, complaint);
}

int rz_bench_gpu_launch(const struct rz_bench_gpu *gpu, const struct rz_bench_gpu_work *work,
                        uint32_t input, struct rz_complaint *complaint)
{
    int status = RZ_EXIT_OK;
    for (uint32_t i = 0; i < work->plan.count && status == RZ_EXIT_OK; i++)
        status = rz_bench_gpu_launch_one(gpu, work, i, input, complaint);
    return status;
}

/* ------------------------------------------------------------------------------------------------
 * Time
 */

enum {
    REPEAT_NS = 4000000, /* events are good to half a microsecond; far above that */
    MOST_TIMES = 2000,   /* what a stream takes before launches wait for room in it, and so on */
    GRAPH_INPUTS = 20,   /* of a graph with always the same: a replay costs some microseconds */
};

static int launch_next(struct rz_bench_gpu_timer *timer, struct rz_complaint *complaint)
{
    const uint32_t input = timer->next;
    timer->next = timer->mode.cold ? (input + 1) % timer->work->inputs : 0;
    return rz_bench_gpu_launch(timer->gpu, timer->work, input, complaint);
}

static int capture(struct rz_bench_gpu_timer *timer, struct rz_complaint *complaint)
{
    const struct rz_bench_gpu *gpu = timer->gpu;
    const struct rz_cuda *cuda = &gpu->cuda;
    rz_cuda_graph graph = NULL;
    timer->in_graph = timer->mode.cold ? timer->work->inputs : GRAPH_INPUTS;
    int code = cuda->capture_begin(gpu->device.stream, RZ_CUDA_CAPTURE_THREAD_LOCAL);
    int status = rz_bench_gpu_check(gpu, code, "cuStreamBeginCapture", complaint);
    if (status != RZ_EXIT_OK)
        return status;
    for (uint32_t i = 0; i < timer->in_graph && status == RZ_EXIT_OK; i++)
        status = launch_next(timer, complaint);
    code = cuda->capture_end(gpu->device.stream, &graph);
    if (status == RZ_EXIT_OK)
        status = rz_bench_gpu_check(gpu, code, "cuStreamEndCapture", complaint);
    if (status == RZ_EXIT_OK)
        status = rz_bench_gpu_check(gpu, cuda->graph_instantiate(&timer->graph, graph, 0),
                                    "cuGraphInstantiateWithFlags", complaint);
    if (graph != NULL)
        cuda->graph_destroy(graph);
    return status;
}

static int run_once(struct rz_bench_gpu_timer *timer, struct rz_complaint *complaint)
{
    const struct rz_bench_gpu *gpu = timer->gpu;
    if (timer->graph == NULL)
        return launch_next(timer, complaint);
    return rz_bench_gpu_check(gpu, gpu->cuda.graph_launch(timer->graph, gpu->device.stream),
                              "cuGraphLaunch", complaint);
}

int rz_bench_gpu_timer_run(struct rz_bench_gpu_timer *timer, double *ns,
                           struct rz_complaint *complaint)
{
    const struct rz_bench_gpu *gpu = timer->gpu;
    const struct rz_cuda *cuda = &gpu->cuda;
    float ms = 0.0f;
    int status = rz_bench_gpu_check(gpu, cuda->event_record(timer->from, gpu->device.stream),
                                    "cuEventRecord", complaint);
    for (uint32_t i = 0; i < timer->times && status == RZ_EXIT_OK; i++)
        status = run_once(timer, complaint);
    if (status == RZ_EXIT_OK)
        status = rz_bench_gpu_check(gpu, cuda->event_record(timer->to, gpu->device.stream),
                                    "cuEventRecord", complaint);
    const int waited = rz_bench_gpu_wait(gpu, complaint);
    status = status == RZ_EXIT_OK ? waited : status;
    if (status == RZ_EXIT_OK)
        status = rz_bench_gpu_check(gpu, cuda->event_elapsed_ms(&ms, timer->from, timer->to),
                                    "cuEventElapsedTime", complaint);
    *ns = (double)ms * 1e6 / ((double)timer->times * timer->in_graph);
    return status;
}

static int make_events(struct rz_bench_gpu_timer *timer, struct rz_complaint *complaint)
{
    const struct rz_bench_gpu *gpu = timer->gpu;
    int code = gpu->cuda.event_create(&timer->from, RZ_CUDA_EVENT_TIMED);
    if (code == RZ_CUDA_SUCCESS)
        code = gpu->cuda.event_create(&timer->to, RZ_CUDA_EVENT_TIMED);
    return rz_bench_gpu_check(gpu, code, "cuEventCreate", complaint);
}

int rz_bench_gpu_timer_make(const struct rz_bench_gpu *gpu, const struct rz_bench_gpu_work *work,
                            struct rz_bench_gpu_mode mode, struct rz_bench_gpu_timer *timer,
                            struct rz_complaint *complaint)
{
    double ns = 0.0;
    *timer = (struct rz_bench_gpu_timer){
        .gpu = gpu, .work = work, .mode = mode, .in_graph = 1, .times = 1};
    int status = make_events(timer, complaint);
    if (status == RZ_EXIT_OK && mode.graph)
        status = capture(timer, complaint);
    /* The first run loads code and may compile it; the second is for choosing. */
    for (int i = 0; i < 2 && status == RZ_EXIT_OK; i++)
        status = rz_bench_gpu_timer_run(timer, &ns, complaint);
    const double runs = REPEAT_NS / (ns * timer->in_graph + 1.0) + 1.0;
    timer->times = runs < MOST_TIMES ? (uint32_t)runs : MOST_TIMES;
    return status;
}

void rz_bench_gpu_timer_free(struct rz_bench_gpu_timer *timer)
{
    if (timer->gpu != NULL) {
        const struct rz_cuda *cuda = &timer->gpu->cuda;
        if (timer->graph != NULL)
            cuda->graph_exec_destroy(timer->graph);
        if (timer->from != NULL)
            cuda->event_destroy(timer->from);
        if (timer->to != NULL)
            cuda->event_destroy(timer->to);
    }
    *timer = (struct rz_bench_gpu_timer){0};
}
