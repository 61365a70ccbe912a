/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_gpu_set.h - rows of a kind on the GPU, as many as make cold inputs, with the memory that
 * kernels work in, and what is launched on them.
 *
 * An input is a batch of rows that follow one another. Only RZ_BENCH_DISTINCT rows differ: the row
 * of number r on the device is that of number r modulo this on the host.
 */
#ifndef RZ_TOOLS_BENCH_GPU_SET_H
#define RZ_TOOLS_BENCH_GPU_SET_H

#include "tools/bench_gpu.h"
#include "tools/bench_rows.h"
#include "tools/bench_task.h"

struct rz_bench_gpu_set {
    const struct rz_bench_gpu *gpu;
    struct rz_bench_rows rows; /* those that differ, on the host */
    uint32_t most;             /* of the batches: what the memory below is for */
    uint32_t device_rows;
    rz_cuda_ptr logits; /* [device_rows] */
    rz_cuda_ptr workspace;
    rz_cuda_ptr ids;
    rz_cuda_ptr sums; /* of blocks of the plain read */
    void *results;    /* [most] struct rz_result, pinned, and where the device finds it */
    rz_cuda_ptr results_at;
};

/* rz_bench_gpu_set_make - for inputs of `batches`, [count]. After a failure too
 * rz_bench_gpu_set_free() is due. */
int rz_bench_gpu_set_make(const struct rz_bench_gpu *gpu, enum rz_bench_kind kind,
                          enum rz_dtype dtype, uint32_t vocab, const uint32_t *batches,
                          uint32_t count, const struct rz_npy *file, struct rz_bench_gpu_set *set,
                          struct rz_complaint *complaint);
void rz_bench_gpu_set_free(struct rz_bench_gpu_set *set);

/* Bytes of an input, and how many inputs there are: three at least, and three times the bytes of
 * the L2 cache. */
size_t rz_bench_gpu_set_bytes(const struct rz_bench_gpu_set *set, uint32_t batch);
uint32_t rz_bench_gpu_set_inputs(const struct rz_bench_gpu_set *set, uint32_t batch);

/* rz_bench_gpu_read_make - the plain read of inputs, with the grid that reads the fastest in this
 * mode. Complains if it does not read what is there. rz_bench_gpu_read_free() is due on success. */
int rz_bench_gpu_read_make(const struct rz_bench_gpu_set *set, uint32_t batch,
                           struct rz_bench_gpu_mode mode, struct rz_bench_gpu_work *work,
                           struct rz_complaint *complaint);

/* rz_bench_gpu_flush_make - the plain read of all rows at once. rz_bench_gpu_read_free() is due on
 * success. */
int rz_bench_gpu_flush_make(const struct rz_bench_gpu_set *set, struct rz_bench_gpu_work *work,
                            struct rz_complaint *complaint);

void rz_bench_gpu_read_free(struct rz_bench_gpu_work *work);

/* Draws from inputs: the requests, and what is launched for them. */
struct rz_bench_gpu_draw {
    const struct rz_bench_gpu_set *set;
    const struct rz_bench_tasks *tasks;
    uint32_t batch;
    struct rz_bench_gpu_work work; /* of struct rz_cuda_step */
    void *block;                   /* parameters of all inputs */
    size_t block_bytes;            /* of an input */
    rz_cuda_ptr block_copy;        /* on the device */
    rz_cuda_ptr edits;
};

/* rz_bench_gpu_draw_make - `tasks` are needed until rz_bench_gpu_draw_free(), which is due after a
 * failure too. */
int rz_bench_gpu_draw_make(const struct rz_bench_gpu_set *set, const struct rz_bench_tasks *tasks,
                           uint32_t batch, struct rz_bench_gpu_draw *draw,
                           struct rz_complaint *complaint);
void rz_bench_gpu_draw_free(struct rz_bench_gpu_draw *draw);

/* rz_bench_gpu_draw_check - draw once from every input: are all results those of the reference,
 * `expected`, by row on the host? */
int rz_bench_gpu_draw_check(const struct rz_bench_gpu_draw *draw, const struct rz_result *expected,
                            struct rz_complaint *complaint);

/* rz_bench_gpu_expect - what the reference draws from each row on the host. */
int rz_bench_gpu_expect(const struct rz_bench_gpu_set *set, const struct rz_bench_tasks *tasks,
                        struct rz_result expected[RZ_BENCH_DISTINCT],
                        struct rz_complaint *complaint);

#endif
