/* SPDX-License-Identifier: Apache-2.0
 *
 * options.c - check options, fill in defaults, compare those of two ranks.
 */
#include "runtime/options.h"

#include <stdbool.h>
#include <unistd.h>

#include "internal/size_math.h"
#include "kernels/cuda/kernels.h"
#include "runtime/words.h"

enum {
    DEFAULT_MAX_ROWS = 256,
    DEFAULT_OPEN_TIMEOUT_MS = 30000,
    DEFAULT_STEP_TIMEOUT_MS = 60000,
    CACHE_LINE = 64,
};

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value != 0 ? value : fallback;
}

static int fail_range(struct rz_error *err, const char *field, uint32_t got, uint32_t low,
                      uint32_t high)
{
    return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0, "%s: expected %u to %u, got %u", field, low, high,
                   got);
}

static int check_ranges(const struct rz_plan *plan, const struct rz_local *local,
                        struct rz_error *err)
{
    if (plan->world < 1 || plan->world > RZ_MAX_WORLD)
        return fail_range(err, "world size", plan->world, 1, RZ_MAX_WORLD);
    if (local->rank >= plan->world)
        return fail_range(err, "rank", local->rank, 0, plan->world - 1);
    if (plan->vocab_size < 1 || plan->vocab_size > RZ_MAX_VOCAB)
        return fail_range(err, "vocab_size", plan->vocab_size, 1, RZ_MAX_VOCAB);
    if (plan->vocab_padded < plan->vocab_size || plan->vocab_padded > RZ_MAX_VOCAB)
        return fail_range(err, "vocab_padded", plan->vocab_padded, plan->vocab_size, RZ_MAX_VOCAB);
    if (plan->dtype > RZ_BF16)
        return fail_range(err, "dtype", plan->dtype, RZ_F32, RZ_BF16);
    if (plan->max_rows > RZ_MAX_ROWS)
        return fail_range(err, "max_rows", plan->max_rows, 1, RZ_MAX_ROWS);
    if (plan->mode != RZ_MODE_GATHER)
        return fail_range(err, "mode", plan->mode, RZ_MODE_GATHER, RZ_MODE_GATHER);
    if (plan->backend > RZ_BACKEND_CUDA)
        return fail_range(err, "backend", plan->backend, RZ_BACKEND_AUTO, RZ_BACKEND_CUDA);
    if (plan->comm > RZ_COMM_CUDA_IPC)
        return fail_range(err, "comm", plan->comm, RZ_COMM_AUTO, RZ_COMM_CUDA_IPC);
    const bool between_gpus = plan->comm == RZ_COMM_NCCL || plan->comm == RZ_COMM_CUDA_IPC;
    if (plan->comm != RZ_COMM_AUTO && between_gpus != (plan->backend == RZ_BACKEND_CUDA))
        return rz_fail(err, RZ_E_UNSUPPORTED, RZ_NO_RANK, 0,
                       "comm: expected %s with backend %s, got %s",
                       between_gpus ? "auto, shm or mpi" : "auto, nccl or cuda_ipc",
                       rz_backend_words[plan->backend], rz_comm_words[plan->comm]);
    if (local->threads > RZ_MAX_THREADS)
        return fail_range(err, "threads", local->threads, 0, RZ_MAX_THREADS);
    if (plan->backend == RZ_BACKEND_CUDA && plan->max_rows > RZ_CUDA_MOST_ROWS)
        return fail_range(err, "max_rows with backend cuda", plan->max_rows, 1, RZ_CUDA_MOST_ROWS);
    return RZ_OK;
}

static void split_evenly(struct rz_plan *plan)
{
    const uint32_t least = plan->vocab_padded / plan->world;
    const uint32_t rest = plan->vocab_padded % plan->world;
    for (uint32_t r = 0; r < plan->world; r++)
        plan->columns[r] = least + (r < rest ? 1 : 0);
}

static int split_as_given(struct rz_plan *plan, const uint32_t *split, struct rz_error *err)
{
    uint64_t sum = 0;
    for (uint32_t r = 0; r < plan->world; r++) {
        plan->columns[r] = split[r];
        sum += split[r];
    }
    if (sum != plan->vocab_padded)
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "split: expected %u columns in all, got %llu over %u ranks",
                       plan->vocab_padded, (unsigned long long)sum, plan->world);
    return RZ_OK;
}

