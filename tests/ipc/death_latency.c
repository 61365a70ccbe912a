/* SPDX-License-Identifier: Apache-2.0
 *
 * death_latency.c - how long until sleeping ranks know that one was killed which had much memory?
 *
 *   ipc_death_latency [ROUNDS [MIB [RANKS [THREADS]]]]    (default: 100 256 3 1)
 *
 * Prints percentiles over all survivors, the producer killed in every other round. Asserts nothing.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "internal/clock.h"
#include "tests/ipc/ring_job.h"
#include "tests/ipc/support.h"

struct round {
    uint32_t world;
    uint32_t victim;
    size_t bytes;
    uint32_t threads; /* of the victim */
    _Atomic uint32_t ready;
    _Atomic uint64_t known_ns[JOB_MOST];
};

struct actor {
    struct round *round;
    uint32_t rank;
};

static void *sleep_for_ever(void *argument)
{
    pause();
    return argument;
}

static bool act(void *argument)
{
    const struct actor *actor = argument;
    struct round *round = actor->round;
    struct ring_job job;
    job_open(&job, actor->rank, round->world, 4, 1);
    const bool is_victim = actor->rank == round->victim;
    void *memory = malloc(is_victim ? round->bytes : 1);
    child_expect(memory != NULL);
    if (is_victim)
        memset(memory, 1, round->bytes);
    for (uint32_t t = 1; is_victim && t < round->threads; t++) {
        pthread_t thread;
        child_expect(pthread_create(&thread, NULL, sleep_for_ever, NULL) == 0);
    }
    round->ready++;
    struct rz_error err;
    const uint64_t deadline = in_seconds(50);
    if (is_victim)
        pause();
    /* The producer goes to sleep on a full ring, the others on an empty one. */
    int status = RZ_OK;
    while (status == RZ_OK)
        status = actor->rank == 0 ? job_publish(&job, deadline, &err)
                                  : job_consume(&job, deadline, &err);
    round->known_ns[actor->rank] = rz_clock_ns();
    child_expect(status == RZ_E_PEER_DIED && err.rank == (int)round->victim);
    job_close(&job);
    free(memory);
    return true;
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double percentile(const uint64_t *times, size_t count, size_t percent)
{
    const size_t index = count * percent / 100;
    return (double)times[index < count ? index : count - 1] / 1e3;
}

/* Play one round; a time for each survivor. Returns how many. */
static size_t play(uint32_t i, size_t bytes, uint32_t world, uint32_t threads, uint64_t *times)
{
    struct round *round = shared_memory(sizeof *round);
    *round = (struct round){.world = world,
                            .victim = i % 2 == 0 ? 0 : 1 + i / 2 % (world - 1),
                            .bytes = bytes,
                            .threads = threads};
    pid_t pids[JOB_MOST];
    for (uint32_t r = 0; r < world; r++) {
        struct actor actor = {.round = round, .rank = r};
        pids[r] = child_start(act, &actor);
    }
    while (round->ready < world)
        usleep(1000);
    usleep(30000); /* to fall asleep */
    const uint64_t killed_ns = rz_clock_ns();
    kill(pids[round->victim], SIGKILL);
    size_t count = 0;
    for (uint32_t r = 0; r < world; r++)
        if (child_wait(pids[r]) == 0)
            times[count++] = round->known_ns[r] - killed_ns;
    shared_memory_free(round, sizeof *round);
    return count;
}

int main(int argc, char **argv)
{
    const uint32_t rounds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100;
    const size_t mib = argc > 2 ? strtoul(argv[2], NULL, 10) : 256;
    const uint32_t world = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 3;
    const uint32_t threads = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 1;
    if (rounds == 0 || world < 2 || world > JOB_MOST)
        return 2;
    void *state = NULL;
    uint64_t *times = calloc((size_t)rounds * world, sizeof *times);
    if (times == NULL || scratch_setup(&state) != 0) {
        free(times);
        return 1;
    }
    size_t count = 0;
    for (uint32_t i = 0; i < rounds; i++)
        count += play(i, mib << 20, world, threads, times + count);
    qsort(times, count, sizeof *times, compare);
    if (count > 0)
        printf("%zu MiB, %u ranks, %u threads, us: p50 %.0f p90 %.0f p99 %.0f max %.0f (%zu)\n",
               mib, world, threads, percentile(times, count, 50), percentile(times, count, 90),
               percentile(times, count, 99), percentile(times, count, 100), count);
    free(times);
    const bool all = count == (size_t)rounds * (world - 1);
    return scratch_teardown(&state) == 0 && all ? 0 : 1;
}
