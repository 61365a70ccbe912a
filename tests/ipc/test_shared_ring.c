/* SPDX-License-Identifier: Apache-2.0
 *
 * test_shared_ring.c - rankzero/ring.h: consumers come late, leave, die or are too slow.
 */
#include "rankzero/ring.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/segment.h"
#include "tests/ipc/support.h"

enum { RECORD = 100, SLOTS = 4 };
#define NAME "ring"
#define LONG_NS (50 * SECOND_NS)
#define SOON_NS (SECOND_NS / 100)

static rz_shared_ring *create(uint32_t consumers, uint32_t flags, uint64_t first)
{
    struct rz_shared_ring_options options;
    rz_shared_ring_options_init(&options);
    options.record_bytes = RECORD;
    options.slots = SLOTS;
    options.consumers = consumers;
    options.flags = flags;
    options.first_sequence = first;
    options.shm_dir = scratch;
    rz_shared_ring *ring = NULL;
    struct rz_error err;
    if (rz_shared_ring_create(&options, NAME, &ring, &err) != RZ_OK)
        fail_msg("%s", err.text);
    return ring;
}

static rz_shared_ring *attach(void)
{
    rz_shared_ring *ring = NULL;
    struct rz_error err;
    child_expect_ok(rz_shared_ring_attach(scratch, NAME, LONG_NS, &ring, &err), err);
    return ring;
}

static int publish(rz_shared_ring *ring, uint64_t sequence, uint64_t timeout_ns,
                   struct rz_error *err)
{
    char record[RECORD];
    uint32_t type;
    const size_t bytes = record_make(sequence, record, sizeof record, &type);
    return rz_shared_ring_publish(ring, type, record, bytes, timeout_ns, err);
}

static void publish_all(rz_shared_ring *ring, uint64_t first, uint64_t last)
{
    for (uint64_t s = first; s <= last; s++) {
        struct rz_error err;
        child_expect_ok(publish(ring, s, LONG_NS, &err), err);
    }
}

/* Take the next record, which is this one. */
static int take(rz_shared_ring *ring, uint64_t sequence, uint64_t timeout_ns, struct rz_error *err)
{
    char record[RECORD];
    uint32_t type;
    size_t bytes;
    const int status =
        rz_shared_ring_consume(ring, &type, record, sizeof record, &bytes, timeout_ns, err);
    if (status == RZ_OK)
        child_expect(record_is(sequence, type, record, bytes, sizeof record));
    return status;
}

static void take_all(rz_shared_ring *ring, uint64_t first, uint64_t last)
{
    for (uint64_t s = first; s <= last; s++) {
        struct rz_error err;
        child_expect_ok(take(ring, s, LONG_NS, &err), err);
    }
}

