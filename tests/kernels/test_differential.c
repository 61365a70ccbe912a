/* SPDX-License-Identifier: Apache-2.0
 *
 * test_differential.c - the CPU back end returns what the reference does, in every field, for rows
 * and requests of every kind.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/row.h"
#include "tests/kernels/cases.h"

static void assert_same_result(const char *name, const struct rz_result *got,
                               const struct rz_result *expected, const struct test_case *c,
                               uint64_t index)
{
    bool same = got->id == expected->id && got->status == expected->status &&
                got->rank == expected->rank && got->seed == expected->seed &&
                got->position == expected->position && got->top_count == expected->top_count &&
                rz_float_bits(got->logprob) == rz_float_bits(expected->logprob);
    for (uint32_t i = 0; i < RZ_MAX_TOP_LOGPROBS; i++)
        same = same && got->top_ids[i] == expected->top_ids[i] &&
               rz_float_bits(got->top_logprobs[i]) == rz_float_bits(expected->top_logprobs[i]);
    if (!same)
        fail_msg("%s, case %llu: id %d status %u rank %u logprob %.9g top %u\n"
                 "    instead of %d status %u rank %u logprob %.9g top %u\n    %s",
                 name, (unsigned long long)index, got->id, got->status, got->rank,
                 (double)got->logprob, got->top_count, expected->id, expected->status,
                 expected->rank, (double)expected->logprob, expected->top_count, case_text(c));
}

enum { BACKENDS = RZ_BACKEND_AVX512 - RZ_BACKEND_SCALAR + 1 };

/* One sampler for many rows, as in a job: what is left of a row must not reach the next. */
static void every_back_end_is_the_reference_on_random_rows(void **state)
{
    (void)state;
    const uint64_t seed = test_seed(), count = test_scaled(20000);
    const struct rz_sampler_ops *ops[BACKENDS];
    struct rz_sampler *samplers[BACKENDS];
    struct rz_sampler *reference = rz_sampler_reference.create(CASE_MAX_VOCAB);
    for (uint32_t b = 0; b < BACKENDS; b++) {
        ops[b] = rz_sampler_find(RZ_BACKEND_SCALAR + b);
        samplers[b] = ops[b] != NULL ? ops[b]->create(CASE_MAX_VOCAB) : NULL;
        if (ops[b] == NULL)
            printf("[  SKIPPED ] back end %u: this machine has none such\n", RZ_BACKEND_SCALAR + b);
    }
    for (uint64_t index = 0; index < count; index++) {
        struct test_case c;
        case_random(&c, seed, index);
        struct rz_result got[CASE_MAX_DRAWS], expected[CASE_MAX_DRAWS];
        memset(expected, 0x77, sizeof expected);
        rz_sampler_reference.draw(reference, &c.view, &c.task, expected);
        for (uint32_t b = 0; b < BACKENDS; b++) {
            if (ops[b] == NULL)
                continue;
            memset(got, 0x55, sizeof got);
            ops[b]->draw(samplers[b], &c.view, &c.task, got);
            for (uint32_t i = 0; i < c.task.draws; i++)
                assert_same_result(ops[b]->name, &got[i], &expected[i], &c, index);
        }
        case_end(&c);
    }
    printf("%llu rows\n", (unsigned long long)count);
    for (uint32_t b = 0; b < BACKENDS; b++)
        if (ops[b] != NULL)
            ops[b]->destroy(samplers[b]);
    rz_sampler_reference.destroy(reference);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_back_end_is_the_reference_on_random_rows),
    };
    return cmocka_run_group_tests_name("differential", tests, NULL, NULL);
}
