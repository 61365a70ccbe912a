/* SPDX-License-Identifier: Apache-2.0
 *
 * scene.c - steps, hashed.
 */
#include "tests/runtime/scene.h"

#include <stdlib.h>

#include "tests/runtime/ranks.h"
#include "tests/runtime/rows.h"

enum { DRAWS = 3, IDS = SCENE_ROWS - 1 + DRAWS }; /* the last row has several draws */

/* FNV-1a over whole words. */
static const uint64_t hash_start = UINT64_C(0xCBF29CE484222325);

static void hash_word(uint64_t *hash, uint32_t word)
{
    *hash = (*hash ^ word) * UINT64_C(0x100000001B3);
}

static void hash_float(uint64_t *hash, float value)
{
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    hash_word(hash, word);
}

static void hash_result(uint64_t *hash, const struct rz_result *result)
{
    hash_word(hash, (uint32_t)result->id);
    hash_word(hash, result->rank);
    hash_float(hash, result->logprob);
    for (uint32_t i = 0; i < result->top_count; i++) {
        hash_word(hash, (uint32_t)result->top_ids[i]);
        hash_float(hash, result->top_logprobs[i]);
    }
}

void scene_init(struct scene *scene)
{
    *scene = (struct scene){.own_buffer = false};
    rz_options_init(&scene->options);
    scene->options.vocab_size = SCENE_VOCAB;
}

static void make_rows(struct rz_row *rows, struct rz_sampling *samplings, uint64_t step)
{
    static const int32_t history[] = {1, 2, 3, 500, 501, 2};
    static const struct rz_bias bias[] = {{7, 3.0f}, {900, -4.0f}};
    for (uint32_t r = 0; r < SCENE_ROWS; r++) {
        rz_sampling_init(&samplings[r]);
        samplings[r].flags = RZ_SAMPLING_SEED | RZ_SAMPLING_LOGPROBS;
        samplings[r].seed = SCENE_SEED + r;
        samplings[r].top_logprobs = 3;
        samplings[r].logprobs_mode = r % 2 == 0 ? RZ_LOGPROBS_RAW : RZ_LOGPROBS_PROCESSED;
        rows[r] = (struct rz_row){.logits_row = r,
                                  .sampling = &samplings[r],
                                  .flags = RZ_ROW_POSITION,
                                  .position = 100 + step};
    }
    samplings[1].temperature = 0.0f;
    samplings[2].top_k = 20;
    samplings[2].temperature = 0.7f;
    samplings[3].top_p = 0.9f;
    samplings[3].min_p = 0.01f;
    samplings[4].repetition_penalty = 1.3f;
    samplings[4].frequency_penalty = 0.5f;
    samplings[4].presence_penalty = 0.25f;
    samplings[4].bias = bias;
    samplings[4].bias_count = 2;
    rows[4].prompt_ids = history;
    rows[4].prompt_count = 3;
    rows[4].output_ids = history + 3;
    rows[4].output_count = 3;
    rows[5].draws = DRAWS;
}

/* This rank's columns of the step's rows, and what rank 0 wants of them. */
static void make_batch(const struct scene *scene, rz_job *job, uint64_t step, void *own,
                       struct rz_batch *batch)
{
    static struct rz_row rows[SCENE_ROWS];
    static struct rz_sampling samplings[SCENE_ROWS];
    const uint32_t dtype = scene->options.dtype;
    uint32_t first, columns;
    rz_shard(job, &first, &columns);

    rz_batch_init(batch);
    batch->logits_rows = SCENE_ROWS;
    if (own != NULL) {
        batch->logits = own;
        batch->row_stride = columns + 5;
        rows_write(own, batch->row_stride, dtype, SCENE_SEED, step * SCENE_ROWS, SCENE_ROWS, first,
                   columns);
    } else {
        rows_write_shard(job, dtype, SCENE_SEED, step * SCENE_ROWS, SCENE_ROWS);
    }
    if (rz_rank(job) == 0) {
        make_rows(rows, samplings, step);
        batch->rows = rows;
        batch->row_count = SCENE_ROWS;
    }
}

static int step(const struct scene *scene, rz_job *job, const struct rz_batch *batch, int32_t *ids,
                uint32_t *count, struct rz_result *results)
{
    if (scene->step != NULL)
        return scene->step(scene->context, job, batch, ids, count, results);
    if (!scene->split_step)
        return rz_step(job, batch, ids, count, results);
    int status = rz_step_begin(job, batch);
    if (status != RZ_OK)
        return status;
    while ((status = rz_step_ready(job)) == 0)
        ;
    return status == 1 ? rz_step_finish(job, ids, count, results) : status;
}

struct scene_hash scene_play(const struct scene *scene, rz_job *job)
{
    const bool draws = rz_rank(job) == 0;
    struct scene_hash hash = {.ids = hash_start, .results = draws ? hash_start : 0};
    void *own = scene->own_buffer ? calloc(SCENE_ROWS * (SCENE_VOCAB + 5), sizeof(float)) : NULL;
    for (uint64_t s = 0; s < SCENE_STEPS; s++) {
        struct rz_batch batch;
        int32_t ids[256];
        struct rz_result results[256];
        uint32_t count = 0;
        make_batch(scene, job, s, own, &batch);
        const int status = step(scene, job, &batch, ids, &count, draws ? results : NULL);
        rank_expect(status == RZ_OK, "rank %u step %llu: %s", rz_rank(job), (unsigned long long)s,
                    rz_last_error(job)->text);
        rank_expect(count == IDS, "got %u ids", count);
        for (uint32_t i = 0; i < count; i++)
            hash_word(&hash.ids, (uint32_t)ids[i]);
        for (uint32_t i = 0; i < count && draws; i++)
            hash_result(&hash.results, &results[i]);
    }
    free(own);
    return hash;
}
