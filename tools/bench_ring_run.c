/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_ring_run.c - every repeat times every case once, each latency right after the bare line.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/bench_ring.h"
#include "tools/bench_ring_case.h"
#include "tools/bench_team.h"
#include "tools/mpi_bcast.h"
#include "tools/progress.h"
#include "tools/say.h"
#include "tools/stop.h"

enum {
    SLEEPERS_SHARE = 10, /* how many times fewer rounds those take that sleep, */
    NANO_SHARE = 50,
    MOST_STREAMED = 64 << 20, /* and bytes that a throughput takes, at most */
};

const uint32_t rz_ring_quantiles[RZ_RING_QUANTILES] = {10,  50,  100, 250, 500, 750,
                                                       900, 950, 990, 999, 1000};

struct run {
    const struct rz_ring_options *options;
    struct rz_ring_results *results;
    struct rz_ring_case *cases;
    size_t count;
    struct rz_ring_case line; /* what all latencies are compared with */
    uint32_t *line_samples;
};

/* ------------------------------------------------------------------------------------------------
 * Which cases there are
 */

static bool wants(unsigned set, unsigned i)
{
    return (set & 1u << i) != 0;
}

static void say_left_out(enum rz_ring_way_kind way, const char *why)
{
    char text[1200];
    snprintf(text, sizeof text, "%s is left out: %s", rz_ring_ways[way], why);
    rz_say("rankzero bench ring", 0, text);
}

/* What no machine does, and nobody has asked for. */
static bool exists(enum rz_ring_measure measure, enum rz_ring_way_kind way, uint32_t bytes)
{
    if (way >= RZ_RING_LINKS)
        return measure == RZ_RING_ROUND_TRIP;
    const struct rz_link_way *link = rz_ring_link_ways[way];
    return (measure != RZ_RING_THROUGHPUT || link->queues) && bytes <= link->most_bytes;
}

static bool has_processors(const struct run *run, enum rz_ring_way_kind way, uint32_t consumers)
{
    return way >= RZ_RING_LINKS || !rz_ring_link_ways[way]->spins ||
           1 + consumers <= run->results->processors;
}

static uint32_t rounds_of(const struct run *run, enum rz_ring_measure measure,
                          enum rz_ring_way_kind way, uint32_t bytes)
{
    uint32_t rounds = run->options->rounds;
    if (way == RZ_RING_NANO)
        rounds /= NANO_SHARE;
    else if (way < RZ_RING_LINKS && measure != RZ_RING_THROUGHPUT && !rz_ring_link_ways[way]->spins)
        rounds /= SLEEPERS_SHARE;
    if (measure == RZ_RING_THROUGHPUT && rounds > MOST_STREAMED / bytes)
        rounds = MOST_STREAMED / bytes;
    return rounds > 0 ? rounds : 1;
}

static int add_case(struct run *run, enum rz_ring_measure measure, enum rz_ring_way_kind way,
                    uint32_t bytes, uint32_t consumers, struct rz_complaint *complaint)
{
    struct rz_ring_case *c = &run->cases[run->count++];
    const uint32_t repeats = run->options->repeats;
    *c = (struct rz_ring_case){.measure = measure,
                               .way = way,
                               .bytes = bytes,
                               .consumers = consumers,
                               .rounds = rounds_of(run, measure, way, bytes)};
    c->ratio = calloc(repeats, sizeof *c->ratio);
    c->ns = calloc(repeats, sizeof *c->ns);
    if (measure != RZ_RING_THROUGHPUT)
        c->samples = calloc((size_t)repeats * c->rounds * consumers, sizeof *c->samples);
    if (c->ratio == NULL || c->ns == NULL || (measure != RZ_RING_THROUGHPUT && c->samples == NULL))
        return rz_complain_memory(complaint);
    return RZ_EXIT_OK;
}

/* Those of one measure with so many consumers. */
static int add_cases(struct run *run, enum rz_ring_measure measure, uint32_t consumers,
                     struct rz_complaint *complaint)
{
    const struct rz_ring_options *options = run->options;
    int status = RZ_EXIT_OK;
    for (uint32_t s = 0; s < options->size_count; s++)
        for (unsigned w = 0; w < RZ_RING_WAYS && status == RZ_EXIT_OK; w++) {
            const enum rz_ring_way_kind way = (enum rz_ring_way_kind)w;
            /* The line has but one size. */
            if (wants(options->ways, w) && exists(measure, way, options->sizes[s]) &&
                has_processors(run, way, consumers) && (way != RZ_RING_LINE || s == 0))
                status = add_case(run, measure, way,
                                  way == RZ_RING_LINE ? sizeof(uint64_t) : options->sizes[s],
                                  consumers, complaint);
        }
    return status;
}

