/* SPDX-License-Identifier: Apache-2.0
 *
 * options.h - the command line.
 */
#ifndef TPLM_OPTIONS_H
#define TPLM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rankzero/rankzero.h"

enum { TPLM_MAX_PROMPTS = 64 };
enum { TPLM_CPU, TPLM_CUDA }; /* where tokens are drawn */

struct tplm_options {
    const char *prompts[TPLM_MAX_PROMPTS]; /* --prompt, in order */
    size_t prompt_count;
    const char *prompts_path; /* --prompts, or NULL */
    size_t tokens;            /* most tokens drawn for a prompt */
    const char *weights_path, *vocab_path;
    const char *dump_path; /* --dump-logits, or NULL */
    bool seed_given;       /* otherwise the seed is taken from the operating system */
    bool progress;         /* show a batch as it grows even where stderr is no terminal */
    bool text_only;        /* no table at the end */
    bool help;
    struct rz_sampling sampling; /* seed: of prompt 0; prompt b draws with seed + b */
    uint32_t device;             /* TPLM_CPU, TPLM_CUDA */
    uint32_t backend, comm;      /* enum rz_backend, of CPUs; enum rz_comm_kind */
};

extern const char tplm_usage[];

/* tplm_options_parse - read argv; strings in `options` point into it. RZ_E_ARG: `err` says which
 * option, what was expected and what was got. */
int tplm_options_parse(int argc, char **argv, struct tplm_options *options, struct rz_error *err);

#endif
