/* SPDX-License-Identifier: Apache-2.0
 *
 * test_differential.c - every CPU back end returns what the reference does, in every field: for
 * rows and requests of every kind, for vocabularies of every small size and of real ones, and for
 * rows that are made to be hard for the bounds of kernels/cpu/.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/contract.h"
#include "kernels/row.h"
#include "tests/kernels/cases.h"
#include "tests/kernels/hard_rows.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum {
    BACKENDS = RZ_BACKEND_AVX512 - RZ_BACKEND_SCALAR + 1,
    MANY_DRAWS = 20, /* that the CPU back ends prepare for */
};

/* ------------------------------------------------------------------------------------------------
 * Comparing
 */

/* One sampler for many rows, as in a job: what is left of a row must not reach the next. */
struct bench {
    struct rz_sampler *reference;
    const struct rz_sampler_ops *ops[BACKENDS];
    struct rz_sampler *samplers[BACKENDS];
    uint64_t rows;
};

static void bench_begin(struct bench *bench, uint32_t vocab_size)
{
    *bench = (struct bench){.reference = rz_sampler_reference.create(vocab_size)};
    assert_non_null(bench->reference);
    for (uint32_t b = 0; b < BACKENDS; b++) {
        bench->ops[b] = rz_sampler_find(RZ_BACKEND_SCALAR + b);
        if (bench->ops[b] == NULL) {
            printf("[  SKIPPED ] back end %u: this machine has none such\n", RZ_BACKEND_SCALAR + b);
            continue;
        }
        bench->samplers[b] = bench->ops[b]->create(vocab_size);
        assert_non_null(bench->samplers[b]);
    }
}

static void bench_end(struct bench *bench)
{
    printf("%llu rows\n", (unsigned long long)bench->rows);
    for (uint32_t b = 0; b < BACKENDS; b++)
        if (bench->ops[b] != NULL)
            bench->ops[b]->destroy(bench->samplers[b]);
    rz_sampler_reference.destroy(bench->reference);
}

static void compare(struct bench *bench, const struct test_case *c)
{
    struct rz_result got[CASE_MAX_DRAWS], expected[CASE_MAX_DRAWS];
    memset(expected, 0x77, sizeof expected);
    rz_sampler_reference.draw(bench->reference, &c->view, &c->task, expected);
    for (uint32_t b = 0; b < BACKENDS; b++) {
        if (bench->ops[b] == NULL)
            continue;
        memset(got, 0x55, sizeof got);
        bench->ops[b]->draw(bench->samplers[b], &c->view, &c->task, got);
        for (uint32_t i = 0; i < c->task.draws; i++)
            if (!case_same_result(&got[i], &expected[i]))
                fail_msg("%s, row %llu: %s", bench->ops[b]->name, (unsigned long long)bench->rows,
                         case_difference(c, &got[i], &expected[i]));
    }
    bench->rows++;
}

/* ------------------------------------------------------------------------------------------------
 * Random rows
 */

static void every_back_end_is_the_reference_on_random_rows(void **state)
{
    (void)state;
    const uint64_t seed = test_seed(), count = test_scaled(20000);
    struct bench bench;
    bench_begin(&bench, CASE_MAX_VOCAB);
    for (uint64_t index = 0; index < count; index++) {
        struct test_case c;
        case_random(&c, seed, index);
        compare(&bench, &c);
        case_end(&c);
    }
    bench_end(&bench);
}

static void on_random_rows_of_real_vocabularies(void **state)
{
    (void)state;
    static const uint32_t vocabs[] = {32000, 128256, 151936, RZ_MAX_VOCAB};
    const uint64_t seed = test_seed(), count = test_scaled(72);
    struct bench bench;
    bench_begin(&bench, RZ_MAX_VOCAB);
    for (uint64_t index = 0; index < count; index++) {
        struct test_case c;
        case_random_of(&c, seed, index, vocabs[index % COUNT(vocabs)]);
        if (c.task.draws > 1) /* the reference takes 30 ms for each */
            c.task.draws = index % 12 == 0 ? MANY_DRAWS : 2;
        compare(&bench, &c);
        case_end(&c);
    }
    bench_end(&bench);
}

/* ------------------------------------------------------------------------------------------------
 * Filters, alone and together
 */

