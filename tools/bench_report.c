/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_report.c - one list of columns serves CSV and JSON; the table rounds for readers.
 */
#include "tools/bench_report.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "rankzero/rankzero.h"
#include "runtime/words.h"
#include "tools/bench_rows.h"

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

static const char *text_of(const struct rz_bench_result *r, enum column column)
{
    switch (column) {
    case BACKEND: return r->backend;
    case KIND: return rz_bench_kinds[r->kind];
    case FILTER: return r->filter->name;
    default: return rz_dtype_words[r->dtype];
    }
}

/* Negative: none. Bytes a nanosecond are gigabytes a second. */
static double number_of(const struct rz_bench_result *r, enum column column)
{
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

/* ------------------------------------------------------------------------------------------------
 * CSV and JSON
 */

static void write_csv(FILE *file, const struct rz_bench_results *results)
{
    for (unsigned c = 0; c < COLUMNS; c++)
        fprintf(file, "%s%s", column_names[c], c + 1 < COLUMNS ? "," : "\n");
    for (size_t i = 0; i < results->count; i++) {
        const struct rz_bench_result *r = &results->list[i];
        for (unsigned c = 0; c < COLUMNS; c++) {
            const double number = c > LAST_TEXT ? number_of(r, (enum column)c) : 0.0;
            if (c <= LAST_TEXT)
                fputs(text_of(r, (enum column)c), file);
            else if (number >= 0.0)
                fprintf(file, c <= LAST_WHOLE ? "%.0f" : "%.5g", number);
            fputs(c + 1 < COLUMNS ? "," : "\n", file);
        }
    }
}

static json_t *json_of(const struct rz_bench_result *r, enum column column)
{
    if (column <= LAST_TEXT)
        return json_string(text_of(r, column));
    const double number = number_of(r, column);
    if (number < 0.0)
        return json_null();
    return column <= LAST_WHOLE ? json_integer((json_int_t)number) : json_real(number);
}

static json_t *json_of_all(const struct rz_bench_results *results)
{
    json_t *root = json_pack("{s:s, s:s, s:[], s:[]}", "version", rz_version(), "plain_maximum",
                             results->plain_name, "against", "results");
    json_t *against = json_object_get(root, "against");
    json_t *list = json_object_get(root, "results");
    bool whole = list != NULL;
    for (unsigned p = 0; p < results->peer_count && whole; p++)
        whole = json_array_append_new(against, json_string(results->peer_versions[p])) == 0;
    for (size_t i = 0; i < results->count && whole; i++) {
        json_t *object = json_object();
        for (unsigned c = 0; c < COLUMNS; c++)
            whole &= json_object_set_new(object, column_names[c],
                                         json_of(&results->list[i], (enum column)c)) == 0;
        whole &= json_array_append_new(list, object) == 0;
    }
    if (whole)
        return root;
    json_decref(root);
    return NULL;
}

static void write_json(FILE *file, const json_t *root)
{
    json_dumpf(root, file, JSON_INDENT(2) | JSON_REAL_PRECISION(5));
    fputc('\n', file);
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

/* Four digits or five, whatever the size. */
static void format(double number, char text[16])
{
    const int decimals = number < 100.0 ? 2 : number < 1000.0 ? 1 : 0;
    snprintf(text, 16, "%.*f", decimals, number);
}

struct spread_text {
    char median[16], range[40];
};

static struct spread_text format_spread(struct rz_bench_spread spread, double unit)
{
    struct spread_text text;
    char least[16], most[16];
    format(spread.median * unit, text.median);
    format(spread.least * unit, least);
    format(spread.most * unit, most);
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
    format(number_of(r, ROW_US), its);
    if (r->times_fastest > 0.0) {
        format(number_of(r, ROW_US) / r->times_fastest, ours);
        format(r->times_fastest, times);
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

static void write_table(const struct rz_bench_results *results)
{
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

/* ------------------------------------------------------------------------------------------------
 * Where it goes
 */

static int finish(FILE *file, const char *name, struct rz_complaint *complaint)
{
    const bool written = fflush(file) == 0 && ferror(file) == 0;
    const int error = errno;
    const bool closed = file == stdout || fclose(file) == 0;
    if (written && closed)
        return RZ_EXIT_OK;
    return rz_complain(complaint, RZ_EXIT_FAILED, "cannot write to %s: %s", name,
                       strerror(written ? errno : error));
}

/* Opens `path`, or stdout for NULL. */
static int open_sink(const char *path, FILE **file, struct rz_complaint *complaint)
{
    *file = path != NULL ? fopen(path, "w") : stdout;
    if (*file != NULL)
        return RZ_EXIT_OK;
    return rz_complain(complaint, RZ_EXIT_FAILED, "%s: %s", path, strerror(errno));
}

static int report_csv(const char *path, const struct rz_bench_results *results,
                      struct rz_complaint *complaint)
{
    FILE *file;
    const int status = open_sink(path, &file, complaint);
    if (status != RZ_EXIT_OK)
        return status;
    write_csv(file, results);
    return finish(file, path != NULL ? path : "stdout", complaint);
}

static int report_json(const char *path, const struct rz_bench_results *results,
                       struct rz_complaint *complaint)
{
    json_t *root = json_of_all(results);
    if (root == NULL)
        return rz_complain_memory(complaint);
    FILE *file;
    int status = open_sink(path, &file, complaint);
    if (status == RZ_EXIT_OK) {
        write_json(file, root);
        status = finish(file, path != NULL ? path : "stdout", complaint);
    }
    json_decref(root);
    return status;
}

int rz_bench_report(const struct rz_bench_options *options, const struct rz_bench_results *results,
                    struct rz_complaint *complaint)
{
    const bool table = !(options->csv.wanted && options->csv.path == NULL) &&
                       !(options->json.wanted && options->json.path == NULL);
    int status = RZ_EXIT_OK;
    if (options->csv.wanted)
        status = report_csv(options->csv.path, results, complaint);
    if (status == RZ_EXIT_OK && options->json.wanted)
        status = report_json(options->json.path, results, complaint);
    if (status != RZ_EXIT_OK || !table)
        return status;
    write_table(results);
    return finish(stdout, "stdout", complaint);
}
