/* SPDX-License-Identifier: Apache-2.0
 *
 * communicator.c - begin, wait for and end a communicator of NCCL.
 *
 * ncclCommAbort first sets flags that make kernels of the communicator give up. Then it waits for
 * every graph that they were captured in to be destroyed, and graphs may belong to someone who
 * destroys them only when he has learnt that all is over. So it runs on a thread of its own, which
 * exists only then.
 */
#include "comm/communicator.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "internal/clock.h"

/* Most that the end waits, for other ranks and for NCCL to clean up: each. */
#define END_NS UINT64_C(2000000000)

struct rz_communicator_ending {
    int (*abort)(rz_nccl_comm comm);
    rz_nccl_comm handle;
    pthread_t thread;
    bool has_thread;         /* the waiter's to know */
    _Atomic uint32_t parted; /* of the thread and who waits for it; the second one frees this */
};

void rz_communicator_pause(unsigned looks)
{
    const struct timespec pause = {.tv_nsec = 50000};
    if (looks < 1000)
        sched_yield();
    else
        nanosleep(&pause, NULL);
}

int rz_communicator_fail(struct rz_communicator *communicator, int code, const char *call,
                         struct rz_error *err)
{
    const struct rz_comm_peers *peers = &communicator->peers;
    communicator->failed = true;
    const int status = peers->check(peers->context, err); /* NCCL does not know why */
    if (status != RZ_OK)
        return status;
    return rz_nccl_fail(&communicator->nccl, code, communicator->handle, call, err);
}

int rz_communicator_late(struct rz_communicator *communicator, const char *call,
                         uint64_t deadline_ns, struct rz_error *err)
{
    if (rz_clock_ns() < deadline_ns)
        return RZ_OK;
    communicator->failed = true;
    return rz_fail(err, RZ_E_TIMEOUT, RZ_NO_RANK, 0, "%s was not done in time", call);
}

int rz_communicator_settle(struct rz_communicator *communicator, int code, const char *call,
                           uint64_t deadline_ns, struct rz_error *err)
{
    const struct rz_comm_peers *peers = &communicator->peers;
    for (unsigned looks = 0; code == RZ_NCCL_IN_PROGRESS; looks++) {
        const int asked = communicator->nccl.comm_error(communicator->handle, &code);
        if (asked != RZ_NCCL_SUCCESS)
            code = asked;
        if (code != RZ_NCCL_IN_PROGRESS)
            break;
        int status = looks % 64 == 0 ? peers->check(peers->context, err) : RZ_OK;
        if (status == RZ_OK)
            status = rz_communicator_late(communicator, call, deadline_ns, err);
        if (status != RZ_OK) {
            communicator->failed = true;
            return status;
        }
        rz_communicator_pause(looks);
    }
    return code == RZ_NCCL_SUCCESS ? RZ_OK : rz_communicator_fail(communicator, code, call, err);
}

int rz_communicator_begin(struct rz_communicator *communicator, uint32_t rank, uint32_t world,
                          struct rz_nccl_id id, uint64_t deadline_ns, struct rz_error *err)
{
    struct rz_communicator_ending *ending = calloc(1, sizeof *ending);
    if (ending == NULL)
        return rz_fail(err, RZ_E_NOMEM, RZ_NO_RANK, 0, "no memory for a communicator of NCCL");
    atomic_store_explicit(&ending->parted, 1, memory_order_relaxed); /* no thread yet */
    communicator->ending = ending;

    struct rz_nccl_config config = {
        .size = sizeof config,
        .magic = RZ_NCCL_MAGIC,
        .version = RZ_NCCL_CONFIG_VERSION,
        .blocking = 0,
        .cga_cluster_size = RZ_NCCL_UNDEFINED,
        .min_ctas = RZ_NCCL_UNDEFINED,
        .max_ctas = RZ_NCCL_UNDEFINED,
        .split_share = RZ_NCCL_UNDEFINED,
    };
    const char *call = "ncclCommInitRankConfig";
    rz_nccl_comm handle = NULL;
    const int code = communicator->nccl.comm_init(&handle, (int)world, id, (int)rank, &config);
    if (code != RZ_NCCL_SUCCESS && code != RZ_NCCL_IN_PROGRESS)
        return rz_communicator_fail(communicator, code, call, err);
    communicator->handle = handle;
    return rz_communicator_settle(communicator, code, call, deadline_ns, err);
}

