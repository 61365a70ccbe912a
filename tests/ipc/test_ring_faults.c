/* SPDX-License-Identifier: Apache-2.0
 *
 * test_ring_faults.c - processes that share a ring are killed or stopped at random moments, or
 * write into it what they like: nobody hangs or crashes, no record is lost, repeated or torn,
 * nothing is left.
 *
 *   ipc_ring_faults [ROUNDS]    of each kind (default: 250)
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "rankzero/ring.h"
#include "tests/ipc/support.h"

enum { MOST = 4, SLOTS = 4, WORDS = 5, MICROSECOND = 1000 };
#define ATTACH_NS (SECOND_NS / 10)
#define PATIENCE_NS (SECOND_NS / 50)

static uint32_t rounds = 250;

struct record {
    uint64_t words[WORDS]; /* each is the record's number */
};

/* What the processes of a round do, and what has become of them. 0 is the producer. */
struct show {
    uint32_t world;
    uint32_t flags;
    uint64_t first;
    uint64_t seed;
    _Atomic int stop; /* the producer closes */
    struct {
        pid_t pid;
        _Atomic uint32_t rank; /* consumer: its place, once it has one */
        _Atomic uint64_t done; /* records */
        _Atomic int timeouts;
        _Atomic int status; /* what ended it */
        _Atomic int about;
        _Atomic bool over;
    } actors[MOST];
};

struct actor {
    struct show *show;
    uint32_t index;
};

/* Now at full speed, now so slowly that others fall asleep. */
static void dawdle(uint64_t *random)
{
    const uint64_t r = random_next(random);
    if (r % 16 == 0)
        usleep((useconds_t)(r >> 32) % 300);
}

static int publish_some(struct show *show, rz_shared_ring *ring, struct rz_error *err)
{
    uint64_t random = show->seed;
    int status = RZ_OK;
    while (show->stop == 0 && status == RZ_OK) {
        struct record record;
        const uint64_t sequence = show->first + show->actors[0].done;
        for (size_t w = 0; w < WORDS; w++)
            record.words[w] = sequence;
        dawdle(&random);
        status = rz_shared_ring_publish(ring, (uint32_t)sequence, &record, sizeof record,
                                        PATIENCE_NS, err);
        show->actors[0].done += status == RZ_OK;
        if (status == RZ_E_TIMEOUT) {
            show->actors[0].timeouts++;
            status = RZ_OK;
        }
    }
    return status == RZ_OK ? RZ_E_CLOSED : status;
}

static bool produce(void *argument)
{
    const struct actor *actor = argument;
    struct show *show = actor->show;
    struct rz_shared_ring_options options;
    rz_shared_ring_options_init(&options);
    options.record_bytes = sizeof(struct record);
    options.slots = SLOTS;
    options.flags = show->flags;
    options.first_sequence = show->first;
    options.shm_dir = scratch;
    rz_shared_ring *ring = NULL;
    struct rz_error err = {.rank = -1};
    child_expect_ok(rz_shared_ring_create(&options, "ring", &ring, &err), err);
    const int status = publish_some(show, ring, &err);
    show->actors[0].status = status;
    show->actors[0].about = err.rank;
    rz_shared_ring_close(ring);
    show->actors[0].over = true;
    return true;
}

static int take_some(struct show *show, uint32_t index, rz_shared_ring *ring, struct rz_error *err)
{
    uint64_t random = show->seed + index;
    uint64_t next = 0;
    for (;;) {
        struct record record;
        uint32_t type;
        size_t bytes;
        dawdle(&random);
        const int status =
            rz_shared_ring_consume(ring, &type, &record, sizeof record, &bytes, PATIENCE_NS, err);
        if (status == RZ_E_TIMEOUT) {
            show->actors[index].timeouts++;
            continue;
        }
        if (status != RZ_OK)
            return status;
        const uint64_t sequence = record.words[0];
        child_expect(bytes == sizeof record && type == (uint32_t)sequence);
        child_expect(next == 0 ? sequence >= show->first : sequence == next);
        for (size_t w = 1; w < WORDS; w++)
            child_expect(record.words[w] == sequence);
        next = sequence + 1;
        show->actors[index].done++;
    }
}

static bool consume(void *argument)
{
    const struct actor *actor = argument;
    struct show *show = actor->show;
    rz_shared_ring *ring = NULL;
    struct rz_error err = {.rank = -1};
    int status = rz_shared_ring_attach(scratch, "ring", ATTACH_NS, &ring, &err);
    if (status == RZ_OK) {
        show->actors[actor->index].rank = rz_shared_ring_rank(ring);
        status = take_some(show, actor->index, ring, &err);
    }
    show->actors[actor->index].status = status;
    show->actors[actor->index].about = err.rank;
    rz_shared_ring_close(ring);
    show->actors[actor->index].over = true;
    return true;
}