static void arguments_are_checked(void **state)
{
    (void)state;
    const int before = open_fds();
    rz_shared_ring *ring = NULL;
    struct rz_error err;
    struct rz_shared_ring_options good;
    rz_shared_ring_options_init(&good);
    good.record_bytes = 8;
    good.shm_dir = scratch;
    struct rz_shared_ring_options bad[7];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        bad[i] = good;
    bad[0].record_bytes = 0;
    bad[1].record_bytes = RZ_SHARED_RING_RECORD_BYTES + 1;
    bad[2].slots = 3;
    bad[3].slots = 2 * RZ_SHARED_RING_SLOTS;
    bad[4].consumers = RZ_SHARED_RING_CONSUMERS + 1;
    bad[5].flags = 2;
    bad[6].size = 3;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(rz_shared_ring_create(&bad[i], NAME, &ring, &err), RZ_E_ARG);
    assert_int_equal(rz_shared_ring_create(NULL, NAME, &ring, &err), RZ_E_ARG);
    assert_int_equal(rz_shared_ring_create(&good, NAME, NULL, &err), RZ_E_ARG);
    assert_int_equal(rz_shared_ring_create(&good, "../x", &ring, &err), RZ_E_ARG);
    assert_int_equal(rz_shared_ring_attach(scratch, "", 0, &ring, &err), RZ_E_ARG);
    assert_int_equal(rz_shared_ring_attach(scratch, NAME, 0, NULL, &err), RZ_E_ARG);
    assert_int_equal(rz_shared_ring_attach(scratch, NAME, 0, &ring, &err), RZ_E_TIMEOUT);
    good.shm_dir = "/nowhere";
    assert_int_equal(rz_shared_ring_create(&good, NAME, &ring, &err), RZ_E_SYS);
    assert_null(ring);

    rz_shared_ring *producer = create(1, 0, 0);
    rz_shared_ring *consumer = attach();
    assert_int_equal(rz_shared_ring_rank(producer), 0);
    assert_int_equal(rz_shared_ring_rank(consumer), 1);
    assert_int_equal(rz_shared_ring_record_bytes(consumer), RECORD);
    char record[RECORD + 1] = "";
    uint32_t type;
    size_t bytes;
    assert_int_equal(rz_shared_ring_publish(producer, 0, record, RECORD + 1, 0, &err), RZ_E_ARG);
    assert_int_equal(rz_shared_ring_publish(producer, 0, NULL, 1, 0, &err), RZ_E_ARG);
    assert_int_equal(rz_shared_ring_publish(consumer, 0, record, 1, 0, &err), RZ_E_STATE);
    assert_int_equal(rz_shared_ring_seal(consumer, 0, 0, &err), RZ_E_STATE);
    assert_int_equal(rz_shared_ring_seal(producer, 2, 0, &err), RZ_E_ARG);
    assert_int_equal(rz_shared_ring_poll(producer), RZ_E_STATE);
    assert_int_equal(rz_shared_ring_arm(producer, 0), RZ_E_STATE);
    assert_int_equal(rz_shared_ring_consume(producer, &type, record, RECORD, &bytes, 0, &err),
                     RZ_E_STATE);
    assert_int_equal(rz_shared_ring_consume(consumer, &type, record, RECORD - 1, &bytes, 0, &err),
                     RZ_E_ARG);
    assert_int_equal(rz_shared_ring_attach(scratch, NAME, 0, &ring, &err), RZ_E_EXISTS);
    assert_int_equal(rz_shared_ring_create(&(struct rz_shared_ring_options){.size = sizeof good,
                                                                            .record_bytes = 8,
                                                                            .shm_dir = scratch},
                                           NAME, &ring, &err),
                     RZ_E_EXISTS);
    assert_int_equal(rz_shared_ring_poll(consumer), 0);
    assert_int_equal(rz_shared_ring_publish(producer, 7, NULL, 0, 0, &err), RZ_OK);
    assert_int_equal(rz_shared_ring_poll(consumer), 1);
    assert_int_equal(rz_shared_ring_consume(consumer, &type, record, RECORD, &bytes, 0, &err),
                     RZ_OK);
    assert_int_equal(type, 7);
    assert_int_equal(bytes, 0);
    rz_shared_ring_close(producer);
    rz_shared_ring_close(consumer);
    rz_shared_ring_close(NULL);
    assert_int_equal(open_fds(), before);
}

static void consumer_that_comes_late_starts_at_the_next_record(void **state)
{
    (void)state;
    const uint64_t firsts[] = {1, UINT32_MAX - 5ull, INT32_MAX - 5ull, UINT64_C(1) << 40};
    for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
        for (uint64_t late = 0; late <= 3 * SLOTS; late++) {
            const uint64_t next = firsts[i] + late;
            rz_shared_ring *producer = create(0, 0, firsts[i]);
            publish_all(producer, firsts[i], next - 1); /* to nobody */
            rz_shared_ring *consumer = attach();
            assert_int_equal(rz_shared_ring_poll(consumer), 0);
            publish_all(producer, next, next + SLOTS - 1);
            assert_int_equal(publish(producer, 0, SOON_NS, NULL), RZ_E_TIMEOUT);
            take_all(consumer, next, next + SLOTS - 1);
            publish_all(producer, next + SLOTS, next + SLOTS);
            take_all(consumer, next + SLOTS, next + SLOTS);
            rz_shared_ring_close(consumer);
            rz_shared_ring_close(producer);
        }
    }
}

