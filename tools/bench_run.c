/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_run.c - group by group (a vocabulary, a type), every repeat times every case of it once,
 * each right after the plain maximum over its rows.
 */
#include "tools/bench_run.h"

#include <stdlib.h>
#include <string.h>

#include "internal/clock.h"
#include "runtime/words.h"
#include "tools/bench_case.h"
#include "tools/bench_plain.h"
#include "tools/progress.h"
#include "tools/say.h"
#include "tools/stop.h"

enum {
    MAX_OURS = RZ_BENCH_FILTERS * RZ_BACKENDS,
    MAX_PEERS = RZ_BENCH_PEERS * RZ_BENCH_MAX_PEER_NAMES,
    MAX_CASES = RZ_BENCH_KINDS * (MAX_OURS + MAX_PEERS),
    PLAIN_NS = 2000000, /* the plain maximum runs for as long, at least */
};

/* The rows of a kind, and how fast they can be read. */
struct set {
    struct rz_bench_rows rows;
    uint32_t passes;  /* over the rows that a plain maximum takes */
    double *plain_ns; /* [plain_count] of a row */
    double *read_ns;  /* [read_count] */
    size_t plain_count;
    size_t read_count;
    size_t room;
};

struct run {
    const struct rz_bench_options *options;
    const struct rz_bench_plain *plain;
    const struct rz_npy *file; /* NULL: none */
    struct rz_bench_peer peers[RZ_BENCH_PEERS];
    struct rz_bench_extras extras;
    struct rz_bench_results *results;
    const struct rz_sampler_ops *ops[RZ_BACKENDS];
    unsigned ops_count;
    uint64_t sink; /* what plain maxima return goes here, or they would be optimised away */

    /* Of the group that is running. */
    struct set sets[RZ_BENCH_KINDS];
    unsigned set_count;
    struct rz_bench_case cases[MAX_CASES];
    struct set *case_set[MAX_CASES];
    double *row_ns; /* [MAX_CASES][repeats] */
    double *ratio;  /* [MAX_CASES][repeats] */
    unsigned case_count;
};

/* ------------------------------------------------------------------------------------------------
 * The plain maximum
 */

static void plain_row(struct run *run, const struct rz_bench_rows *rows, uint32_t row)
{
    const void *logits = rz_bench_row(rows, row);
    if (rows->dtype == RZ_F32)
        run->sink += (uint64_t)(int64_t)run->plain->max32(logits, rows->vocab);
    else
        run->sink += (uint64_t)run->plain->max16(logits, rows->vocab);
}

static double plain_time(struct run *run, const struct set *set)
{
    const uint64_t start = rz_clock_ns();
    for (uint32_t pass = 0; pass < set->passes; pass++)
        for (uint32_t r = 0; r < set->rows.rows; r++)
            plain_row(run, &set->rows, r);
    return (double)(rz_clock_ns() - start) / ((double)set->passes * set->rows.rows);
}

static double read_time(struct run *run, const struct set *set)
{
    const uint64_t start = rz_clock_ns();
    for (uint32_t pass = 0; pass < set->passes; pass++)
        for (uint32_t r = 0; r < set->rows.rows; r++)
            run->sink += run->plain->read(rz_bench_row(&set->rows, r), set->rows.row_bytes);
    return (double)(rz_clock_ns() - start) / ((double)set->passes * set->rows.rows);
}

/* Does it find what the portable one finds? Otherwise every ratio would be to something else. */
static int check_plain(const struct run *run, const struct rz_bench_rows *rows,
                       struct rz_complaint *complaint)
{
    const void *row = rz_bench_row(rows, 0);
    const bool same =
        rows->dtype == RZ_F32
            ? !(run->plain->max32(row, rows->vocab) < rz_bench_plain_any.max32(row, rows->vocab))
            : run->plain->max16(row, rows->vocab) == rz_bench_plain_any.max16(row, rows->vocab);
    if (same)
        return RZ_EXIT_OK;
    return rz_complain(complaint, RZ_EXIT_FAILED, "the plain maximum in %s is wrong",
                       run->plain->name);
}

static void warm_up_plain(struct run *run, struct set *set)
{
    set->passes = 1;
    plain_time(run, set);
    const double ns = plain_time(run, set) * set->rows.rows + 1.0;
    if (ns < PLAIN_NS)
        set->passes = (uint32_t)(PLAIN_NS / ns) + 1;
}

/* ------------------------------------------------------------------------------------------------
 * A group
 */

