/* SPDX-License-Identifier: Apache-2.0
 *
 * test_fake_nccl.c - ranks that are processes exchange bytes through the double of NCCL, in the
 * order of their streams; what the real one refuses or hangs on is refused or hangs.
 */
#include <sys/mman.h>

#include "gpu/nccl.h"
#include "tests/fakes/apart.h"

enum { INVALID_ARGUMENT = 4, INVALID_USAGE = 5, REMOTE_ERROR = 6 };
enum { FEW = 3000, MANY = 200000 }; /* words of a message; the second does not fit into a ring */

static struct rz_cuda cuda;
static struct rz_nccl nccl;

/* What the ranks of a test share. */
static struct board {
    struct rz_nccl_id id;
    int has_id;
    int arrived; /* ranks, at the last barrier */
} * board;

struct rank {
    int rank, ranks;
    rz_nccl_comm comm;
    rz_cuda_stream stream;
    rz_cuda_ptr from, to;
    uint32_t *host;
};

static void wait_for(const int *what, int value)
{
    while (__atomic_load_n(what, __ATOMIC_ACQUIRE) < value)
        usleep(100);
}

/* All ranks are here, for the nth time. */
static void meet(const struct rank *r, int nth)
{
    __atomic_add_fetch(&board->arrived, 1, __ATOMIC_ACQ_REL);
    wait_for(&board->arrived, r->ranks * nth);
}

static void start(int device)
{
    struct rz_error err;
    rz_cuda_context context = NULL;
    if (rz_cuda_open(&cuda, &err) != RZ_OK || rz_nccl_open(&nccl, &err) != RZ_OK) {
        fprintf(stderr, "%s\n", err.text);
        _exit(1);
    }
    ok(cuda.primary_retain(&context, device));
    ok(cuda.context_push(context));
}

static void finish(int device)
{
    rz_cuda_context context = NULL;
    ok(cuda.context_pop(&context));
    ok(cuda.primary_release(device));
}

static struct rz_nccl_config config(void)
{
    return (struct rz_nccl_config){.size = sizeof(struct rz_nccl_config),
                                   .magic = RZ_NCCL_MAGIC,
                                   .version = RZ_NCCL_CONFIG_VERSION,
                                   .blocking = 0,
                                   .cga_cluster_size = RZ_NCCL_UNDEFINED,
                                   .min_ctas = RZ_NCCL_UNDEFINED,
                                   .max_ctas = RZ_NCCL_UNDEFINED,
                                   .split_share = RZ_NCCL_UNDEFINED};
}

/* What becomes of a call that returned `code`. */
static int settled(rz_nccl_comm comm, int code)
{
    while (code == RZ_NCCL_IN_PROGRESS) {
        is(nccl.comm_error(comm, &code), RZ_NCCL_SUCCESS);
        usleep(50);
    }
    return code;
}

static int join(struct rank *r)
{
    struct rz_nccl_config how = config();
    if (r->rank == 0) {
        ok(nccl.unique_id(&board->id));
        __atomic_store_n(&board->has_id, 1, __ATOMIC_RELEASE);
    }
    wait_for(&board->has_id, 1);
    const int code = nccl.comm_init(&r->comm, r->ranks, board->id, r->rank, &how);
    is(code, RZ_NCCL_IN_PROGRESS);
    return settled(r->comm, code);
}

static void set_up(struct rank *r)
{
    void *host = NULL;
    start(r->rank);
    ok(cuda.stream_create(&r->stream, RZ_CUDA_STREAM_NON_BLOCKING));
    ok(cuda.allocate(&r->from, MANY * 4));
    ok(cuda.allocate(&r->to, (size_t)r->ranks * MANY * 4));
    ok(cuda.host_allocate(&host, (size_t)r->ranks * MANY * 4, 0));
    r->host = host;
}

static void tear_down(struct rank *r)
{
    ok(cuda.stream_destroy(r->stream));
    ok(cuda.free(r->from));
    ok(cuda.free(r->to));
    ok(cuda.host_free(r->host));
    finish(r->rank);
}

static void leave(struct rank *r)
{
    ok(settled(r->comm, nccl.comm_finalize(r->comm)));
    ok(nccl.comm_destroy(r->comm));
    tear_down(r);
}

static void (*body_of_rank)(struct rank *r);
static int ranks_of_test;

