/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench_sink.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

static const void *result_of(const struct rz_bench_list *list, size_t i)
{
    return (const char *)list->results + i * list->size;
}

static void write_csv(FILE *file, const struct rz_bench_list *list)
{
    const struct rz_bench_columns *columns = list->columns;
    for (unsigned c = 0; c < columns->count; c++)
        fprintf(file, "%s%s", columns->names[c], c + 1 < columns->count ? "," : "\n");
    for (size_t i = 0; i < list->count; i++) {
        const void *r = result_of(list, i);
        for (unsigned c = 0; c < columns->count; c++) {
            const double number = c >= columns->texts ? columns->number(r, c) : 0.0;
            if (c < columns->texts)
                fputs(columns->text(r, c), file);
            else if (number >= 0.0)
                fprintf(file, c < columns->texts + columns->wholes ? "%.0f" : "%.5g", number);
            fputs(c + 1 < columns->count ? "," : "\n", file);
        }
    }
}

static json_t *json_of(const struct rz_bench_columns *columns, const void *result, unsigned column)
{
    if (column < columns->texts)
        return json_string(columns->text(result, column));
    const double number = columns->number(result, column);
    if (number < 0.0)
        return json_null();
    return column < columns->texts + columns->wholes ? json_integer((json_int_t)number)
                                                     : json_real(number);
}

static bool add_results(json_t *head, const struct rz_bench_list *list)
{
    json_t *array = json_array();
    bool whole = json_object_set_new(head, "results", array) == 0;
    for (size_t i = 0; i < list->count && whole; i++) {
        json_t *object = json_object();
        for (unsigned c = 0; c < list->columns->count; c++)
            whole &= json_object_set_new(object, list->columns->names[c],
                                         json_of(list->columns, result_of(list, i), c)) == 0;
        whole &= json_array_append_new(array, object) == 0;
    }
    return whole;
}

static void write_json(FILE *file, const json_t *root)
{
    json_dumpf(root, file, JSON_INDENT(2) | JSON_REAL_PRECISION(5));
    fputc('\n', file);
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

/* CSV, or JSON where there is a `root`. */
static int report(const char *path, const struct rz_bench_list *list, const json_t *root,
                  struct rz_complaint *complaint)
{
    FILE *file;
    const int status = open_sink(path, &file, complaint);
    if (status != RZ_EXIT_OK)
        return status;
    if (root != NULL)
        write_json(file, root);
    else
        write_csv(file, list);
    return finish(file, path != NULL ? path : "stdout", complaint);
}

int rz_bench_write(const struct rz_bench_sinks *sinks, const struct rz_bench_list *list,
                   json_t *head, void (*write_table)(const void *context), const void *context,
                   struct rz_complaint *complaint)
{
    const bool table = !(sinks->csv.wanted && sinks->csv.path == NULL) &&
                       !(sinks->json.wanted && sinks->json.path == NULL);
    int status = RZ_EXIT_OK;
    if (head == NULL || !add_results(head, list))
        status = rz_complain_memory(complaint);
    if (status == RZ_EXIT_OK && sinks->csv.wanted)
        status = report(sinks->csv.path, list, NULL, complaint);
    if (status == RZ_EXIT_OK && sinks->json.wanted)
        status = report(sinks->json.path, list, head, complaint);
    json_decref(head);
    if (status != RZ_EXIT_OK || !table)
        return status;
    write_table(context);
    return finish(stdout, "stdout", complaint);
}

void rz_bench_format(double number, char text[16])
{
    const int decimals = number < 100.0 ? 2 : number < 1000.0 ? 1 : 0;
    snprintf(text, 16, "%.*f", decimals, number);
}
