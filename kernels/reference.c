/* SPDX-License-Identifier: Apache-2.0
 *
 * reference.c - the definition of which id is drawn from a row of logits.
 *
 * Plain scalar code over the whole row, in the order in which the contract states it: edits,
 * temperature, min-p, top-k, top-p, the race between tiles, the pick inside the winner. No bounds,
 * no tile is skipped. Every faster path returns what this does, bit for bit.
 */
#include "kernels/reference.h"

#include "kernels/contract.h"
#include "kernels/row.h"

/* ------------------------------------------------------------------------------------------------
 * Edits, in the order of vLLM V1
 */

static void count_history(const struct rz_row_task *task, uint32_t vocab_size,
                          struct rz_reference_scratch *s)
{
    for (uint32_t id = 0; id < vocab_size; id++) {
        s->in_prompt[id] = false;
        s->output_count[id] = 0;
    }
    for (uint32_t i = 0; i < task->history_count; i++) {
        const struct rz_history_entry *entry = &task->history[i];
        s->in_prompt[entry->id] |= entry->in_prompt != 0;
        s->output_count[entry->id] += entry->output_count;
    }
    for (uint32_t i = 0; i < task->prompt_count; i++)
        s->in_prompt[task->prompt_ids[i]] = true;
    for (uint32_t i = 0; i < task->output_count; i++)
        s->output_count[task->output_ids[i]]++;
}

static void keep_allowed(const struct rz_row_task *task, uint32_t vocab_size,
                         struct rz_reference_scratch *s)
{
    const struct rz_sampling *p = task->sampling;
    if (p->allowed_count > 0) {
        for (uint32_t id = 0; id < vocab_size; id++)
            s->kept[id] = false;
        for (uint32_t i = 0; i < p->allowed_count; i++)
            s->kept[p->allowed_ids[i]] = true;
        for (uint32_t id = 0; id < vocab_size; id++)
            if (!s->kept[id])
                s->edited[id] = -INFINITY;
    }
    if (task->bitmask != NULL)
        for (uint32_t id = 0; id < vocab_size; id++)
            if ((task->bitmask[id / 32] >> (id % 32) & 1) == 0)
                s->edited[id] = -INFINITY;
}

static void edit(const struct rz_row_task *task, uint32_t vocab_size,
                 struct rz_reference_scratch *s)
{
    const struct rz_sampling *p = task->sampling;
    count_history(task, vocab_size, s);
    keep_allowed(task, vocab_size, s);
    for (uint32_t i = 0; i < p->banned_count; i++)
        s->edited[p->banned_ids[i]] = -INFINITY;
    for (uint32_t i = 0; i < p->stop_count && task->output_length < p->min_tokens; i++)
        s->edited[p->stop_ids[i]] = -INFINITY;
    for (uint32_t i = 0; i < p->bias_count; i++)
        s->edited[p->bias[i].id] += p->bias[i].bias;
    for (uint32_t id = 0; id < vocab_size; id++) {
        float x = s->edited[id];
        if (s->in_prompt[id] || s->output_count[id] > 0)
            x = x > 0.0f ? x / p->repetition_penalty : x * p->repetition_penalty;
        if (s->output_count[id] > 0) {
            x = x - p->frequency_penalty * (float)s->output_count[id];
            x = x - p->presence_penalty;
        }
        s->edited[id] = x;
    }
}

/* ------------------------------------------------------------------------------------------------
 * Sums and orders of ids
 */

static float largest(const float *values, uint32_t count)
{
    float most = -INFINITY;
    for (uint32_t i = 0; i < count; i++)
        most = values[i] > most ? values[i] : most;
    return most;
}

/* Merge sort: `order` becomes ids by falling value, rising id on a tie. */
static void merge(uint32_t *order, uint32_t *spare, uint32_t count, const float *values)
{
    if (count < 2)
        return;
    const uint32_t half = count / 2;
    merge(order, spare, half, values);
    merge(order + half, spare, count - half, values);
    uint32_t left = 0, right = half;
    for (uint32_t i = 0; i < count; i++) {
        const bool take_left =
            left < half && (right == count || values[order[left]] >= values[order[right]]);
        spare[i] = order[take_left ? left++ : right++];
    }
    for (uint32_t i = 0; i < count; i++)
        order[i] = spare[i];
}

/* The kept ids, best first; returns how many. Overwrites the counts of the history, which edits
 * have used by then. */
static uint32_t sort_kept(struct rz_reference_scratch *s, uint32_t vocab_size, const float *values)
{
    uint32_t count = 0;
    for (uint32_t id = 0; id < vocab_size; id++)
        if (s->kept[id])
            s->order[count++] = id;
    merge(s->order, s->output_count, count, values);
    return count;
}