static struct show *show_start(uint64_t *seed)
{
    struct show *show = shared_memory(sizeof *show);
    show->world = 2 + (uint32_t)(random_next(seed) % (MOST - 1));
    show->flags = (uint32_t)(random_next(seed) % 2) * RZ_SHARED_RING_EVICT;
    show->first = random_next(seed) % 2 == 0 ? 1 : UINT32_MAX - random_next(seed) % 1000;
    show->seed = random_next(seed);
    for (uint32_t i = 0; i < show->world; i++) {
        struct actor actor = {.show = show, .index = i};
        show->actors[i].pid = child_start(i == 0 ? produce : consume, &actor);
    }
    return show;
}

static void show_end(struct show *show, uint32_t killed)
{
    for (uint32_t i = 0; i < show->world; i++) {
        const int ended = child_wait(show->actors[i].pid);
        if (i != killed)
            assert_int_equal(ended, 0);
    }
    shared_memory_free(show, sizeof *show);
}

/* Let the producer close, and the others see that, whatever has come before. */
static void stop_all(struct show *show, uint32_t killed)
{
    show->stop = 1;
    for (uint32_t i = 0; i < show->world; i++)
        if (i != killed)
            await(show->actors[i].over);
}

/* How a consumer that was not killed may end. */
static void expect_end(const struct show *show, uint32_t index, uint32_t victim)
{
    const int status = show->actors[index].status;
    const int about = show->actors[index].about;
    const bool evicts = show->flags != 0;
    const bool right = status == RZ_E_CLOSED ||
                       (status == RZ_E_TIMEOUT &&
                        show->actors[index].rank == 0) || /* there was no ring to come to */
                       (status == RZ_E_EVICTED && evicts) ||
                       (status == RZ_E_PEER_DIED && victim == 0 && about == 0) ||
                       (status == RZ_E_PEER_DIED && victim != 0 && about > 0 && !evicts);
    if (!right)
        fail_msg("actor %u of %u, of which %u was killed: status %d, about %d", index, show->world,
                 victim, status, about);
}

static void killed_at_any_moment(void **state)
{
    (void)state;
    uint64_t seed = random_seed();
    uint32_t ended = 0;
    for (uint32_t i = 0; i < rounds; i++) {
        struct show *show = show_start(&seed);
        const uint32_t victim = (uint32_t)(random_next(&seed) % show->world);
        usleep((useconds_t)(random_next(&seed) % (i % 2 == 0 ? 3000 : 20000)));
        const bool closing = random_next(&seed) % 4 == 0;
        if (closing) {
            show->stop = 1;
            usleep((useconds_t)(random_next(&seed) % 300));
        }
        const bool in_it = show->actors[victim].rank != 0 && !show->actors[victim].over && !closing;
        kill(show->actors[victim].pid, SIGKILL);
        if (in_it && show->flags == 0) { /* then all learn of it by themselves */
            for (uint32_t a = 0; a < show->world; a++)
                if (a != victim)
                    await(show->actors[a].over);
            ended++;
        } else if (victim != 0 && show->actors[0].rank == 0 && !closing && show->flags != 0) {
            const uint64_t done = show->actors[0].done; /* the others go on */
            await(show->actors[0].done > done + 2 * SLOTS);
        }
        stop_all(show, victim);
        for (uint32_t a = 0; a < show->world; a++)
            if (a != victim)
                expect_end(show, a, victim);
        show_end(show, victim);
    }
    print_message("%u of %u rounds ended by the death of a consumer\n", ended, rounds);
}

static void stopped_at_any_moment(void **state)
{
    (void)state;
    uint64_t seed = random_seed();
    for (uint32_t i = 0; i < rounds; i++) {
        struct show *show = show_start(&seed);
        const uint32_t victim = (uint32_t)(random_next(&seed) % show->world);
        usleep((useconds_t)(random_next(&seed) % 6000));
        kill(show->actors[victim].pid, SIGSTOP);
        usleep((useconds_t)(random_next(&seed) % (i % 8 == 0 ? 60000 : 4000)));
        kill(show->actors[victim].pid, SIGCONT);
        const uint64_t done = show->actors[0].done;
        await(show->actors[0].done > done + 2 * SLOTS);
        stop_all(show, MOST);
        for (uint32_t a = 0; a < show->world; a++) {
            expect_end(show, a, MOST);
            assert_int_not_equal(show->actors[a].status, RZ_E_PEER_DIED);
        }
        show_end(show, MOST);
    }
}

/* One who may write to the segment: bytes anywhere behind the header. */
static bool write_anything(void *argument)
{
    const struct actor *actor = argument;
    struct show *show = actor->show;
    uint64_t random = show->seed ^ 1;
    int fd;
    while ((fd = open(segment_path("ring"), O_RDWR)) < 0)
        usleep(100);
    struct stat file;
    child_expect(fstat(fd, &file) == 0);
    char *bytes = mmap(NULL, (size_t)file.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    child_expect(bytes != MAP_FAILED);
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < 200; i++) {
        /* Half of all in the first lines of a page, where there is something, or the last. */
        size_t at = page + (size_t)(random_next(&random) % ((size_t)file.st_size - page - 8));
        if (i % 4 == 0)
            at = at / page * page + (size_t)(random_next(&random) % 512);
        if (i % 4 == 1)
            at = (at / page + 1) * page - 8;
        const uint64_t word = random_next(&random) >> random_next(&random) % 64;
        memcpy(bytes + at, &word, sizeof word);
        if (i % 16 == 0)
            usleep(50);
    }
    return true;
}

