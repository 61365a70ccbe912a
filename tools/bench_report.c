/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_report.c - columns of CSV and JSON, and a table that rounds for readers.
 */
#include "tools/bench_report.h"

#include <jansson.h>
#include <string.h>

#include "rankzero/rankzero.h"
#include "runtime/words.h"
#include "tools/bench_rows.h"
#include "tools/bench_sink.h"

/* ------------------------------------------------------------------------------------------------
 * Columns
 */

enum column {
    BACKEND,
    KIND,
    FILTER,
    DTYPE,
    LAST_TEXT = DTYPE,
    VOCAB,
    ROWS,
    REPEATS,
    LAST_WHOLE = REPEATS,
    ROW_US,
    ROW_US_MIN,
    ROW_US_MAX,
    LOGIT_NS,
    GB_PER_S,
    RATIO,
    RATIO_MIN,
    RATIO_MAX,
    PLAIN_GB_PER_S,
    READ_GB_PER_S,
    TILES_EXACT,
    EXTRA_PASSES,
    TIMES_FASTEST,
    COLUMNS,
};

static const char *const column_names[COLUMNS] = {
    "backend",        "kind",          "filter",      "dtype",        "vocab",
    "rows",           "repeats",       "row_us",      "row_us_min",   "row_us_max",
    "logit_ns",       "gb_per_s",      "ratio",       "ratio_min",    "ratio_max",
    "plain_gb_per_s", "read_gb_per_s", "tiles_exact", "extra_passes", "times_fastest",
};

static double row_bytes(const struct rz_bench_result *r)
{
    return (double)r->vocab * (double)rz_bench_item_bytes((enum rz_dtype)r->dtype);
}

static const char *text_of(const void *result, unsigned column)
{
    const struct rz_bench_result *r = result;
    switch (column) {
    case BACKEND: return r->backend;
    case KIND: return rz_bench_kinds[r->kind];
    case FILTER: return r->filter->name;
    default: return rz_dtype_words[r->dtype];
    }
}

