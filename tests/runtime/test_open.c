/* SPDX-License-Identifier: Apache-2.0
 *
 * test_open.c - ranks meet, or learn why they cannot.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "internal/clock.h"
#include "ipc/liveness.h"
#include "ipc/segment.h"
#include "tests/runtime/ranks.h"

static struct rz_options options_of(uint32_t vocab_size)
{
    struct rz_options options;
    rz_options_init(&options);
    options.vocab_size = vocab_size;
    options.open_timeout_ms = 10000;
    return options;
}

static const char *test_name(void)
{
    static char name[RZ_MAX_NAME];
    snprintf(name, sizeof name, "test-%d-open", (int)getpid());
    return name;
}

static void expect_open_fails(const struct rz_options *options, const char *name, uint32_t rank,
                              uint32_t world, int status, const char *text)
{
    rz_job *job = NULL;
    struct rz_error err;
    assert_int_equal(rz_open_local(options, name, rank, world, &job, &err), status);
    assert_null(job);
    assert_int_equal(err.status, status);
    if (strstr(err.text, text) == NULL)
        fail_msg("expected \"%s\" in \"%s\"", text, err.text);
}

static void bad_options_are_named(void **state)
{
    (void)state;
    const char *name = test_name();
    const struct rz_options good = options_of(100);
    struct rz_options bad;

#define REFUSED(field, value, text)                          \
    do {                                                     \
        bad = good;                                          \
        bad.field = value;                                   \
        expect_open_fails(&bad, name, 0, 1, RZ_E_ARG, text); \
    } while (0)
    REFUSED(vocab_size, 0, "vocab_size: expected 1 to 262144, got 0");
    REFUSED(vocab_size, RZ_MAX_VOCAB + 1, "vocab_size");
    REFUSED(vocab_padded, 99, "vocab_padded: expected 100 to 262144, got 99");
    REFUSED(dtype, 3, "dtype: expected 0 to 2, got 3");
    REFUSED(max_rows, RZ_MAX_ROWS + 1, "max_rows");
    REFUSED(mode, 1, "mode");
    REFUSED(backend, RZ_BACKEND_CUDA + 1, "backend: expected 0 to 5, got 6");
    REFUSED(comm, RZ_COMM_CUDA_IPC + 1, "comm: expected 0 to 4, got 5");
    REFUSED(threads, RZ_MAX_THREADS + 1, "threads: expected 0 to 256, got 257");
    REFUSED(size, 1, "options: expected a struct made by rz_options_init()");
    const uint32_t split[] = {99};
    REFUSED(split, split, "split: expected 100 columns in all, got 99 over 1 ranks");
#undef REFUSED
    bad = good;
    bad.shm_dir = "/nonexistent";
    expect_open_fails(&bad, name, 0, 1, RZ_E_SYS, "/nonexistent");
    expect_open_fails(NULL, name, 0, 1, RZ_E_ARG, "options");
    expect_open_fails(&good, name, 1, 1, RZ_E_ARG, "rank: expected 0 to 0, got 1");
    expect_open_fails(&good, name, 0, 0, RZ_E_ARG, "world size: expected 1 to 64, got 0");
    expect_open_fails(&good, name, 0, 65, RZ_E_ARG, "world size");
    expect_open_fails(&good, "", 0, 1, RZ_E_ARG, "name");
    expect_open_fails(&good, "../evil", 0, 1, RZ_E_ARG, "name");
    expect_open_fails(&good, ".hidden", 0, 1, RZ_E_ARG, "name");
    bad = good;
    bad.comm = RZ_COMM_MPI;
    expect_open_fails(&bad, name, 0, 1, RZ_E_UNSUPPORTED, "rz_open_mpi");
    bad.comm = RZ_COMM_NCCL;
    expect_open_fails(&bad, name, 0, 1, RZ_E_UNSUPPORTED, "comm: expected auto, shm or mpi");
    bad.comm = RZ_COMM_SHM;
    bad.backend = RZ_BACKEND_CUDA;
    expect_open_fails(&bad, name, 0, 1, RZ_E_UNSUPPORTED, "comm: expected auto, nccl or cuda_ipc");
}

static void a_missing_rank_is_named_at_the_deadline(void **state)
{
    (void)state;
    struct rz_options options = options_of(100);
    options.open_timeout_ms = 200;
    expect_open_fails(&options, test_name(), 0, 3, RZ_E_TIMEOUT, "rank 1");
    expect_open_fails(&options, test_name(), 2, 3, RZ_E_TIMEOUT, "rank 0");
    assert_int_equal(shm_leftovers(), 0);
}

/* Each rank opens with options of its own and expects the same failure. */
struct disagreement {
    struct rz_options options[3];
    uint32_t culprit; /* comes last: who finds the job gone cannot learn why */
    int status;
    const char *text;
};