/* Mass of the kept ids first .. last-1, relative to 2^exponent. */
static uint64_t mass_of(const float *y, const bool *kept, uint32_t first, uint32_t last,
                        double exponent)
{
    uint64_t mass = 0;
    for (uint32_t id = first; id < last; id++)
        if (kept[id])
            mass += rz_mass(y[id], exponent);
    return mass;
}

/* ------------------------------------------------------------------------------------------------
 * Filters, each within what the ones before kept
 */

static void filter_min_p(struct rz_reference_scratch *s, uint32_t vocab_size, float min_p)
{
    if (min_p <= 0.0f)
        return;
    const float threshold = rz_min_p_threshold(largest(s->y, vocab_size), min_p);
    for (uint32_t id = 0; id < vocab_size; id++)
        s->kept[id] = s->kept[id] && s->y[id] >= threshold;
}

static void filter_top_k(struct rz_reference_scratch *s, uint32_t vocab_size, uint32_t top_k)
{
    if (top_k == 0 || sort_kept(s, vocab_size, s->y) <= top_k)
        return;
    const float threshold = s->y[s->order[top_k - 1]];
    for (uint32_t id = 0; id < vocab_size; id++)
        s->kept[id] = s->kept[id] && s->y[id] >= threshold;
}

static void filter_top_p(struct rz_reference_scratch *s, uint32_t vocab_size, float top_p)
{
    if (top_p >= 1.0f)
        return;
    const double exponent = rz_mass_exponent(largest(s->y, vocab_size));
    const uint64_t all = mass_of(s->y, s->kept, 0, vocab_size, exponent);
    const uint32_t count = sort_kept(s, vocab_size, s->y);
    uint64_t above = 0; /* mass of the ids with strictly larger y than the group's */
    for (uint32_t i = 0; i < count;) {
        const float y = s->y[s->order[i]];
        const bool stays = rz_in_nucleus(above, top_p, all);
        for (; i < count && s->y[s->order[i]] == y; i++) {
            s->kept[s->order[i]] = stays;
            above += rz_mass(y, exponent);
        }
    }
}

/* ------------------------------------------------------------------------------------------------
 * The race
 */

/* The first kept id of the tile whose running mass exceeds a uniform part of the tile's mass. */
static uint32_t pick_in_tile(const struct rz_reference_scratch *s, uint32_t first, uint32_t last,
                             double exponent, uint64_t target)
{
    uint64_t running = 0;
    for (uint32_t id = first; id < last; id++) {
        running += s->kept[id] ? rz_mass(s->y[id], exponent) : 0;
        if (running > target)
            return id;
    }
    return last - 1; /* not reached: target is less than the mass of the tile */
}

static uint32_t race(const struct rz_reference_scratch *s, uint32_t vocab_size, uint64_t seed,
                     uint64_t position)
{
    uint32_t winner = 0;
    uint64_t winner_mass = 0;
    double winner_exponent = 0.0;
    struct rz_key best = {0};
    for (uint32_t tile = 0; tile < rz_tile_count(vocab_size); tile++) {
        const uint32_t first = tile * RZ_TILE;
        const uint32_t last = vocab_size - first < RZ_TILE ? vocab_size : first + RZ_TILE;
        float largest_y = -INFINITY;
        for (uint32_t id = first; id < last; id++)
            if (s->kept[id] && s->y[id] > largest_y)
                largest_y = s->y[id];
        if (largest_y == -INFINITY)
            continue;
        const double exponent = rz_mass_exponent(largest_y);
        const uint64_t mass = mass_of(s->y, s->kept, first, last, exponent);
        const struct rz_key key = rz_race_key(mass, rz_race_bits(seed, position, tile), exponent);
        if (winner_mass == 0 || rz_key_less(best, key)) {
            winner = tile;
            winner_mass = mass;
            winner_exponent = exponent;
            best = key;
        }
    }
    const uint32_t first = winner * RZ_TILE;
    const uint32_t last = vocab_size - first < RZ_TILE ? vocab_size : first + RZ_TILE;
    return pick_in_tile(s, first, last, winner_exponent,
                        rz_pick_mass(seed, position, winner, winner_mass));
}

/* ------------------------------------------------------------------------------------------------
 * Logprobs
 */

/* Log-shares of the kept ids by y; ids of y = -inf have none. An y of +inf takes all, in equal
 * parts if there are several. */
