/* SPDX-License-Identifier: Apache-2.0
 *
 * hard_rows.h - rows that are made to be hard for bounds and thresholds, and filters to try on
 * them.
 */
#ifndef RZ_TESTS_HARD_ROWS_H
#define RZ_TESTS_HARD_ROWS_H

#include "tests/kernels/cases.h"

enum {
    HARD_IDS = 3000, /* of a hard row */
    HARD_ROWS = 16,  /* kinds of them */
    HARD_LEVELS = 8,
    HARD_NUCLEI = 18,
    EVERY_FILTER = 28,
};

/* With this temperature y is the logit: masses are exact powers of two where logits are integers.
 */
#define NO_SCALE 1.44269502f

struct filters {
    float temperature;
    uint32_t top_k;
    float top_p;
    float min_p;
};

extern const struct filters every_filter[EVERY_FILTER];

void set_filters(struct test_case *c, const struct filters *filters);

/* hard_row_begin - a row of a kind; `part` is another number for another row of the kind. */
void hard_row_begin(struct test_case *c, uint32_t kind, uint32_t part, uint64_t *random);

/* hard_nucleus_begin - levels of equal mass, with a top-p that is `level` of HARD_LEVELS of all, or
 * a float next to that; in several ways, n. */
void hard_nucleus_begin(struct test_case *c, uint32_t level, uint32_t n, uint64_t *random);

#endif
