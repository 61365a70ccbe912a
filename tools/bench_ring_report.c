/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_ring_report.c - tables, columns of CSV and JSON, and the figures that are aimed at.
 */
#include <jansson.h>

#include "rankzero/rankzero.h"
#include "tools/bench_ring.h"
#include "tools/bench_sink.h"

/* ------------------------------------------------------------------------------------------------
 * Columns
 */

enum column {
    MEASURE,
    WAY,
    LAST_TEXT = WAY,
    BYTES,
    CONSUMERS,
    REPEATS,
    SAMPLES,
    LAST_WHOLE = SAMPLES,
    FIRST_QUANTILE,
    LAST_QUANTILE = FIRST_QUANTILE + RZ_RING_QUANTILES - 1,
    ONE_WAY_NS,
    RATIO,
    RATIO_MIN,
    RATIO_MAX,
    PER_S,
    PER_S_MIN,
    PER_S_MAX,
    GB_PER_S,
    COLUMNS,
};

static const char *const column_names[COLUMNS] = {
    "measure",
    "way",
    "bytes",
    "consumers",
    "repeats",
    "samples",
    "p1_ns",
    "p5_ns",
    "p10_ns",
    "p25_ns",
    "p50_ns",
    "p75_ns",
    "p90_ns",
    "p95_ns",
    "p99_ns",
    "p99_9_ns",
    "max_ns",
    "one_way_ns",
    "ratio",
    "ratio_min",
    "ratio_max",
    "records_per_s",
    "records_per_s_min",
    "records_per_s_max",
    "gb_per_s",
};

static const char *text_of(const void *result, unsigned column)
{
    const struct rz_ring_result *r = result;
    return column == MEASURE ? rz_ring_measures[r->measure] : rz_ring_ways[r->way];
}

/* Negative: none. */
static double number_of(const void *result, unsigned column)
{
    const struct rz_ring_result *r = result;
    if (column >= FIRST_QUANTILE && column <= LAST_QUANTILE)
        return r->ns[column - FIRST_QUANTILE];
    switch (column) {
    case BYTES: return r->bytes;
    case CONSUMERS: return r->consumers;
    case REPEATS: return r->repeats;
    case SAMPLES: return (double)r->samples;
    case ONE_WAY_NS: return r->one_way_ns;
    case RATIO: return r->ratio.median;
    case RATIO_MIN: return r->ratio.least;
    case RATIO_MAX: return r->ratio.most;
    case PER_S: return r->per_s.median;
    case PER_S_MIN: return r->per_s.least;
    case PER_S_MAX: return r->per_s.most;
    default: return r->per_s.median * r->bytes * 1e-9;
    }
}

static const struct rz_bench_columns columns = {
    .names = column_names,
    .texts = LAST_TEXT + 1,
    .wholes = LAST_WHOLE - LAST_TEXT,
    .count = COLUMNS,
    .text = text_of,
    .number = number_of,
};

/* ------------------------------------------------------------------------------------------------
 * Figures
 */

enum { FIGURES = 3, IDS_16 = 64, IDS_256 = 1024 };

struct figure {
    const char *name;
    double value; /* negative: not measured */
    double target;
    bool at_least;
};

static const struct rz_ring_result *find(const struct rz_ring_results *results,
                                         enum rz_ring_way_kind way, uint32_t bytes)
{
    for (size_t i = 0; i < results->count; i++) {
        const struct rz_ring_result *r = &results->list[i];
        if (r->measure == RZ_RING_ROUND_TRIP && r->way == way && r->bytes == bytes)
            return r;
    }
    return NULL;
}

static void find_figures(const struct rz_ring_results *results, struct figure figures[FIGURES])
{
    const struct rz_ring_result *few = find(results, RZ_RING_SPIN, IDS_16);
    const struct rz_ring_result *many = find(results, RZ_RING_SPIN, IDS_256);
    const struct rz_ring_result *nano = find(results, RZ_RING_NANO, IDS_256);
    figures[0] = (struct figure){"16 ids one way, over the bare line",
                                 few != NULL ? few->ratio.median : -1.0, 2.0, false};
    figures[1] = (struct figure){"256 ids one way, over the bare line",
                                 many != NULL ? many->ratio.median : -1.0, 3.0, false};
    figures[2] = (struct figure){
        "256 ids, times faster than nano-vLLM's way",
        many != NULL && nano != NULL ? nano->one_way_ns / many->one_way_ns : -1.0, 100.0, true};
}

static bool is_met(const struct figure *figure)
{
    return figure->at_least ? figure->value >= figure->target : figure->value <= figure->target;
}