int rz_communicator_check(struct rz_communicator *communicator, struct rz_error *err)
{
    const struct rz_comm_peers *peers = &communicator->peers;
    const int status = peers->check(peers->context, err);
    if (status != RZ_OK)
        return status;
    if (communicator->failed)
        return rz_fail(err, RZ_E_COMM, RZ_NO_RANK, 0, "NCCL's communicator has failed before");
    if (communicator->handle == NULL)
        return RZ_OK;
    int code = RZ_NCCL_SUCCESS;
    const int asked = communicator->nccl.comm_error(communicator->handle, &code);
    if (asked != RZ_NCCL_SUCCESS)
        code = asked;
    return code == RZ_NCCL_SUCCESS || code == RZ_NCCL_IN_PROGRESS
               ? RZ_OK
               : rz_communicator_fail(communicator, code, "between ranks, NCCL", err);
}

static void part(struct rz_communicator_ending *ending)
{
    if (atomic_fetch_add_explicit(&ending->parted, 1, memory_order_acq_rel) == 1)
        free(ending);
}

static void *abort_main(void *argument)
{
    struct rz_communicator_ending *ending = argument;
    ending->abort(ending->handle);
    part(ending);
    return NULL;
}

void rz_communicator_abort(struct rz_communicator *communicator)
{
    struct rz_communicator_ending *ending = communicator->ending;
    communicator->failed = true;
    if (communicator->handle == NULL)
        return;
    ending->abort = communicator->nccl.comm_abort;
    ending->handle = communicator->handle;
    atomic_store_explicit(&ending->parted, 0, memory_order_relaxed); /* the thread starts after */
    communicator->handle = NULL;
    ending->has_thread = pthread_create(&ending->thread, NULL, abort_main, ending) == 0;
    if (!ending->has_thread) {
        atomic_store_explicit(&ending->parted, 1, memory_order_relaxed);
        ending->abort(ending->handle);
    }
}

/* End it as NCCL likes it best. False if that takes too long, as with a rank that is gone. */
static bool finalize(struct rz_communicator *communicator)
{
    const struct rz_nccl *nccl = &communicator->nccl;
    const uint64_t deadline_ns = rz_clock_ns() + END_NS;
    int code = nccl->comm_finalize(communicator->handle);
    for (unsigned looks = 0; code == RZ_NCCL_IN_PROGRESS && rz_clock_ns() < deadline_ns; looks++) {
        rz_communicator_pause(looks);
        const int asked = nccl->comm_error(communicator->handle, &code);
        if (asked != RZ_NCCL_SUCCESS)
            code = asked;
    }
    if (code != RZ_NCCL_SUCCESS)
        return false;
    nccl->comm_destroy(communicator->handle); /* it is gone, whatever this returns */
    communicator->handle = NULL;
    return true;
}

void rz_communicator_end(struct rz_communicator *communicator)
{
    struct rz_communicator_ending *ending = communicator->ending;
    if (ending == NULL)
        return;
    if (communicator->handle != NULL && (communicator->failed || !finalize(communicator)))
        rz_communicator_abort(communicator);
    const uint64_t deadline_ns = rz_clock_ns() + END_NS;
    unsigned looks = 0;
    /* acquire: pairs with the release in part(). */
    while (atomic_load_explicit(&ending->parted, memory_order_acquire) == 0 &&
           rz_clock_ns() < deadline_ns)
        rz_communicator_pause(looks++);
    if (ending->has_thread && atomic_load_explicit(&ending->parted, memory_order_acquire) == 0)
        pthread_detach(ending->thread);
    else if (ending->has_thread)
        pthread_join(ending->thread, NULL);
    part(ending);
    communicator->ending = NULL;
}