/* Until all other ranks have found the job of that name. */
static void await_others(const char *name, uint32_t rank, uint32_t world)
{
    struct rz_segment segment = RZ_SEGMENT_NONE;
    struct rz_error err;
    const uint64_t deadline_ns = rz_clock_ns() + UINT64_C(10000000000);
    const int status = rz_segment_attach("/dev/shm", name, deadline_ns, &segment, &err);
    rank_expect(status == RZ_OK, "rank %u: %s", rank, err.text);
    for (uint32_t r = 0; r < world; r++)
        while (r != rank && !rz_liveness_held(segment.fd, r))
            usleep(1000);
    rz_segment_close(&segment);
}

static int open_and_disagree(uint32_t rank, uint32_t world, const char *name, void *argument)
{
    const struct disagreement *d = argument;
    if (rank == d->culprit)
        await_others(name, rank, world);
    rz_job *job = NULL;
    struct rz_error err;
    const int status = rz_open_local(&d->options[rank], name, rank, world, &job, &err);
    rank_expect(status == d->status, "rank %u got %d: %s", rank, status, err.text);
    rank_expect(strstr(err.text, d->text) != NULL, "rank %u: expected \"%s\" in \"%s\"", rank,
                d->text, err.text);
    return 0;
}

/* Rank 2 of 3 never comes: nobody waits for it. */
static int open_with_another_world(uint32_t rank, uint32_t world, const char *name, void *argument)
{
    (void)world, (void)argument;
    const struct rz_options options = options_of(100);
    rz_job *job = NULL;
    struct rz_error err;
    const int status = rz_open_local(&options, name, rank, rank == 0 ? 3 : 2, &job, &err);
    rank_expect(status == RZ_E_MISMATCH, "rank %u got %d: %s", rank, status, err.text);
    rank_expect(strcmp(err.text, "world size: rank 0 has 3, rank 1 has 2") == 0, "%s", err.text);
    return 0;
}

static void another_world_size_is_a_mismatch_and_not_a_timeout(void **state)
{
    (void)state;
    ranks_run(2, open_with_another_world, NULL);
    assert_int_equal(shm_leftovers(), 0);
}

static void ranks_that_disagree_all_learn_who_and_what(void **state)
{
    (void)state;
    static const uint32_t split[] = {30, 30, 40}, other_split[] = {30, 40, 30};
    struct disagreement d = {.status = RZ_E_MISMATCH};
    const struct rz_options good = options_of(100);
    for (int i = 0; i < 3; i++)
        d.options[i] = good;

    d.culprit = 2;
    d.options[2].vocab_size = 101;
    d.text = "vocab_size: rank 0 has 100, rank 2 has 101";
    ranks_run(3, open_and_disagree, &d);

    d.culprit = 1;
    d.options[2] = good;
    d.options[1].dtype = RZ_BF16;
    d.text = "dtype: rank 0 has f32, rank 1 has bf16";
    ranks_run(3, open_and_disagree, &d);

    d.culprit = 2;
    d.options[1] = good;
    d.options[2].max_rows = 8;
    d.text = "max_rows: rank 0 has 256, rank 2 has 8";
    ranks_run(3, open_and_disagree, &d);

    for (int i = 0; i < 3; i++)
        d.options[i].max_rows = 0, d.options[i].split = split;
    d.culprit = 1;
    d.options[1].split = other_split;
    d.text = "split: rank 0 gives rank 1 30 columns, rank 1 gives it 40";
    ranks_run(3, open_and_disagree, &d);
    assert_int_equal(shm_leftovers(), 0);
}

/* ------------------------------------------------------------------------------------------------
 * Deaths
 */

static int mappings_to_death; /* this process dies in that many shared mappings; 0: it does not */

void *__real_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    if ((flags & MAP_SHARED) != 0 && mappings_to_death > 0 && --mappings_to_death == 0)
        raise(SIGKILL);
    return __real_mmap(at, bytes, protection, flags, fd, offset);
}

/* After it has its lock and before it has joined. */
static int open_and_die(uint32_t rank, uint32_t world, const char *name, void *argument)
{
    (void)argument;
    struct rz_options options = options_of(100);
    options.open_timeout_ms = 50000;
    const uint64_t begin = rz_clock_ns();
    if (rank == 1)
        mappings_to_death = 2; /* the control is the first */
    rz_job *job = NULL;
    struct rz_error err;
    const int status = rz_open_local(&options, name, rank, world, &job, &err);
    rank_expect(status == RZ_E_PEER_DIED && err.rank == 1, "rank %u got %d: %s", rank, status,
                err.text);
    rank_expect(rz_clock_ns() - begin < UINT64_C(20000000000), "soon");
    return 0;
}

static void a_rank_that_dies_in_open_is_noticed_at_once(void **state)
{
    (void)state;
    struct ranks ranks;
    int status[RZ_MAX_WORLD];
    ranks_start(&ranks, 2, open_and_die, NULL);
    ranks_wait(&ranks, status);
    assert_int_equal(status[0], 0);
    assert_int_equal(status[1], RANK_DIED + SIGKILL);
    assert_int_equal(shm_leftovers(), 0);
}

