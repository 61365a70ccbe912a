/* SPDX-License-Identifier: Apache-2.0
 *
 * test_ring_threads.c - one producer and up to seven consumers as threads, for ThreadSanitizer to
 * see; and a producer that breaks the rules.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ipc/ring.h"
#include "tests/ipc/futex_spy.h"
#include "tests/ipc/support.h"

enum { RECORDS = 100000, CAPACITY = 100, LONG_SLEEP_S = 10 };

struct ring_memory {
    void *data;
    void *control;
    _Atomic uint64_t sleepers;
    uint32_t slots;
    uint32_t world;
    uint32_t records;
    uint64_t first;
    uint64_t spin_ns;
};

struct participant {
    struct ring_memory *memory;
    struct rz_waiter waiter;
    struct rz_ring ring;
    uint64_t random;
    int status;
    struct rz_error err;
    uint64_t taken; /* records that were right */
};

static int all_is_well(void *context, struct rz_error *err)
{
    (void)context, (void)err;
    return RZ_OK;
}

static void make_memory(struct ring_memory *memory)
{
    const size_t data_bytes = rz_ring_data_bytes(memory->slots, CAPACITY);
    const size_t control_bytes = rz_ring_control_bytes(memory->world);
    memory->data = aligned_alloc(RZ_LINE_BYTES, data_bytes);
    memory->control = aligned_alloc(RZ_LINE_BYTES, control_bytes);
    assert_non_null(memory->data);
    assert_non_null(memory->control);
    memset(memory->data, 0, data_bytes);
    memset(memory->control, 0, control_bytes);
}

static void open_participant(struct participant *participant, struct ring_memory *memory,
                             uint32_t rank, uint32_t world)
{
    *participant = (struct participant){.memory = memory,
                                        .waiter = {.sleepers = &memory->sleepers,
                                                   .rank = rank,
                                                   .spin_ns = memory->spin_ns,
                                                   .watch = all_is_well}};
    const struct rz_ring_config config = {.data = memory->data,
                                          .control = memory->control,
                                          .slots = memory->slots,
                                          .payload_bytes = CAPACITY,
                                          .rank = rank,
                                          .producer = 0,
                                          .world = world,
                                          .first_sequence = memory->first,
                                          .waiter = &participant->waiter};
    rz_ring_open(&participant->ring, &config);
}

/* Now and then be late, so that the ring is sometimes full and sometimes empty. */
static void dawdle(uint64_t *random)
{
    const uint64_t r = random_next(random);
    if (r % 64 == 0)
        for (uint64_t i = r >> 52; i > 0; i--)
            atomic_signal_fence(memory_order_seq_cst);
}

static void *produce(void *argument)
{
    struct participant *self = argument;
    for (uint32_t i = 0; i < self->memory->records && self->status == RZ_OK; i++) {
        char payload[CAPACITY];
        uint32_t type;
        const size_t bytes = record_make(self->ring.next, payload, CAPACITY, &type);
        dawdle(&self->random);
        self->status =
            rz_ring_publish(&self->ring, type, payload, bytes, in_seconds(50), &self->err);
    }
    return NULL;
}

static void *take_all(void *argument)
{
    struct participant *self = argument;
    for (uint32_t i = 0; i < self->memory->records; i++) {
        char payload[CAPACITY];
        uint32_t type;
        size_t bytes;
        dawdle(&self->random);
        self->status = rz_ring_consume(&self->ring, &type, payload, sizeof payload, &bytes,
                                       in_seconds(50), &self->err);
        if (self->status != RZ_OK)
            break;
        self->taken += record_is(self->memory->first + i, type, payload, bytes, CAPACITY);
    }
    return NULL;
}

