/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_gpu_cases.c - all batches, modes and filters on a set of rows: every repeat times every
 * case once, each right after the plain read of the same inputs in the same mode.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/bench_gpu_run.h"
#include "tools/progress.h"
#include "tools/stop.h"

enum {
    GRAPH_BATCH = 64, /* larger ones take so long that how they are launched makes no difference */
    MODES = 4,
    MOST_OF_MODE = RZ_BENCH_FILTERS + RZ_BENCH_PEERS * RZ_BENCH_MAX_PEER_NAMES,
};

static const struct rz_bench_gpu_mode modes[MODES] = {
    {.cold = true}, {.cold = false}, {.cold = true, .graph = true}, {.cold = false, .graph = true}};

/* A filter on the set's rows, and what the reference draws. */
struct request {
    struct rz_bench_tasks tasks;
    struct rz_result expected[RZ_BENCH_DISTINCT];
};

/* The yardstick of a batch in a mode. */
struct read {
    struct rz_bench_gpu_work work;
    struct rz_bench_gpu_timer timer;
};

struct one_case {
    const struct rz_bench_filter *filter;
    char backend[24];
    uint32_t batch;
    struct read *read;
    struct rz_bench_gpu_timer timer; /* ours */
    struct rz_bench_peer *peer;      /* or a peer's */
    unsigned peer_number;
    char peer_name[48];
    double *batch_ns, *read_ns, *of_read; /* [repeats] */
};

struct cases {
    const struct rz_bench_gpu_set *set;
    const struct rz_bench_options *options;
    struct rz_bench_peer *peers;
    struct request requests[RZ_BENCH_FILTERS];
    struct rz_bench_gpu_draw draws[RZ_BENCH_MAX_BATCHES][RZ_BENCH_FILTERS];
    struct read reads[RZ_BENCH_MAX_BATCHES][MODES];
    struct one_case list[RZ_BENCH_MAX_BATCHES * MODES * MOST_OF_MODE];
    unsigned count;
};

/* ------------------------------------------------------------------------------------------------
 * Begin and end
 */

static bool is_chosen(const struct cases *cases, unsigned filter)
{
    return (cases->options->filters & 1u << filter) != 0;
}

static int make_requests(struct cases *cases, const struct rz_bench_extras *extras,
                         struct rz_complaint *complaint)
{
    int status = RZ_EXIT_OK;
    for (unsigned f = 0; f < RZ_BENCH_FILTERS && status == RZ_EXIT_OK; f++) {
        struct request *request = &cases->requests[f];
        if (!is_chosen(cases, f) || rz_stop_requested() != 0)
            continue;
        status = rz_bench_tasks_make(&rz_bench_filters[f], extras, cases->set->rows.vocab,
                                     &request->tasks, complaint);
        if (status == RZ_EXIT_OK)
            status = rz_bench_gpu_expect(cases->set, &request->tasks, request->expected, complaint);
    }
    return status;
}

/* The next case, but for who draws. */
static struct one_case *add_case(struct cases *cases, const struct rz_bench_filter *filter,
                                 const char *backend, int backend_length, uint32_t batch,
                                 struct read *read, struct rz_complaint *complaint)
{
    const uint32_t repeats = cases->options->repeats;
    struct one_case *c = &cases->list[cases->count];
    *c = (struct one_case){.filter = filter, .batch = batch, .read = read};
    snprintf(c->backend, sizeof c->backend, "%.*s", backend_length, backend);
    c->batch_ns = calloc(3 * (size_t)repeats, sizeof *c->batch_ns);
    if (c->batch_ns == NULL) {
        rz_complain_memory(complaint);
        return NULL;
    }
    c->read_ns = c->batch_ns + repeats;
    c->of_read = c->read_ns + repeats;
    cases->count++;
    return c;
}

static int begin_mode(struct cases *cases, unsigned i, unsigned m, struct rz_complaint *complaint)
{
    const uint32_t batch = cases->options->batches[i];
    const struct rz_bench_gpu_mode mode = modes[m];
    struct read *read = &cases->reads[i][m];
    int status = rz_bench_gpu_read_make(cases->set, batch, mode, &read->work, complaint);
    if (status == RZ_EXIT_OK)
        status =
            rz_bench_gpu_timer_make(cases->set->gpu, &read->work, mode, &read->timer, complaint);
    for (unsigned f = 0; f < RZ_BENCH_FILTERS && status == RZ_EXIT_OK; f++) {
        if (!is_chosen(cases, f) || rz_stop_requested() != 0)
            continue;
        struct one_case *c =
            add_case(cases, &rz_bench_filters[f], "cuda", 4, batch, read, complaint);
        if (c == NULL)
            return RZ_EXIT_FAILED;
        status = rz_bench_gpu_timer_make(cases->set->gpu, &cases->draws[i][f].work, mode, &c->timer,
                                         complaint);
    }
    return status;
}