/* ------------------------------------------------------------------------------------------------
 * Names
 */

static int open_and_leave(uint32_t rank, uint32_t world, const char *name, void *argument)
{
    (void)name;
    const struct rz_options options = options_of(100);
    rz_close(rank_open(&options, argument, rank, world));
    return 0;
}

static int wait_in_open(uint32_t rank, uint32_t world, const char *name, void *argument)
{
    (void)world;
    (void)name;
    const struct rz_options options = options_of(100);
    rz_job *job = NULL;
    rz_open_local(&options, argument, rank, 3, &job, NULL); /* killed in here */
    return 1;
}

static void wait_for_segment(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "/dev/shm/rankzero-%u-%s", (unsigned)geteuid(), name);
    const uint64_t deadline = rz_clock_ns() + UINT64_C(20000000000);
    while (access(path, F_OK) != 0) {
        assert_true(rz_clock_ns() < deadline);
        usleep(1000);
    }
}

static void the_name_of_a_live_job_is_refused_and_of_a_dead_one_reused(void **state)
{
    (void)state;
    char name[RZ_MAX_NAME];
    snprintf(name, sizeof name, "%s", test_name());
    struct ranks waiting;
    int status[RZ_MAX_WORLD];
    ranks_start(&waiting, 1, wait_in_open, name); /* rank 0 of 3 */
    wait_for_segment(name);
    const struct rz_options options = options_of(100);
    expect_open_fails(&options, name, 0, 3, RZ_E_EXISTS, name);

    assert_int_equal(kill(waiting.pid[0], SIGKILL), 0);
    ranks_wait(&waiting, status);
    assert_int_equal(status[0], RANK_DIED + SIGKILL);
    assert_int_equal(shm_leftovers(), 1);
    ranks_run(3, open_and_leave, name);
    assert_int_equal(shm_leftovers(), 0);
}

/* Three processes: rank 0, and two that both say they are rank 1. */
static int claim_rank_1(uint32_t process, uint32_t world, const char *name, void *argument)
{
    (void)world;
    (void)argument;
    struct rz_options options = options_of(100);
    options.open_timeout_ms = 1000; /* rank 2 of three never comes */
    const uint32_t rank = process == 0 ? 0 : 1;
    rz_job *job = NULL;
    struct rz_error err;
    const int status = rz_open_local(&options, name, rank, 3, &job, &err);
    if (status == RZ_E_EXISTS)
        rank_expect(rank == 1 && err.rank == 1, "%s", err.text);
    else
        rank_expect(status == RZ_E_TIMEOUT || status == RZ_E_CLOSED || status == RZ_E_PEER_DIED,
                    "rank %u got %d: %s", rank, status, err.text);
    return status == RZ_E_EXISTS ? 7 : 0;
}

static void of_two_processes_with_one_rank_the_second_is_refused(void **state)
{
    (void)state;
    struct ranks ranks;
    int status[RZ_MAX_WORLD];
    ranks_start(&ranks, 3, claim_rank_1, NULL);
    ranks_wait(&ranks, status);
    assert_int_equal(status[0], 0);
    assert_int_equal(status[1] + status[2], 7); /* one of them, whichever came second */
    assert_int_equal(shm_leftovers(), 0);
}

/* ------------------------------------------------------------------------------------------------
 */

static void a_full_filesystem_is_an_error_at_open(void **state)
{
    (void)state;
    char dir[] = "/tmp/rankzero-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    if (mount("tmpfs", dir, "tmpfs", 0, "size=1m") != 0) {
        print_message("skipped: mounting a small tmpfs: %s\n", strerror(errno));
        rmdir(dir);
        skip();
    }
    struct rz_options options = options_of(100000);
    options.shm_dir = dir;
    rz_job *job = NULL;
    struct rz_error err;
    const int status = rz_open_local(&options, test_name(), 0, 1, &job, &err);
    /* Nothing is left in there: it can be unmounted and removed. */
    assert_int_equal(umount(dir), 0);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(status, RZ_E_SYS);
    assert_int_equal(err.detail, ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_options_are_named),
        cmocka_unit_test(a_missing_rank_is_named_at_the_deadline),
        cmocka_unit_test(another_world_size_is_a_mismatch_and_not_a_timeout),
        cmocka_unit_test(ranks_that_disagree_all_learn_who_and_what),
        cmocka_unit_test(a_rank_that_dies_in_open_is_noticed_at_once),
        cmocka_unit_test(the_name_of_a_live_job_is_refused_and_of_a_dead_one_reused),
        cmocka_unit_test(of_two_processes_with_one_rank_the_second_is_refused),
        cmocka_unit_test(a_full_filesystem_is_an_error_at_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