/* Run a body as every rank. The first to end badly ends the others. */
static void run_ranks(void)
{
    pid_t children[8];
    struct rank r = {.ranks = ranks_of_test};
    setenv("RZ_FAKE_CUDA_DEVICES", "8", 0);
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    is(board != MAP_FAILED, 1);
    for (r.rank = 0; r.rank < r.ranks; r.rank++) {
        children[r.rank] = fork();
        if (children[r.rank] == 0) {
            body_of_rank(&r);
            exit(0);
        }
    }
    int bad = 0;
    for (int i = 0; i < r.ranks; i++) {
        int status = 0;
        is(wait(&status) > 0, 1);
        if (status == 0 || bad != 0)
            continue;
        bad = status;
        for (int j = 0; j < r.ranks; j++)
            kill(children[j], SIGKILL);
    }
    if (WIFSIGNALED(bad))
        abort();
    exit(bad != 0);
}

static void ranks_pass(int ranks, void (*body)(struct rank *r))
{
    body_of_rank = body;
    ranks_of_test = ranks;
    passes(run_ranks);
}

static void ranks_end(int ranks, void (*body)(struct rank *r), const char *message)
{
    body_of_rank = body;
    ranks_of_test = ranks;
    ends(run_ranks, message);
}

/* ------------------------------------------------------------------------------------------------
 * Bytes
 */

/* Enqueue: this rank's number and the round in all words, and a gather of them. */
static void gather(struct rank *r, uint32_t round, size_t words)
{
    ok(cuda.set_words(r->from, round * 100 + (uint32_t)r->rank, words, r->stream));
    ok(settled(r->comm, nccl.gather((void *)r->from, (void *)r->to, words * 4, RZ_NCCL_UINT8, 0,
                                    r->comm, r->stream)));
    if (r->rank == 0)
        ok(cuda.copy((uintptr_t)r->host, r->to, (size_t)r->ranks * words * 4, r->stream));
}

static void expect_gathered(const struct rank *r, uint32_t round, size_t words)
{
    for (size_t i = 0; r->rank == 0 && i < (size_t)r->ranks * words; i++)
        is(r->host[i], round * 100 + i / words);
}

static void gather_often(struct rank *r)
{
    set_up(r);
    ok(join(r));
    for (uint32_t round = 0; round < 20; round++) {
        const size_t words = round % 7 == 6 ? MANY : FEW;
        gather(r, round, words);
        ok(cuda.stream_synchronize(r->stream));
        expect_gathered(r, round, words);
    }
    leave(r);
}

static void ranks_gather(void **state)
{
    (void)state;
    ranks_pass(1, gather_often);
    ranks_pass(2, gather_often);
    ranks_pass(4, gather_often);
}

/* Everybody sends to everybody, without ncclGather(). */
static void exchange(struct rank *r)
{
    set_up(r);
    ok(join(r));
    for (uint32_t round = 0; round < 5; round++) {
        ok(cuda.set_words(r->from, round * 100 + (uint32_t)r->rank, MANY, r->stream));
        ok(nccl.group_start());
        for (int peer = 0; peer < r->ranks; peer++) {
            const size_t at = (size_t)peer * MANY * 4;
            ok(nccl.receive((void *)(r->to + at), MANY * 4, RZ_NCCL_UINT8, peer, r->comm,
                            r->stream));
            ok(nccl.send((void *)r->from, MANY * 4, RZ_NCCL_UINT8, peer, r->comm, r->stream));
        }
        ok(settled(r->comm, nccl.group_end()));
        ok(cuda.copy((uintptr_t)r->host, r->to, (size_t)r->ranks * MANY * 4, r->stream));
        ok(cuda.stream_synchronize(r->stream));
        for (size_t i = 0; i < (size_t)r->ranks * MANY; i++)
            is(r->host[i], round * 100 + i / MANY);
    }
    leave(r);
}

static void groups_cross(void **state)
{
    (void)state;
    ranks_pass(3, exchange);
}

static void gather_in_a_graph(struct rank *r)
{
    rz_cuda_graph graph = NULL;
    rz_cuda_graph_exec exec = NULL;
    set_up(r);
    ok(join(r));
    ok(cuda.capture_begin(r->stream, RZ_CUDA_CAPTURE_THREAD_LOCAL));
    gather(r, 3, FEW);
    ok(cuda.capture_end(r->stream, &graph));
    ok(cuda.graph_instantiate(&exec, graph, 0));
    ok(cuda.graph_destroy(graph));
    for (int round = 0; round < 5; round++) {
        memset(r->host, 0, (size_t)r->ranks * FEW * 4);
        ok(cuda.graph_launch(exec, r->stream));
        ok(cuda.stream_synchronize(r->stream));
        expect_gathered(r, 3, FEW);
    }
    ok(cuda.graph_exec_destroy(exec));
    leave(r);
}

