/* SPDX-License-Identifier: Apache-2.0
 *
 * view.h - what the reader sees while text is drawn.
 *
 * One prompt: prompt and text go to stdout token by token. Several: each of them goes to stdout
 * when all are finished; meanwhile a terminal on stderr shows the end of each as it grows.
 */
#ifndef TPLM_VIEW_H
#define TPLM_VIEW_H

#include "batch.h"

struct tplm_view {
    const struct tplm_tokenizer *tokenizer;
    const struct tplm_batch *batch;
    size_t tokens;     /* most that are drawn for a prompt */
    uint64_t seed;     /* of prompt 0 */
    int columns, rows; /* of the terminal; 0 when nothing is shown while a batch grows */
    size_t lines;      /* on the terminal now, to be drawn over */
    uint64_t begin_ns, drawn_ns;
};

/* tplm_view_open - `progress`: show a batch as it grows even if no terminal is found. Borrows
 * `tokenizer` and `batch`. */
void tplm_view_open(const struct tplm_tokenizer *tokenizer, const struct tplm_batch *batch,
                    const struct tplm_options *options, struct tplm_view *view);

/* tplm_view_step - show what a step has drawn. Before the first step: the prompt. */
void tplm_view_step(struct tplm_view *view);

/* tplm_view_close - show what has not been shown yet, and end the line. */
void tplm_view_close(struct tplm_view *view);

#endif
