/* SPDX-License-Identifier: Apache-2.0
 *
 * test_cuda_kernels.c - the kernels of kernels/cuda/, run on the CPU (tests/emulation/), draw what
 * the reference does: whatever the sizes of grids and blocks and the order in which their threads
 * run, alone and with other rows in the same launch, from any layout of shards.
 *
 * What a kernel leaves for the next is compared too. Memory is allocated to the byte, and holds
 * garbage before a launch.
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

#include "kernels/contract.h"
#include "kernels/cuda/pack.h"
#include "kernels/cuda/plan.h"
#include "kernels/reference.h"
#include "kernels/row.h"
#include "tests/emulation/kernels.h"
#include "tests/kernels/cases.h"
#include "tests/kernels/hard_rows.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { MAX_ROWS = 8, MAX_BLOCKS = 9 };

/* ------------------------------------------------------------------------------------------------
 * A launch
 */

struct launch {
    struct rz_cuda_step step;
    struct rz_logits_view view;
    struct rz_row_task tasks[MAX_ROWS];
    uint32_t rows;
    uint32_t first_id[MAX_ROWS];
    struct rz_cuda_pack_size size;
    void *block, *edits, *workspace; /* of the device */
    uint64_t *random;
};

static void *garbage(size_t bytes)
{
    void *memory = malloc(bytes + (bytes == 0));
    assert_non_null(memory);
    memset(memory, 0xA5, bytes);
    return memory;
}

static void launch_begin(struct launch *l, const struct rz_logits_view *view, uint64_t *random)
{
    *l = (struct launch){.view = *view, .random = random};
}

static void launch_add(struct launch *l, const struct rz_row_task *task, uint32_t logits_row)
{
    const uint32_t row = l->rows++;
    l->tasks[row] = *task;
    l->tasks[row].logits_row = logits_row;
    if (row + 1 < MAX_ROWS)
        l->first_id[row + 1] = l->first_id[row] + task->draws;
}

/* As if it were the device's: nothing of the host is left. */
static void launch_pack(struct launch *l)
{
    const struct rz_cuda_batch batch = {.view = &l->view, .tasks = l->tasks, .count = l->rows};
    assert_true(rz_cuda_pack_measure(&batch, &l->size));
    l->block = garbage(l->size.block_bytes);
    l->edits = garbage(l->size.edit_bytes);
    struct rz_cuda_pack_memory memory = {
        .block = garbage(l->size.block_bytes), .device = l->block, .edits = l->edits};
    rz_cuda_pack(&batch, &memory, &l->step);
    memcpy(l->block, memory.block, l->size.block_bytes);
    free(memory.block);
}

static void launch_place(struct launch *l)
{
    const uint32_t vocab = l->view.vocab_size, most = l->rows + random_below(l->random, 3);
    size_t bytes;
    assert_true(rz_cuda_workspace_bytes(vocab, most, &bytes));
    l->workspace = garbage(bytes);
    rz_cuda_workspace_place(&l->step, vocab, most, l->workspace);
    memset(l->step.scanned, 0, most * sizeof *l->step.scanned);
    l->step.ids = garbage(sizeof *l->step.ids * l->size.draws);
    l->step.results = garbage(sizeof *l->step.results * l->size.draws);
}

static void launch_one(struct launch *l, const struct rz_cuda_launch *planned)
{
    const struct emulated_launch launch = {
        .kernel = planned->kernel,
        .grid_x = planned->grid_x,
        .grid_y = planned->grid_y,
        .threads = planned->threads,
        .seed = random_next(l->random),
    };
    void *arguments[] = {&l->step};
    assert_true(emulated_run(&launch, arguments));
}

static void run(struct launch *l, const char *kernel, uint32_t grid_x, uint32_t grid_y)
{
    static const uint32_t threads[] = {32, 32, 64, 96, 128};
    /* Many threads take long to run, and rarely tell more. */
    const uint32_t block = random_below(l->random, 40) == 0
                               ? RZ_CUDA_MOST_THREADS
                               : threads[random_below(l->random, COUNT(threads))];
    const struct rz_cuda_launch launch = {
        .kernel = kernel, .grid_x = grid_x, .grid_y = grid_y, .threads = block};
    launch_one(l, &launch);
}