/* Records may be anything then, but nobody crashes or hangs. */
static bool consume_anything(void *argument)
{
    const struct actor *actor = argument;
    struct show *show = actor->show;
    rz_shared_ring *ring = NULL;
    int status = rz_shared_ring_attach(scratch, "ring", ATTACH_NS, &ring, NULL);
    while (status == RZ_OK || status == RZ_E_TIMEOUT) {
        struct record record;
        uint32_t type;
        size_t bytes;
        if (ring == NULL || (status == RZ_E_TIMEOUT && show->stop != 0))
            break;
        status =
            rz_shared_ring_consume(ring, &type, &record, sizeof record, &bytes, PATIENCE_NS, NULL);
        child_expect(status != RZ_OK || bytes <= sizeof record);
    }
    rz_shared_ring_close(ring);
    return true;
}

static void whatever_is_written_nobody_crashes_or_hangs(void **state)
{
    (void)state;
    uint64_t seed = random_seed();
    for (uint32_t i = 0; i < rounds; i++) {
        struct show *show = shared_memory(sizeof *show);
        *show = (struct show){.world = 4,
                              .first = 1,
                              .flags = i % 2 * RZ_SHARED_RING_EVICT,
                              .seed = random_next(&seed)};
        child_function *const functions[] = {produce, consume_anything, consume_anything,
                                             write_anything};
        for (uint32_t a = 0; a < show->world; a++) {
            struct actor actor = {.show = show, .index = a};
            show->actors[a].pid = child_start(functions[a], &actor);
        }
        assert_int_equal(child_wait(show->actors[3].pid), 0);
        show->stop = 1;
        for (uint32_t a = 0; a < 3; a++)
            assert_int_equal(child_wait(show->actors[a].pid), 0);
        shared_memory_free(show, sizeof *show);
    }
}

static void full_memory_is_an_error_when_a_ring_is_made(void **state)
{
    (void)state;
    char small[96];
    snprintf(small, sizeof small, "%s/small", scratch);
    assert_int_equal(mkdir(small, 0700), 0);
    if (mount("tmpfs", small, "tmpfs", MS_NOSUID | MS_NODEV, "size=256k") != 0) {
        assert_int_equal(rmdir(small), 0);
        skip();
    }
    uint64_t seed = random_seed();
    const int before = open_fds();
    uint32_t made = 0;
    for (uint32_t i = 0; i < rounds; i++) {
        struct rz_shared_ring_options options;
        rz_shared_ring_options_init(&options);
        options.record_bytes = 1 + (uint32_t)(random_next(&seed) % 8000);
        options.slots = 1u << random_next(&seed) % 8;
        options.consumers = 4;
        options.shm_dir = small;
        rz_shared_ring *ring = NULL;
        struct rz_error err;
        const int status = rz_shared_ring_create(&options, "ring", &ring, &err);
        if (status == RZ_OK) {
            made++;
            for (uint32_t s = 0; s < 2 * options.slots; s++)
                assert_int_equal(rz_shared_ring_publish(ring, 0, &options, 1, 0, NULL), RZ_OK);
            rz_shared_ring_close(ring);
        } else {
            assert_int_equal(status, RZ_E_SYS);
            assert_non_null(strstr(err.text, "room for"));
        }
        assert_int_equal(entries_of(small), 0);
        assert_int_equal(open_fds(), before);
    }
    assert_int_equal(umount(small), 0);
    assert_int_equal(rmdir(small), 0);
    assert_in_range(made, 1, rounds - 1);
}

/* The next ring of that name takes the place of what a killed producer has left. */
static int remove_leftover(void **state)
{
    struct rz_shared_ring_options options;
    rz_shared_ring_options_init(&options);
    options.record_bytes = 1;
    options.shm_dir = scratch;
    rz_shared_ring *ring = NULL;
    if (rz_shared_ring_create(&options, "ring", &ring, NULL) != RZ_OK)
        return -1;
    rz_shared_ring_close(ring);
    return scratch_teardown(state);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        rounds = (uint32_t)strtoul(argv[1], NULL, 10);
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, remove_leftover)
    const struct CMUnitTest tests[] = {
        TEST(killed_at_any_moment),
        TEST(stopped_at_any_moment),
        TEST(whatever_is_written_nobody_crashes_or_hangs),
        TEST(full_memory_is_an_error_when_a_ring_is_made),
    };
    return cmocka_run_group_tests_name("ring_faults", tests, NULL, NULL);
}
