/* SPDX-License-Identifier: Apache-2.0
 *
 * cases.h - rows of logits and requests to try a back end with: made by hand, or at random.
 *
 * A case owns its logits, in shards that are allocated to the byte, so that a sanitizer sees a read
 * past any of them. Columns past the vocabulary and rows other than the task's hold NaN and +inf:
 * whoever looks at them is found out.
 */
#ifndef RZ_TESTS_CASES_H
#define RZ_TESTS_CASES_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/sampler.h"

enum {
    CASE_MAX_VOCAB = 3000, /* of a random case */
    CASE_MAX_SHARDS = 8,
    CASE_MAX_LIST = 64, /* ids in any list of a random case */
    CASE_MAX_DRAWS = 40,
};

struct test_case {
    struct rz_logits_view view;
    struct rz_row_task task;
    struct rz_sampling sampling;
    struct rz_shard_view shards[CASE_MAX_SHARDS];
    void *buffers[CASE_MAX_SHARDS];
    const char *kind; /* of the logits */
    int32_t allowed[CASE_MAX_LIST], banned[CASE_MAX_LIST], stop[CASE_MAX_LIST];
    int32_t prompt[CASE_MAX_LIST], output[CASE_MAX_LIST];
    struct rz_bias bias[CASE_MAX_LIST];
    struct rz_history_entry history[CASE_MAX_LIST];
    uint32_t *bitmask;
};

/* case_begin - a case of `count` fp32 logits in one shard: temperature 1, one draw, no filter, seed
 * and position 0. Pointers inside refer to `c` itself, which stays where it is. */
void case_begin(struct test_case *c, const float *logits, uint32_t count);

/* case_begin_split - the same logits as dtype, in shards of the given sizes, which may be 0. */
void case_begin_split(struct test_case *c, const float *logits, uint32_t count, enum rz_dtype dtype,
                      uint32_t padding, const uint32_t *sizes, uint32_t shard_count);

/* case_random - the case that (seed, index) stands for. */
void case_random(struct test_case *c, uint64_t seed, uint64_t index);

/* case_random_of - the same for a vocabulary of a given size, which may be larger than others. */
void case_random_of(struct test_case *c, uint64_t seed, uint64_t index, uint32_t vocab);

/* Allocate a bitmask of the case's vocabulary with every bit `allowed`. */
void case_set_bitmask(struct test_case *c, bool allowed);

void case_end(struct test_case *c);

/* case_draw - draw with a back end; results need room for task.draws. */
void case_draw(const struct test_case *c, const struct rz_sampler_ops *ops,
               struct rz_result *results);

/* One line about a case, for messages; valid until the next call. */
const char *case_text(const struct test_case *c);

/* Are two results the same, to the bit, in every field that a back end fills? */
bool case_same_result(const struct rz_result *a, const struct rz_result *b);

/* How they are not, for messages; valid until the next call. */
const char *case_difference(const struct test_case *c, const struct rz_result *got,
                            const struct rz_result *expected);

/* splitmix64: unlike anything that is tested here. */
uint64_t random_next(uint64_t *state);
uint32_t random_below(uint64_t *state, uint32_t limit);
double random_unit(uint64_t *state);
double random_normal(uint64_t *state);

/* random_split - uneven sizes of shards, some of them 0, that add up to `columns`; returns how
 * many. */
uint32_t random_split(uint64_t *state, uint32_t columns, uint32_t sizes[CASE_MAX_SHARDS]);

/* What the environment asks for: RZ_TEST_SEED, else 1, printed so that a failure can be repeated;
 * and `count` times RZ_TEST_SCALE, at least 1. */
uint64_t test_seed(void);
uint64_t test_scaled(uint64_t count);

#endif