static int begin_set(struct run *run, enum rz_bench_kind kind, enum rz_dtype dtype, uint32_t vocab,
                     struct rz_complaint *complaint)
{
    struct set *set = &run->sets[run->set_count];
    *set = (struct set){0};
    int status = rz_bench_rows_make(kind, dtype, vocab, run->options->rows, run->file, &set->rows,
                                    complaint);
    if (status != RZ_EXIT_OK)
        return status;
    run->set_count++;
    set->room = (size_t)run->options->repeats * MAX_CASES;
    set->plain_ns = calloc(set->room, sizeof *set->plain_ns);
    set->read_ns = calloc(run->options->repeats, sizeof *set->read_ns);
    if (set->plain_ns == NULL || set->read_ns == NULL)
        return rz_complain_memory(complaint);
    status = check_plain(run, &set->rows, complaint);
    if (status == RZ_EXIT_OK)
        warm_up_plain(run, set);
    return status;
}

static int begin_cases(struct run *run, struct set *set, struct rz_complaint *complaint)
{
    for (unsigned f = 0; f < RZ_BENCH_FILTERS; f++) {
        if ((run->options->filters & 1u << f) == 0)
            continue;
        for (unsigned b = 0; b < run->ops_count; b++) {
            struct rz_bench_case *c = &run->cases[run->case_count];
            int status = rz_bench_case_begin(&set->rows, &rz_bench_filters[f], run->ops[b],
                                             &run->extras, c, complaint);
            if (status != RZ_EXIT_OK)
                return status;
            run->case_set[run->case_count++] = set;
            status = rz_bench_case_warm_up(c, complaint);
            if (status != RZ_EXIT_OK || rz_stop_requested() != 0)
                return status;
        }
    }
    return RZ_EXIT_OK;
}

static int begin_peer_cases(struct run *run, struct rz_bench_peer *peer, struct set *set,
                            unsigned number, struct rz_complaint *complaint)
{
    if (peer->pid == 0)
        return RZ_EXIT_OK;
    const int status = rz_bench_peer_rows(peer, number, &set->rows, complaint);
    if (status != RZ_EXIT_OK)
        return status;
    for (unsigned i = 0; i < peer->name_count; i++) {
        struct rz_bench_case *c = &run->cases[run->case_count];
        if (rz_bench_case_begin_peer(&set->rows, peer, number, peer->names[i], c))
            run->case_set[run->case_count++] = set;
    }
    return RZ_EXIT_OK;
}

static void end_group(struct run *run)
{
    for (unsigned i = 0; i < run->case_count; i++)
        rz_bench_case_end(&run->cases[i]);
    for (unsigned i = 0; i < run->set_count; i++) {
        rz_bench_rows_free(&run->sets[i].rows);
        free(run->sets[i].plain_ns);
        free(run->sets[i].read_ns);
    }
    run->case_count = run->set_count = 0;
}

/* ------------------------------------------------------------------------------------------------
 * Repeats
 */

static int time_case(struct run *run, unsigned i, uint32_t repeat, struct rz_complaint *complaint)
{
    struct set *set = run->case_set[i];
    const double plain_ns = plain_time(run, set);
    double row_ns;
    const int status = rz_bench_case_time(&run->cases[i], &row_ns, complaint);
    if (status != RZ_EXIT_OK)
        return status;
    set->plain_ns[set->plain_count++] = plain_ns;
    run->row_ns[(size_t)i * run->options->repeats + repeat] = row_ns;
    run->ratio[(size_t)i * run->options->repeats + repeat] = row_ns / plain_ns;
    return RZ_EXIT_OK;
}

static uint64_t group_draws(const struct run *run)
{
    uint64_t draws = 0;
    for (unsigned i = 0; i < run->case_count; i++)
        draws += (uint64_t)run->cases[i].rows * run->cases[i].passes * run->options->repeats;
    return draws;
}

/* Counters count from here on: the draws of the warm-up are not timed. */
struct counted {
    uint64_t tiles_exact, mass_passes;
};

static struct counted count(const struct rz_bench_case *c)
{
    if (c->ops == NULL)
        return (struct counted){0};
    const struct rz_sampler_counters *counters = c->ops->counters(c->sampler);
    return (struct counted){counters->tiles_exact, counters->mass_passes};
}

