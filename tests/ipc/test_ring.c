/* SPDX-License-Identifier: Apache-2.0
 *
 * test_ring.c - the ring step by step, in one thread and in plain memory.
 */
#include "ipc/ring.h"

#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "internal/clock.h"
#include "tests/ipc/futex_spy.h"
#include "tests/ipc/support.h"

enum { WORLD = 3, SLOTS = 4, CAPACITY = 40 };

/* Rank 0 produces, all ranks in one process. */
struct scene {
    char *data;
    struct rz_ring_cursor *cursors;
    size_t data_bytes, control_bytes;
    _Atomic uint64_t sleepers;
    struct rz_waiter waiters[WORLD];
    struct rz_ring ranks[WORLD];
    int verdict; /* of the watch */
};

static int look(void *context, struct rz_error *err)
{
    const struct scene *scene = context;
    return scene->verdict == RZ_OK ? RZ_OK : rz_fail(err, scene->verdict, 2, 0, "rank 2 is gone");
}

static void open_ring(struct scene *scene, uint64_t first_sequence)
{
    *scene = (struct scene){.data_bytes = rz_ring_data_bytes(SLOTS, CAPACITY),
                            .control_bytes = rz_ring_control_bytes(WORLD)};
    scene->data = aligned_alloc(RZ_LINE_BYTES, scene->data_bytes);
    scene->cursors = aligned_alloc(RZ_LINE_BYTES, scene->control_bytes);
    assert_non_null(scene->data);
    assert_non_null(scene->cursors);
    memset(scene->data, 0, scene->data_bytes);
    memset(scene->cursors, 0, scene->control_bytes);
    for (uint32_t r = 0; r < WORLD; r++) {
        scene->waiters[r] = (struct rz_waiter){
            .sleepers = &scene->sleepers, .rank = r, .watch = look, .watch_context = scene};
        const struct rz_ring_config config = {.data = scene->data,
                                              .control = scene->cursors,
                                              .slots = SLOTS,
                                              .payload_bytes = CAPACITY,
                                              .rank = r,
                                              .producer = 0,
                                              .world = WORLD,
                                              .first_sequence = first_sequence,
                                              .waiter = &scene->waiters[r]};
        rz_ring_open(&scene->ranks[r], &config);
    }
}

static void close_ring(struct scene *scene)
{
    free(scene->data);
    free(scene->cursors);
}

static uint64_t soon(void)
{
    return rz_clock_ns() + SECOND_NS / 100;
}

static int publish(struct scene *scene, uint64_t deadline, struct rz_error *err)
{
    char payload[CAPACITY];
    uint32_t type;
    const size_t bytes = record_make(scene->ranks[0].next, payload, CAPACITY, &type);
    return rz_ring_publish(&scene->ranks[0], type, payload, bytes, deadline, err);
}

static void expect_publish(struct scene *scene)
{
    struct rz_error err;
    if (publish(scene, 0, &err) != RZ_OK) /* without waiting */
        fail_msg("%s", err.text);
}

/* Rank `rank` takes the record with this sequence number, without waiting. */
static void expect_consume(struct scene *scene, uint32_t rank, uint64_t sequence)
{
    char payload[CAPACITY];
    uint32_t type;
    size_t bytes;
    struct rz_error err;
    assert_int_equal(rz_ring_poll(&scene->ranks[rank]), 1);
    if (rz_ring_consume(&scene->ranks[rank], &type, payload, sizeof payload, &bytes, 0, &err) !=
        RZ_OK)
        fail_msg("%s", err.text);
    assert_true(record_is(sequence, type, payload, bytes, CAPACITY));
}

static int consume(struct scene *scene, uint32_t rank, uint64_t deadline, struct rz_error *err)
{
    char payload[CAPACITY];
    uint32_t type;
    size_t bytes;
    return rz_ring_consume(&scene->ranks[rank], &type, payload, sizeof payload, &bytes, deadline,
                           err);
}

