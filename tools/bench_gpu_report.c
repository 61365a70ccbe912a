/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_gpu_report.c - columns of CSV and JSON, and a table that rounds for readers.
 */
#include <jansson.h>
#include <string.h>

#include "rankzero/rankzero.h"
#include "runtime/words.h"
#include "tools/bench_gpu_run.h"
#include "tools/bench_sink.h"

/* ------------------------------------------------------------------------------------------------
 * Columns
 */

enum column {
    BACKEND,
    KIND,
    FILTER,
    DTYPE,
    STAGE,
    LAUNCH,
    CACHE,
    LAST_TEXT = CACHE,
    VOCAB,
    BATCH,
    REPEATS,
    LAST_WHOLE = REPEATS,
    US,
    US_MIN,
    US_MAX,
    GB_PER_S,
    READ_US,
    READ_GB_PER_S,
    OF_READ,
    OF_READ_MIN,
    OF_READ_MAX,
    TIMES_OURS,
    COLUMNS,
};

static const char *const column_names[COLUMNS] = {
    "backend", "kind",          "filter",  "dtype",       "stage",       "launch",     "cache",
    "vocab",   "batch",         "repeats", "us",          "us_min",      "us_max",     "gb_per_s",
    "read_us", "read_gb_per_s", "of_read", "of_read_min", "of_read_max", "times_ours",
};

static const char *text_of(const void *result, unsigned column)
{
    const struct rz_bench_gpu_result *r = result;
    switch (column) {
    case BACKEND: return r->backend;
    case KIND: return rz_bench_kinds[r->kind];
    case FILTER: return r->filter->name;
    case DTYPE: return rz_dtype_words[r->dtype];
    case STAGE: return r->stage;
    case LAUNCH: return r->mode.graph ? "graph" : "stream";
    default: return r->mode.cold ? "cold" : "hot";
    }
}

/* Negative: none. Bytes a nanosecond are gigabytes a second. */
static double number_of(const void *result, unsigned column)
{
    const struct rz_bench_gpu_result *r = result;
    const bool read = r->read_ns.median > 0.0;
    if (column >= GB_PER_S && column < TIMES_OURS && !read)
        return -1.0;
    switch (column) {
    case VOCAB: return r->vocab;
    case BATCH: return r->batch;
    case REPEATS: return r->repeats;
    case US: return r->batch_ns.median * 1e-3;
    case US_MIN: return r->batch_ns.least * 1e-3;
    case US_MAX: return r->batch_ns.most * 1e-3;
    case GB_PER_S: return r->bytes / r->batch_ns.median;
    case READ_US: return r->read_ns.median * 1e-3;
    case READ_GB_PER_S: return r->bytes / r->read_ns.median;
    case OF_READ: return r->of_read.median;
    case OF_READ_MIN: return r->of_read.least;
    case OF_READ_MAX: return r->of_read.most;
    default: return r->times_ours;
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

/* What JSON has besides the results; NULL: out of memory. */
static json_t *head_of(const struct rz_bench_gpu_results *results)
{
    json_t *head = json_pack("{s:s, s:s, s:[]}", "version", rz_version(), "device", results->device,
                             "against");
    json_t *against = json_object_get(head, "against");
    bool whole = against != NULL;
    for (unsigned p = 0; p < results->peer_count && whole; p++)
        whole = json_array_append_new(against, json_string(results->peer_versions[p])) == 0;
    if (whole)
        return head;
    json_decref(head);
    return NULL;
}

/* ------------------------------------------------------------------------------------------------
 * The table
 */

static bool same_group(const struct rz_bench_gpu_result *a, const struct rz_bench_gpu_result *b)
{
    return a->kind == b->kind && a->dtype == b->dtype && a->vocab == b->vocab &&
           a->batch == b->batch;
}

static void write_heading(const struct rz_bench_gpu_results *results,
                          const struct rz_bench_gpu_result *r)
{
    printf("batches of %u %s rows of %u %s, %.2f MB; medians of %u repeats\n\n", r->batch,
           rz_bench_kinds[r->kind], r->vocab, rz_dtype_words[r->dtype], r->bytes * 1e-6,
           r->repeats);
    if (results->options->stages)
        printf("  %-21s  %-20s  %7s  %18s\n", "filter", "stage", "us", "least .. most");
    else
        printf("  %-21s  %-12s  %-6s  %-4s  %7s  %18s  %7s  %9s  %7s  %12s  %7s\n", "filter",
               "back end", "launch", "L2", "us", "least .. most", "GB/s", "read GB/s", "of read",
               "least .. most", "x ours");
}

static void format_range(struct rz_bench_spread spread, double unit, char text[40])
{
    char least[16], most[16];
    rz_bench_format(spread.least * unit, least);
    rz_bench_format(spread.most * unit, most);
    snprintf(text, 40, "%s .. %s", least, most);
}

static void write_line(const struct rz_bench_gpu_results *results,
                       const struct rz_bench_gpu_result *r)
{
    char us[16], us_range[40], of_read[16], of_read_range[40], times[16] = "-";
    rz_bench_format(number_of(r, US), us);
    format_range(r->batch_ns, 1e-3, us_range);
    if (results->options->stages) {
        printf("  %-21s  %-20s  %7s  %18s\n", r->filter->label, r->stage, us, us_range);
        return;
    }
    rz_bench_format(r->of_read.median, of_read);
    format_range(r->of_read, 1.0, of_read_range);
    if (!r->ours && r->times_ours > 0.0)
        rz_bench_format(r->times_ours, times);
    printf("  %-21s  %-12s  %-6s  %-4s  %7s  %18s  %7.1f  %9.1f  %7s  %12s  %7s\n",
           r->filter->label, r->backend, text_of(r, LAUNCH), text_of(r, CACHE), us, us_range,
           number_of(r, GB_PER_S), number_of(r, READ_GB_PER_S), of_read, of_read_range, times);
}

static void write_table(const void *context)
{
    const struct rz_bench_gpu_results *results = context;
    const struct rz_bench_gpu_result *last = NULL;
    printf("%s\n", results->device);
    for (unsigned p = 0; p < results->peer_count; p++)
        printf("%s\n", results->peer_versions[p]);
    for (size_t i = 0; i < results->count; i++) {
        const struct rz_bench_gpu_result *r = &results->list[i];
        if (last == NULL || !same_group(r, last)) {
            putchar('\n');
            write_heading(results, r);
        }
        write_line(results, r);
        last = r;
    }
}

int rz_bench_gpu_report(const struct rz_bench_gpu_results *results, struct rz_complaint *complaint)
{
    const struct rz_bench_list list = {.columns = &columns,
                                       .results = results->list,
                                       .count = results->count,
                                       .size = sizeof *results->list};
    return rz_bench_write(&results->options->sinks, &list, head_of(results), write_table, results,
                          complaint);
}
