/* SPDX-License-Identifier: Apache-2.0
 *
 * test_cuda_plan.c - launches and memory for the kernels of kernels/cuda/: what they promise
 * whatever is asked for. That the kernels find everything is tested where they run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/cuda/pack.h"
#include "kernels/cuda/plan.h"
#include "kernels/floats.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const uint32_t vocabs[] = {1, 16, 17, 1000, 32000, 128256, RZ_MAX_VOCAB};

static void check_plan(const struct rz_cuda_shape *shape)
{
    struct rz_cuda_plan plan;
    rz_cuda_plan_make(&plan, shape);
    assert_in_range(plan.count, 1, RZ_CUDA_MOST_LAUNCHES);
    for (uint32_t i = 0; i < plan.count; i++) {
        const struct rz_cuda_launch *launch = &plan.launches[i];
        const bool by_row = launch->grid_y == 1 && launch->grid_x == shape->rows;
        assert_true(by_row || launch->grid_y == shape->rows);
        assert_in_range(launch->grid_y, 1, RZ_CUDA_MOST_ROWS);
        assert_true(by_row || launch->grid_x < RZ_CUDA_SAW_NAN);
        assert_in_range(launch->grid_x, 1, INT32_MAX);
        assert_in_range(launch->threads, RZ_CUDA_WARP, RZ_CUDA_MOST_THREADS);
        assert_int_equal(launch->threads % RZ_CUDA_WARP, 0);
    }
}

static void plans_are_such_that_a_device_takes_them(void **state)
{
    (void)state;
    static const uint32_t rows[] = {1, 2, 7, 64, 256, 4096, RZ_CUDA_MOST_ROWS};
    static const uint32_t multiprocessors[] = {1, 20, 132, 1000};
    for (uint32_t i = 0; i < 2 * 3 * COUNT(vocabs) * COUNT(rows) * COUNT(multiprocessors); i++) {
        uint32_t n = i;
        struct rz_cuda_shape shape = {.edits = n % 2 != 0};
        n /= 2;
        shape.dtype = (enum rz_dtype)(n % 3);
        n /= 3;
        shape.vocab_size = vocabs[n % COUNT(vocabs)];
        n /= COUNT(vocabs);
        shape.rows = rows[n % COUNT(rows)];
        n /= COUNT(rows);
        shape.multiprocessors = multiprocessors[n];
        check_plan(&shape);
    }
}

static void one_row_is_divided_over_a_whole_device(void **state)
{
    (void)state;
    struct rz_cuda_plan plan;
    const struct rz_cuda_shape shape = {
        .dtype = RZ_BF16, .vocab_size = 128256, .rows = 1, .multiprocessors = 132};
    rz_cuda_plan_make(&plan, &shape);
    assert_true(plan.launches[0].grid_x >= 132);
}

/* [rows] of `bytes` each, inside a block, aligned, behind what came before. */
static char *check_array(const void *array, size_t rows, size_t bytes, char *behind)
{
    assert_true((char *)(uintptr_t)array >= behind);
    assert_int_equal((uintptr_t)array % 4, 0);
    return (char *)(uintptr_t)array + rows * bytes;
}

static void arrays_of_a_workspace_do_not_overlap(void **state)
{
    (void)state;
    for (uint32_t v = 0; v < COUNT(vocabs); v++)
        for (uint32_t rows = 1; rows < 40; rows++) {
            const size_t tiles = rz_tile_count(vocabs[v]) * sizeof(float);
            struct rz_cuda_step step = {.rows = NULL};
            size_t bytes;
            assert_true(rz_cuda_workspace_bytes(vocabs[v], rows, &bytes));
            char *memory = aligned_alloc(16, (bytes + 15) / 16 * 16), *end = memory;
            assert_non_null(memory);
            rz_cuda_workspace_place(&step, vocabs[v], rows, memory);
            end = check_array(step.scanned, rows, sizeof(uint32_t), end);
            end = check_array(step.tile_max, rows, tiles, end);
            end = check_array(step.raw_max, rows, tiles, end);
            end = check_array(step.edited_tiles, rows,
                              rz_cuda_tile_words(vocabs[v]) * sizeof(uint32_t), end);
            assert_true(end <= memory + bytes);
            free(memory);
        }
}