static void launch_scan(struct launch *l)
{
    static const char *const kernels[] = {[RZ_F32] = "rz_cuda_scan_f32",
                                          [RZ_F16] = "rz_cuda_scan_f16",
                                          [RZ_BF16] = "rz_cuda_scan_bf16"};
    run(l, kernels[l->view.dtype], 1 + random_below(l->random, MAX_BLOCKS), l->rows);
}

static void launch_sample(struct launch *l)
{
    static const char *const kernels[] = {[RZ_F32] = "rz_cuda_sample_f32",
                                          [RZ_F16] = "rz_cuda_sample_f16",
                                          [RZ_BF16] = "rz_cuda_sample_bf16"};
    run(l, kernels[l->view.dtype], 1 + random_below(l->random, MAX_BLOCKS), l->rows);
}

static void launch_end(struct launch *l)
{
    for (uint32_t row = 0; row < l->rows; row++)
        assert_int_equal(l->step.scanned[row], 0);
    free(l->block);
    free(l->edits);
    free(l->workspace);
    free(l->step.ids);
    free(l->step.results);
}

/* ------------------------------------------------------------------------------------------------
 * What the reference has
 */

struct expected {
    struct rz_reference_scratch scratch;
    float *logits; /* as they came */
    struct rz_result results[CASE_MAX_DRAWS];
};

static void expect_begin(struct expected *e, uint32_t vocab)
{
    *e = (struct expected){.logits = garbage(vocab * sizeof(float))};
    assert_true(rz_reference_scratch_create(&e->scratch, vocab));
}

static void expect_end(struct expected *e)
{
    rz_reference_scratch_destroy(&e->scratch);
    free(e->logits);
}

static void expect(struct expected *e, const struct test_case *c)
{
    rz_row_read(&c->view, c->task.logits_row, 0, c->view.vocab_size, e->logits);
    rz_reference_draw(e->logits, c->view.vocab_size, &c->task, &e->scratch, e->results);
}

/* The same without logprobs, which write over what filters leave in the scratch. */
static void expect_filters(struct expected *e, const struct test_case *c)
{
    struct rz_sampling plain = c->sampling;
    struct rz_row_task task = c->task;
    plain.flags = 0;
    task.sampling = &plain;
    rz_reference_draw(e->logits, c->view.vocab_size, &task, &e->scratch, e->results);
}

/* The largest of a tile's logits: of those that came, after the bitmask; or of the edited ones. */
static float expected_max(const struct expected *e, const struct test_case *c, uint32_t tile,
                          bool edited)
{
    float most = -INFINITY;
    for (uint32_t id = tile * RZ_TILE; id < (tile + 1) * RZ_TILE && id < c->view.vocab_size; id++) {
        const bool allowed =
            c->task.bitmask == NULL || (c->task.bitmask[id / 32] >> (id % 32) & 1) != 0;
        const float x = edited ? e->scratch.edited[id] : e->logits[id];
        if ((edited || allowed) && x > most)
            most = x;
    }
    return most;
}

static void check_maxima(const struct launch *l, uint32_t row, const struct expected *e,
                         const struct test_case *c, bool edited)
{
    const uint32_t tiles = rz_tile_count(c->view.vocab_size);
    for (uint32_t tile = 0; tile < tiles; tile++) {
        const float got = l->step.tile_max[row * tiles + tile];
        const float wanted = expected_max(e, c, tile, edited);
        if (!(got == wanted))
            fail_msg("maximum of tile %u %s edits is %g instead of %g: %s", tile,
                     edited ? "after" : "before", (double)got, (double)wanted, case_text(c));
    }
}

static void check_draws(const struct launch *l, uint32_t row, const struct expected *e,
                        const struct test_case *c)
{
    for (uint32_t i = 0; i < c->task.draws; i++) {
        const struct rz_result *got = &l->step.results[l->first_id[row] + i];
        if (!case_same_result(got, &e->results[i]))
            fail_msg("draw %u: %s", i, case_difference(c, got, &e->results[i]));
        assert_int_equal(l->step.ids[l->first_id[row] + i], got->id);
        assert_int_equal(got->row, 0xA5A5A5A5);
    }
}

