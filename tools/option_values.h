/* SPDX-License-Identifier: Apache-2.0
 *
 * option_values.h - what the command lines of `rankzero bench` share: lists of words and numbers,
 * where results go, and what is said of an option that is wrong.
 */
#ifndef RZ_TOOLS_OPTION_VALUES_H
#define RZ_TOOLS_OPTION_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/complaint.h"

/* rz_option_words - the set of the words of `text`, separated by commas, each of which is one of
 * `words`, which end with NULL: bit i for the i-th. */
int rz_option_words(const char *option, const char *text, const char *const *words, unsigned *set,
                    struct rz_complaint *complaint);

/* rz_option_whole - a number from 1 to `high`. */
int rz_option_whole(const char *option, const char *text, uint32_t high, uint32_t *number,
                    struct rz_complaint *complaint);

/* rz_option_numbers - numbers from 1 to `high`, separated by commas: at most `room`. */
int rz_option_numbers(const char *option, const char *text, uint32_t high, uint32_t room,
                      uint32_t *numbers, uint32_t *count, struct rz_complaint *complaint);

/* Where one form of the results goes. */
struct rz_bench_sink {
    bool wanted;
    const char *path; /* NULL: stdout, in place of the table */
};

struct rz_bench_sinks {
    struct rz_bench_sink json, csv;
};

/* rz_option_sink - `path` is NULL where the option has no value. */
int rz_option_sink(const char *option, const char *path, struct rz_bench_sink *sink,
                   struct rz_complaint *complaint);

/* rz_option_sinks_check - at most one of them is stdout. */
int rz_option_sinks_check(const struct rz_bench_sinks *sinks, struct rz_complaint *complaint);

/* rz_option_complain - after getopt_long() has returned `which`, '?' or ':', with opterr 0 and a
 * ':' at the start of its letters, of which 'h' is the only one. */
int rz_option_complain(int which, char **argv, struct rz_complaint *complaint);

#endif