static void fill_logprobs(struct rz_reference_scratch *s, uint32_t vocab_size, const float *y,
                          const struct rz_sampling *p, struct rz_result *result)
{
    const float most = largest(y, vocab_size);
    const bool infinite = most == INFINITY;
    const double exponent = infinite ? 0.0 : rz_mass_exponent(most);
    for (uint32_t id = 0; id < vocab_size; id++)
        s->kept[id] = s->kept[id] && y[id] > -INFINITY && (!infinite || y[id] == INFINITY);
    uint64_t all = 0;
    for (uint32_t id = 0; id < vocab_size; id++)
        if (s->kept[id])
            all += rz_mass(infinite ? 0.0f : y[id], exponent);

    const uint32_t drawn = (uint32_t)result->id;
    result->rank = 1;
    result->logprob = -INFINITY;
    for (uint32_t id = 0; id < vocab_size; id++)
        result->rank += s->kept[id] && y[id] > y[drawn];
    if (s->kept[drawn])
        result->logprob = rz_logprob(infinite ? 0.0f : y[drawn], exponent, all);

    const uint32_t count = sort_kept(s, vocab_size, y);
    result->top_count = count < p->top_logprobs ? count : p->top_logprobs;
    for (uint32_t i = 0; i < result->top_count; i++) {
        result->top_ids[i] = (int32_t)s->order[i];
        result->top_logprobs[i] = rz_logprob(infinite ? 0.0f : y[s->order[i]], exponent, all);
    }
}

static void scale_row(const float *logits, uint32_t count, float scale, float *y)
{
    for (uint32_t id = 0; id < count; id++)
        y[id] = logits[id] == INFINITY ? INFINITY : rz_scaled(logits[id], scale);
}

/* ------------------------------------------------------------------------------------------------
 */

/* Which ids can be drawn, once all filters have been. */
static void filter(const struct rz_sampling *p, uint32_t vocab_size, float most,
                   struct rz_reference_scratch *s)
{
    const bool greedy = p->temperature < RZ_GREEDY_BELOW || most == INFINITY;
    if (greedy) { /* the largest logit, lowest id on a tie, whatever the filters */
        bool taken = false;
        for (uint32_t id = 0; id < vocab_size; id++) {
            s->kept[id] = !taken && s->edited[id] == most;
            taken |= s->kept[id];
            s->y[id] = 0.0f;
        }
        return;
    }
    scale_row(s->edited, vocab_size, rz_temperature_scale(p->temperature), s->y);
    for (uint32_t id = 0; id < vocab_size; id++)
        s->kept[id] = s->edited[id] > -INFINITY;
    filter_min_p(s, vocab_size, p->min_p);
    filter_top_k(s, vocab_size, p->top_k);
    filter_top_p(s, vocab_size, p->top_p);
}

static void report(const struct rz_row_task *task, uint32_t vocab_size, float most,
                   struct rz_reference_scratch *s, struct rz_result *result)
{
    const struct rz_sampling *p = task->sampling;
    if (result->id < 0 || (p->flags & RZ_SAMPLING_LOGPROBS) == 0)
        return;
    if (p->logprobs_mode == RZ_LOGPROBS_RAW) {
        for (uint32_t id = 0; id < vocab_size; id++)
            s->kept[id] = true;
        scale_row(s->logits, vocab_size, rz_temperature_scale(1.0f), s->y);
    } else {
        filter(p, vocab_size, most, s);
        for (uint32_t id = 0; id < vocab_size; id++)
            s->y[id] = s->kept[id] ? s->y[id] : -INFINITY;
    }
    fill_logprobs(s, vocab_size, s->y, p, result);
}

void rz_reference_draw(const float *logits, uint32_t vocab_size, const struct rz_row_task *task,
                       struct rz_reference_scratch *s, struct rz_result *results)
{
    uint32_t status = 0;
    for (uint32_t id = 0; id < vocab_size; id++) {
        if (isnan(logits[id]))
            status |= RZ_ROW_NAN;
        s->logits[id] = isnan(logits[id]) ? -INFINITY : logits[id];
        s->edited[id] = s->logits[id];
    }
    edit(task, vocab_size, s);
    const float most = largest(s->edited, vocab_size);
    if (most == -INFINITY)
        status |= RZ_ROW_NO_TOKEN;

    for (uint32_t i = 0; i < task->draws; i++) {
        const uint64_t position = task->position + i;
        results[i] = (struct rz_result){
            .id = -1, .status = status, .seed = task->seed, .position = position};
        if ((status & RZ_ROW_NO_TOKEN) != 0)
            continue;
        filter(task->sampling, vocab_size, most, s);
        results[i].id = (int32_t)race(s, vocab_size, task->seed, position);
        report(task, vocab_size, most, s, &results[i]);
    }
}