/* In one sentence. */
static void say_too_many(const struct run *run)
{
    char text[512] = "", ways[128] = "";
    size_t length = 0, ways_length = 0;
    for (unsigned w = 0; w < RZ_RING_WAYS; w++)
        if (wants(run->options->ways, w) &&
            !has_processors(run, (enum rz_ring_way_kind)w, RZ_LINK_MAX_RECEIVERS))
            ways_length += (size_t)snprintf(ways + ways_length, sizeof ways - ways_length, "%s%s",
                                            ways_length > 0 ? ", " : "", rz_ring_ways[w]);
    for (uint32_t i = 0; i < run->options->consumers_count; i++)
        if (run->options->consumers[i] >= run->results->processors)
            length += (size_t)snprintf(text + length, sizeof text - length, "%s%u",
                                       length > 0 ? ", " : "", run->options->consumers[i]);
    if (length == 0 || ways_length == 0)
        return;
    char line[768];
    snprintf(line, sizeof line,
             "%s: left out with %s consumers: processes that spin need a processor each, and there "
             "are %u",
             ways, text, run->results->processors);
    rz_say("rankzero bench ring", 0, line);
}

static int add_all(struct run *run, struct rz_complaint *complaint)
{
    const struct rz_ring_options *options = run->options;
    const size_t most =
        (size_t)RZ_RING_MEASURES * options->consumers_count * options->size_count * RZ_RING_WAYS;
    run->cases = calloc(most, sizeof *run->cases);
    if (run->cases == NULL)
        return rz_complain_memory(complaint);
    int status = RZ_EXIT_OK;
    if (wants(options->measures, RZ_RING_ROUND_TRIP))
        status = add_cases(run, RZ_RING_ROUND_TRIP, 1, complaint);
    for (unsigned m = RZ_RING_ONE_WAY; m < RZ_RING_MEASURES; m++)
        for (uint32_t i = 0; i < options->consumers_count && status == RZ_EXIT_OK; i++)
            if (wants(options->measures, m))
                status = add_cases(run, (enum rz_ring_measure)m, options->consumers[i], complaint);
    const unsigned broadcast = 1u << RZ_RING_ONE_WAY | 1u << RZ_RING_THROUGHPUT;
    if ((options->measures & broadcast) != 0)
        say_too_many(run);
    return status;
}

/* ------------------------------------------------------------------------------------------------
 * Times
 */

/* Of sorted ones, with more than none. */
static double quantile(const uint32_t *samples, size_t count, uint32_t thousandths)
{
    return samples[(size_t)((double)(count - 1) * thousandths / 1000.0)];
}

static double one_way(enum rz_ring_measure measure, double ns)
{
    return measure == RZ_RING_ROUND_TRIP ? ns / 2 : ns;
}

static int time_mpi(const struct run *run, struct rz_ring_case *c, uint32_t *samples,
                    struct rz_complaint *complaint)
{
    if (!run->options->under_mpi)
        return rz_complain(complaint, RZ_EXIT_FAILED, "expected to be started by mpirun");
    return rz_mpi_bcast_time(c->bytes, c->rounds, samples, complaint);
}

/* Samples, and what stands for them. */
static int time_way(const struct run *run, struct rz_ring_case *c, uint32_t *samples,
                    struct rz_complaint *complaint)
{
    double *ns = &c->ns[c->repeats];
    if (c->way < RZ_RING_LINKS)
        return rz_ring_time_link(c, run->results->clock_ns, samples, ns, complaint);
    const int status = c->way == RZ_RING_NANO ? rz_ring_time_nano(c, samples, complaint)
                                              : time_mpi(run, c, samples, complaint);
    if (status == RZ_EXIT_OK)
        *ns = rz_ring_median(samples, c->rounds);
    return status;
}

static int time_latency(struct run *run, struct rz_ring_case *c, struct rz_complaint *complaint)
{
    const uint32_t clock_ns = run->results->clock_ns;
    const size_t samples = (size_t)c->rounds * c->consumers;
    double line_ns = -1.0;
    if (run->line.rounds > 0) {
        const int status =
            rz_ring_time_link(&run->line, clock_ns, run->line_samples, &line_ns, complaint);
        if (status != RZ_EXIT_OK)
            return status;
    }
    uint32_t *mine = c->samples + c->count;
    const int status = time_way(run, c, mine, complaint);
    if (status != RZ_EXIT_OK)
        return status;
    c->count += samples;
    c->ratio[c->repeats] = line_ns > 0.0 ? one_way(c->measure, c->ns[c->repeats]) /
                                               one_way(RZ_RING_ROUND_TRIP, line_ns)
                                         : -1.0;
    return RZ_EXIT_OK;
}

