/* SPDX-License-Identifier: Apache-2.0
 *
 * reference_sampler.c - the reference as a back end: brings each row together as fp32 first.
 */
#include <stdlib.h>

#include "kernels/reference.h"
#include "kernels/row.h"

struct rz_sampler {
    float *row;
    struct rz_reference_scratch scratch;
    struct rz_sampler_counters counters;
};

bool rz_reference_scratch_create(struct rz_reference_scratch *scratch, uint32_t vocab_size)
{
    *scratch = (struct rz_reference_scratch){
        .logits = malloc(vocab_size * sizeof *scratch->logits),
        .edited = malloc(vocab_size * sizeof *scratch->edited),
        .y = malloc(vocab_size * sizeof *scratch->y),
        .kept = malloc(vocab_size * sizeof *scratch->kept),
        .in_prompt = malloc(vocab_size * sizeof *scratch->in_prompt),
        .output_count = malloc(vocab_size * sizeof *scratch->output_count),
        .order = malloc(vocab_size * sizeof *scratch->order),
    };
    return scratch->logits != NULL && scratch->edited != NULL && scratch->y != NULL &&
           scratch->kept != NULL && scratch->in_prompt != NULL && scratch->output_count != NULL &&
           scratch->order != NULL;
}

void rz_reference_scratch_destroy(struct rz_reference_scratch *scratch)
{
    free(scratch->logits);
    free(scratch->edited);
    free(scratch->y);
    free(scratch->kept);
    free(scratch->in_prompt);
    free(scratch->output_count);
    free(scratch->order);
    *scratch = (struct rz_reference_scratch){0};
}

static void reference_destroy(struct rz_sampler *sampler)
{
    if (sampler == NULL)
        return;
    rz_reference_scratch_destroy(&sampler->scratch);
    free(sampler->row);
    free(sampler);
}

static struct rz_sampler *reference_create(uint32_t vocab_size)
{
    struct rz_sampler *sampler = calloc(1, sizeof *sampler);
    if (sampler == NULL)
        return NULL;
    sampler->row = malloc(vocab_size * sizeof *sampler->row);
    const bool scratch = rz_reference_scratch_create(&sampler->scratch, vocab_size);
    if (sampler->row == NULL || !scratch) {
        reference_destroy(sampler);
        return NULL;
    }
    return sampler;
}

static void reference_draw(struct rz_sampler *sampler, const struct rz_logits_view *view,
                           const struct rz_row_task *task, struct rz_result *results)
{
    const uint32_t tiles = rz_tile_count(view->vocab_size);
    rz_row_read(view, task->logits_row, 0, view->vocab_size, sampler->row);
    rz_reference_draw(sampler->row, view->vocab_size, task, &sampler->scratch, results);
    sampler->counters.tiles_scanned += tiles;
    sampler->counters.tiles_exact += (uint64_t)tiles * task->draws;
    sampler->counters.mass_passes += task->sampling->top_p < 1.0f;
}

static const struct rz_sampler_counters *reference_counters(const struct rz_sampler *sampler)
{
    return &sampler->counters;
}

const struct rz_sampler_ops rz_sampler_reference = {
    .name = "reference",
    .create = reference_create,
    .destroy = reference_destroy,
    .draw = reference_draw,
    .counters = reference_counters,
};
