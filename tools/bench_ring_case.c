/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_ring_case.c - processes that send one another records and look at the clock, which is the
 * same for all of a host.
 */
#include "tools/bench_ring_case.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "internal/clock.h"
#include "tools/bench_team.h"

enum {
    PAUSE_NS = 50000, /* until those that sleep do */
    CLOCK_LOOKS = 1000,
    CLOCK_TRIES = 20,
    BATCH = 50, /* round trips between two looks at the clock */
    MOST_BATCHES = 2000,
};

const struct rz_link_way *const rz_ring_link_ways[RZ_RING_LINKS] = {
    [RZ_RING_LINE] = &rz_link_line,        [RZ_RING_SPIN] = &rz_link_ring_spin,
    [RZ_RING_SLEEP] = &rz_link_ring_sleep, [RZ_RING_PIPE] = &rz_link_pipe,
    [RZ_RING_MQUEUE] = &rz_link_mqueue,
};

/* Shared by the processes. What each has taken is a line of its own. */
struct board {
    alignas(RZ_LINE_BYTES) _Atomic uint64_t sleepers;
    struct {
        alignas(RZ_LINE_BYTES) _Atomic uint32_t count;
    } taken[RZ_LINK_MAX_RECEIVERS];
    alignas(RZ_LINE_BYTES) uint64_t total_ns;
    uint32_t batches[MOST_BATCHES]; /* ns of a batch of round trips */
    uint32_t samples[];
};

struct scene {
    const struct rz_ring_case *c;
    struct rz_link there, back;
    struct board *board;
    char *record; /* a buffer for one, which each process has of its own */
    uint32_t clock_ns;
    uint32_t warm_up; /* rounds before those that count */
    uint32_t batches; /* after them; 0: none */
};

uint32_t rz_ring_clock_ns(void)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < CLOCK_TRIES; i++) {
        uint64_t last = 0;
        const uint64_t start = rz_clock_ns();
        for (int look = 0; look < CLOCK_LOOKS; look++)
            last = rz_clock_ns();
        least = last - start < least ? last - start : least;
    }
    return (uint32_t)(least / CLOCK_LOOKS);
}

static uint32_t sample_of(const struct scene *scene, uint64_t from_ns, uint64_t to_ns)
{
    const uint64_t ns = to_ns - from_ns;
    if (ns < scene->clock_ns)
        return 0;
    return ns - scene->clock_ns < UINT32_MAX ? (uint32_t)(ns - scene->clock_ns) : UINT32_MAX;
}

/* ------------------------------------------------------------------------------------------------
 * There and back
 */

static bool answer(struct scene *scene)
{
    const uint32_t rounds = scene->warm_up + scene->c->rounds + scene->batches * BATCH;
    for (uint32_t i = 0; i < rounds; i++)
        if (!rz_link_receive(&scene->there, 0, scene->record) ||
            !rz_link_send(&scene->back, scene->record))
            return false;
    return true;
}

/* The n-th round trip, from 1 on: no two records that follow one another are equal. */
static bool go_once(struct scene *scene, uint64_t n)
{
    memcpy(scene->record, &n, sizeof n);
    return rz_link_send(&scene->there, scene->record) &&
           rz_link_receive(&scene->back, 0, scene->record);
}

static bool go(struct scene *scene)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < scene->warm_up; i++)
        if (!go_once(scene, ++n))
            return false;
    uint64_t before = rz_clock_ns();
    for (uint32_t i = 0; i < scene->c->rounds; i++) {
        if (!go_once(scene, ++n))
            return false;
        const uint64_t now = rz_clock_ns();
        scene->board->samples[i] = sample_of(scene, before, now);
        before = now;
    }
    for (uint32_t batch = 0; batch < scene->batches; batch++) {
        for (uint32_t i = 0; i < BATCH; i++)
            if (!go_once(scene, ++n))
                return false;
        const uint64_t now = rz_clock_ns();
        scene->board->batches[batch] = sample_of(scene, before, now);
        before = now;
    }
    return true;
}

static bool go_or_answer(void *context, uint32_t index)
{
    struct scene *scene = context;
    rz_link_begin(index == 0 ? &scene->back : &scene->there, 0);
    return index == 0 ? go(scene) : answer(scene);
}

/* ------------------------------------------------------------------------------------------------
 * One way, to all. Process 0 sends, 1 + r is receiver r.
 */

/* Tell process 0 that `count` records have been taken. */
static void tell(struct board *board, uint32_t receiver, uint32_t count)
{
    rz_wake(&board->sleepers, 1, &board->taken[receiver].count, count);
}

/* Until all have taken one more than `count`. */
static bool wait_for_all(struct scene *scene, struct rz_waiter *waiter, uint32_t count)
{
    struct rz_error err;
    for (uint32_t r = 0; r < scene->c->consumers; r++)
        if (rz_wait(waiter, &scene->board->taken[r].count, count, UINT64_MAX, 1 + r, "take it",
                    &err) != RZ_OK)
            return false;
    return true;
}

static bool spins(const struct scene *scene)
{
    return rz_ring_link_ways[scene->c->way]->spins;
}

