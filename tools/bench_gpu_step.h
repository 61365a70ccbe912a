/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_gpu_step.h - a step of one rank on a GPU, launched piece by piece, with an event of CUDA
 * after each.
 *
 *     fetch -> the kernels that draw -> publish -> take
 *
 * The last is what other ranks launch; here it finds what the one before it has just published.
 */
#ifndef RZ_TOOLS_BENCH_GPU_STEP_H
#define RZ_TOOLS_BENCH_GPU_STEP_H

#include "tools/bench_gpu_set.h"

/* Stages: fetch, those of the plan, publish, take, and nothing: what two events take by themselves.
 */
enum { RZ_BENCH_MOST_STAGES = RZ_CUDA_MOST_LAUNCHES + 4 };

struct rz_bench_gpu_step {
    const struct rz_bench_gpu_draw *draw;
    struct rz_bench_gpu_work flush; /* a plain read of all rows */
    void *pinned;                   /* what the host and the device tell each other */
    rz_cuda_ptr pinned_at;
    rz_cuda_ptr taken; /* ids, where the last stage puts them */
    rz_cuda_function fetch, publish, take;
    uint64_t sequence; /* of steps */
    uint32_t stage_count;
    const char *stages[RZ_BENCH_MOST_STAGES];
    rz_cuda_event events[RZ_BENCH_MOST_STAGES + 1];
};

/* rz_bench_gpu_step_make - after a failure too rz_bench_gpu_step_free() is due. */
int rz_bench_gpu_step_make(const struct rz_bench_gpu_draw *draw, struct rz_bench_gpu_step *step,
                           struct rz_complaint *complaint);
void rz_bench_gpu_step_free(struct rz_bench_gpu_step *step);

/* rz_bench_gpu_step_run - a step; ns[stage] of each. All of it is enqueued while the GPU reads
 * other bytes, so that no stage waits for the host, and logits come from memory. Complains unless
 * what is taken are the first input's ids, `expected`. */
int rz_bench_gpu_step_run(struct rz_bench_gpu_step *step, const struct rz_result *expected,
                          double ns[RZ_BENCH_MOST_STAGES], struct rz_complaint *complaint);

#endif