/* Are the kept ids those of y from the threshold on? Ids of no mass that nobody will ever draw,
 * too. */
static void check_threshold(struct launch *l, const struct expected *e, const struct test_case *c)
{
    run(l, "rz_probe_threshold", 1, 1);
    const float threshold = rz_float_from_bits((uint32_t)l->step.ids[0]);
    for (uint32_t id = 0; id < c->view.vocab_size; id++)
        if ((e->scratch.y[id] >= threshold) != e->scratch.kept[id])
            fail_msg("id %u, y %.9g, threshold %.9g: %s", id, (double)e->scratch.y[id],
                     (double)threshold, case_text(c));
}

/* ------------------------------------------------------------------------------------------------
 * Rows alone, in the layouts of cases.c
 */

/* Does the row get as far as its filters? */
static bool is_filtered(const struct expected *e, const struct test_case *c)
{
    float most = -INFINITY;
    for (uint32_t id = 0; id < c->view.vocab_size; id++)
        most = e->scratch.edited[id] > most ? e->scratch.edited[id] : most;
    return most > -INFINITY && most < INFINITY && c->sampling.temperature >= RZ_GREEDY_BELOW;
}

static void check_case(const struct test_case *c, struct expected *e, uint64_t *random)
{
    struct launch l;
    expect(e, c);
    launch_begin(&l, &c->view, random);
    launch_add(&l, &c->task, c->task.logits_row);
    launch_pack(&l);
    launch_place(&l);
    launch_scan(&l);
    check_maxima(&l, 0, e, c, false);
    run(&l, "rz_cuda_edit_rows", 1, 1);
    check_maxima(&l, 0, e, c, true);
    if (is_filtered(e, c)) {
        expect_filters(e, c);
        check_threshold(&l, e, c);
        expect(e, c);
    }
    run(&l, "rz_cuda_resolve", 1, 1);
    check_draws(&l, 0, e, c);
    if (random_below(random, 4) == 0) { /* all in one, in the workspace as it was left */
        launch_sample(&l);
        check_draws(&l, 0, e, c);
    }
    launch_end(&l);
}

static void kernels_are_the_reference_on_random_rows(void **state)
{
    (void)state;
    const uint64_t seed = test_seed(), count = test_scaled(1000);
    uint64_t random = seed;
    struct expected e;
    expect_begin(&e, CASE_MAX_VOCAB);
    for (uint64_t index = 0; index < count; index++) {
        struct test_case c;
        case_random(&c, seed, index);
        check_case(&c, &e, &random);
        case_end(&c);
    }
    expect_end(&e);
}

static void on_random_rows_of_real_vocabularies(void **state)
{
    (void)state;
    static const uint32_t vocabs[] = {32000, 128256, RZ_MAX_VOCAB};
    const uint64_t seed = test_seed(), count = test_scaled(6);
    uint64_t random = seed;
    struct expected e;
    expect_begin(&e, RZ_MAX_VOCAB);
    for (uint64_t index = 0; index < count; index++) {
        struct test_case c;
        case_random_of(&c, seed, index, vocabs[index % COUNT(vocabs)]);
        c.task.draws = 1;
        check_case(&c, &e, &random);
        case_end(&c);
    }
    expect_end(&e);
}

static void on_hard_rows_with_every_filter(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    struct expected e;
    expect_begin(&e, HARD_IDS);
    for (uint32_t kind = 0; kind < HARD_ROWS; kind++)
        for (uint32_t f = 0; f < EVERY_FILTER; f++) {
            struct test_case c;
            hard_row_begin(&c, kind, random_below(&random, 1000), &random);
            set_filters(&c, &every_filter[f]);
            if (c.sampling.temperature == 1.0f && random_below(&random, 2) == 0)
                c.sampling.temperature = NO_SCALE;
            c.task.seed = random_next(&random);
            c.task.draws = 2;
            check_case(&c, &e, &random);
            case_end(&c);
        }
    expect_end(&e);
}

