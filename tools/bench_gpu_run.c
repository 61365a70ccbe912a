/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_gpu_run.c - a set of rows after the other: open, time, report.
 */
#include "tools/bench_gpu_run.h"

#include <stdlib.h>

#include "runtime/words.h"
#include "tools/stop.h"

struct run {
    const struct rz_bench_options *options;
    const struct rz_npy *file; /* NULL: none */
    struct rz_bench_gpu gpu;
    struct rz_bench_extras extras;
    struct rz_bench_peer peers[RZ_BENCH_PEERS];
    struct rz_bench_gpu_results results;
};

struct rz_bench_gpu_result *rz_bench_gpu_add(struct rz_bench_gpu_results *results,
                                             struct rz_complaint *complaint)
{
    if (results->count == results->room) {
        const size_t room = results->room * 2 + 64;
        struct rz_bench_gpu_result *list = realloc(results->list, room * sizeof *list);
        if (list == NULL) {
            rz_complain_memory(complaint);
            return NULL;
        }
        results->list = list;
        results->room = room;
    }
    return &results->list[results->count++];
}

static int run_set(struct run *run, enum rz_bench_kind kind, enum rz_dtype dtype, uint32_t vocab,
                   struct rz_complaint *complaint)
{
    const struct rz_bench_options *options = run->options;
    struct rz_bench_gpu_set set;
    int status = rz_bench_gpu_set_make(&run->gpu, kind, dtype, vocab, options->batches,
                                       options->batch_count, run->file, &set, complaint);
    if (status == RZ_EXIT_OK && options->stages)
        status = rz_bench_gpu_time_stages(&set, &run->extras, &run->results, complaint);
    else if (status == RZ_EXIT_OK)
        status = rz_bench_gpu_time_set(&set, &run->extras, run->peers, &run->results, complaint);
    rz_bench_gpu_set_free(&set);
    return status;
}

/* A file has a vocabulary of its own. */
static int run_kind(struct run *run, enum rz_bench_kind kind, enum rz_dtype dtype,
                    struct rz_complaint *complaint)
{
    const bool of_file = kind == RZ_BENCH_FILE;
    const uint32_t count = of_file ? 1 : run->options->vocab_count;
    int status = RZ_EXIT_OK;
    for (uint32_t i = 0; i < count && status == RZ_EXIT_OK && rz_stop_requested() == 0; i++)
        status = run_set(run, kind, dtype, of_file ? 0 : run->options->vocabs[i], complaint);
    return status;
}

static int run_grid(struct run *run, struct rz_complaint *complaint)
{
    const struct rz_bench_options *options = run->options;
    int status = rz_bench_extras_make(&run->extras, complaint);
    for (unsigned dtype = 0; dtype < RZ_DTYPES; dtype++)
        for (unsigned kind = 0; kind < RZ_BENCH_KINDS && status == RZ_EXIT_OK; kind++)
            if ((options->dtypes & 1u << dtype) != 0 && (options->kinds & 1u << kind) != 0)
                status = run_kind(run, (enum rz_bench_kind)kind, (enum rz_dtype)dtype, complaint);
    rz_bench_extras_free(&run->extras);
    if (status == RZ_EXIT_OK && rz_stop_requested() != 0)
        status = rz_complain(complaint, RZ_EXIT_FAILED, "stopped");
    return status;
}

static int run_all(struct run *run, struct rz_complaint *complaint)
{
    const struct rz_device *device = &run->gpu.device;
    struct rz_npy file;
    if (run->options->logits_path != NULL) {
        const int status = rz_bench_open_file(run->options->logits_path, &file, complaint);
        if (status != RZ_EXIT_OK)
            return status;
        run->file = &file;
    }
    snprintf(run->results.device, sizeof run->results.device,
             "%s, %d multiprocessors, L2 cache of %.0f MB, driver for CUDA %d.%d", device->name,
             device->multiprocessors, (double)run->gpu.l2_bytes * 1e-6,
             run->gpu.cuda.version / 1000, run->gpu.cuda.version % 1000 / 10);
    run->results.peer_count =
        rz_bench_peers_start(run->options, run->peers, run->results.peer_versions);
    const int status = run_grid(run, complaint);
    rz_bench_peers_end(run->peers);
    if (run->file != NULL)
        rz_npy_close(&file);
    return status;
}

int rz_bench_gpu_run(const struct rz_bench_options *options, struct rz_complaint *complaint)
{
    struct run *run = calloc(1, sizeof *run);
    if (run == NULL)
        return rz_complain_memory(complaint);
    run->options = options;
    run->results.options = options;
    int status = rz_bench_gpu_open(options->device, &run->gpu, complaint);
    if (status == RZ_EXIT_OK)
        status = run_all(run, complaint);
    if (status == RZ_EXIT_OK)
        status = rz_bench_gpu_report(&run->results, complaint);
    rz_bench_gpu_close(&run->gpu);
    free(run->results.list);
    free(run);
    return status;
}