static int add_result(struct run *run, unsigned i, struct counted before,
                      struct rz_complaint *complaint)
{
    struct rz_bench_results *results = run->results;
    if (results->count == results->room) {
        const size_t room = results->room * 2 + 64;
        struct rz_bench_result *list = realloc(results->list, room * sizeof *list);
        if (list == NULL)
            return rz_complain_memory(complaint);
        results->list = list;
        results->room = room;
    }
    const struct rz_bench_case *c = &run->cases[i];
    const struct counted now = count(c);
    struct set *set = run->case_set[i];
    const uint32_t repeats = run->options->repeats;
    struct rz_bench_result result = {
        .filter = c->filter,
        .kind = set->rows.kind,
        .dtype = set->rows.dtype,
        .vocab = set->rows.vocab,
        .rows = c->rows * c->passes,
        .repeats = repeats,
        .ours = c->ops != NULL,
        .row = rz_bench_spread(run->row_ns + (size_t)i * repeats, repeats),
        .ratio = rz_bench_spread(run->ratio + (size_t)i * repeats, repeats),
        .plain_ns = rz_bench_spread(set->plain_ns, set->plain_count).median,
        .read_ns = rz_bench_spread(set->read_ns, set->read_count).median,
        .tiles_exact = -1.0,
        .extra_passes = -1.0,
        .times_fastest = -1.0,
    };
    memcpy(result.backend, c->backend, sizeof result.backend);
    if (result.ours) {
        result.tiles_exact = (double)(now.tiles_exact - before.tiles_exact) / (double)c->drawn;
        result.extra_passes = (double)(now.mass_passes - before.mass_passes) / (double)c->drawn;
    }
    results->list[results->count++] = result;
    return RZ_EXIT_OK;
}

static bool same_work(const struct rz_bench_result *a, const struct rz_bench_result *b)
{
    return a->filter == b->filter && a->kind == b->kind && a->dtype == b->dtype &&
           a->vocab == b->vocab;
}

static void compare_results(struct rz_bench_results *results)
{
    for (size_t i = 0; i < results->count; i++) {
        struct rz_bench_result *result = &results->list[i];
        double fastest = 0.0;
        for (size_t j = 0; j < results->count; j++) {
            const struct rz_bench_result *other = &results->list[j];
            if (other->ours && same_work(result, other) &&
                (fastest <= 0.0 || other->row.median < fastest))
                fastest = other->row.median;
        }
        if (fastest > 0.0)
            result->times_fastest = result->row.median / fastest;
    }
}

static int repeat_all(struct run *run, struct rz_complaint *complaint)
{
    struct rz_output no_output = {0};
    struct rz_progress progress;
    rz_progress_start(&progress, group_draws(run), "draws", &no_output);
    uint64_t done = 0;
    int status = RZ_EXIT_OK;
    for (uint32_t repeat = 0; repeat < run->options->repeats && status == RZ_EXIT_OK; repeat++) {
        for (unsigned i = 0; i < run->set_count; i++)
            run->sets[i].read_ns[run->sets[i].read_count++] = read_time(run, &run->sets[i]);
        for (unsigned i = 0; i < run->case_count && status == RZ_EXIT_OK; i++) {
            if (rz_stop_requested() != 0)
                break;
            status = time_case(run, i, repeat, complaint);
            done += (uint64_t)run->cases[i].rows * run->cases[i].passes;
            rz_progress_update(&progress, done);
        }
    }
    rz_progress_end(&progress);
    return status;
}

static int time_group(struct run *run, struct rz_complaint *complaint)
{
    struct counted before[MAX_CASES] = {{0}};
    for (unsigned i = 0; i < run->case_count; i++)
        before[i] = count(&run->cases[i]);
    int status = repeat_all(run, complaint);
    for (unsigned i = 0; i < run->case_count && status == RZ_EXIT_OK; i++)
        if (rz_stop_requested() == 0)
            status = add_result(run, i, before[i], complaint);
    return status;
}

static int run_group(struct run *run, unsigned kinds, enum rz_dtype dtype, uint32_t vocab,
                     struct rz_complaint *complaint)
{
    int status = RZ_EXIT_OK;
    for (unsigned kind = 0; kind < RZ_BENCH_KINDS && status == RZ_EXIT_OK; kind++) {
        if ((kinds & 1u << kind) == 0 || rz_stop_requested() != 0)
            continue;
        status = begin_set(run, (enum rz_bench_kind)kind, dtype, vocab, complaint);
        if (status == RZ_EXIT_OK)
            status = begin_cases(run, &run->sets[run->set_count - 1], complaint);
        for (unsigned p = 0; p < RZ_BENCH_PEERS && status == RZ_EXIT_OK; p++)
            status = begin_peer_cases(run, &run->peers[p], &run->sets[run->set_count - 1],
                                      run->set_count - 1, complaint);
    }
    if (status == RZ_EXIT_OK && rz_stop_requested() == 0)
        status = time_group(run, complaint);
    end_group(run);
    return status;
}

/* ------------------------------------------------------------------------------------------------
 * The grid
 */

