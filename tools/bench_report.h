/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_report.h - results as a table, CSV or JSON.
 */
#ifndef RZ_TOOLS_BENCH_REPORT_H
#define RZ_TOOLS_BENCH_REPORT_H

#include "tools/bench_run.h"

/* rz_bench_report - write what `options` asks for: a table to stdout unless CSV or JSON goes there,
 * and files. */
int rz_bench_report(const struct rz_bench_options *options, const struct rz_bench_results *results,
                    struct rz_complaint *complaint);

#endif
