/* SPDX-License-Identifier: Apache-2.0
 *
 * report.h - facts in sections, printed in aligned columns or as one JSON object.
 *
 * A name has underscores and, if the number has a unit, the unit at its end: "free_bytes". Errors
 * stick: what cannot be added for want of memory is missed by rz_report_print().
 */
#ifndef RZ_TOOLS_REPORT_H
#define RZ_TOOLS_REPORT_H

#include <stdbool.h>
#include <stdint.h>

struct rz_report {
    struct json_t *root;
    struct json_t *section;  /* borrowed */
    struct json_t *problems; /* borrowed */
    bool failed;             /* out of memory */
};

void rz_report_begin(struct rz_report *report);
void rz_report_section(struct rz_report *report, const char *name);
void rz_report_text(struct rz_report *report, const char *name, const char *value); /* NULL: none */
void rz_report_number(struct rz_report *report, const char *name, uint64_t value);
void rz_report_bool(struct rz_report *report, const char *name, bool value);

/* rz_report_item - add `value` to the list `name`, which is made if need be; NULL: an empty list.
 */
void rz_report_item(struct rz_report *report, const char *name, const char *value);

/* rz_report_problem - something essential is broken. */
__attribute__((format(printf, 2, 3))) void rz_report_problem(struct rz_report *report,
                                                             const char *format, ...);

uint64_t rz_report_problems(const struct rz_report *report);

/* rz_report_print - to stdout; frees the report. False if it is not whole or cannot be written. */
bool rz_report_print(struct rz_report *report, bool json);

#endif