int rz_options_resolve(const struct rz_options *options, uint32_t rank, uint32_t world,
                       uint32_t comm_auto, struct rz_plan *plan, struct rz_local *local,
                       struct rz_error *err)
{
    struct rz_options o;
    if (options == NULL || !rz_struct_read(&o, sizeof o, options, sizeof o.size))
        return rz_fail(err, RZ_E_ARG, RZ_NO_RANK, 0,
                       "options: expected a struct made by rz_options_init() of this version");

    *plan = (struct rz_plan){
        .world = world,
        .vocab_size = o.vocab_size,
        .vocab_padded = or_default(o.vocab_padded, o.vocab_size),
        .dtype = o.dtype,
        .max_rows = or_default(o.max_rows, DEFAULT_MAX_ROWS),
        .mode = o.mode,
        .backend = o.backend,
        .comm = o.comm == RZ_COMM_AUTO && o.backend != RZ_BACKEND_CUDA ? comm_auto : o.comm,
    };
    *local = (struct rz_local){
        .rank = rank,
        .threads = or_default(o.threads, 1),
        .device = o.device,
        .open_timeout_ns =
            or_default(o.open_timeout_ms, DEFAULT_OPEN_TIMEOUT_MS) * UINT64_C(1000000),
        .step_timeout_ns =
            or_default(o.step_timeout_ms, DEFAULT_STEP_TIMEOUT_MS) * UINT64_C(1000000),
        .shm_dir = o.shm_dir != NULL ? o.shm_dir : "/dev/shm",
        .pid = getpid(),
    };
    const int status = check_ranges(plan, local, err);
    if (status != RZ_OK)
        return status;
    if (o.split != NULL)
        return split_as_given(plan, o.split, err);
    split_evenly(plan);
    return RZ_OK;
}

/* A value as the public header calls it: by its word if it is one of an enum, else in digits. */
static void name_value(const char *const *words, uint32_t value, char text[16])
{
    uint32_t known = 0;
    while (words != NULL && words[known] != NULL && known < value)
        known++;
    if (words != NULL && words[known] != NULL)
        snprintf(text, 16, "%s", words[known]);
    else
        snprintf(text, 16, "%u", value);
}

int rz_plan_compare(const struct rz_plan *plan, const struct rz_plan *other, uint32_t rank,
                    struct rz_error *err)
{
    const struct {
        const char *name;
        const char *const *words; /* NULL: a number */
        uint32_t expected, got;
    } fields[] = {
        {"world size", NULL, plan->world, other->world},
        {"vocab_size", NULL, plan->vocab_size, other->vocab_size},
        {"vocab_padded", NULL, plan->vocab_padded, other->vocab_padded},
        {"dtype", rz_dtype_words, plan->dtype, other->dtype},
        {"max_rows", NULL, plan->max_rows, other->max_rows},
        {"mode", rz_mode_words, plan->mode, other->mode},
        {"backend", rz_backend_words, plan->backend, other->backend},
        {"comm", rz_comm_words, plan->comm, other->comm},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (fields[i].expected == fields[i].got)
            continue;
        char expected[16], got[16];
        name_value(fields[i].words, fields[i].expected, expected);
        name_value(fields[i].words, fields[i].got, got);
        return rz_fail(err, RZ_E_MISMATCH, (int)rank, 0, "%s: rank 0 has %s, rank %u has %s",
                       fields[i].name, expected, rank, got);
    }
    for (uint32_t r = 0; r < plan->world; r++)
        if (plan->columns[r] != other->columns[r])
            return rz_fail(err, RZ_E_MISMATCH, (int)rank, 0,
                           "split: rank 0 gives rank %u %u columns, rank %u gives it %u", r,
                           plan->columns[r], rank, other->columns[r]);
    return RZ_OK;
}

uint32_t rz_plan_first(const struct rz_plan *plan, uint32_t rank)
{
    uint32_t first = 0;
    for (uint32_t r = 0; r < rank; r++)
        first += plan->columns[r];
    return first;
}

size_t rz_plan_logit_bytes(const struct rz_plan *plan)
{
    return plan->dtype == RZ_F32 ? 4 : 2;
}

size_t rz_plan_row_stride(const struct rz_plan *plan, uint32_t rank)
{
    /* A rank without columns still has rows to hand in: they are one line wide. */
    const size_t columns = plan->columns[rank] > 0 ? plan->columns[rank] : 1;
    return rz_round_up(columns, CACHE_LINE / rz_plan_logit_bytes(plan));
}