/* The second row's lists have odd lengths, and are copied whole. */
static void a_block_has_what_the_tasks_name(void **state)
{
    (void)state;
    const int32_t banned[] = {3, 1, 4}, stop[] = {1}, output[] = {5, 9, 2, 6, 5};
    const struct rz_bias bias[] = {{7, 0.5f}};
    const struct rz_shard_view shards[] = {{NULL, 10, 0, 4}, {NULL, 10, 4, 6}};
    const struct rz_logits_view view = {
        .dtype = RZ_F16, .vocab_size = 10, .shard_count = 2, .shards = shards};
    const uint32_t bitmask[] = {0x2AA};
    struct rz_sampling plain, edits;
    rz_sampling_init(&plain);
    rz_sampling_init(&edits);
    edits.banned_ids = banned;
    edits.banned_count = COUNT(banned);
    edits.stop_ids = stop;
    edits.stop_count = COUNT(stop);
    edits.min_tokens = 3;
    edits.bias = bias;
    edits.bias_count = COUNT(bias);
    edits.presence_penalty = 1.0f;
    struct rz_row_task tasks[] = {
        {.draws = 3, .sampling = &plain, .output_ids = output, .output_count = COUNT(output)},
        {.draws = 1, .sampling = &edits, .output_ids = output, .output_count = COUNT(output)},
    };
    tasks[0].bitmask = bitmask;
    tasks[1].output_length = 2;
    const struct rz_cuda_batch batch = {.view = &view, .tasks = tasks, .count = COUNT(tasks)};
    struct rz_cuda_pack_size size;
    struct rz_cuda_step step;
    assert_true(rz_cuda_pack_measure(&batch, &size));
    assert_int_equal(size.draws, 4);
    assert_true(size.edits);
    assert_int_equal(size.edit_bytes, 32 * sizeof(struct rz_cuda_edit)); /* 10 ids are named */
    char *block = malloc(size.block_bytes), edit_memory[1];
    assert_non_null(block);
    const struct rz_cuda_pack_memory memory = {
        .block = block, .device = block, .edits = edit_memory};
    rz_cuda_pack(&batch, &memory, &step);

    assert_memory_equal(step.logits.shards, shards, sizeof shards);
    assert_int_equal(step.rows[0].edit_slots, 0); /* no penalty is asked for */
    assert_int_equal(step.rows[0].bitmask[0], bitmask[0]);
    const struct rz_cuda_row *row = &step.rows[1];
    assert_int_equal(row->first_id, 3);
    assert_ptr_equal(row->edits, edit_memory);
    assert_int_equal(row->banned_count, COUNT(banned));
    assert_memory_equal(row->banned_ids, banned, sizeof banned);
    assert_int_equal(row->stop_count, 1);
    assert_memory_equal(row->bias, bias, sizeof bias);
    assert_memory_equal(row->output_ids, output, sizeof output);

    tasks[1].output_length = 3; /* stop ids may be drawn now */
    assert_true(rz_cuda_pack_measure(&batch, &size));
    rz_cuda_pack(&batch, &memory, &step);
    assert_int_equal(step.rows[1].stop_count, 0);
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_are_such_that_a_device_takes_them),
        cmocka_unit_test(one_row_is_divided_over_a_whole_device),
        cmocka_unit_test(arrays_of_a_workspace_do_not_overlap),
        cmocka_unit_test(a_block_has_what_the_tasks_name),
    };
    return cmocka_run_group_tests_name("cuda_plan", tests, NULL, NULL);
}