static int begin_peers(struct cases *cases, unsigned i, unsigned m, struct rz_complaint *complaint)
{
    const uint32_t batch = cases->options->batches[i];
    const uint32_t inputs = modes[m].cold ? rz_bench_gpu_set_inputs(cases->set, batch) : 1;
    for (unsigned p = 0; p < RZ_BENCH_PEERS; p++) {
        struct rz_bench_peer *peer = &cases->peers[p];
        const unsigned number = i * MODES + m;
        if (peer->pid == 0 || rz_stop_requested() != 0)
            continue;
        const int status = rz_bench_peer_gpu_rows(peer, number, &cases->set->rows, batch, inputs,
                                                  modes[m].graph, complaint);
        if (status != RZ_EXIT_OK)
            return status;
        for (unsigned n = 0; n < peer->name_count; n++) {
            int length = 0;
            const char *name = peer->names[n];
            const struct rz_bench_filter *filter = rz_bench_peer_filter(name, &length);
            struct one_case *c;
            if (filter == NULL || !is_chosen(cases, (unsigned)(filter - rz_bench_filters)))
                continue;
            c = add_case(cases, filter, name, length, batch, &cases->reads[i][m], complaint);
            if (c == NULL)
                return RZ_EXIT_FAILED;
            c->peer = peer;
            c->peer_number = number;
            snprintf(c->peer_name, sizeof c->peer_name, "%s", name);
        }
    }
    return RZ_EXIT_OK;
}

/* Draws that are not the reference's are not worth timing. */
static int begin_batch(struct cases *cases, unsigned i, struct rz_complaint *complaint)
{
    const uint32_t batch = cases->options->batches[i];
    int status = RZ_EXIT_OK;
    for (unsigned f = 0; f < RZ_BENCH_FILTERS && status == RZ_EXIT_OK; f++) {
        struct rz_bench_gpu_draw *draw = &cases->draws[i][f];
        if (!is_chosen(cases, f) || rz_stop_requested() != 0)
            continue;
        status =
            rz_bench_gpu_draw_make(cases->set, &cases->requests[f].tasks, batch, draw, complaint);
        if (status == RZ_EXIT_OK)
            status = rz_bench_gpu_draw_check(draw, cases->requests[f].expected, complaint);
    }
    for (unsigned m = 0; m < MODES && status == RZ_EXIT_OK && rz_stop_requested() == 0; m++) {
        if (modes[m].graph && batch > GRAPH_BATCH)
            continue;
        status = begin_mode(cases, i, m, complaint);
        if (status == RZ_EXIT_OK)
            status = begin_peers(cases, i, m, complaint);
    }
    return status;
}

static void end_all(struct cases *cases)
{
    struct rz_complaint ignored;
    rz_bench_gpu_wait(cases->set->gpu, &ignored); /* what failed has been said */
    for (unsigned c = 0; c < cases->count; c++) {
        rz_bench_gpu_timer_free(&cases->list[c].timer);
        free(cases->list[c].batch_ns);
    }
    for (unsigned i = 0; i < cases->options->batch_count; i++) {
        for (unsigned m = 0; m < MODES; m++) {
            rz_bench_gpu_timer_free(&cases->reads[i][m].timer);
            rz_bench_gpu_read_free(&cases->reads[i][m].work);
        }
        for (unsigned f = 0; f < RZ_BENCH_FILTERS; f++)
            rz_bench_gpu_draw_free(&cases->draws[i][f]);
    }
    for (unsigned f = 0; f < RZ_BENCH_FILTERS; f++)
        rz_bench_tasks_free(&cases->requests[f].tasks);
}

/* ------------------------------------------------------------------------------------------------
 * Repeats
 */