static void on_nuclei_that_end_at_a_tie(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    struct expected e;
    expect_begin(&e, HARD_IDS);
    for (uint32_t level = 1; level <= HARD_LEVELS; level++)
        for (uint32_t n = 0; n < HARD_NUCLEI; n++) {
            struct test_case c;
            hard_nucleus_begin(&c, level, n, &random);
            c.task.seed = random_next(&random);
            c.task.draws = 8;
            check_case(&c, &e, &random);
            case_end(&c);
        }
    expect_end(&e);
}

/* Logits so large that the rounding of a sum is more than any two tiles' bounds are apart: more of
 * them may win than are listed. */
static void on_tiles_that_bounds_cannot_tell_apart(void **state)
{
    (void)state;
    enum { VOCAB = 20000 };
    uint64_t random = test_seed();
    struct expected e;
    float *logits = garbage(VOCAB * sizeof *logits);
    for (uint32_t id = 0; id < VOCAB; id++)
        logits[id] = id % 3 == 0 ? 0x1p+120f : -0x1p+120f;
    expect_begin(&e, VOCAB);
    for (uint32_t n = 0; n < 3; n++) {
        struct test_case c;
        case_begin(&c, logits, VOCAB);
        c.task.seed = random_next(&random);
        c.task.draws = 2;
        check_case(&c, &e, &random);
        case_end(&c);
    }
    expect_end(&e);
    free(logits);
}

/* Between floats and at the halves, where a power of two is rounded to the other side. */
static void powers_in_fp32_are_as_near_as_bounds_take_them(void **state)
{
    (void)state;
    enum { POWERS = 1 << 16 };
    uint64_t random = test_seed();
    float *y = garbage(POWERS * sizeof *y), *powers = garbage(POWERS * sizeof *powers);
    for (uint32_t i = 0; i < POWERS; i++) {
        const float half = (float)(i % 128) / -2.0f;
        y[i] = i < 128   ? half
               : i < 256 ? nextafterf(half, -INFINITY)
               : i < 384 ? nextafterf(half, 0.0f)
                         : (float)(-64.0 * random_unit(&random));
    }
    struct launch l = {.random = &random};
    l.step.logits.vocab_size = POWERS * RZ_TILE;
    l.step.tile_max = y;
    l.step.raw_max = powers;
    run(&l, "rz_probe_exp2_near", 1, 1);
    for (uint32_t i = 0; i < POWERS; i++)
        if (!(fabs((double)powers[i] / exp2((double)y[i]) - 1.0) <= 0x1p-20))
            fail_msg("2^%.9g is %.9g", (double)y[i], (double)powers[i]);
    free(y);
    free(powers);
}

/* ------------------------------------------------------------------------------------------------
 * Rows together, rank-major: [ranks][rows][columns of a rank], as a gather leaves them
 */

struct gathered {
    struct rz_logits_view view;
    struct rz_shard_view shards[CASE_MAX_SHARDS];
    void *logits;
};

/* Copy row `row` of `rows` from where the case has it. */
static void gather_row(struct gathered *g, const struct test_case *c, uint32_t row)
{
    const size_t size = c->view.dtype == RZ_F32 ? 4 : 2;
    for (uint32_t id = 0; id < c->view.vocab_size; id++) {
        const struct rz_shard_view *from = rz_row_shard(&c->view, id);
        const struct rz_shard_view *to = rz_row_shard(&g->view, id);
        const size_t at = c->task.logits_row * from->row_stride + (id - from->first);
        const size_t there = row * to->row_stride + (id - to->first);
        memcpy((char *)(uintptr_t)to->logits + there * size, (const char *)from->logits + at * size,
               size);
    }
}

