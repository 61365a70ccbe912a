/* SPDX-License-Identifier: Apache-2.0
 *
 * test_comm_shm.c - gather through shared memory, all ranks in this process: what rank 0 gets to
 * read, and what it says of ranks that do not bring what they should.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "comm/comm.h"

enum { WORLD = 3, MAX_ROWS = 4, STRIDE = 16 };

/* A job's memory, and ranks that wait and watch as the test says. */
struct fixture {
    float buffers[WORLD][MAX_ROWS * STRIDE];
    struct rz_comm_line lines[WORLD];
    struct rz_comm *comms[WORLD];
    int wait_status;         /* what a wait returns that nobody ends */
    int check_status;        /* what a look at the job returns */
    struct rz_comm *arrives; /* posts while rank 0 waits; NULL: nobody does */
    uint32_t waited_for;
};

static const uint32_t columns[WORLD] = {5, 3, 7};

static int wait_for(void *context, uint32_t rank, const _Atomic uint32_t *word, uint32_t seen,
                    uint64_t deadline_ns, struct rz_error *err)
{
    struct fixture *f = context;
    (void)deadline_ns;
    f->waited_for = rank;
    if (f->arrives != NULL) {
        struct rz_comm *comm = f->arrives;
        f->arrives = NULL;
        assert_int_equal(rz_comm_shm.post(comm, seen + 1, NULL, 0, 1, err), RZ_OK);
        assert_int_equal(atomic_load(word), seen + 1);
        return RZ_OK;
    }
    return rz_fail(err, f->wait_status, (int)rank, 0, "waited for rank %u", rank);
}

static void raise_word(void *context, _Atomic uint32_t *word, uint32_t value)
{
    (void)context;
    atomic_store(word, value);
}

static int check(void *context, struct rz_error *err)
{
    const struct fixture *f = context;
    return f->check_status == RZ_OK ? RZ_OK : rz_fail(err, f->check_status, 2, 0, "it ended");
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->wait_status = RZ_E_TIMEOUT;
    struct rz_comm_config config = {
        .world = WORLD,
        .max_rows = MAX_ROWS,
        .logit_bytes = sizeof(float),
        .peers = {.context = f, .wait = wait_for, .raise = raise_word, .check = check},
    };
    for (uint32_t r = 0; r < WORLD; r++) {
        config.columns[r] = columns[r];
        config.row_stride[r] = STRIDE;
        config.buffers[r] = f->buffers[r];
        config.lines[r] = &f->lines[r];
    }
    for (uint32_t r = 0; r < WORLD; r++) {
        config.rank = r;
        assert_int_equal(rz_comm_shm.open(&config, NULL, &f->comms[r], NULL), RZ_OK);
    }
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    for (uint32_t r = 0; r < WORLD; r++)
        rz_comm_shm.close(f->comms[r]);
    free(f);
    return 0;
}

static int post(struct fixture *f, uint32_t rank, uint32_t step, uint32_t rows)
{
    return rz_comm_shm.post(f->comms[rank], step, NULL, 0, rows, NULL);
}

static int collect(struct fixture *f, uint32_t step, struct rz_error *err)
{
    return rz_comm_shm.collect(f->comms[0], step, 0, err);
}

static void shards_are_read_where_they_were_written(void **state)
{
    struct fixture *f = *state;
    for (uint32_t r = 0; r < WORLD; r++) {
        assert_ptr_equal(rz_comm_shm.buffer(f->comms[r]), f->buffers[r]);
        assert_int_equal(post(f, r, 1, 2), RZ_OK);
        assert_int_equal(rz_comm_shm.settle(f->comms[r], 0, NULL), RZ_OK);
    }
    assert_int_equal(collect(f, 1, NULL), RZ_OK);
    for (uint32_t r = 0; r < WORLD; r++) {
        const struct rz_comm_part part = rz_comm_shm.part(f->comms[0], r);
        assert_ptr_equal(part.logits, f->buffers[r]);
        assert_int_equal(part.row_stride, STRIDE);
    }
}