static void consumer_that_leaves_frees_its_place(void **state)
{
    (void)state;
    rz_shared_ring *producer = create(2, 0, 0);
    rz_shared_ring *stays = attach();
    uint64_t next = 1;
    for (int i = 0; i < 20; i++) {
        rz_shared_ring *leaves = attach();
        assert_int_equal(rz_shared_ring_rank(leaves), 2);
        publish_all(producer, next, next + SLOTS - 1);
        take_all(leaves, next, next + (uint64_t)i % SLOTS);
        take_all(stays, next, next + SLOTS - 1);
        next += SLOTS;
        rz_shared_ring_close(leaves); /* before it has taken all */
        publish_all(producer, next, next + SLOTS - 1);
        take_all(stays, next, next + SLOTS - 1);
        next += SLOTS;
    }
    rz_shared_ring_close(stays);
    publish_all(producer, next, next + 3 * SLOTS); /* to nobody */
    rz_shared_ring_close(producer);
}

static void *leave_later(void *argument)
{
    usleep(20000);
    rz_shared_ring_close(argument);
    return NULL;
}

static void leaving_wakes_a_producer_that_waits_for_room(void **state)
{
    (void)state;
    rz_shared_ring *producer = create(0, 0, 0);
    rz_shared_ring *consumer = attach();
    publish_all(producer, 1, SLOTS);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, leave_later, consumer), 0);
    publish_all(producer, SLOTS + 1, 3 * SLOTS);
    pthread_join(thread, NULL);
    rz_shared_ring_close(producer);
}

static void what_was_published_can_be_taken_after_the_producer_has_closed(void **state)
{
    (void)state;
    rz_shared_ring *producer = create(0, 0, 0);
    rz_shared_ring *consumer = attach();
    publish_all(producer, 1, 3);
    rz_shared_ring_close(producer);
    assert_int_equal(entries_of(scratch), 0);
    struct rz_error err;
    take_all(consumer, 1, 3);
    assert_int_equal(take(consumer, 4, LONG_NS, &err), RZ_E_CLOSED);
    assert_int_equal(err.rank, 0);
    rz_shared_ring_close(consumer);
}

static void late_consumer_is_given_up_and_knows_it(void **state)
{
    (void)state;
    for (uint64_t taken = 0; taken < SLOTS; taken++) {
        rz_shared_ring *producer = create(2, RZ_SHARED_RING_EVICT, 0);
        rz_shared_ring *slow = attach();
        rz_shared_ring *good = attach();
        publish_all(producer, 1, SLOTS);
        take_all(slow, 1, taken);
        take_all(good, 1, SLOTS);
        publish_all(producer, SLOTS + 1, SLOTS + taken);
        take_all(good, SLOTS + 1, SLOTS + taken);
        struct rz_error err;
        /* Full because of it, until the limit. */
        assert_int_equal(publish(producer, SLOTS + taken + 1, SOON_NS, &err), RZ_OK);
        assert_int_equal(take(slow, 0, LONG_NS, &err), RZ_E_EVICTED);
        assert_int_equal(err.rank, rz_shared_ring_rank(slow));
        take_all(good, SLOTS + taken + 1, SLOTS + taken + 1);
        /* Its place is had by the next as soon as it has closed. */
        rz_shared_ring *ring = NULL;
        assert_int_equal(rz_shared_ring_attach(scratch, NAME, 0, &ring, NULL), RZ_E_EXISTS);
        assert_int_equal(take(slow, 0, LONG_NS, &err), RZ_E_EVICTED);
        rz_shared_ring_close(slow);
        rz_shared_ring *next = attach();
        publish_all(producer, SLOTS + taken + 2, 2 * SLOTS + taken + 1);
        take_all(next, SLOTS + taken + 2, 2 * SLOTS + taken + 1);
        take_all(good, SLOTS + taken + 2, 2 * SLOTS + taken + 1);
        rz_shared_ring_close(next);
        rz_shared_ring_close(good);
        rz_shared_ring_close(producer);
    }
}

static void late_consumer_is_named_where_none_is_given_up(void **state)
{
    (void)state;
    rz_shared_ring *producer = create(0, 0, 0);
    rz_shared_ring *first = attach();
    rz_shared_ring *second = attach();
    publish_all(producer, 1, SLOTS);
    take_all(first, 1, SLOTS);
    struct rz_error err;
    assert_int_equal(publish(producer, SLOTS + 1, SOON_NS, &err), RZ_E_TIMEOUT);
    assert_int_equal(err.rank, 2);
    take_all(second, 1, SLOTS);
    publish_all(producer, SLOTS + 1, SLOTS + 1);
    rz_shared_ring_close(second);
    rz_shared_ring_close(first);
    rz_shared_ring_close(producer);
}