static void gather_begin(struct gathered *g, enum rz_dtype dtype, uint32_t vocab, uint32_t rows,
                         uint32_t ranks)
{
    const uint32_t columns = (vocab + ranks - 1) / ranks; /* of a rank; the last has padding */
    const size_t size = dtype == RZ_F32 ? 4 : 2, shard = (size_t)rows * columns;
    g->logits = garbage(ranks * shard * size);
    g->view = (struct rz_logits_view){
        .dtype = dtype, .vocab_size = vocab, .shard_count = ranks, .shards = g->shards};
    for (uint32_t rank = 0; rank < ranks; rank++)
        g->shards[rank] = (struct rz_shard_view){
            .logits = (char *)g->logits + rank * shard * size,
            .row_stride = columns,
            .first = rank * columns,
            .count = columns,
        };
}

/* The next random case of this type. */
static void next_case(struct test_case *c, uint64_t seed, uint64_t *index, uint32_t vocab,
                      enum rz_dtype dtype)
{
    for (;;) {
        case_random_of(c, seed, (*index)++, vocab);
        if (c->view.dtype == dtype)
            break;
        case_end(c);
    }
}

static void launch_planned(struct launch *l)
{
    static const uint32_t multiprocessors[] = {1, 2, 20, 132};
    struct rz_cuda_plan plan;
    const struct rz_cuda_shape shape = {
        .dtype = l->view.dtype,
        .vocab_size = l->view.vocab_size,
        .rows = l->rows,
        .edits = l->size.edits,
        .multiprocessors = multiprocessors[random_below(l->random, COUNT(multiprocessors))],
    };
    rz_cuda_plan_make(&plan, &shape);
    for (uint32_t i = 0; i < plan.count; i++)
        launch_one(l, &plan.launches[i]);
}

/* Kernels one by one or all in one, with any grids; or as they are planned for a device. */
static void launch_all(struct launch *l)
{
    const uint32_t way = random_below(l->random, 16);
    launch_pack(l);
    launch_place(l);
    if (way == 0) {
        launch_planned(l);
    } else if (way < 8) {
        launch_sample(l);
    } else {
        launch_scan(l);
        run(l, "rz_cuda_edit_rows", l->rows, 1);
        run(l, "rz_cuda_resolve", l->rows, 1);
    }
}

static void rows_of_one_launch_do_not_see_one_another(void **state)
{
    (void)state;
    static const uint32_t vocabs[] = {64, 160, 256, 300, 1024, 1025, 1600};
    const uint64_t seed = test_seed(), count = test_scaled(120);
    uint64_t random = seed ^ 0xB47C;
    struct expected e;
    expect_begin(&e, CASE_MAX_VOCAB);
    for (uint64_t batch = 0, index = 0; batch < count; batch++) {
        const uint32_t vocab = vocabs[random_below(&random, COUNT(vocabs))];
        const uint32_t rows = 1 + random_below(&random, MAX_ROWS);
        const uint32_t ranks = 1 + random_below(&random, CASE_MAX_SHARDS);
        const enum rz_dtype dtype = (enum rz_dtype)random_below(&random, 3);
        struct test_case cases[MAX_ROWS];
        struct gathered g;
        struct launch l;
        gather_begin(&g, dtype, vocab, rows, ranks);
        launch_begin(&l, &g.view, &random);
        for (uint32_t row = 0; row < rows; row++) {
            next_case(&cases[row], seed + 1, &index, vocab, dtype);
            gather_row(&g, &cases[row], row);
            launch_add(&l, &cases[row].task, row);
        }
        launch_all(&l);
        for (uint32_t row = 0; row < rows; row++) {
            expect(&e, &cases[row]);
            check_draws(&l, row, &e, &cases[row]);
            case_end(&cases[row]);
        }
        launch_end(&l);
        free(g.logits);
    }
    expect_end(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_are_the_reference_on_random_rows),
        cmocka_unit_test(on_random_rows_of_real_vocabularies),
        cmocka_unit_test(on_hard_rows_with_every_filter),
        cmocka_unit_test(on_nuclei_that_end_at_a_tie),
        cmocka_unit_test(on_tiles_that_bounds_cannot_tell_apart),
        cmocka_unit_test(powers_in_fp32_are_as_near_as_bounds_take_them),
        cmocka_unit_test(rows_of_one_launch_do_not_see_one_another),
    };
    return cmocka_run_group_tests_name("cuda_kernels", tests, NULL, NULL);
}