/* What JSON has besides the results; NULL: out of memory. */
static json_t *head_of(const struct rz_ring_results *results)
{
    struct figure figures[FIGURES];
    find_figures(results, figures);
    json_t *head =
        json_pack("{s:s, s:i, s:i, s:[]}", "version", rz_version(), "processors",
                  (int)results->processors, "clock_ns", (int)results->clock_ns, "figures");
    json_t *list = json_object_get(head, "figures");
    bool whole = list != NULL;
    for (size_t i = 0; i < FIGURES && whole; i++) {
        const struct figure *f = &figures[i];
        if (f->value >= 0.0)
            whole = json_array_append_new(
                        list, json_pack("{s:s, s:f, s:s, s:f, s:b}", "name", f->name, "value",
                                        f->value, "target_is", f->at_least ? "at least" : "at most",
                                        "target", f->target, "met", (int)is_met(f))) == 0;
    }
    if (whole)
        return head;
    json_decref(head);
    return NULL;
}

/* ------------------------------------------------------------------------------------------------
 * Tables
 */

static const char *label_of(enum rz_ring_way_kind way)
{
    switch (way) {
    case RZ_RING_NANO: return "nano-vLLM's way";
    case RZ_RING_MPI: return "MPI_Bcast";
    default: return rz_ring_link_ways[way]->label;
    }
}

static void format_or_dash(double number, char text[16])
{
    if (number < 0.0)
        snprintf(text, 16, "-");
    else
        rz_bench_format(number, text);
}

static void write_latency(const struct rz_ring_result *r)
{
    enum { P50 = 4, P99 = 8, P99_9 = 9, MOST = 10 };
    char ratio[16], least[16], most[16], range[40] = "-";
    format_or_dash(r->ratio.median, ratio);
    if (r->ratio.median >= 0.0) {
        rz_bench_format(r->ratio.least, least);
        rz_bench_format(r->ratio.most, most);
        snprintf(range, sizeof range, "%s .. %s", least, most);
    }
    printf("  %-19s  %6u  %9u  %8llu  %8.0f  %8.0f  %8.0f  %8.0f  %10.0f  %7s %18s\n",
           label_of(r->way), r->bytes, r->consumers, (unsigned long long)r->samples, r->one_way_ns,
           r->ns[P50], r->ns[P99], r->ns[P99_9], r->ns[MOST], ratio, range);
}

static void write_throughput(const struct rz_ring_result *r)
{
    char gb[16];
    rz_bench_format(number_of(r, GB_PER_S), gb);
    printf("  %-19s  %6u  %9u  %8llu  %11.0f  %11.0f  %11.0f  %7s\n", label_of(r->way), r->bytes,
           r->consumers, (unsigned long long)r->samples, r->per_s.median, r->per_s.least,
           r->per_s.most, gb);
}

static void write_heading(const struct rz_ring_results *results, const struct rz_ring_result *r)
{
    if (r->measure == RZ_RING_THROUGHPUT) {
        printf("Throughput, to each consumer; medians of %u repeats\n\n", r->repeats);
        printf("  %-19s  %6s  %9s  %8s  %11s  %11s  %11s  %7s\n", "way", "bytes", "consumers",
               "records", "records/s", "least", "most", "GB/s");
        return;
    }
    printf("%s, ns, less %u of the clock; all samples of %u repeats, on %u processors\n\n",
           r->measure == RZ_RING_ROUND_TRIP ? "There and back" : "One way, all consumers",
           results->clock_ns, r->repeats, results->processors);
    printf("  %-19s  %6s  %9s  %8s  %8s  %8s  %8s  %8s  %10s  %7s %18s\n", "way", "bytes",
           "consumers", "samples", "one way", "p50", "p99", "p99.9", "max", "x line",
           "least .. most");
}

static void write_figures(const struct rz_ring_results *results)
{
    struct figure figures[FIGURES];
    find_figures(results, figures);
    bool any = false;
    for (size_t i = 0; i < FIGURES; i++) {
        const struct figure *f = &figures[i];
        if (f->value < 0.0)
            continue;
        if (!any)
            printf("\nFigures\n\n  %-43s  %7s  %14s  %5s\n", "of round trips", "is", "target",
                   "met");
        any = true;
        char value[16], target[32];
        rz_bench_format(f->value, value);
        snprintf(target, sizeof target, "%s %.0f", f->at_least ? "at least" : "at most", f->target);
        printf("  %-43s  %7s  %14s  %5s\n", f->name, value, target, is_met(f) ? "yes" : "no");
    }
}

static void write_table(const void *context)
{
    const struct rz_ring_results *results = context;
    const struct rz_ring_result *last = NULL;
    for (size_t i = 0; i < results->count; i++) {
        const struct rz_ring_result *r = &results->list[i];
        if (last == NULL || last->measure != r->measure) {
            fputs(last != NULL ? "\n" : "", stdout);
            write_heading(results, r);
        }
        if (r->measure == RZ_RING_THROUGHPUT)
            write_throughput(r);
        else
            write_latency(r);
        last = r;
    }
    write_figures(results);
}

int rz_ring_report(const struct rz_ring_options *options, const struct rz_ring_results *results,
                   struct rz_complaint *complaint)
{
    const struct rz_bench_list list = {.columns = &columns,
                                       .results = results->list,
                                       .count = results->count,
                                       .size = sizeof *results->list};
    return rz_bench_write(&options->sinks, &list, head_of(results), write_table, results,
                          complaint);
}
