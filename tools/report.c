/* SPDX-License-Identifier: Apache-2.0
 *
 * report.c - a report is a JSON object; the columns are another way to print it.
 */
#include "tools/report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { NAME_COLUMNS = 22 };

static void add(struct rz_report *report, const char *name, json_t *value)
{
    if (json_object_set_new(report->section, name, value) != 0)
        report->failed = true;
}

void rz_report_begin(struct rz_report *report)
{
    *report = (struct rz_report){.root = json_object()};
    report->failed = report->root == NULL;
}

void rz_report_section(struct rz_report *report, const char *name)
{
    report->section = report->root;
    add(report, name, json_object());
    report->section = json_object_get(report->root, name);
}

void rz_report_text(struct rz_report *report, const char *name, const char *value)
{
    /* What comes from files of the system need not be UTF-8. */
    json_t *json = value != NULL ? json_string(value) : json_null();
    add(report, name, json != NULL ? json : json_string("?"));
}

void rz_report_number(struct rz_report *report, const char *name, uint64_t value)
{
    add(report, name, json_integer(value < INT64_MAX ? (json_int_t)value : INT64_MAX));
}

void rz_report_bool(struct rz_report *report, const char *name, bool value)
{
    add(report, name, json_boolean(value));
}

void rz_report_item(struct rz_report *report, const char *name, const char *value)
{
    if (json_object_get(report->section, name) == NULL)
        add(report, name, json_array());
    json_t *list = json_object_get(report->section, name);
    if (value != NULL && json_array_append_new(list, json_string(value)) != 0)
        report->failed = true;
}

void rz_report_problem(struct rz_report *report, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);

    if (report->problems == NULL)
        report->problems = json_array();
    if (json_array_append_new(report->problems, json_string(text)) != 0)
        report->failed = true;
}

uint64_t rz_report_problems(const struct rz_report *report)
{
    return json_array_size(report->problems);
}

/* ------------------------------------------------------------------------------------------------
 * Columns
 */

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static void print_bytes(uint64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    printf("%.*f %s", unit > 0 ? 1 : 0, value, units[unit]);
}

static void print_list(const json_t *list)
{
    if (json_array_size(list) == 0)
        fputs("none", stdout);
    for (size_t i = 0; i < json_array_size(list); i++)
        printf("%s%s", i > 0 ? ", " : "", json_string_value(json_array_get(list, i)));
}

static void print_value(const char *name, const json_t *value)
{
    if (json_is_integer(value) && ends_with(name, "_bytes"))
        print_bytes((uint64_t)json_integer_value(value));
    else if (json_is_integer(value))
        printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_boolean(value))
        fputs(json_is_true(value) ? "yes" : "no", stdout);
    else if (json_is_array(value))
        print_list(value);
    else
        fputs(json_is_string(value) ? json_string_value(value) : "none", stdout);
}

static void print_name(const char *name)
{
    size_t length = strlen(name);
    if (ends_with(name, "_bytes"))
        length -= strlen("_bytes");
    int column = printf("  ");
    for (size_t i = 0; i < length; i++, column++)
        putchar(name[i] == '_' ? ' ' : name[i]);
    printf("%*s", column < NAME_COLUMNS ? NAME_COLUMNS - column : 1, "");
}

static void print_columns(const struct rz_report *report)
{
    const char *section_name, *name;
    json_t *section, *value;
    json_object_foreach(report->root, section_name, section)
    {
        for (const char *at = section_name; *at != '\0'; at++)
            putchar(*at == '_' ? ' ' : *at);
        putchar('\n');
        json_object_foreach(section, name, value)
        {
            print_name(name);
            print_value(name, value);
            putchar('\n');
        }
    }
    for (size_t i = 0; i < json_array_size(report->problems); i++)
        printf("problem: %s\n", json_string_value(json_array_get(report->problems, i)));
}

static void print_json(struct rz_report *report)
{
    json_t *problems = report->problems != NULL ? json_incref(report->problems) : json_array();
    if (json_object_set_new(report->root, "problems", problems) != 0 ||
        json_dumpf(report->root, stdout, JSON_INDENT(2)) != 0)
        report->failed = true;
    putchar('\n');
}

bool rz_report_print(struct rz_report *report, bool json)
{
    if (json)
        print_json(report);
    else
        print_columns(report);
    json_decref(report->root);
    json_decref(report->problems);
    const bool written = fflush(stdout) == 0 && !ferror(stdout);
    return written && !report->failed;
}
