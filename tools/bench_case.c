/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_case.c - draw once from each row of a set, one after the other, on this thread.
 */
#include "tools/bench_case.h"

#include "internal/clock.h"
#include "tools/stop.h"

enum {
    SHORTEST_NS = 2000000,  /* of a repeat: the clock and interrupts are far less */
    LONGEST_NS = 250000000, /* of a repeat: only the slow ones take so long for all rows */
};

/* ------------------------------------------------------------------------------------------------
 * Begin and end
 */

int rz_bench_case_begin(const struct rz_bench_rows *set, const struct rz_bench_filter *filter,
                        const struct rz_sampler_ops *ops, const struct rz_bench_extras *extras,
                        struct rz_bench_case *c, struct rz_complaint *complaint)
{
    struct rz_bench_case made = {
        .set = set, .filter = filter, .ops = ops, .rows = set->rows, .passes = 1};
    snprintf(made.backend, sizeof made.backend, "%s", ops->name);
    const int status = rz_bench_tasks_make(filter, extras, set->vocab, &made.tasks, complaint);
    if (status != RZ_EXIT_OK)
        return status;
    made.sampler = ops->create(set->vocab);
    if (made.sampler == NULL) {
        rz_bench_tasks_free(&made.tasks);
        return rz_complain_memory(complaint);
    }
    *c = made;
    return RZ_EXIT_OK;
}

bool rz_bench_case_begin_peer(const struct rz_bench_rows *set, struct rz_bench_peer *peer,
                              unsigned number, const char *name, struct rz_bench_case *c)
{
    int length = 0;
    const struct rz_bench_filter *filter = rz_bench_peer_filter(name, &length);
    if (filter == NULL)
        return false;
    *c = (struct rz_bench_case){.set = set,
                                .filter = filter,
                                .peer = peer,
                                .peer_number = number,
                                .rows = rz_bench_peer_row_count(set),
                                .passes = 1};
    snprintf(c->peer_name, sizeof c->peer_name, "%s", name);
    snprintf(c->backend, sizeof c->backend, "%.*s", length, name);
    return true;
}

void rz_bench_case_end(struct rz_bench_case *c)
{
    if (c->ops != NULL)
        c->ops->destroy(c->sampler);
    rz_bench_tasks_free(&c->tasks);
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
    const uint64_t position = c->position++;
    struct rz_result result;

    uint32_t row = c->first_row, done = 0;
    while (done < rows) {
        const struct rz_row_task task = rz_bench_tasks_row(&c->tasks, row, position);
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