static bool create_and_stay(void *argument)
{
    _Atomic int *there = argument;
    create(0, 0, 0);
    ++*there;
    pause();
    return false;
}

static void who_polls_learns_of_the_end(void **state)
{
    (void)state;
    void *memory = shared_memory(sizeof(int));
    _Atomic int *there = memory;
    const pid_t pid = child_start(create_and_stay, memory);
    await(*there == 1);
    rz_shared_ring *consumer = attach();
    struct rz_error err;
    for (int i = 0; i < 5000; i++)
        assert_int_equal(rz_shared_ring_poll(consumer), 0);
    kill(pid, SIGKILL);
    await(rz_shared_ring_poll(consumer) == 1);
    assert_int_equal(take(consumer, 1, 0, &err), RZ_E_PEER_DIED);
    assert_int_equal(err.rank, 0);
    rz_shared_ring_close(consumer);
    assert_int_equal(child_wait(pid), 1000 + SIGKILL);

    rz_shared_ring *producer = create(0, 0, 0); /* in the place of what is left */
    consumer = attach();
    assert_int_equal(rz_shared_ring_poll(consumer), 0);
    rz_shared_ring_close(producer);
    assert_int_equal(rz_shared_ring_poll(consumer), 1);
    assert_int_equal(take(consumer, 1, 0, &err), RZ_E_CLOSED);
    rz_shared_ring_close(consumer);
    shared_memory_free(memory, sizeof(int));
}

static bool attach_and_stay(void *argument)
{
    _Atomic int *there = argument;
    attach();
    ++*there;
    pause();
    return false;
}

static void dead_consumer_ends_the_ring_or_is_given_up(void **state)
{
    (void)state;
    for (uint32_t flags = 0; flags <= RZ_SHARED_RING_EVICT; flags++) {
        void *memory = shared_memory(sizeof(int));
        _Atomic int *there = memory;
        rz_shared_ring *producer = create(0, flags, 0);
        rz_shared_ring *good = attach();
        const pid_t pid = child_start(attach_and_stay, memory);
        await(*there == 1);
        publish_all(producer, 1, SLOTS - 1);
        take_all(good, 1, SLOTS - 1);
        kill(pid, SIGKILL);
        assert_int_equal(child_wait(pid), 1000 + SIGKILL);
        struct rz_error err;
        if (flags == 0) {
            /* Although there is room. */
            assert_int_equal(publish(producer, SLOTS, LONG_NS, &err), RZ_E_PEER_DIED);
            assert_int_equal(err.rank, 2);
            assert_int_equal(take(good, SLOTS, LONG_NS, &err), RZ_E_PEER_DIED);
            assert_int_equal(err.rank, 2);
        } else {
            publish_all(producer, SLOTS, 2 * SLOTS - 1);
            take_all(good, SLOTS, 2 * SLOTS - 1);
            assert_int_equal(take(good, 0, SOON_NS, &err), RZ_E_TIMEOUT);
        }
        rz_shared_ring_close(good);
        rz_shared_ring_close(producer);
        shared_memory_free(memory, sizeof(int));
    }
}

static void who_takes_the_place_of_the_dead_does_not_hide_the_death(void **state)
{
    (void)state;
    for (uint32_t flags = 0; flags <= RZ_SHARED_RING_EVICT; flags++) {
        void *memory = shared_memory(sizeof(int));
        _Atomic int *there = memory;
        rz_shared_ring *producer = create(1, flags, 0);
        const pid_t pid = child_start(attach_and_stay, memory);
        await(*there == 1);
        kill(pid, SIGKILL);
        assert_int_equal(child_wait(pid), 1000 + SIGKILL);
        struct rz_error err;
        rz_shared_ring *next = NULL;
        const int status = rz_shared_ring_attach(scratch, NAME, 0, &next, &err);
        if (flags == 0) {
            assert_int_equal(status, RZ_E_PEER_DIED);
            assert_int_equal(err.rank, 1);
            assert_int_equal(publish(producer, 1, 0, &err), RZ_E_PEER_DIED);
        } else {
            assert_int_equal(status, RZ_OK);
            publish_all(producer, 1, SLOTS);
            take_all(next, 1, SLOTS);
        }
        rz_shared_ring_close(next);
        rz_shared_ring_close(producer);
        shared_memory_free(memory, sizeof(int));
    }
}

