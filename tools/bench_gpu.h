/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_gpu.h - the GPU that `rankzero bench sample --backend cuda` times, and time on it.
 *
 * Kernels are launched as jobs launch them, and timed by events of CUDA around many launches, or
 * around a graph that has them. One of these at a time is open, and its context is current.
 */
#ifndef RZ_TOOLS_BENCH_GPU_H
#define RZ_TOOLS_BENCH_GPU_H

#include "kernels/cuda/plan.h"
#include "runtime/gpu_kernels.h"
#include "tools/complaint.h"

struct rz_bench_gpu {
    struct rz_cuda cuda;
    struct rz_device device;
    struct rz_gpu_kernels kernels; /* the library's, and bench_read.h's */
    size_t l2_bytes;
    bool entered;
};

/* rz_bench_gpu_open - `choice` as of rz_device_open(). The struct stays where it is until
 * rz_bench_gpu_close(), which is due after a failure too. */
int rz_bench_gpu_open(uint32_t choice, struct rz_bench_gpu *gpu, struct rz_complaint *complaint);
void rz_bench_gpu_close(struct rz_bench_gpu *gpu);

/* rz_bench_gpu_check - RZ_EXIT_OK, or complain of `code`, which `call` returned. */
int rz_bench_gpu_check(const struct rz_bench_gpu *gpu, int code, const char *call,
                       struct rz_complaint *complaint);

int rz_bench_gpu_allocate(const struct rz_bench_gpu *gpu, size_t bytes, const char *what,
                          rz_cuda_ptr *at, struct rz_complaint *complaint);

/* rz_bench_gpu_copy - to the device, or on it, or from it; either side may be ordinary memory of
 * the host. Done when it returns. */
int rz_bench_gpu_copy(const struct rz_bench_gpu *gpu, rz_cuda_ptr to, rz_cuda_ptr from,
                      size_t bytes, struct rz_complaint *complaint);

int rz_bench_gpu_wait(const struct rz_bench_gpu *gpu, struct rz_complaint *complaint);

/* Kernels to launch one after the other, each with the same struct, of which there is one for each
 * input. */
struct rz_bench_gpu_work {
    struct rz_cuda_plan plan;
    rz_cuda_function functions[RZ_CUDA_MOST_LAUNCHES];
    char *arguments; /* [inputs] of argument_bytes */
    size_t argument_bytes;
    uint32_t inputs;
};

/* rz_bench_gpu_find - the functions of the plan. */
int rz_bench_gpu_find(const struct rz_bench_gpu *gpu, struct rz_bench_gpu_work *work,
                      struct rz_complaint *complaint);

/* rz_bench_gpu_launch - all of the plan, for an input; rz_bench_gpu_launch_one(): one of it. */
int rz_bench_gpu_launch_one(const struct rz_bench_gpu *gpu, const struct rz_bench_gpu_work *work,
                            uint32_t which, uint32_t input, struct rz_complaint *complaint);
int rz_bench_gpu_launch(const struct rz_bench_gpu *gpu, const struct rz_bench_gpu_work *work,
                        uint32_t input, struct rz_complaint *complaint);

/* How work is timed. */
struct rz_bench_gpu_mode {
    bool cold;  /* all inputs in turn, more bytes than the L2 cache has; else always the first */
    bool graph; /* launched by a graph */
};

struct rz_bench_gpu_timer {
    const struct rz_bench_gpu *gpu;
    const struct rz_bench_gpu_work *work;
    struct rz_bench_gpu_mode mode;
    rz_cuda_graph_exec graph;
    rz_cuda_event from, to;
    uint32_t in_graph; /* inputs of a replay, or 1 */
    uint32_t times;    /* replays or inputs in a repeat */
    uint32_t next;     /* input */
};

/* rz_bench_gpu_timer_make - and run it for the first time, to find how often it is to run in a
 * repeat. After a failure too rz_bench_gpu_timer_free() is due. */
int rz_bench_gpu_timer_make(const struct rz_bench_gpu *gpu, const struct rz_bench_gpu_work *work,
                            struct rz_bench_gpu_mode mode, struct rz_bench_gpu_timer *timer,
                            struct rz_complaint *complaint);
void rz_bench_gpu_timer_free(struct rz_bench_gpu_timer *timer);

/* rz_bench_gpu_timer_run - one repeat: *ns of an input. */
int rz_bench_gpu_timer_run(struct rz_bench_gpu_timer *timer, double *ns,
                           struct rz_complaint *complaint);

#endif