static void broadcast(uint32_t consumers, uint32_t slots, uint64_t spin_ns, uint64_t *seed)
{
    enum { MOST = 8 };
    futex_spy_reset();
    atomic_store(&futex_spy()->long_sleep_s, LONG_SLEEP_S);
    struct ring_memory memory = {.slots = slots,
                                 .world = consumers + 1,
                                 .records = RECORDS / (consumers + 1) / (slots == 1 ? 10 : 1),
                                 .first = UINT32_MAX - 1000ull,
                                 .spin_ns = spin_ns};
    make_memory(&memory);
    struct participant ranks[MOST];
    pthread_t threads[MOST];
    for (uint32_t r = 0; r < memory.world; r++) {
        open_participant(&ranks[r], &memory, r, memory.world);
        ranks[r].random = random_next(seed);
    }
    for (uint32_t r = 0; r < memory.world; r++)
        assert_int_equal(pthread_create(&threads[r], NULL, r == 0 ? produce : take_all, &ranks[r]),
                         0);
    for (uint32_t r = 0; r < memory.world; r++)
        pthread_join(threads[r], NULL);
    for (uint32_t r = 0; r < memory.world; r++) {
        if (ranks[r].status != RZ_OK)
            fail_msg("rank %u of %u: %s", r, memory.world, ranks[r].err.text);
        if (r > 0)
            assert_int_equal(ranks[r].taken, memory.records);
    }
    assert_int_equal(futex_spy()->lost, 0);
    assert_true(memory.sleepers == 0);
    free(memory.data);
    free(memory.control);
}

static void every_consumer_gets_every_record(void **state)
{
    (void)state;
    uint64_t seed = random_seed();
    const uint32_t consumers[] = {1, 2, 3, 7};
    const uint32_t slots[] = {1, 2, 16};
    for (size_t c = 0; c < sizeof consumers / sizeof consumers[0]; c++)
        for (size_t s = 0; s < sizeof slots / sizeof slots[0]; s++)
            broadcast(consumers[c], slots[s], s == 1 ? 2000 : 0, &seed);
}

/* ------------------------------------------------------------------------------------------------
 * A producer that knows of no consumer overwrites what is being read
 */

enum { RECORDS_TO_TAKE = 20000, WORDS = 12 };

struct rogue {
    struct participant producer;
    _Atomic int stop;
};

static void *overwrite(void *argument)
{
    struct rogue *rogue = argument;
    while (atomic_load_explicit(&rogue->stop, memory_order_relaxed) == 0) {
        uint64_t words[WORDS];
        for (size_t i = 0; i < WORDS; i++)
            words[i] = rogue->producer.ring.next;
        rz_ring_publish(&rogue->producer.ring, (uint32_t)rogue->producer.ring.next, words,
                        sizeof words, 0, NULL);
    }
    return NULL;
}

static void record_that_is_overwritten_while_it_is_read_is_never_taken(void **state)
{
    (void)state;
    struct ring_memory memory = {.slots = 2, .world = 2, .first = 1};
    make_memory(&memory);
    struct rogue rogue = {.stop = 0};
    struct participant reader;
    open_participant(&rogue.producer, &memory, 0, 1);
    open_participant(&reader, &memory, 1, 2);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, overwrite, &rogue), 0);
    int taken = 0;
    int wrong = 0;
    while (taken < RECORDS_TO_TAKE && wrong == 0) {
        uint64_t words[WORDS];
        uint32_t type;
        size_t bytes;
        const int status =
            rz_ring_consume(&reader.ring, &type, words, sizeof words, &bytes, in_seconds(50), NULL);
        if (status == RZ_E_CORRUPT) { /* lapped: go on where the producer is */
            const struct rz_ring_tail *tail = memory.data;
            const uint32_t ahead = atomic_load_explicit(&tail->published, memory_order_acquire) -
                                   (uint32_t)reader.ring.next;
            reader.ring.next += ahead;
            continue;
        }
        wrong += status != RZ_OK || bytes != sizeof words || type != (uint32_t)words[0] ||
                 words[0] != reader.ring.next - 1;
        for (size_t i = 1; i < WORDS; i++)
            wrong += words[i] != words[0];
        taken++;
    }
    atomic_store(&rogue.stop, 1);
    pthread_join(thread, NULL);
    assert_int_equal(wrong, 0);
    free(memory.data);
    free(memory.control);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_consumer_gets_every_record),
        cmocka_unit_test(record_that_is_overwritten_while_it_is_read_is_never_taken),
    };
    return cmocka_run_group_tests_name("ring_threads", tests, NULL, NULL);
}