static void sealing_goes_on_without_the_dead_where_they_are_given_up(void **state)
{
    (void)state;
    void *memory = shared_memory(sizeof(int));
    _Atomic int *there = memory;
    rz_shared_ring *producer = create(0, RZ_SHARED_RING_EVICT, 0);
    rz_shared_ring *consumer = attach();
    const pid_t pid = child_start(attach_and_stay, memory);
    await(*there == 1);
    kill(pid, SIGKILL);
    assert_int_equal(child_wait(pid), 1000 + SIGKILL);
    struct rz_error err;
    assert_int_equal(rz_shared_ring_seal(producer, 3, SOON_NS, &err), RZ_E_TIMEOUT);
    assert_int_equal(rz_shared_ring_seal(producer, 2, SOON_NS, &err), RZ_E_TIMEOUT);
    assert_int_equal(rz_shared_ring_seal(producer, 1, 0, &err), RZ_OK);
    rz_shared_ring_close(consumer);
    rz_shared_ring_close(producer);
    shared_memory_free(memory, sizeof(int));
}

static void *attach_in_thread(void *argument)
{
    *(rz_shared_ring **)argument = attach();
    return NULL;
}

static void *create_in_thread(void *argument)
{
    *(rz_shared_ring **)argument = create(0, 0, 0);
    return NULL;
}

/* Which looks like a death to the kernel. */
static void threads_that_opened_a_ring_may_end(void **state)
{
    (void)state;
    rz_shared_ring *producer = NULL;
    rz_shared_ring *consumer = NULL;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, create_in_thread, &producer), 0);
    pthread_join(thread, NULL);
    assert_int_equal(pthread_create(&thread, NULL, attach_in_thread, &consumer), 0);
    pthread_join(thread, NULL);
    struct rz_error err;
    for (uint64_t s = 1; s < 20; s += SLOTS) {
        assert_int_equal(rz_shared_ring_poll(consumer), 0);
        assert_int_equal(take(consumer, 0, SOON_NS, &err), RZ_E_TIMEOUT);
        publish_all(producer, s, s + SLOTS - 1);
        assert_int_equal(publish(producer, 0, SOON_NS, &err), RZ_E_TIMEOUT);
        take_all(consumer, s, s + SLOTS - 1);
    }
    rz_shared_ring_close(consumer);
    rz_shared_ring_close(producer);
}

static void sealed_ring_has_no_name(void **state)
{
    (void)state;
    void *memory = shared_memory(sizeof(int));
    rz_shared_ring *producer = create(0, 0, 0);
    struct rz_error err;
    assert_int_equal(rz_shared_ring_seal(producer, 1, SOON_NS, &err), RZ_E_TIMEOUT);
    assert_int_equal(err.rank, 1);
    assert_int_equal(entries_of(scratch), 1);
    const pid_t pid = child_start(attach_and_stay, memory);
    assert_int_equal(rz_shared_ring_seal(producer, 1, LONG_NS, &err), RZ_OK);
    assert_int_equal(entries_of(scratch), 0);
    rz_shared_ring *ring = NULL;
    assert_int_equal(rz_shared_ring_attach(scratch, NAME, 0, &ring, &err), RZ_E_TIMEOUT);
    kill(pid, SIGKILL);
    assert_int_equal(child_wait(pid), 1000 + SIGKILL);
    rz_shared_ring_close(producer);
    shared_memory_free(memory, sizeof(int));
}

static void ring_of_a_dead_producer_is_replaced(void **state)
{
    (void)state;
    const pid_t pid = fork();
    if (pid == 0) {
        create(0, 0, 0);
        _exit(0);
    }
    assert_int_equal(child_wait(pid), 0);
    assert_int_equal(entries_of(scratch), 1);
    rz_shared_ring *producer = create(0, 0, 0);
    rz_shared_ring_close(attach());
    rz_shared_ring_close(producer);
}

static void child_closes_what_it_has_and_the_ring_goes_on(void **state)
{
    (void)state;
    rz_shared_ring *producer = create(0, 0, 0);
    rz_shared_ring *consumer = attach();
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        rz_shared_ring_close(consumer);
        rz_shared_ring_close(producer);
        _exit(0);
    }
    assert_int_equal(child_wait(pid), 0);
    assert_int_equal(entries_of(scratch), 1);
    publish_all(producer, 1, SLOTS);
    take_all(consumer, 1, SLOTS);
    rz_shared_ring_close(producer);
    rz_shared_ring_close(consumer);
}