static void logits_of_the_caller_are_copied_but_for_rank_0(void **state)
{
    struct fixture *f = *state;
    enum { OWN_STRIDE = 9 };
    float own[2 * OWN_STRIDE];
    for (uint32_t i = 0; i < 2 * OWN_STRIDE; i++)
        own[i] = (float)i;
    assert_int_equal(rz_comm_shm.post(f->comms[0], 1, own, OWN_STRIDE, 2, NULL), RZ_OK);
    assert_int_equal(rz_comm_shm.post(f->comms[1], 1, own, OWN_STRIDE, 2, NULL), RZ_OK);
    assert_int_equal(post(f, 2, 1, 2), RZ_OK);
    assert_int_equal(collect(f, 1, NULL), RZ_OK);
    const struct rz_comm_part first = rz_comm_shm.part(f->comms[0], 0);
    assert_ptr_equal(first.logits, own);
    assert_int_equal(first.row_stride, OWN_STRIDE);
    for (uint32_t row = 0; row < 2; row++)
        for (uint32_t c = 0; c < STRIDE; c++)
            assert_true(f->buffers[1][row * STRIDE + c] ==
                        (c < columns[1] ? (float)(row * OWN_STRIDE + c) : 0.0f));
}

static void rank_0_waits_for_who_is_not_there(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(post(f, 0, 1, 1), RZ_OK);
    assert_int_equal(post(f, 1, 1, 1), RZ_OK);
    assert_int_equal(rz_comm_shm.ready(f->comms[0], 1, NULL), 0);
    assert_int_equal(rz_comm_shm.ready(f->comms[1], 1, NULL), 1);
    f->arrives = f->comms[2];
    assert_int_equal(collect(f, 1, NULL), RZ_OK);
    assert_int_equal(f->waited_for, 2);
    assert_int_equal(rz_comm_shm.ready(f->comms[0], 1, NULL), 1);
}

static void end_of_the_job_ends_both_ways_of_waiting(void **state)
{
    struct fixture *f = *state;
    struct rz_error err;
    post(f, 0, 1, 1);
    f->wait_status = f->check_status = RZ_E_PEER_DIED;
    assert_int_equal(collect(f, 1, &err), RZ_E_PEER_DIED);
    assert_string_equal(err.text, "waited for rank 1");
    assert_int_equal(rz_comm_shm.ready(f->comms[0], 1, &err), RZ_E_PEER_DIED);
    assert_string_equal(err.text, "it ended");
}

static void other_number_of_rows_names_the_rank(void **state)
{
    struct fixture *f = *state;
    struct rz_error err;
    post(f, 0, 1, 2);
    post(f, 1, 1, 2);
    post(f, 2, 1, 3);
    assert_int_equal(collect(f, 1, &err), RZ_E_MISMATCH);
    assert_int_equal(err.rank, 2);
    assert_string_equal(err.text, "rows of logits in this step: rank 0 has 2, rank 2 has 3");
}

static void step_that_cannot_be_is_corrupt(void **state)
{
    struct fixture *f = *state;
    struct rz_error err;
    post(f, 0, 5, 1);
    atomic_store(&f->lines[1].step, 7);
    assert_int_equal(collect(f, 5, &err), RZ_E_CORRUPT);
    assert_int_equal(err.rank, 1);
    assert_string_equal(err.text, "rank 1's last step: expected 4 or 5, got 7");
    assert_int_equal(rz_comm_shm.ready(f->comms[0], 5, &err), RZ_E_CORRUPT);
}

static void step_numbers_wrap_around(void **state)
{
    struct fixture *f = *state;
    for (uint32_t r = 1; r < WORLD; r++)
        atomic_store(&f->lines[r].step, UINT32_MAX);
    post(f, 0, 0, 1);
    assert_int_equal(rz_comm_shm.ready(f->comms[0], 0, NULL), 0);
    for (uint32_t r = 1; r < WORLD; r++)
        post(f, r, 0, 1);
    assert_int_equal(collect(f, 0, NULL), RZ_OK);
}

int main(void)
{
#define WITH_RANKS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_RANKS(shards_are_read_where_they_were_written),
        WITH_RANKS(logits_of_the_caller_are_copied_but_for_rank_0),
        WITH_RANKS(rank_0_waits_for_who_is_not_there),
        WITH_RANKS(end_of_the_job_ends_both_ways_of_waiting),
        WITH_RANKS(other_number_of_rows_names_the_rank),
        WITH_RANKS(step_that_cannot_be_is_corrupt),
        WITH_RANKS(step_numbers_wrap_around),
    };
    return cmocka_run_group_tests_name("comm_shm", tests, NULL, NULL);
}