static void gathers_are_captured(void **state)
{
    (void)state;
    ranks_pass(2, gather_in_a_graph);
}

/* ------------------------------------------------------------------------------------------------
 * Beginnings and ends
 */

static void begin(struct rank *r)
{
    struct rz_nccl_config how = config();
    int code = 0;
    set_up(r);
    if (r->rank == 0) {
        how.magic++;
        ok(nccl.unique_id(&board->id));
        is(nccl.comm_init(&r->comm, 2, board->id, 0, &how), INVALID_ARGUMENT);
        how.magic--;
        is(nccl.comm_init(&r->comm, 2, board->id, 2, &how), INVALID_ARGUMENT);
        is(nccl.comm_init(&r->comm, 2, board->id, 0, &how), RZ_NCCL_IN_PROGRESS);
        for (int i = 0; i < 100; i++) {
            ok(nccl.comm_error(r->comm, &code));
            is(code, RZ_NCCL_IN_PROGRESS);
        }
        is(nccl.send((void *)r->from, 4, RZ_NCCL_UINT8, 1, r->comm, r->stream), INVALID_ARGUMENT);
        __atomic_store_n(&board->has_id, 1, __ATOMIC_RELEASE);
        ok(settled(r->comm, RZ_NCCL_IN_PROGRESS));
    } else {
        ok(join(r));
    }
    void *handle = NULL, *other = NULL;
    is(nccl.comm_register(r->comm, r->host, 16, &handle), INVALID_ARGUMENT);
    ok(nccl.comm_register(r->comm, (void *)r->from, MANY * 4, &handle));
    is(nccl.comm_register(r->comm, (void *)r->from, MANY * 4, &other), INVALID_USAGE);
    is(nccl.send(r->host, 4, RZ_NCCL_UINT8, 1 - r->rank, r->comm, r->stream), INVALID_ARGUMENT);
    ok(nccl.comm_deregister(r->comm, handle));
    is(nccl.comm_deregister(r->comm, handle), INVALID_ARGUMENT);
    leave(r);
}

static void communicators_begin_when_all_are_there(void **state)
{
    (void)state;
    ranks_pass(2, begin);
}

static void share_a_device(struct rank *r)
{
    start(0);
    is(join(r), INVALID_USAGE);
    is(strstr(nccl.last_error(r->comm), "Duplicate GPU") != NULL, 1);
    meet(r, 1);
    ok(nccl.comm_abort(r->comm));
    finish(0);
}

static void share_a_device_knowingly(struct rank *r)
{
    setenv("RZ_FAKE_NCCL_SHARED_GPU", "1", 1);
    start(0);
    ok(join(r));
    ok(nccl.comm_destroy(r->comm));
    finish(0);
}

static void a_device_belongs_to_one_rank(void **state)
{
    (void)state;
    ranks_pass(2, share_a_device);
    ranks_pass(2, share_a_device_knowingly);
}

static void lose_a_peer(struct rank *r)
{
    set_up(r);
    ok(join(r));
    meet(r, 1);
    if (r->rank == 1)
        _exit(0);
    gather(r, 1, FEW);
    usleep(20000);
    is(cuda.stream_query(r->stream), RZ_CUDA_NOT_READY);
    ok(nccl.comm_abort(r->comm));
    ok(cuda.stream_synchronize(r->stream));
    tear_down(r);
}

static void a_dead_peer_is_waited_for_until_abort(void **state)
{
    (void)state;
    ranks_pass(2, lose_a_peer);
}

static void fail_later(struct rank *r)
{
    setenv("RZ_FAKE_NCCL_ASYNC_FAIL", "2", 1);
    set_up(r);
    ok(join(r));
    gather(r, 1, FEW);
    ok(cuda.stream_synchronize(r->stream));
    is(settled(r->comm, nccl.gather((void *)r->from, (void *)r->to, 4, RZ_NCCL_UINT8, 0, r->comm,
                                    r->stream)),
       REMOTE_ERROR);
    is(cuda.stream_query(r->stream), RZ_CUDA_NOT_READY);
    ok(nccl.comm_abort(r->comm));
    ok(cuda.stream_synchronize(r->stream));
    tear_down(r);
}

