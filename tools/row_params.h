/* SPDX-License-Identifier: Apache-2.0
 *
 * row_params.h - the parameters that a row may have of its own, from either of their two notations.
 *
 * Each has one name, written --top-p on the command line and "top_p" in --params. A value is parsed
 * from text here, from JSON in params_json.c; both end in rz_row_params_set().
 */
#ifndef RZ_TOOLS_ROW_PARAMS_H
#define RZ_TOOLS_ROW_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rankzero/rankzero.h"
#include "tools/arena.h"
#include "tools/complaint.h"

struct rz_row_params {
    struct rz_sampling sampling; /* seed and RZ_SAMPLING_SEED are set by whoever plans the run */
    const int32_t *prompt_ids;   /* [prompt_count] */
    const int32_t *output_ids;   /* [output_count] */
    uint32_t prompt_count;
    uint32_t output_count;
    const uint32_t *bitmask; /* [bitmask_words], "bitmask" in --params; NULL: none of its own */
    size_t bitmask_words;
    bool has_seed;
    bool has_position;
    uint64_t position; /* of the first draw */
    uint64_t count;    /* draws */
};

enum rz_field_kind {
    RZ_FIELD_FLOAT,
    RZ_FIELD_WHOLE,
    RZ_FIELD_IDS,
    RZ_FIELD_BIAS,
    RZ_FIELD_LOGPROBS_MODE,
    RZ_FIELD_WORDS, /* uint32 words; in --params only */
};

enum rz_field_id {
    RZ_TEMPERATURE,
    RZ_TOP_K,
    RZ_TOP_P,
    RZ_MIN_P,
    RZ_REPETITION_PENALTY,
    RZ_FREQUENCY_PENALTY,
    RZ_PRESENCE_PENALTY,
    RZ_PROMPT_IDS,
    RZ_OUTPUT_IDS,
    RZ_LOGIT_BIAS,
    RZ_ALLOWED,
    RZ_BANNED,
    RZ_STOP_IDS,
    RZ_MIN_TOKENS,
    RZ_SEED,
    RZ_POSITION,
    RZ_COUNT,
    RZ_LOGPROBS,
    RZ_LOGPROBS_MODE,
    RZ_BITMASK_WORDS,
    RZ_FIELDS,
};

struct rz_field {
    const char *name;   /* with underscores */
    const char *option; /* with dashes; NULL: not on the command line */
    enum rz_field_kind kind;
    uint64_t low, high;   /* RZ_FIELD_WHOLE: the range */
    const char *expected; /* completes "expected ..." */
};

extern const struct rz_field rz_fields[RZ_FIELDS]; /* by enum rz_field_id */

struct rz_field_value {
    float number;         /* RZ_FIELD_FLOAT */
    uint64_t whole;       /* RZ_FIELD_WHOLE; RZ_FIELD_LOGPROBS_MODE: enum rz_logprobs_mode */
    uint32_t count;       /* of what follows */
    int32_t *ids;         /* RZ_FIELD_IDS */
    struct rz_bias *bias; /* RZ_FIELD_BIAS */
    uint32_t *words;      /* RZ_FIELD_WORDS */
};

/* rz_row_params_init - everything off, one draw. */
void rz_row_params_init(struct rz_row_params *row);

/* rz_field_parse - a value in the command line's notation. Lists go to `arena`. False if the text
 * is not what the field expects, or memory is out. */
bool rz_field_parse(const struct rz_field *field, const char *text, struct rz_arena *arena,
                    struct rz_field_value *value);

/* Where a value stands decides how it is called and whose fault it is: on the command line (`where`
 * is NULL) it is --top-p and bad usage; in a file ("rows.jsonl:3") it is "top_p" and a failure. */

/* rz_field_complain - "LABEL: expected ..., got GOT". */
int rz_field_complain(const struct rz_field *field, const char *where, const char *got,
                      struct rz_complaint *complaint);

/* rz_row_params_set - give `row` the value, or complain that it is out of range. The row borrows
 * the value's lists. */
int rz_row_params_set(struct rz_row_params *row, enum rz_field_id id,
                      const struct rz_field_value *value, const char *where,
                      struct rz_complaint *complaint);

/* rz_row_params_check_ids - complain unless every id that `row` names is in 0 .. vocab_size-1. */
int rz_row_params_check_ids(const struct rz_row_params *row, uint32_t vocab_size, const char *where,
                            struct rz_complaint *complaint);

#endif
