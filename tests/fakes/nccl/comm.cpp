/* SPDX-License-Identifier: Apache-2.0
 *
 * comm.cpp - communicators: how they begin and end, and what becomes of them.
 */
#include "tests/fakes/nccl/comm.h"

#include <cstdlib>
#include <cstring>
#include <set>
#include <unistd.h>

namespace fake {

namespace {

std::set<rz_nccl_comm> &comms()
{
    static auto *all = new std::set<rz_nccl_comm>;
    return *all;
}

std::set<rz_nccl_comm> &excused()
{
    static auto *all = new std::set<rz_nccl_comm>;
    return *all;
}

void check_exit()
{
    const guard lock(nccl_mutex());
    for (rz_nccl_comm comm : comms())
        if (must_leave_nothing() && excused().count(comm) == 0)
            give_up("at exit: communicator %p is left", static_cast<void *>(comm));
}

/* A call that ends a communicator: if it is made to fail, what is left is no leak. */
template <typename F>
int end(rz_nccl_comm comm, const char *name, F body)
{
    const guard lock(nccl_mutex());
    if (comm == nullptr)
        return nccl_success;
    expect_comm(comm, name);
    if (is_its_turn()) {
        excused().insert(comm);
        return code_of_failure(nccl_internal_error);
    }
    return body();
}

bool is_config(const rz_nccl_config &c)
{
    const auto is_unset_or = [](int value, int least, int most) {
        return value == RZ_NCCL_UNDEFINED || (value >= least && value <= most);
    };
    return c.size == sizeof c && c.magic == RZ_NCCL_MAGIC && c.version == RZ_NCCL_CONFIG_VERSION &&
           is_unset_or(c.blocking, 0, 1) && is_unset_or(c.cga_cluster_size, 0, 8) &&
           is_unset_or(c.min_ctas, 1, 64) && is_unset_or(c.max_ctas, 1, 64) &&
           is_unset_or(c.split_share, 0, 1);
}

/* Take this rank's seat. */
int sit_down(rz_nccl_comm comm)
{
    shared_state &s = *comm->shared;
    rz_cuda_uuid device = {};
    if (fake_cuda().current_device(&device) != RZ_CUDA_SUCCESS)
        return nccl_unhandled_cuda_error;
    s.meeting = enter_room(comm->id);
    if (s.meeting == nullptr)
        return nccl_system_error;
    seat &own = s.meeting->seats[s.rank];
    if (own.taken.exchange(1) != 0)
        return nccl_invalid_usage;
    own.ranks = s.ranks;
    own.device = device;
    s.meeting->present.fetch_add(1);
    return nccl_success;
}

/* What all ranks find when all have come. */
int look_around(rz_nccl_comm comm)
{
    const shared_state &s = *comm->shared;
    const bool may_share = chosen("RZ_FAKE_NCCL_SHARED_GPU", 0) != 0;
    for (int i = 0; i < s.ranks; i++) {
        if (s.meeting->seats[i].ranks != s.ranks)
            return fail(comm, nccl_invalid_usage, "ranks differ in how many they are");
        for (int j = 0; j < i && !may_share; j++)
            if (std::memcmp(&s.meeting->seats[i].device, &s.meeting->seats[j].device,
                            sizeof(rz_cuda_uuid)) == 0)
                return fail(comm, nccl_invalid_usage,
                            ("Duplicate GPU detected : rank " + std::to_string(i) + " and rank " +
                             std::to_string(j) + " both on one CUDA device")
                                .c_str());
    }
    return nccl_success;
}

/* What is going on, a step further. */
void go_on(rz_nccl_comm comm)
{
    shared_state &s = *comm->shared;
    if (comm->state != nccl_in_progress)
        return;
    if (!comm->has_met) {
        if (s.meeting->present.load() < static_cast<uint32_t>(s.ranks))
            return;
        comm->has_met = true;
        forget_id(comm->id);
        comm->state = look_around(comm);
    } else if (comm->finalized) {
        if (s.plans.load() == 0)
            comm->state = nccl_success;
    } else if (comm->asks_left > 0) {
        comm->asks_left--;
    } else {
        comm->state = enqueue_waiting(comm);
    }
}

int wait_until_done(rz_nccl_comm comm, guard &lock)
{
    for (go_on(comm); comm->state == nccl_in_progress; go_on(comm)) {
        lock.unlock();
        usleep(100);
        lock.lock();
    }
    return comm->state;
}

void remove(rz_nccl_comm comm)
{
    forget_comm(comm);
    forget_id(comm->id);
    comms().erase(comm);
    delete comm;
}

} // namespace

void expect_comm(rz_nccl_comm comm, const char *call)
{
    if (comms().count(comm) == 0)
        give_up("%s: %p is no communicator, or is one no more", call, static_cast<void *>(comm));
}

int fail(rz_nccl_comm comm, int code, const char *why)
{
    comm->last_error = why;
    return code;
}

int expect_ready(rz_nccl_comm comm)
{
    if (comm->finalized)
        return fail(comm, nccl_invalid_argument, "the communicator is finalized");
    if (comm->state == nccl_in_progress)
        return fail(comm, nccl_invalid_argument,
                    "Attempt to use communicator before the previous operation returned "
                    "ncclSuccess");
    return comm->state;
}

} // namespace fake