/* Everything that is not the row or the filters, in turn. */
static void vary(struct test_case *c, uint64_t turn)
{
    c->task.seed = turn;
    c->task.position = turn * 7;
    c->task.draws = turn % 7 == 0 ? MANY_DRAWS : 2;
    c->sampling.flags = turn % 5 < 2 ? RZ_SAMPLING_LOGPROBS : 0;
    c->sampling.logprobs_mode = turn % 2 == 0 ? RZ_LOGPROBS_RAW : RZ_LOGPROBS_PROCESSED;
    c->sampling.top_logprobs = turn % 4 < 2 ? RZ_MAX_TOP_LOGPROBS : 0;
}

static void on_every_vocabulary_up_to_40(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    struct bench bench;
    bench_begin(&bench, 40);
    for (uint32_t vocab = 1; vocab <= 40; vocab++) {
        const uint32_t ks[] = {1, 2, vocab / 2 + 1, vocab - 1, vocab, vocab + 1, UINT32_MAX};
        for (uint32_t f = 0; f < EVERY_FILTER + COUNT(ks); f++)
            for (uint32_t way = 0; way < 9; way++) {
                struct test_case c;
                float logits[40];
                uint32_t sizes[CASE_MAX_SHARDS];
                for (uint32_t id = 0; id < vocab; id++)
                    logits[id] = way % 3 == 0   ? (float)random_normal(&random)
                                 : way % 3 == 1 ? (float)random_below(&random, 3)
                                                : -2.5f;
                const uint32_t padding = random_below(&random, 4);
                const uint32_t shards = random_split(&random, vocab + padding, sizes);
                case_begin_split(&c, logits, vocab, (enum rz_dtype)(way / 3), padding, sizes,
                                 shards);
                if (f < EVERY_FILTER)
                    set_filters(&c, &every_filter[f]);
                else
                    c.sampling.top_k = ks[f - EVERY_FILTER];
                vary(&c, bench.rows);
                compare(&bench, &c);
                case_end(&c);
            }
    }
    bench_end(&bench);
}

/* ------------------------------------------------------------------------------------------------
 * Hard rows
 */

static void on_hard_rows_with_every_filter(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    struct bench bench;
    bench_begin(&bench, HARD_IDS);
    for (uint32_t kind = 0; kind < HARD_ROWS; kind++)
        for (uint32_t f = 0; f < EVERY_FILTER; f++)
            for (uint32_t n = 0; n < 4; n++) {
                struct test_case c;
                hard_row_begin(&c, kind, f * 4 + n, &random);
                set_filters(&c, &every_filter[f]);
                if (c.sampling.temperature == 1.0f && n % 2 == 0)
                    c.sampling.temperature = NO_SCALE;
                vary(&c, bench.rows);
                compare(&bench, &c);
                case_end(&c);
            }
    bench_end(&bench);
}

/* A nucleus that ends exactly where a level does, or one float before or after that. */
static void on_nuclei_that_end_at_a_tie(void **state)
{
    (void)state;
    assert_true(rz_temperature_scale(NO_SCALE) == 1.0f);
    uint64_t random = test_seed();
    struct bench bench;
    bench_begin(&bench, HARD_IDS);
    for (uint32_t level = 1; level <= HARD_LEVELS; level++)
        for (uint32_t n = 0; n < HARD_NUCLEI; n++) {
            struct test_case c;
            hard_nucleus_begin(&c, level, n, &random);
            for (uint32_t turn = 0; turn < 6; turn++) {
                vary(&c, turn);
                compare(&bench, &c);
            }
            case_end(&c);
        }
    bench_end(&bench);
}

/* Levels of 1, 2, 3, ... equal ids, and every k. */
static void on_every_k_among_ties(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    struct bench bench;
    enum { IDS = 330 };
    bench_begin(&bench, IDS);
    float logits[IDS];
    for (uint32_t id = 0, level = 1, left = 1; id < IDS; id++) {
        logits[id * 7 % IDS] = 3.0f - (float)level / 4.0f;
        if (--left == 0)
            left = ++level;
    }
    for (uint32_t k = 1; k <= IDS + 2; k++) {
        struct test_case c;
        uint32_t sizes[CASE_MAX_SHARDS];
        const uint32_t shards = random_split(&random, IDS, sizes);
        case_begin_split(&c, logits, IDS, (enum rz_dtype)(k % 3), 0, sizes, shards);
        c.kind = "ties";
        const uint32_t step = k / 30; /* min-p just below that of a level */
        c.sampling.top_k = k;
        c.sampling.flags = RZ_SAMPLING_LOGPROBS;
        c.sampling.logprobs_mode = RZ_LOGPROBS_PROCESSED;
        c.sampling.top_logprobs = RZ_MAX_TOP_LOGPROBS;
        for (uint32_t n = 0; n < 3; n++) {
            c.sampling.top_p = n == 1 ? 0.7f : 1.0f;
            c.sampling.min_p = n == 2 ? (float)exp(-(double)step / 4.0) * 0.9999f : 0.0f;
            c.task.seed = k;
            c.task.draws = k % 7 == 0 ? MANY_DRAWS : 1;
            compare(&bench, &c);
        }
        case_end(&c);
    }
    bench_end(&bench);
}