static void add_ops(struct run *run, const struct rz_sampler_ops *ops)
{
    for (unsigned i = 0; i < run->ops_count; i++)
        if (run->ops[i] == ops)
            return;
    run->ops[run->ops_count++] = ops;
}

static int find_backends(struct run *run, struct rz_complaint *complaint)
{
    static const enum rz_backend fastest_first[] = {RZ_BACKEND_AUTO, RZ_BACKEND_AVX512,
                                                    RZ_BACKEND_AVX2, RZ_BACKEND_SCALAR,
                                                    RZ_BACKEND_REFERENCE};
    const bool all = run->options->every_backend;
    for (size_t i = 0; i < sizeof fastest_first / sizeof fastest_first[0]; i++) {
        const enum rz_backend backend = fastest_first[i];
        if (all ? backend == RZ_BACKEND_REFERENCE : (run->options->backends & 1u << backend) == 0)
            continue;
        const struct rz_sampler_ops *ops = rz_sampler_find(backend);
        if (ops != NULL)
            add_ops(run, ops);
        else if (!all)
            return rz_complain(complaint, RZ_EXIT_FAILED,
                               "--backend %s: expected a processor that has it; this one does not",
                               rz_backend_words[backend]);
    }
    return RZ_EXIT_OK;
}

/* A file has a vocabulary of its own, so it is a group of its own. */
static int run_dtype(struct run *run, enum rz_dtype dtype, struct rz_complaint *complaint)
{
    const struct rz_bench_options *options = run->options;
    const unsigned file = 1u << RZ_BENCH_FILE;
    int status = RZ_EXIT_OK;
    if ((options->kinds & ~file) != 0)
        for (uint32_t i = 0; i < options->vocab_count && status == RZ_EXIT_OK; i++)
            status = run_group(run, options->kinds & ~file, dtype, options->vocabs[i], complaint);
    if (status == RZ_EXIT_OK && run->file != NULL)
        status = run_group(run, file, dtype, 0, complaint);
    return status;
}

static int run_grid(struct run *run, struct rz_complaint *complaint)
{
    int status = rz_bench_extras_make(&run->extras, complaint);
    for (unsigned dtype = 0; dtype < RZ_DTYPES && status == RZ_EXIT_OK; dtype++)
        if ((run->options->dtypes & 1u << dtype) != 0)
            status = run_dtype(run, (enum rz_dtype)dtype, complaint);
    rz_bench_extras_free(&run->extras);
    if (status == RZ_EXIT_OK && rz_stop_requested() != 0)
        status = rz_complain(complaint, RZ_EXIT_FAILED, "stopped");
    compare_results(run->results);
    return status;
}

static int run_all(struct run *run, struct rz_complaint *complaint)
{
    int status = find_backends(run, complaint);
    struct rz_npy file;
    const char *path = run->options->logits_path;
    if (status == RZ_EXIT_OK && path != NULL) {
        status = rz_bench_open_file(path, &file, complaint);
        run->file = status == RZ_EXIT_OK ? &file : NULL;
    }
    if (status == RZ_EXIT_OK) {
        run->results->peer_count =
            rz_bench_peers_start(run->options, run->peers, run->results->peer_versions);
        status = run_grid(run, complaint);
        rz_bench_peers_end(run->peers);
    }
    if (run->file != NULL)
        rz_npy_close(&file);
    return status;
}

int rz_bench_run(const struct rz_bench_options *options, struct rz_bench_results *results,
                 struct rz_complaint *complaint)
{
    *results = (struct rz_bench_results){0};
    struct run *run = calloc(1, sizeof *run);
    if (run == NULL)
        return rz_complain_memory(complaint);
    run->options = options;
    run->results = results;
    run->plain = rz_bench_plain_find();
    results->plain_name = run->plain->name;
    results->logits_path = options->logits_path;
    const size_t times = (size_t)MAX_CASES * options->repeats;
    run->row_ns = calloc(times, sizeof *run->row_ns);
    run->ratio = calloc(times, sizeof *run->ratio);
    const int status = run->row_ns != NULL && run->ratio != NULL ? run_all(run, complaint)
                                                                 : rz_complain_memory(complaint);
    free(run->row_ns);
    free(run->ratio);
    results->checksum = run->sink;
    free(run);
    return status;
}

void rz_bench_results_free(struct rz_bench_results *results)
{
    free(results->list);
    *results = (struct rz_bench_results){0};
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct rz_bench_spread rz_bench_spread(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    const double median = (values[(count - 1) / 2] + values[count / 2]) / 2.0;
    return (struct rz_bench_spread){median, values[0], values[count - 1]};
}