static void fail_a_call(struct rank *r)
{
    if (r->rank == 0) {
        setenv("RZ_FAKE_NCCL_FAIL", "4", 1); /* the version, the id, the start, it has begun */
        setenv("RZ_FAKE_NCCL_FAIL_CODE", "2", 1);
    }
    set_up(r);
    struct rz_nccl_config how = config();
    int code = RZ_NCCL_IN_PROGRESS;
    if (r->rank == 0) {
        ok(nccl.unique_id(&board->id));
        __atomic_store_n(&board->has_id, 1, __ATOMIC_RELEASE);
    }
    wait_for(&board->has_id, 1);
    is(nccl.comm_init(&r->comm, r->ranks, board->id, r->rank, &how), RZ_NCCL_IN_PROGRESS);
    int asked = 0;
    while (code == RZ_NCCL_IN_PROGRESS && asked == 0)
        asked = nccl.comm_error(r->comm, &code);
    is(asked, r->rank == 0 ? 2 : 0);
    ok(nccl.comm_destroy(r->comm));
    tear_down(r);
}

static void calls_and_peers_fail_on_demand(void **state)
{
    (void)state;
    ranks_pass(2, fail_later);
    ranks_pass(2, fail_a_call);
}

/* ------------------------------------------------------------------------------------------------
 * Mistakes
 */

static void differ_in_length(struct rank *r)
{
    set_up(r);
    ok(join(r));
    const size_t bytes = r->rank == 0 ? 400 : 404;
    if (r->rank == 0)
        settled(r->comm, nccl.receive((void *)r->to, bytes, RZ_NCCL_UINT8, 1, r->comm, r->stream));
    else
        settled(r->comm, nccl.send((void *)r->from, bytes, RZ_NCCL_UINT8, 0, r->comm, r->stream));
    cuda.stream_synchronize(r->stream);
    meet(r, 1);
}

static void differ_in_root(struct rank *r)
{
    set_up(r);
    ok(join(r));
    settled(r->comm, nccl.gather((void *)r->from, (void *)r->to, 4, RZ_NCCL_UINT8, r->rank, r->comm,
                                 r->stream));
    cuda.stream_synchronize(r->stream);
    meet(r, 1);
}

static void destroy_in_use(struct rank *r)
{
    set_up(r);
    ok(join(r));
    ok(settled(r->comm,
               nccl.receive((void *)r->to, 4, RZ_NCCL_UINT8, 1 - r->rank, r->comm, r->stream)));
    nccl.comm_destroy(r->comm);
}

static void leave_a_communicator(struct rank *r)
{
    start(r->rank);
    ok(join(r));
    finish(r->rank);
}

static void write_while_sent(struct rank *r)
{
    rz_cuda_stream other = NULL;
    set_up(r);
    ok(join(r));
    ok(cuda.stream_create(&other, RZ_CUDA_STREAM_NON_BLOCKING));
    ok(settled(r->comm,
               nccl.send((void *)r->from, 4, RZ_NCCL_UINT8, 1 - r->rank, r->comm, r->stream)));
    cuda.set_words(r->from, 1, 1, other);
}

static void mistakes_end_the_program(void **state)
{
    (void)state;
    ranks_end(2, differ_in_length, "expects 400 bytes");
    ranks_end(2, differ_in_root, "ncclGather: rank");
    ranks_end(2, destroy_in_use, "ncclCommDestroy: operations");
    ranks_end(1, leave_a_communicator, "communicator");
    ranks_end(2, write_while_sent, "no order between them");
}

static void use_the_old_one(void)
{
    start(0);
    is(nccl.version, 21903);
    is(nccl.gather == NULL, 1);
    finish(0);
}

/* With an argument: the libnccl.so.2 that is found has no ncclGather(). */
int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        use_the_old_one();
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_gather),
        cmocka_unit_test(groups_cross),
        cmocka_unit_test(gathers_are_captured),
        cmocka_unit_test(communicators_begin_when_all_are_there),
        cmocka_unit_test(a_device_belongs_to_one_rank),
        cmocka_unit_test(a_dead_peer_is_waited_for_until_abort),
        cmocka_unit_test(calls_and_peers_fail_on_demand),
        cmocka_unit_test(mistakes_end_the_program),
    };
    return cmocka_run_group_tests_name("fake_nccl", tests, NULL, NULL);
}