/* Negative: none. Bytes a nanosecond are gigabytes a second. */
static double number_of(const void *result, unsigned column)
{
    const struct rz_bench_result *r = result;
    switch (column) {
    case VOCAB: return r->vocab;
    case ROWS: return r->rows;
    case REPEATS: return r->repeats;
    case ROW_US: return r->row.median * 1e-3;
    case ROW_US_MIN: return r->row.least * 1e-3;
    case ROW_US_MAX: return r->row.most * 1e-3;
    case LOGIT_NS: return r->row.median / r->vocab;
    case GB_PER_S: return row_bytes(r) / r->row.median;
    case RATIO: return r->ratio.median;
    case RATIO_MIN: return r->ratio.least;
    case RATIO_MAX: return r->ratio.most;
    case PLAIN_GB_PER_S: return row_bytes(r) / r->plain_ns;
    case READ_GB_PER_S: return row_bytes(r) / r->read_ns;
    case TILES_EXACT: return r->tiles_exact;
    case EXTRA_PASSES: return r->extra_passes;
    default: return r->times_fastest;
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
static json_t *head_of(const struct rz_bench_results *results)
{
    json_t *head = json_pack("{s:s, s:s, s:[]}", "version", rz_version(), "plain_maximum",
                             results->plain_name, "against");
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

static bool same_group(const struct rz_bench_result *a, const struct rz_bench_result *b)
{
    return a->kind == b->kind && a->dtype == b->dtype && a->vocab == b->vocab;
}

/* From the first result of a group. */
static void write_heading(const struct rz_bench_result *r, const struct rz_bench_results *results)
{
    char of_file[256] = "";
    if (r->kind == RZ_BENCH_FILE)
        snprintf(of_file, sizeof of_file, " (%.250s)", results->logits_path);
    printf("%s rows%s of %u %s, %.0f KB each; medians of %u repeats; plain maximum (%s) %.1f "
           "GB/s, bare reads %.1f GB/s\n\n",
           rz_bench_kinds[r->kind], of_file, r->vocab, rz_dtype_words[r->dtype],
           row_bytes(r) * 1e-3, r->repeats, results->plain_name, number_of(r, PLAIN_GB_PER_S),
           number_of(r, READ_GB_PER_S));
    printf("  %-21s  %-9s  %7s  %7s %16s  %8s  %6s  %7s %16s  %7s  %6s\n", "filter", "back end",
           "rows", "us/row", "least .. most", "ns/logit", "GB/s", "x plain", "least .. most",
           "tiles", "passes");
}

struct spread_text {
    char median[16], range[40];
};

static struct spread_text format_spread(struct rz_bench_spread spread, double unit)
{
    struct spread_text text;
    char least[16], most[16];
    rz_bench_format(spread.median * unit, text.median);
    rz_bench_format(spread.least * unit, least);
    rz_bench_format(spread.most * unit, most);
    snprintf(text.range, sizeof text.range, "%s .. %s", least, most);
    return text;
}

static void write_line(const struct rz_bench_result *r)
{
    const struct spread_text us = format_spread(r->row, 1e-3), ratio = format_spread(r->ratio, 1.0);
    char tiles[16] = "-", passes[16] = "-";
    if (r->tiles_exact >= 0.0) {
        snprintf(tiles, sizeof tiles, "%.1f", r->tiles_exact);
        snprintf(passes, sizeof passes, "%.2f", r->extra_passes);
    }
    printf("  %-21s  %-9s  %7u  %7s %16s  %8.4f  %6.2f  %7s %16s  %7s  %6s\n", r->filter->label,
           r->backend, r->rows, us.median, us.range, number_of(r, LOGIT_NS), number_of(r, GB_PER_S),
           ratio.median, ratio.range, tiles, passes);
}

/* Microseconds of a row, as "ours" too: they are what a token waits for. */
static void write_peer_line(const struct rz_bench_result *r)
{
    char its[16], ours[16] = "-", times[16] = "-";
    rz_bench_format(number_of(r, ROW_US), its);
    if (r->times_fastest > 0.0) {
        rz_bench_format(number_of(r, ROW_US) / r->times_fastest, ours);
        rz_bench_format(r->times_fastest, times);
    }
    printf("  %-8s  %-8u  %-5s  %-21s  %-13s  %8s  %8s  %8s\n", rz_bench_kinds[r->kind], r->vocab,
           rz_dtype_words[r->dtype], r->filter->label, r->backend, its, ours, times);
}

static void write_peers(const struct rz_bench_results *results)
{
    if (results->peer_count == 0)
        return;
    printf(
        "\nOthers on one thread, on the first of the same rows, beside the fastest of rankzero: ");
    for (unsigned p = 0; p < results->peer_count; p++)
        printf("%s%s", p > 0 ? "; " : "", results->peer_versions[p]);
    printf("\n\n  %-8s  %-8s  %-5s  %-21s  %-13s  %8s  %8s  %8s\n", "kind", "vocab", "dtype",
           "filter", "other", "us/row", "ours", "times");
    for (size_t i = 0; i < results->count; i++)
        if (!results->list[i].ours)
            write_peer_line(&results->list[i]);
}

static void write_table(const void *context)
{
    const struct rz_bench_results *results = context;
    const struct rz_bench_result *last = NULL;
    for (size_t i = 0; i < results->count; i++) {
        const struct rz_bench_result *r = &results->list[i];
        if (!r->ours)
            continue;
        if (last == NULL || !same_group(r, last)) {
            fputs(last != NULL ? "\n" : "", stdout);
            write_heading(r, results);
        }
        write_line(r);
        last = r;
    }
    write_peers(results);
}

int rz_bench_report(const struct rz_bench_options *options, const struct rz_bench_results *results,
                    struct rz_complaint *complaint)
{
    const struct rz_bench_list list = {.columns = &columns,
                                       .results = results->list,
                                       .count = results->count,
                                       .size = sizeof *results->list};
    return rz_bench_write(&options->sinks, &list, head_of(results), write_table, results,
                          complaint);
}
