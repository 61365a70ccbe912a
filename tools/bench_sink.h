/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_sink.h - results as CSV and JSON, from one list of columns, and where all forms go.
 */
#ifndef RZ_TOOLS_BENCH_SINK_H
#define RZ_TOOLS_BENCH_SINK_H

#include <stddef.h>

#include "tools/option_values.h"

struct rz_bench_columns {
    const char *const *names; /* [count] first of texts, then of whole numbers, then of others */
    unsigned texts, wholes, count;
    const char *(*text)(const void *result, unsigned column);
    double (*number)(const void *result, unsigned column); /* negative: none */
};

struct rz_bench_list {
    const struct rz_bench_columns *columns;
    const void *results; /* [count] of `size` bytes each */
    size_t count, size;
};

struct json_t;

/* rz_bench_write - what `sinks` asks for: CSV, JSON, and, unless one of them goes to stdout, the
 * table that write_table() prints. `head` is a JSON object that "results" is added to, and owned
 * here; NULL: out of memory. */
int rz_bench_write(const struct rz_bench_sinks *sinks, const struct rz_bench_list *list,
                   struct json_t *head, void (*write_table)(const void *context),
                   const void *context, struct rz_complaint *complaint);

/* Four digits or five, whatever the size. */
void rz_bench_format(double number, char text[16]);

#endif
