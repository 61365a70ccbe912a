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

static void reference_destroy(struct rz_sampler *sampler)
{
    if (sampler == NULL)
        return;
    free(sampler->row);
    free(sampler->scratch.logits);
    free(sampler->scratch.edited);
    free(sampler->scratch.y);
    free(sampler->scratch.kept);
    free(sampler->scratch.in_prompt);
    free(sampler->scratch.output_count);
    free(sampler->scratch.order);
    free(sampler);
}

static struct rz_sampler *reference_create(uint32_t vocab_size)
{
    struct rz_sampler *sampler = calloc(1, sizeof *sampler);
    if (sampler == NULL)
        return NULL;
    struct rz_reference_scratch *s = &sampler->scratch;
    sampler->row = malloc(vocab_size * sizeof *sampler->row);
    s->logits = malloc(vocab_size * sizeof *s->logits);
    s->edited = malloc(vocab_size * sizeof *s->edited);
    s->y = malloc(vocab_size * sizeof *s->y);
    s->kept = malloc(vocab_size * sizeof *s->kept);
    s->in_prompt = malloc(vocab_size * sizeof *s->in_prompt);
    s->output_count = malloc(vocab_size * sizeof *s->output_count);
    s->order = malloc(vocab_size * sizeof *s->order);
    if (sampler->row == NULL || s->logits == NULL || s->edited == NULL || s->y == NULL ||
        s->kept == NULL || s->in_prompt == NULL || s->output_count == NULL || s->order == NULL) {
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