static void on_temperatures_from_1e_5_to_1e6(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    struct bench bench;
    bench_begin(&bench, HARD_IDS);
    for (uint32_t n = 0; n < 220; n++) {
        struct test_case c;
        float logits[HARD_IDS];
        uint32_t sizes[CASE_MAX_SHARDS];
        const double size = n % 4 == 0 ? 1e30 : n % 4 == 1 ? 1e-30 : 3.0;
        for (uint32_t id = 0; id < HARD_IDS; id++)
            logits[id] = (float)(size * random_normal(&random));
        const uint32_t shards = random_split(&random, HARD_IDS, sizes);
        case_begin_split(&c, logits, HARD_IDS, (enum rz_dtype)(n % 3), 0, sizes, shards);
        c.kind = "normal";
        set_filters(&c, &every_filter[n % EVERY_FILTER]);
        vary(&c, n);
        c.sampling.temperature = fmaxf(1e-5f, (float)pow(10.0, -5.0 + 0.05 * n));
        compare(&bench, &c);
        case_end(&c);
    }
    bench_end(&bench);
}

/* ------------------------------------------------------------------------------------------------
 * Edits that leave little or nothing, or make logits that no model would
 */

/* Tiles of so large y that their score is lost in it, and unequal masses that it is all about. */
static void on_equal_huge_logits_drawn_many_times(void **state)
{
    (void)state;
    static const int exponents[] = {24, 41, 52, 56, 75, 98};
    enum { VOCAB = 2 * RZ_TILE, SEEDS = 60 };
    struct bench bench;
    bench_begin(&bench, VOCAB);
    for (uint32_t e = 0; e < 2 * COUNT(exponents); e++)
        for (uint32_t others = 1; others < RZ_TILE; others += 4) {
            const float huge = ldexpf(e % 2 == 0 ? 1.0f : -1.0f, exponents[e / 2]);
            float logits[VOCAB];
            for (uint32_t i = 0; i < VOCAB; i++)
                logits[i] = i < RZ_TILE + others ? huge : -INFINITY;
            struct test_case c;
            case_begin(&c, logits, VOCAB);
            c.sampling.temperature = 1.44269502f; /* y is the logit */
            c.task.draws = CASE_MAX_DRAWS;
            for (c.task.seed = 0; c.task.seed < SEEDS; c.task.seed++)
                compare(&bench, &c);
            case_end(&c);
        }
    bench_end(&bench);
}

/* The edited tiles have half of the mass below the likeliest id, and the next one is dropped: if
 * they were counted twice it would not be. */
static void on_edited_tiles_just_outside_the_nucleus(void **state)
{
    (void)state;
    enum { TILES = 400, VOCAB = TILES * RZ_TILE, OTHERS = 250, SEEDS = 400 };
    static float logits[VOCAB];
    static struct rz_bias bias[OTHERS];
    for (uint32_t i = 0; i < VOCAB; i++)
        logits[i] = -40.0f;
    logits[0] = 0.0f;
    logits[RZ_TILE] = logf(0.02f);
    for (uint32_t i = 0; i < OTHERS; i++) {
        const uint32_t id = (i + 100) * RZ_TILE + i % RZ_TILE;
        logits[id] = logf(0.02f / OTHERS);
        bias[i] = (struct rz_bias){.id = (int32_t)id, .bias = 1e-4f};
    }
    struct bench bench;
    bench_begin(&bench, VOCAB);
    struct test_case c;
    case_begin(&c, logits, VOCAB);
    c.sampling.top_p = 0.95f;
    c.sampling.bias = bias;
    c.sampling.bias_count = OTHERS;
    for (c.task.seed = 0; c.task.seed < SEEDS; c.task.seed++)
        compare(&bench, &c);
    case_end(&c);
    bench_end(&bench);
}

static void ban_everything(struct test_case *c)
{
    for (uint32_t id = 0; id < c->view.vocab_size; id++)
        c->banned[c->sampling.banned_count++] = (int32_t)id;
}