static void records_of_every_length_arrive_as_they_were_sent(void **state)
{
    (void)state;
    struct scene scene;
    open_ring(&scene, 1);
    for (size_t length = 0; length <= CAPACITY; length++) {
        char sent[CAPACITY];
        memset(sent, (int)length + 1, sizeof sent);
        const uint32_t kind = UINT32_MAX - (uint32_t)length;
        assert_int_equal(rz_ring_publish(&scene.ranks[0], kind, sent, length, 0, NULL), RZ_OK);
        for (uint32_t r = 1; r < WORLD; r++) {
            char got[CAPACITY + 1];
            memset(got, 0x7E, sizeof got);
            uint32_t type;
            size_t bytes;
            assert_int_equal(rz_ring_consume(&scene.ranks[r], &type, got, length, &bytes, 0, NULL),
                             RZ_OK);
            assert_int_equal(type, kind);
            assert_int_equal(bytes, length);
            assert_memory_equal(got, sent, length);
            assert_int_equal(got[length], 0x7E); /* not a byte more is written */
        }
    }
    close_ring(&scene);
}

static void full_ring_names_the_slowest_rank_and_keeps_order(void **state)
{
    (void)state;
    struct scene scene;
    open_ring(&scene, 1);
    for (int i = 0; i < SLOTS; i++)
        expect_publish(&scene);
    for (uint64_t s = 1; s <= SLOTS; s++)
        expect_consume(&scene, 1, s);
    for (int again = 0; again < 3; again++) {
        struct rz_error err = {0};
        const uint64_t deadline = soon();
        assert_int_equal(publish(&scene, deadline, &err), RZ_E_TIMEOUT);
        assert_true(rz_clock_ns() >= deadline);
        assert_int_equal(err.rank, 2);
        assert_non_null(strstr(err.text, "rank 2"));
        assert_non_null(strstr(err.text, "full ring"));
    }
    assert_int_equal(rz_ring_poll(&scene.ranks[1]), 0); /* nothing came of it */

    expect_consume(&scene, 2, 1);
    expect_publish(&scene);
    assert_int_equal(publish(&scene, soon(), NULL), RZ_E_TIMEOUT);
    for (uint64_t s = 2; s <= SLOTS + 1; s++)
        expect_consume(&scene, 2, s);
    expect_consume(&scene, 1, SLOTS + 1);
    for (uint32_t r = 1; r < WORLD; r++)
        assert_int_equal(rz_ring_poll(&scene.ranks[r]), 0);
    close_ring(&scene);
}

static void empty_ring_names_the_producer(void **state)
{
    (void)state;
    struct scene scene;
    open_ring(&scene, 1);
    struct rz_error err = {0};
    assert_int_equal(rz_ring_poll(&scene.ranks[1]), 0);
    assert_int_equal(consume(&scene, 1, soon(), &err), RZ_E_TIMEOUT);
    assert_int_equal(err.rank, 0);
    expect_publish(&scene);
    expect_consume(&scene, 1, 1); /* it may be taken after all */
    close_ring(&scene);
}

static void death_ends_both_waits(void **state)
{
    (void)state;
    struct scene scene;
    open_ring(&scene, 1);
    struct rz_error err = {0};
    scene.verdict = RZ_E_PEER_DIED;
    assert_int_equal(consume(&scene, 1, in_seconds(50), &err), RZ_E_PEER_DIED);
    assert_int_equal(err.rank, 2);
    for (int i = 0; i < SLOTS; i++)
        expect_publish(&scene);
    assert_int_equal(publish(&scene, in_seconds(50), &err), RZ_E_PEER_DIED);
    for (uint64_t s = 1; s <= SLOTS; s++)
        expect_consume(&scene, 1, s); /* what had come can still be had */
    close_ring(&scene);
}

static void sequence_numbers_pass_32_bits(void **state)
{
    (void)state;
    const uint64_t firsts[] = {UINT32_MAX - 5ull, INT32_MAX - 5ull, UINT32_MAX, UINT32_MAX + 1ull,
                               (UINT64_C(1) << 40) - 2};
    for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
        struct scene scene;
        open_ring(&scene, firsts[i]);
        /* Rank 1 keeps up, rank 2 is as late as it may be. */
        for (uint64_t s = firsts[i]; s < firsts[i] + 10 * SLOTS; s++) {
            if (s >= firsts[i] + SLOTS) {
                assert_int_equal(publish(&scene, 0, NULL), RZ_E_TIMEOUT);
                expect_consume(&scene, 2, s - SLOTS);
            }
            expect_publish(&scene);
            expect_consume(&scene, 1, s);
            assert_int_equal(rz_ring_poll(&scene.ranks[1]), 0);
        }
        close_ring(&scene);
    }
}