/* A way that does not work here is left out; a machine that fails in the middle fails the run. */
static int time_case(struct run *run, struct rz_ring_case *c, struct rz_complaint *complaint)
{
    if (c->missing)
        return RZ_EXIT_OK;
    const int status = c->measure == RZ_RING_THROUGHPUT
                           ? rz_ring_time_link(c, 0, NULL, &c->ns[c->repeats], complaint)
                           : time_latency(run, c, complaint);
    if (status == RZ_EXIT_OK) {
        c->repeats++;
        return RZ_EXIT_OK;
    }
    if (c->repeats > 0 || rz_stop_requested() != 0 ||
        (c->way < RZ_RING_LINKS && c->way != RZ_RING_MQUEUE))
        return status;
    say_left_out(c->way, complaint->text);
    for (size_t i = 0; i < run->count; i++)
        run->cases[i].missing |= run->cases[i].way == c->way && run->cases[i].repeats == 0;
    return RZ_EXIT_OK;
}

static int repeat_all(struct run *run, struct rz_complaint *complaint)
{
    struct rz_output no_output = {0};
    struct rz_progress progress;
    const uint32_t repeats = run->options->repeats;
    rz_progress_start(&progress, (uint64_t)run->count * repeats, "cases", &no_output);
    uint64_t done = 0;
    int status = RZ_EXIT_OK;
    for (uint32_t repeat = 0; repeat < repeats; repeat++)
        for (size_t i = 0; i < run->count && status == RZ_EXIT_OK; i++) {
            if (rz_stop_requested() != 0)
                status = rz_complain(complaint, RZ_EXIT_FAILED, "stopped");
            else
                status = time_case(run, &run->cases[i], complaint);
            rz_progress_update(&progress, ++done);
        }
    rz_progress_end(&progress);
    return status;
}

/* ------------------------------------------------------------------------------------------------
 * Results
 */

static void add_result(struct rz_ring_results *results, struct rz_ring_case *c)
{
    const struct rz_bench_spread none = {-1.0, -1.0, -1.0};
    struct rz_ring_result r = {.measure = c->measure,
                               .way = c->way,
                               .bytes = c->bytes,
                               .consumers = c->consumers,
                               .repeats = c->repeats,
                               .samples = (uint64_t)c->rounds * c->repeats,
                               .one_way_ns = -1.0,
                               .ratio = none,
                               .per_s = none};
    for (unsigned q = 0; q < RZ_RING_QUANTILES; q++)
        r.ns[q] = -1.0;
    if (c->measure == RZ_RING_THROUGHPUT) {
        for (uint32_t i = 0; i < c->repeats; i++)
            c->ns[i] = c->rounds * 1e9 / (c->ns[i] + 1.0);
        r.per_s = rz_bench_spread(c->ns, c->repeats);
    } else {
        r.samples = c->count;
        r.one_way_ns = one_way(c->measure, rz_bench_spread(c->ns, c->repeats).median);
        rz_ring_median(c->samples, c->count); /* sorts */
        for (unsigned q = 0; q < RZ_RING_QUANTILES; q++)
            r.ns[q] = quantile(c->samples, c->count, rz_ring_quantiles[q]);
        r.ratio = rz_bench_spread(c->ratio, c->repeats);
    }
    results->list[results->count++] = r;
}

static int add_results(struct run *run, struct rz_complaint *complaint)
{
    run->results->list = calloc(run->count + 1, sizeof *run->results->list);
    if (run->results->list == NULL)
        return rz_complain_memory(complaint);
    for (size_t i = 0; i < run->count; i++)
        if (!run->cases[i].missing)
            add_result(run->results, &run->cases[i]);
    return RZ_EXIT_OK;
}

/* Two processors that spin: without them there is no limit to compare with. */
static int prepare_line(struct run *run, struct rz_complaint *complaint)
{
    if (!has_processors(run, RZ_RING_LINE, 1))
        return RZ_EXIT_OK;
    run->line = (struct rz_ring_case){.measure = RZ_RING_ROUND_TRIP,
                                      .way = RZ_RING_LINE,
                                      .bytes = sizeof(uint64_t),
                                      .consumers = 1,
                                      .rounds = run->options->rounds};
    run->line_samples = calloc(run->line.rounds, sizeof *run->line_samples);
    return run->line_samples != NULL ? RZ_EXIT_OK : rz_complain_memory(complaint);
}

int rz_ring_run(const struct rz_ring_options *options, struct rz_ring_results *results,
                struct rz_complaint *complaint)
{
    *results = (struct rz_ring_results){.processors = rz_team_processors(),
                                        .clock_ns = rz_ring_clock_ns()};
    struct run run = {.options = options, .results = results};
    int status = prepare_line(&run, complaint);
    if (status == RZ_EXIT_OK)
        status = add_all(&run, complaint);
    if (status == RZ_EXIT_OK)
        status = repeat_all(&run, complaint);
    if (status == RZ_EXIT_OK)
        status = add_results(&run, complaint);
    for (size_t i = 0; i < run.count; i++) {
        free(run.cases[i].samples);
        free(run.cases[i].ratio);
        free(run.cases[i].ns);
    }
    free(run.cases);
    free(run.line_samples);
    return status;
}

void rz_ring_results_free(struct rz_ring_results *results)
{
    free(results->list);
    *results = (struct rz_ring_results){0};
}