using namespace fake;

int ncclGetUniqueId(rz_nccl_id *id)
{
    return call([&](guard &) { return make_id(id) ? nccl_success : nccl_system_error; });
}

int ncclCommInitRankConfig(rz_nccl_comm *comm, int ranks, rz_nccl_id id, int rank,
                           rz_nccl_config *config)
{
    return call([&](guard &lock) -> int {
        static const bool checks = std::atexit(check_exit) == 0;
        if (!checks)
            return nccl_system_error;
        if (ranks < 1 || rank < 0 || rank >= ranks || comm == nullptr ||
            (config != nullptr && !is_config(*config)))
            return nccl_invalid_argument;
        if (ranks > kMostRanks)
            give_up("ncclCommInitRankConfig: the double has %d ranks at most", kMostRanks);
        rz_nccl_comm made = new ncclComm{};
        made->shared = std::make_shared<shared_state>();
        made->shared->rank = rank;
        made->shared->ranks = ranks;
        made->id = id;
        made->blocks = config == nullptr || config->blocking != 0;
        made->state = nccl_in_progress;
        int code = sit_down(made);
        if (code == nccl_success && made->blocks)
            code = wait_until_done(made, lock);
        if (code != nccl_success) {
            delete made;
            return code;
        }
        comms().insert(made);
        *comm = made;
        return made->state;
    });
}

/* Counted only when it says something new, so that the count does not depend on time. */
int ncclCommGetAsyncError(rz_nccl_comm comm, int *error)
{
    const guard lock(nccl_mutex());
    expect_comm(comm, "ncclCommGetAsyncError");
    go_on(comm);
    if (comm->state != nccl_in_progress && is_its_turn())
        return code_of_failure(nccl_internal_error);
    *error = comm->state;
    return nccl_success;
}

const char *ncclGetLastError(rz_nccl_comm comm)
{
    const guard lock(nccl_mutex());
    if (comm == nullptr)
        return "";
    expect_comm(comm, "ncclGetLastError");
    return comm->last_error.c_str();
}

int ncclCommFinalize(rz_nccl_comm comm)
{
    return call([&](guard &lock) -> int {
        expect_comm(comm, "ncclCommFinalize");
        const int code = expect_ready(comm);
        if (code != nccl_success)
            return code;
        comm->finalized = true;
        comm->state = nccl_in_progress;
        return comm->blocks ? wait_until_done(comm, lock) : comm->state;
    });
}

int ncclCommDestroy(rz_nccl_comm comm)
{
    return end(comm, "ncclCommDestroy", [&]() -> int {
        if (comm->state == nccl_in_progress)
            return fail(comm, nccl_invalid_argument, "ncclCommDestroy before it is ready");
        if (comm->shared->plans.load() != 0)
            give_up("ncclCommDestroy: operations of it wait, or are in a graph");
        for (const auto &one : comm->registrations)
            if (must_leave_nothing())
                give_up("ncclCommDestroy: the buffer at %p is registered", one.second.begin);
        remove(comm);
        return nccl_success;
    });
}

/* Its work ends where it is; nobody learns of that from the streams. */
int ncclCommAbort(rz_nccl_comm comm)
{
    return end(comm, "ncclCommAbort", [&]() -> int {
        comm->shared->aborted.store(true);
        remove(comm);
        return nccl_success;
    });
}

int ncclCommRegister(rz_nccl_comm comm, void *buffer, size_t bytes, void **handle)
{
    return call([&](guard &) -> int {
        expect_comm(comm, "ncclCommRegister");
        int code = expect_ready(comm);
        if (code == nccl_success)
            code = expect_device_memory(comm, buffer, bytes);
        if (code != nccl_success)
            return code;
        for (const auto &one : comm->registrations)
            if (one.second.begin == buffer)
                return fail(comm, nccl_invalid_usage, "the buffer is registered already");
        static uintptr_t handles = 0;
        *handle = reinterpret_cast<void *>(++handles);
        comm->registrations[*handle] = {buffer, bytes};
        return nccl_success;
    });
}

int ncclCommDeregister(rz_nccl_comm comm, void *handle)
{
    return call([&](guard &) -> int {
        expect_comm(comm, "ncclCommDeregister");
        const auto found = comm->registrations.find(handle);
        if (found == comm->registrations.end())
            return fail(comm, nccl_invalid_argument, "no buffer is registered by this handle");
        if (fake_cuda().has_device_memory(found->second.begin, found->second.bytes) == 0)
            give_up("ncclCommDeregister: the buffer at %p was freed first", found->second.begin);
        comm->registrations.erase(found);
        return nccl_success;
    });
}