static void there_is_room_for_64_consumers(void **state)
{
    (void)state;
    rz_shared_ring *producer = create(0, 0, UINT32_MAX - 3ull);
    rz_shared_ring *consumers[RZ_SHARED_RING_CONSUMERS];
    rz_shared_ring *ring = NULL;
    for (uint32_t i = 0; i < RZ_SHARED_RING_CONSUMERS; i++) {
        consumers[i] = attach();
        assert_int_equal(rz_shared_ring_rank(consumers[i]), i + 1);
    }
    assert_int_equal(rz_shared_ring_attach(scratch, NAME, 0, &ring, NULL), RZ_E_EXISTS);
    assert_int_equal(rz_shared_ring_seal(producer, RZ_SHARED_RING_CONSUMERS, 0, NULL), RZ_OK);
    for (uint64_t s = UINT32_MAX - 3ull; s < UINT32_MAX + 10ull; s++) {
        publish_all(producer, s, s);
        for (uint32_t i = 0; i < RZ_SHARED_RING_CONSUMERS; i++)
            take_all(consumers[i], s, s);
    }
    for (uint32_t i = 0; i < RZ_SHARED_RING_CONSUMERS; i++)
        rz_shared_ring_close(consumers[i]);
    rz_shared_ring_close(producer);
}

/* What has the name is a segment, but no ring that this version makes. */
static void other_segments_are_no_rings(void **state)
{
    (void)state;
    const size_t page = rz_segment_page_bytes();
    rz_shared_ring *ring = NULL;
    struct rz_error err;
    struct rz_segment segment;
    assert_int_equal(rz_segment_create(scratch, NAME, 3 * page, &segment, NULL), RZ_OK);
    assert_int_equal(rz_segment_publish(&segment, NULL), RZ_OK);
    assert_int_equal(rz_shared_ring_attach(scratch, NAME, LONG_NS, &ring, &err), RZ_E_CORRUPT);
    rz_segment_close(&segment);

    uint64_t seed = random_seed();
    for (int i = 0; i < 500; i++) {
        rz_shared_ring *producer = create(1 + (uint32_t)(random_next(&seed) % 5), 0, 0);
        const int fd = open(segment_path(NAME), O_RDWR);
        assert_true(fd >= 0);
        /* The first bytes are what is checked; a few change. */
        const uint64_t word = random_next(&seed);
        const size_t bytes = 1 + (size_t)(random_next(&seed) % 8);
        const off_t at = (off_t)(page + random_next(&seed) % 40);
        assert_int_equal(pwrite(fd, &word, bytes, at), bytes);
        close(fd);
        const int status = rz_shared_ring_attach(scratch, NAME, 0, &ring, &err);
        if (status == RZ_OK)
            rz_shared_ring_close(ring);
        else
            assert_true(status == RZ_E_CORRUPT || status == RZ_E_TIMEOUT);
        rz_shared_ring_close(producer);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(arguments_are_checked),
        TEST(consumer_that_comes_late_starts_at_the_next_record),
        TEST(consumer_that_leaves_frees_its_place),
        TEST(leaving_wakes_a_producer_that_waits_for_room),
        TEST(what_was_published_can_be_taken_after_the_producer_has_closed),
        TEST(who_polls_learns_of_the_end),
        TEST(late_consumer_is_given_up_and_knows_it),
        TEST(late_consumer_is_named_where_none_is_given_up),
        TEST(dead_consumer_ends_the_ring_or_is_given_up),
        TEST(who_takes_the_place_of_the_dead_does_not_hide_the_death),
        TEST(sealing_goes_on_without_the_dead_where_they_are_given_up),
        TEST(threads_that_opened_a_ring_may_end),
        TEST(sealed_ring_has_no_name),
        TEST(ring_of_a_dead_producer_is_replaced),
        TEST(child_closes_what_it_has_and_the_ring_goes_on),
        TEST(there_is_room_for_64_consumers),
        TEST(other_segments_are_no_rings),
    };
    return cmocka_run_group_tests_name("shared_ring", tests, NULL, NULL);
}