static void nobody_calls_the_kernel_while_nobody_sleeps(void **state)
{
    (void)state;
    futex_spy_reset();
    struct scene scene;
    open_ring(&scene, 1);
    for (uint64_t s = 1; s <= 1000; s++) {
        expect_publish(&scene);
        expect_consume(&scene, 1, s);
        expect_consume(&scene, 2, s);
    }
    assert_int_equal(futex_spy()->waits + futex_spy()->wakes, 0);
    for (uint32_t r = 0; r < WORLD; r++)
        assert_int_equal(scene.waiters[r].sleeps, 0);
    close_ring(&scene);
}

/* Where the kernel kills for any call but exit(2). */
static void fast_path_makes_no_system_call(void **state)
{
    (void)state;
    struct scene scene;
    open_ring(&scene, 1);
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        bool well = prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0;
        char payload[CAPACITY] = "";
        for (int i = 0; well && i < 1000; i++) {
            uint32_t type;
            size_t bytes;
            well = rz_ring_publish(&scene.ranks[0], 1, payload, sizeof payload, UINT64_MAX, NULL) ==
                   RZ_OK;
            for (uint32_t r = 1; r < WORLD && well; r++)
                well = rz_ring_poll(&scene.ranks[r]) == 1 &&
                       rz_ring_consume(&scene.ranks[r], &type, payload, sizeof payload, &bytes,
                                       UINT64_MAX, NULL) == RZ_OK;
        }
        syscall(SYS_exit, well ? 0 : 1);
    }
    assert_int_equal(child_wait(pid), 0);
    close_ring(&scene);
}

static void each_rank_writes_its_own_lines_only(void **state)
{
    (void)state;
    struct scene scene;
    open_ring(&scene, 1);
    char *data = malloc(scene.data_bytes);
    struct rz_ring_cursor *cursors = aligned_alloc(RZ_LINE_BYTES, scene.control_bytes);
    assert_non_null(data);
    assert_non_null(cursors);
    for (uint64_t s = 1; s <= 3 * SLOTS; s++) {
        memcpy(cursors, scene.cursors, scene.control_bytes);
        expect_publish(&scene);
        assert_memory_equal(cursors, scene.cursors, scene.control_bytes);
        memcpy(data, scene.data, scene.data_bytes);
        for (uint32_t r = 1; r < WORLD; r++) {
            memcpy(cursors, scene.cursors, scene.control_bytes);
            expect_consume(&scene, r, s);
            assert_memory_not_equal(&cursors[r], &scene.cursors[r], sizeof cursors[r]);
            cursors[r] = scene.cursors[r];
            assert_memory_equal(cursors, scene.cursors, scene.control_bytes);
        }
        assert_memory_equal(data, scene.data, scene.data_bytes);
    }
    free(data);
    free(cursors);
    close_ring(&scene);
}

static void sizes_are_whole_lines(void **state)
{
    (void)state;
    /* A slot is 16 bytes of head and its payload, in lines of 128; before them are four. */
    assert_int_equal(rz_ring_data_bytes(1, 0), 512 + 128);
    assert_int_equal(rz_ring_data_bytes(1, 112), 512 + 128);
    assert_int_equal(rz_ring_data_bytes(1, 113), 512 + 256);
    assert_int_equal(rz_ring_data_bytes(64, 112), 512 + 64 * 128);
    assert_int_equal(rz_ring_control_bytes(64), 64 * 128);
}

/* ------------------------------------------------------------------------------------------------
 * Memory that holds what the other side never writes
 */

static struct rz_ring_slot *slot_at(struct scene *scene, uint64_t sequence)
{
    const size_t slot_bytes = (scene->data_bytes - sizeof(struct rz_ring_tail)) / SLOTS;
    char *slots = scene->data + sizeof(struct rz_ring_tail);
    return (struct rz_ring_slot *)(void *)(slots + sequence % SLOTS * slot_bytes);
}