static void allow_what_is_banned(struct test_case *c)
{
    c->allowed[0] = c->allowed[1] = c->banned[0] = 7;
    c->sampling.allowed_count = 2;
    c->sampling.banned_count = 1;
}

static void allow_what_the_bitmask_does_not(struct test_case *c)
{
    case_set_bitmask(c, false);
    c->bitmask[0] = ~(UINT32_C(1) << 5);
    c->allowed[0] = 5;
    c->sampling.allowed_count = 1;
}

static void empty_bitmask(struct test_case *c)
{
    case_set_bitmask(c, false);
}

static void bias_down(struct test_case *c)
{
    for (uint32_t id = 0; id < c->view.vocab_size; id++)
        c->bias[c->sampling.bias_count++] = (struct rz_bias){(int32_t)id, -FLT_MAX};
}

/* Twice: the second makes it -inf. */
static void bias_down_to_nothing(struct test_case *c)
{
    for (uint32_t n = 0; n < 2; n++)
        for (uint32_t id = 0; id < c->view.vocab_size; id++)
            c->bias[c->sampling.bias_count++] = (struct rz_bias){(int32_t)id, -FLT_MAX};
}

static void bias_one_up(struct test_case *c)
{
    c->bias[0] = (struct rz_bias){3, FLT_MAX};
    c->bias[1] = (struct rz_bias){4, -FLT_MAX};
    c->sampling.bias_count = 2;
}

static void bias_one_to_infinity(struct test_case *c)
{
    c->bias[0] = c->bias[1] = (struct rz_bias){3, FLT_MAX};
    c->sampling.bias_count = 2;
}

static void penalize_to_nothing(struct test_case *c)
{
    bias_down(c);
    c->sampling.repetition_penalty = 100.0f;
    for (uint32_t id = 0; id < c->view.vocab_size; id++)
        c->output[c->task.output_count++] = (int32_t)id;
}

static void stop_ids_only(struct test_case *c)
{
    allow_what_is_banned(c);
    c->sampling.banned_count = 0;
    c->stop[0] = 7;
    c->sampling.stop_count = 1;
    c->sampling.min_tokens = 1;
}

static void on_edits_that_leave_little_or_nothing(void **state)
{
    (void)state;
    static void (*const edits[])(struct test_case *) = {
        ban_everything,
        allow_what_is_banned,
        allow_what_the_bitmask_does_not,
        empty_bitmask,
        bias_down,
        bias_down_to_nothing,
        bias_one_up,
        bias_one_to_infinity,
        penalize_to_nothing,
        stop_ids_only,
    };
    uint64_t random = test_seed();
    struct bench bench;
    bench_begin(&bench, CASE_MAX_LIST);
    for (uint32_t e = 0; e < COUNT(edits); e++)
        for (uint32_t f = 0; f < EVERY_FILTER; f++)
            for (uint32_t n = 0; n < 6; n++) {
                struct test_case c;
                float logits[CASE_MAX_LIST / 2];
                const uint32_t vocab = 8 + (f + n) % (CASE_MAX_LIST / 2 - 7);
                for (uint32_t id = 0; id < vocab; id++)
                    logits[id] = n == 5 ? -INFINITY : (float)random_normal(&random);
                uint32_t sizes[CASE_MAX_SHARDS];
                const uint32_t shards = random_split(&random, vocab, sizes);
                case_begin_split(&c, logits, vocab, (enum rz_dtype)(n % 3), 0, sizes, shards);
                c.kind = "edited";
                set_filters(&c, &every_filter[f]);
                vary(&c, bench.rows);
                edits[e](&c);
                compare(&bench, &c);
                case_end(&c);
            }
    bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_back_end_is_the_reference_on_random_rows),
        cmocka_unit_test(on_random_rows_of_real_vocabularies),
        cmocka_unit_test(on_every_vocabulary_up_to_40),
        cmocka_unit_test(on_hard_rows_with_every_filter),
        cmocka_unit_test(on_nuclei_that_end_at_a_tie),
        cmocka_unit_test(on_every_k_among_ties),
        cmocka_unit_test(on_temperatures_from_1e_5_to_1e6),
        cmocka_unit_test(on_edited_tiles_just_outside_the_nucleus),
        cmocka_unit_test(on_equal_huge_logits_drawn_many_times),
        cmocka_unit_test(on_edits_that_leave_little_or_nothing),
    };
    return cmocka_run_group_tests_name("differential", tests, NULL, NULL);
}
