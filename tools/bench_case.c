/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_case.c - draw once from each row of a set, one after the other, on this thread.
 */
#include "tools/bench_case.h"

#include <stdlib.h>
#include <string.h>

#include "internal/clock.h"
#include "tools/stop.h"

enum {
    MASK_WORDS = RZ_MAX_VOCAB / 32,
    PROMPT_ROOM = RZ_BENCH_DISTINCT + RZ_BENCH_PROMPT_IDS,
    SHORTEST_NS = 2000000,  /* of a repeat: the clock and interrupts are far less */
    LONGEST_NS = 250000000, /* of a repeat: only the slow ones take so long for all rows */
};

/* ------------------------------------------------------------------------------------------------
 * Masks and prompts
 */

int rz_bench_extras_make(struct rz_bench_extras *extras, struct rz_complaint *complaint)
{
    const size_t words = (size_t)RZ_BENCH_DISTINCT * MASK_WORDS;
    extras->masks = malloc(words * sizeof *extras->masks);
    extras->ids = malloc(PROMPT_ROOM * sizeof *extras->ids);
    if (extras->masks == NULL || extras->ids == NULL) {
        rz_bench_extras_free(extras);
        return rz_complain_memory(complaint);
    }
    uint64_t state = 0x6d61736b;
    for (size_t i = 0; i < words; i++)
        extras->masks[i] = (uint32_t)rz_bench_random(&state);
    for (size_t i = 0; i < PROMPT_ROOM; i++)
        extras->ids[i] = (uint32_t)(rz_bench_random(&state) >> 33);
    return RZ_EXIT_OK;
}

void rz_bench_extras_free(struct rz_bench_extras *extras)
{
    free(extras->masks);
    free(extras->ids);
    *extras = (struct rz_bench_extras){0};
}

/* ------------------------------------------------------------------------------------------------
 * Begin and end
 */

int rz_bench_case_begin(const struct rz_bench_rows *set, const struct rz_bench_filter *filter,
                        const struct rz_sampler_ops *ops, const struct rz_bench_extras *extras,
                        struct rz_bench_case *c, struct rz_complaint *complaint)
{
    struct rz_bench_case made = {
        .set = set, .filter = filter, .extras = extras, .ops = ops, .rows = set->rows, .passes = 1};
    snprintf(made.backend, sizeof made.backend, "%s", ops->name);
    made.sampler = ops->create(set->vocab);
    if (made.sampler == NULL)
        return rz_complain_memory(complaint);
    if (filter->has_prompt) {
        made.prompt_ids = malloc(PROMPT_ROOM * sizeof *made.prompt_ids);
        if (made.prompt_ids == NULL) {
            ops->destroy(made.sampler);
            return rz_complain_memory(complaint);
        }
        for (size_t i = 0; i < PROMPT_ROOM; i++)
            made.prompt_ids[i] = (int32_t)(extras->ids[i] % set->vocab);
    }
    *c = made;
    return RZ_EXIT_OK;
}

bool rz_bench_case_begin_peer(const struct rz_bench_rows *set, struct rz_bench_peer *peer,
                              unsigned number, const char *name, struct rz_bench_case *c)
{
    const char *slash = strchr(name, '/');
    const struct rz_bench_filter *filter = NULL;
    for (size_t i = 0; slash != NULL && i < RZ_BENCH_FILTERS; i++)
        if (strcmp(rz_bench_filters[i].name, slash + 1) == 0)
            filter = &rz_bench_filters[i];
    if (filter == NULL)
        return false;
    *c = (struct rz_bench_case){.set = set,
                                .filter = filter,
                                .peer = peer,
                                .peer_number = number,
                                .rows = rz_bench_peer_row_count(set),
                                .passes = 1};
    snprintf(c->peer_name, sizeof c->peer_name, "%s", name);
    snprintf(c->backend, sizeof c->backend, "%.*s", (int)(slash - name), name);
    return true;
}

void rz_bench_case_end(struct rz_bench_case *c)
{
    if (c->ops != NULL)
        c->ops->destroy(c->sampler);
    free(c->prompt_ids);
    *c = (struct rz_bench_case){0};
}

/* ------------------------------------------------------------------------------------------------
 * Draw
 */

/* Draws from `rows` rows, from first_row on and around; stops early when `deadline_ns` has passed
 * or the user wants to stop, and returns how many it did. */
static uint32_t draw_rows(struct rz_bench_case *c, uint32_t rows, uint64_t deadline_ns)
{
    const struct rz_bench_rows *set = c->set;
    const struct rz_shard_view shard = {
        .logits = set->logits, .row_stride = set->row_stride, .count = set->vocab};
    const struct rz_logits_view view = {
        .dtype = set->dtype, .vocab_size = set->vocab, .shard_count = 1, .shards = &shard};
    struct rz_sampling sampling;
    rz_bench_filter_sampling(c->filter, &sampling);
    struct rz_row_task task = {.draws = 1, .sampling = &sampling, .position = c->position++};
    struct rz_result result;

    uint32_t row = c->first_row, done = 0;
    while (done < rows) {
        const uint32_t distinct = row % RZ_BENCH_DISTINCT;
        task.logits_row = row;
        task.seed = row + 1;
        if (c->filter->has_bitmask)
            task.bitmask = c->extras->masks + (size_t)distinct * MASK_WORDS;
        if (c->filter->has_prompt) {
            task.prompt_ids = c->prompt_ids + distinct;
            task.prompt_count = RZ_BENCH_PROMPT_IDS;
        }
        c->ops->draw(c->sampler, &view, &task, &result);
        row = row + 1 < set->rows ? row + 1 : 0;
        done++;
        if (deadline_ns != UINT64_MAX && (rz_clock_ns() > deadline_ns || rz_stop_requested() != 0))
            break;
    }
    c->first_row = row;
    return done;
}

int rz_bench_case_warm_up(struct rz_bench_case *c, struct rz_complaint *complaint)
{
    if (c->peer != NULL) {
        double row_ns;
        return rz_bench_case_time(c, &row_ns, complaint);
    }
    draw_rows(c, 1, UINT64_MAX); /* touches the workspace */
    const uint64_t start = rz_clock_ns();
    c->rows = draw_rows(c, c->set->rows, start + LONGEST_NS);
    const uint64_t spent = rz_clock_ns() - start + 1;
    c->passes = spent < SHORTEST_NS ? (uint32_t)(SHORTEST_NS / spent) + 1 : 1;
    c->first_row = 0;
    return RZ_EXIT_OK;
}

int rz_bench_case_time(struct rz_bench_case *c, double *row_ns, struct rz_complaint *complaint)
{
    uint64_t ns;
    if (c->peer != NULL) {
        const int status =
            rz_bench_peer_time(c->peer, c->peer_number, c->peer_name, &ns, complaint);
        if (status != RZ_EXIT_OK)
            return status;
    } else {
        const uint64_t start = rz_clock_ns();
        for (uint32_t pass = 0; pass < c->passes; pass++)
            draw_rows(c, c->rows, UINT64_MAX);
        ns = rz_clock_ns() - start;
    }
    const uint64_t rows = (uint64_t)c->rows * c->passes;
    c->drawn += rows;
    *row_ns = (double)ns / (double)rows;
    return RZ_EXIT_OK;
}