static void record_that_is_not_the_next_is_not_taken(void **state)
{
    (void)state;
    struct scene scene;
    open_ring(&scene, 1);
    expect_publish(&scene);
    const uint64_t stamps[] = {0, 2, 1 + SLOTS, UINT64_C(1) << 32 | 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof stamps / sizeof stamps[0]; i++) {
        struct rz_error err = {0};
        slot_at(&scene, 1)->stamp = stamps[i];
        assert_int_equal(consume(&scene, 1, in_seconds(50), &err), RZ_E_CORRUPT);
        assert_int_equal(err.rank, 0);
        assert_non_null(strstr(err.text, "expected record 1"));
    }
    slot_at(&scene, 1)->stamp = 1;
    expect_consume(&scene, 1, 1);
    close_ring(&scene);
}

static void tail_that_runs_ahead_does_not_deliver_what_is_not_there(void **state)
{
    (void)state;
    struct scene scene;
    open_ring(&scene, 1);
    struct rz_ring_tail *tail = (struct rz_ring_tail *)(void *)scene.data;
    tail->published = 77;
    assert_int_equal(consume(&scene, 1, in_seconds(50), NULL), RZ_E_CORRUPT);
    close_ring(&scene);
}

static void length_is_checked_before_it_is_used(void **state)
{
    (void)state;
    struct scene scene;
    open_ring(&scene, 1);
    assert_int_equal(rz_ring_publish(&scene.ranks[0], 9, "0123456789", 10, 0, NULL), RZ_OK);
    const uint32_t lengths[] = {CAPACITY + 1, UINT32_MAX, INT32_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        slot_at(&scene, 1)->kind = UINT64_C(9) << 32 | lengths[i];
        struct rz_error err = {0};
        assert_int_equal(consume(&scene, 1, in_seconds(50), &err), RZ_E_CORRUPT);
        assert_int_equal(err.rank, 0);
    }
    slot_at(&scene, 1)->kind = UINT64_C(9) << 32 | 10;

    char payload[10] = "unchanged";
    uint32_t type = 4;
    size_t bytes = 5;
    struct rz_error err = {0};
    assert_int_equal(
        rz_ring_consume(&scene.ranks[1], &type, payload, 9, &bytes, in_seconds(50), &err),
        RZ_E_CORRUPT);
    assert_non_null(strstr(err.text, "at most 9 bytes, got 10"));
    assert_string_equal(payload, "unchanged");
    assert_int_equal(type, 4);
    assert_int_equal(bytes, 5);
    assert_int_equal(rz_ring_consume(&scene.ranks[1], &type, payload, 10, &bytes, 0, NULL), RZ_OK);
    close_ring(&scene);
}

static void cursor_that_cannot_be_names_its_rank(void **state)
{
    (void)state;
    /* Of records that were never published, or long ago. */
    const uint32_t cursors[] = {1, SLOTS + 1, UINT32_MAX - SLOTS, INT32_MAX};
    for (size_t i = 0; i < sizeof cursors / sizeof cursors[0]; i++) {
        struct scene scene;
        open_ring(&scene, 1);
        scene.cursors[2].consumed = cursors[i];
        struct rz_error err = {0};
        assert_int_equal(publish(&scene, in_seconds(50), &err), RZ_E_CORRUPT);
        assert_int_equal(err.rank, 2);
        assert_int_equal(rz_ring_poll(&scene.ranks[1]), 0);
        close_ring(&scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_of_every_length_arrive_as_they_were_sent),
        cmocka_unit_test(full_ring_names_the_slowest_rank_and_keeps_order),
        cmocka_unit_test(empty_ring_names_the_producer),
        cmocka_unit_test(death_ends_both_waits),
        cmocka_unit_test(sequence_numbers_pass_32_bits),
        cmocka_unit_test(nobody_calls_the_kernel_while_nobody_sleeps),
        cmocka_unit_test(fast_path_makes_no_system_call),
        cmocka_unit_test(each_rank_writes_its_own_lines_only),
        cmocka_unit_test(sizes_are_whole_lines),
        cmocka_unit_test(record_that_is_not_the_next_is_not_taken),
        cmocka_unit_test(tail_that_runs_ahead_does_not_deliver_what_is_not_there),
        cmocka_unit_test(length_is_checked_before_it_is_used),
        cmocka_unit_test(cursor_that_cannot_be_names_its_rank),
    };
    return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