static int time_case(struct one_case *c, uint32_t repeat, struct rz_complaint *complaint)
{
    uint64_t whole_ns = 0;
    int status = rz_bench_gpu_timer_run(&c->read->timer, &c->read_ns[repeat], complaint);
    if (status != RZ_EXIT_OK)
        return status;
    if (c->peer != NULL) {
        status = rz_bench_peer_time(c->peer, c->peer_number, c->peer_name, &whole_ns, complaint);
        c->batch_ns[repeat] = (double)whole_ns;
    } else {
        status = rz_bench_gpu_timer_run(&c->timer, &c->batch_ns[repeat], complaint);
    }
    c->of_read[repeat] = c->read_ns[repeat] / c->batch_ns[repeat];
    return status;
}

static int repeat_all(struct cases *cases, struct rz_complaint *complaint)
{
    struct rz_output no_output = {0};
    struct rz_progress progress;
    const uint32_t repeats = cases->options->repeats;
    uint64_t done = 0;
    int status = RZ_EXIT_OK;
    rz_progress_start(&progress, (uint64_t)cases->count * repeats, "times", &no_output);
    for (uint32_t r = 0; r < repeats; r++)
        for (unsigned c = 0; c < cases->count && status == RZ_EXIT_OK; c++) {
            if (rz_stop_requested() == 0)
                status = time_case(&cases->list[c], r, complaint);
            rz_progress_update(&progress, ++done);
        }
    rz_progress_end(&progress);
    return status;
}

static int add_results(struct cases *cases, struct rz_bench_gpu_results *results,
                       struct rz_complaint *complaint)
{
    const struct rz_bench_rows *rows = &cases->set->rows;
    const uint32_t repeats = cases->options->repeats;
    for (unsigned i = 0; i < cases->count; i++) {
        const struct one_case *c = &cases->list[i];
        struct rz_bench_gpu_result *result = rz_bench_gpu_add(results, complaint);
        if (result == NULL)
            return RZ_EXIT_FAILED;
        *result = (struct rz_bench_gpu_result){
            .filter = c->filter,
            .stage = "kernels",
            .kind = rows->kind,
            .dtype = rows->dtype,
            .vocab = rows->vocab,
            .batch = c->batch,
            .repeats = repeats,
            .ours = c->peer == NULL,
            .mode = c->read->timer.mode,
            .bytes = (double)c->batch * (double)rows->row_bytes,
            .batch_ns = rz_bench_spread(c->batch_ns, repeats),
            .read_ns = rz_bench_spread(c->read_ns, repeats),
            .of_read = rz_bench_spread(c->of_read, repeats),
            .times_ours = -1.0,
        };
        memcpy(result->backend, c->backend, sizeof result->backend);
    }
    return RZ_EXIT_OK;
}

/* Ours comes before the peers that do the same. */
static void compare_results(struct rz_bench_gpu_results *results, size_t first)
{
    for (size_t i = first; i < results->count; i++) {
        struct rz_bench_gpu_result *r = &results->list[i];
        for (size_t j = first; j <= i; j++) {
            const struct rz_bench_gpu_result *o = &results->list[j];
            if (o->ours && o->filter == r->filter && o->batch == r->batch &&
                o->mode.cold == r->mode.cold && o->mode.graph == r->mode.graph)
                r->times_ours = r->batch_ns.median / o->batch_ns.median;
        }
    }
}

static int time_all(struct cases *cases, const struct rz_bench_extras *extras,
                    struct rz_bench_gpu_results *results, struct rz_complaint *complaint)
{
    const size_t first = results->count;
    int status = make_requests(cases, extras, complaint);
    for (unsigned i = 0; i < cases->options->batch_count && status == RZ_EXIT_OK; i++)
        status = begin_batch(cases, i, complaint);
    if (status == RZ_EXIT_OK)
        status = repeat_all(cases, complaint);
    if (status == RZ_EXIT_OK && rz_stop_requested() == 0)
        status = add_results(cases, results, complaint);
    compare_results(results, first);
    return status;
}

int rz_bench_gpu_time_set(const struct rz_bench_gpu_set *set, const struct rz_bench_extras *extras,
                          struct rz_bench_peer *peers, struct rz_bench_gpu_results *results,
                          struct rz_complaint *complaint)
{
    struct cases *cases = calloc(1, sizeof *cases);
    if (cases == NULL)
        return rz_complain_memory(complaint);
    cases->set = set;
    cases->options = results->options;
    cases->peers = peers;
    const int status = time_all(cases, extras, results, complaint);
    end_all(cases);
    free(cases);
    return status;
}
