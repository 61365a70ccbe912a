/* SPDX-License-Identifier: Apache-2.0
 *
 * test_shared_ring_threads.c - consumers that come and go while records are published, as threads,
 * for ThreadSanitizer to see.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "rankzero/ring.h"
#include "tests/ipc/support.h"

enum { RECORDS = 20000, SLOTS = 4, CONSUMERS = 3, WORDS = 6, LONG_VISIT = 100 };
#define LONG_NS (50 * SECOND_NS)

/* Every word of a record is its number. */
struct record {
    uint64_t words[WORDS];
};

static _Atomic int came; /* consumers that have come at least once */

struct visitor {
    uint64_t random;
    uint64_t visits, taken, evicted;
    int failed; /* a status that is none of those that may come, or 1: a wrong record */
    bool slow;
};

/* Take some records, each the next of the one before. False when the ring is over. */
static bool visit(struct visitor *self, rz_shared_ring *ring)
{
    uint64_t next = 0;
    for (uint64_t i = random_next(&self->random) % LONG_VISIT; i > 0; i--) {
        struct record record;
        uint32_t type;
        size_t bytes;
        if (self->slow && random_next(&self->random) % 32 == 0)
            usleep(3000);
        const int status =
            rz_shared_ring_consume(ring, &type, &record, sizeof record, &bytes, LONG_NS, NULL);
        if (status == RZ_E_EVICTED) {
            self->evicted++;
            return true;
        }
        if (status != RZ_OK) {
            self->failed = status == RZ_E_CLOSED ? 0 : status;
            return false;
        }
        const uint64_t sequence = record.words[0];
        bool right =
            bytes == sizeof record && type == (uint32_t)sequence && (next == 0 || sequence == next);
        for (size_t w = 1; w < WORDS; w++)
            right = right && record.words[w] == sequence;
        if (!right) {
            self->failed = 1;
            return false;
        }
        next = sequence + 1;
        self->taken++;
    }
    return true;
}

static void *come_and_go(void *argument)
{
    struct visitor *self = argument;
    for (bool goes_on = true; goes_on;) {
        rz_shared_ring *ring = NULL;
        const int status = rz_shared_ring_attach(scratch, "ring", 0, &ring, NULL);
        if (status != RZ_OK) {
            if (status != RZ_E_TIMEOUT && status != RZ_E_CLOSED)
                self->failed = status;
            break;
        }
        came += self->visits++ == 0;
        goes_on = visit(self, ring);
        rz_shared_ring_close(ring);
    }
    return NULL;
}

static void broadcast(uint32_t flags, uint64_t *seed)
{
    struct rz_shared_ring_options options;
    rz_shared_ring_options_init(&options);
    options.record_bytes = sizeof(struct record);
    options.slots = SLOTS;
    options.flags = flags;
    options.first_sequence = UINT32_MAX - 1000ull;
    options.shm_dir = scratch;
    rz_shared_ring *ring = NULL;
    struct rz_error err;
    assert_int_equal(rz_shared_ring_create(&options, "ring", &ring, &err), RZ_OK);
    came = 0;
    struct visitor visitors[CONSUMERS];
    pthread_t threads[CONSUMERS];
    for (int i = 0; i < CONSUMERS; i++) {
        visitors[i] = (struct visitor){.random = random_next(seed), .slow = flags != 0 && i == 0};
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &visitors[i]), 0);
    }
    assert_int_equal(rz_shared_ring_create(&options, "ring", &ring, &err), RZ_E_EXISTS);
    await(came == CONSUMERS);
    int status = RZ_OK;
    for (uint64_t i = 0; i < RECORDS && status == RZ_OK; i++) {
        struct record record;
        for (size_t w = 0; w < WORDS; w++)
            record.words[w] = options.first_sequence + i;
        status = rz_shared_ring_publish(ring, (uint32_t)record.words[0], &record, sizeof record,
                                        flags != 0 ? SECOND_NS / 1000 : LONG_NS, &err);
    }
    rz_shared_ring_close(ring);
    for (int i = 0; i < CONSUMERS; i++) {
        pthread_join(threads[i], NULL);
        print_message("%llu visits, %llu records, given up %llu times\n",
                      (unsigned long long)visitors[i].visits, (unsigned long long)visitors[i].taken,
                      (unsigned long long)visitors[i].evicted);
        assert_int_equal(visitors[i].failed, 0);
        if (flags == 0)
            assert_int_equal(visitors[i].evicted, 0);
    }
    if (status != RZ_OK)
        fail_msg("%s", err.text);
}

static void consumers_come_and_go(void **state)
{
    (void)state;
    uint64_t seed = random_seed();
    broadcast(0, &seed);
}

static void late_consumers_are_given_up_and_come_back(void **state)
{
    (void)state;
    uint64_t seed = random_seed();
    broadcast(RZ_SHARED_RING_EVICT, &seed);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(consumers_come_and_go),
        TEST(late_consumers_are_given_up_and_come_back),
    };
    return cmocka_run_group_tests_name("shared_ring_threads", tests, NULL, NULL);
}
