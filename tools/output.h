/* SPDX-License-Identifier: Apache-2.0
 *
 * output.h - where drawn ids go: lines or JSON on stdout, or a .npy file.
 *
 * Draws come in order of rows and, within a row, of positions. Only rank 0 has an output.
 */
#ifndef RZ_TOOLS_OUTPUT_H
#define RZ_TOOLS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rankzero/rankzero.h"
#include "tools/complaint.h"

/* Draws `first` .. `first + count - 1` of a row's `total`. */
struct rz_draws {
    uint64_t row;
    uint64_t first;
    uint64_t total;
    uint32_t count;
    bool logprobs;                   /* were asked for */
    const struct rz_result *results; /* [count] */
};

/* What a JSON row holds back until its ids are written. */
struct rz_output_held {
    float *logprobs; /* [count] */
    uint32_t *ranks; /* [count] */
    size_t count;
    size_t capacity;
};

struct rz_output {
    bool json;       /* lines otherwise */
    FILE *text;      /* to stdout; NULL: neither lines nor JSON */
    char *text_held; /* its buffer, if it is to hold more than usual */
    int text_error;  /* errno of the first write that failed */
    struct rz_output_held held;
    FILE *npy; /* NULL: no file */
    const char *npy_path;
    char *npy_temporary; /* what the file is called until it is whole ... */
    bool npy_named;      /* ... if it has a name */
};

/* rz_output_open - lines on stdout, unless there is JSON or a file. `npy_path` may be NULL; the
 * file is int32 [rows, columns] and has no name, or a temporary one, until rz_output_finish().
 * `output` stays where it is until then. */
int rz_output_open(bool json, const char *npy_path, uint64_t rows, uint64_t columns,
                   struct rz_output *output, struct rz_complaint *complaint);

/* rz_output_hold - keep the first `bytes` of text back until the end. Before anything is written.
 * False if memory is out. */
bool rz_output_hold(struct rz_output *output, size_t bytes);

int rz_output_write(struct rz_output *output, const struct rz_draws *draws,
                    struct rz_complaint *complaint);

/* rz_output_finish - complete what was written and free `output`. If it fails no file is left. */
int rz_output_finish(struct rz_output *output, struct rz_complaint *complaint);

/* rz_output_abandon - free `output` and remove its file. */
void rz_output_abandon(struct rz_output *output);

/* One each for the forms of output; those above call them. */
void rz_output_lines_write(FILE *text, const struct rz_draws *draws);
int rz_output_json_write(FILE *text, struct rz_output_held *held, const struct rz_draws *draws,
                         struct rz_complaint *complaint);
int rz_output_npy_open(const char *path, uint64_t rows, uint64_t columns, struct rz_output *output,
                       struct rz_complaint *complaint);
int rz_output_npy_write(struct rz_output *output, const struct rz_draws *draws,
                        struct rz_complaint *complaint);
int rz_output_npy_finish(struct rz_output *output, struct rz_complaint *complaint);
void rz_output_npy_abandon(struct rz_output *output);

#endif