static bool send_to_all(struct scene *scene)
{
    struct rz_waiter waiter = rz_link_waiter(&scene->board->sleepers, 0, spins(scene));
    for (uint32_t i = 0; i < scene->warm_up + scene->c->rounds; i++) {
        if (!wait_for_all(scene, &waiter, i))
            return false;
        if (!spins(scene))
            nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
        const uint64_t now = rz_clock_ns();
        memcpy(scene->record, &now, sizeof now);
        if (!rz_link_send(&scene->there, scene->record))
            return false;
    }
    return true;
}

static bool send_or_take(void *context, uint32_t index)
{
    struct scene *scene = context;
    if (index == 0)
        return send_to_all(scene);
    const uint32_t receiver = index - 1;
    uint32_t *samples = scene->board->samples + (size_t)receiver * scene->c->rounds;
    rz_link_begin(&scene->there, receiver);
    tell(scene->board, receiver, 1);
    for (uint32_t i = 0; i < scene->warm_up + scene->c->rounds; i++) {
        if (!rz_link_receive(&scene->there, receiver, scene->record))
            return false;
        const uint64_t now = rz_clock_ns();
        uint64_t sent;
        memcpy(&sent, scene->record, sizeof sent);
        if (i >= scene->warm_up)
            samples[i - scene->warm_up] = sample_of(scene, sent, now);
        tell(scene->board, receiver, i + 2);
    }
    return true;
}

/* ------------------------------------------------------------------------------------------------
 * One after the other
 */

static bool stream(void *context, uint32_t index)
{
    struct scene *scene = context;
    const uint32_t rounds = scene->c->rounds;
    if (index > 0) {
        rz_link_begin(&scene->there, index - 1);
        tell(scene->board, index - 1, 1);
        for (uint32_t i = 0; i < rounds; i++)
            if (!rz_link_receive(&scene->there, index - 1, scene->record))
                return false;
        tell(scene->board, index - 1, 2);
        return true;
    }
    struct rz_waiter waiter = rz_link_waiter(&scene->board->sleepers, 0, spins(scene));
    if (!wait_for_all(scene, &waiter, 0))
        return false;
    const uint64_t start = rz_clock_ns();
    for (uint32_t i = 0; i < rounds; i++)
        if (!rz_link_send(&scene->there, scene->record))
            return false;
    if (!wait_for_all(scene, &waiter, 1))
        return false;
    scene->board->total_ns = rz_clock_ns() - start;
    return true;
}

/* ------------------------------------------------------------------------------------------------
 * All of them
 */

static int compare_samples(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static int run_scene(struct scene *scene, struct rz_complaint *complaint)
{
    switch (scene->c->measure) {
    case RZ_RING_ROUND_TRIP: return rz_team_run(2, go_or_answer, scene, complaint);
    case RZ_RING_ONE_WAY:
        return rz_team_run(1 + scene->c->consumers, send_or_take, scene, complaint);
    default: return rz_team_run(1 + scene->c->consumers, stream, scene, complaint);
    }
}

double rz_ring_median(uint32_t *samples, size_t count)
{
    qsort(samples, count, sizeof *samples, compare_samples);
    const size_t middle = (count - 1) / 2;
    return samples[middle];
}

/* What the processes have left behind. */
static double read_ns(const struct scene *scene, uint32_t *samples)
{
    const size_t count = (size_t)scene->c->rounds * scene->c->consumers;
    if (scene->c->measure == RZ_RING_THROUGHPUT)
        return (double)scene->board->total_ns;
    memcpy(samples, scene->board->samples, count * sizeof *samples);
    if (scene->c->measure == RZ_RING_ROUND_TRIP && scene->batches > 0)
        return rz_ring_median(scene->board->batches, scene->batches) / (double)BATCH;
    return rz_ring_median(samples, count);
}

int rz_ring_time_link(const struct rz_ring_case *c, uint32_t clock_ns, uint32_t *samples,
                      double *ns, struct rz_complaint *complaint)
{
    const struct rz_link_way *way = rz_ring_link_ways[c->way];
    /* For what sleeps the clock is nothing, and a batch is long enough to be disturbed. */
    const uint32_t batches = way->spins ? c->rounds / BATCH + 1 : 0;
    struct scene scene = {.c = c,
                          .clock_ns = clock_ns,
                          .warm_up = c->rounds / 10 + 1,
                          .batches = batches < MOST_BATCHES ? batches : MOST_BATCHES};
    const size_t board_bytes = sizeof *scene.board + sizeof *samples * c->rounds * c->consumers;
    scene.record = calloc(1, c->bytes);
    if (scene.record == NULL)
        return rz_complain_memory(complaint);
    int status = RZ_EXIT_FAILED;
    scene.board = rz_link_share(board_bytes);
    if (scene.board == NULL) {
        rz_complain_memory(complaint);
        goto out_record;
    }
    status = rz_link_open(&scene.there, way, c->bytes, c->consumers, complaint);
    if (status != RZ_EXIT_OK)
        goto out_board;
    status = rz_link_open(&scene.back, way, c->bytes, 1, complaint);
    if (status != RZ_EXIT_OK)
        goto out_there;
    status = run_scene(&scene, complaint);
    if (status == RZ_EXIT_OK)
        *ns = read_ns(&scene, samples);
    rz_link_close(&scene.back);
out_there:
    rz_link_close(&scene.there);
out_board:
    munmap(scene.board, board_bytes);
out_record:
    free(scene.record);
    return status;
}
