/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/cuda/work.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <set>
#include <thread>

#include "tests/fakes/cuda/calls.h"

namespace fake {

namespace {

/* Of more work that is done and that nobody asks for, the oldest is taken for known. */
constexpr size_t kMostUnknown = 512;

/* Never destroyed: calls may still be made when destructors run. */
struct worker {
    std::vector<work_ref> all; /* that is not known to be done, oldest first */
    std::condition_variable_any added, finished;
    std::thread thread;
    uint64_t happened; /* how much was added and done */
    uint64_t ran;
    uint32_t waiters;
    bool exits;
};

worker &w()
{
    static auto *one = new worker{};
    return *one;
}

uint64_t now_ns()
{
    return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                     std::chrono::steady_clock::now().time_since_epoch())
                                     .count());
}

bool can_run(const work_ref &one)
{
    return one->state == work::waiting && one->polled_at != w().happened &&
           std::all_of(one->after.begin(), one->after.end(), is_done);
}

/* Something that may be done now, or nullptr. */
work_ref draw()
{
    std::vector<work_ref> ready;
    std::copy_if(w().all.begin(), w().all.end(), std::back_inserter(ready), can_run);
    return ready.empty() ? nullptr : ready[random_below(ready.size())];
}

bool something_waits()
{
    return !std::all_of(w().all.begin(), w().all.end(), is_done);
}

void finish(const work_ref &one)
{
    one->state = work::done;
    one->done_ns = now_ns();
    one->what.run = nullptr;
    w().happened++;
    w().finished.notify_all();
}

/* A context whose work has failed does none any more. */
void fail_context(CUctx_st *context)
{
    context->failure = CUDA_ERROR_LAUNCH_FAILED;
    for (const work_ref &one : w().all)
        if (one->context == context && one->state == work::waiting)
            finish(one);
}

void run(const work_ref &one, guard &lock)
{
    fake_cuda_progress result = FAKE_CUDA_FAILED;
    one->state = work::running;
    if (one->polled_at != 0 || ++w().ran != chosen("RZ_FAKE_CUDA_FAIL_WORK", 0) ||
        !is_rank_chosen()) {
        lock.unlock();
        result = one->what.run();
        lock.lock();
    }
    if (result == FAKE_CUDA_NOT_YET && one->context->failure == CUDA_SUCCESS) {
        one->state = work::waiting;
        one->polled_at = w().happened;
        return;
    }
    finish(one);
    if (result == FAKE_CUDA_FAILED)
        fail_context(one->context);
}

void work_for_devices()
{
    guard lock(machine_mutex());
    while (!w().exits) {
        if (w().waiters == 0 && random_below(4) == 0)
            w().added.wait_for(lock, std::chrono::microseconds(random_below(300)));
        const work_ref next = draw();
        if (next != nullptr) {
            run(next, lock);
        } else if (something_waits()) {
            /* For another process, or for the program to write a word. */
            w().added.wait_for(lock, std::chrono::microseconds(100));
            w().happened++;
        } else if (!w().exits) {
            w().added.wait(lock);
        }
    }
}

bool overlaps(const use &a, const use &b)
{
    return a.begin < b.end && b.begin < a.end;
}

std::set<const work *> all_before(const std::vector<work_ref> &after)
{
    std::set<const work *> before;
    std::vector<const work *> left(after.size());
    std::transform(after.begin(), after.end(), left.begin(),
                   [](const work_ref &one) { return one.get(); });
    while (!left.empty()) {
        const work *one = left.back();
        left.pop_back();
        if (one == nullptr || one->is_known || !before.insert(one).second)
            continue;
        for (const work_ref &earlier : one->after)
            left.push_back(earlier.get());
    }
    return before;
}

bool collide(const use &a, const use &b)
{
    return overlaps(a, b) && a.how != use::unknown && b.how != use::unknown &&
           (a.how == use::writes || b.how == use::writes);
}

void expect_order(const task &what, const std::vector<work_ref> &after)
{
    const std::set<const work *> before = all_before(after);
    for (const work_ref &other : w().all)
        for (const use &theirs : other->what.uses)
            for (const use &own : what.uses)
                if (collide(own, theirs) && before.count(other.get()) == 0)
                    give_up("%s and %s use the bytes at %#llx, and there is no order between them",
                            other->what.name.c_str(), what.name.c_str(),
                            static_cast<unsigned long long>(std::max(own.begin, theirs.begin)));
}

void drop_known()
{
    const auto last = std::remove_if(w().all.begin(), w().all.end(),
                                     [](const work_ref &one) { return one->is_known; });
    w().all.erase(last, w().all.end());
}

void know_oldest()
{
    for (size_t i = 0; i < w().all.size() && w().all.size() - i > kMostUnknown; i++)
        if (is_done(w().all[i]))
            know(w().all[i]);
}

} // namespace

bool is_done(const work_ref &one)
{
    return one == nullptr || one->state == work::done;
}

work_ref add_work(CUctx_st *context, task what, std::vector<work_ref> after)
{
    expect_order(what, after);
    if (w().all.size() > kMostUnknown)
        know_oldest();
    auto added = std::make_shared<work>();
    added->context = context;
    added->what = std::move(what);
    added->after = std::move(after);
    if (!w().thread.joinable())
        w().thread = std::thread(work_for_devices);
    w().all.push_back(added);
    w().happened++;
    w().added.notify_all();
    return added;
}

void know(const work_ref &one)
{
    std::vector<work_ref> left = {one};
    while (!left.empty()) {
        const work_ref next = left.back();
        left.pop_back();
        if (next == nullptr || next->is_known)
            continue;
        next->is_known = true;
        left.insert(left.end(), next->after.begin(), next->after.end());
        next->after.clear();
    }
    drop_known();
}

void wait_for(const work_ref &one, guard &lock)
{
    w().waiters++;
    w().added.notify_all();
    while (!is_done(one))
        w().finished.wait(lock);
    w().waiters--;
    know(one);
}

namespace {

/* `concerns`: does this work use what is about to go? */
template <typename F>
void forget(F concerns, const char *call, guard &lock)
{
    const std::vector<work_ref> all = w().all; /* it changes while the lock is not held */
    for (const work_ref &one : all) {
        if (one->is_known || !concerns(one->what))
            continue;
        if (!has_failed_on_demand() && one->context->failure == CUDA_SUCCESS)
            give_up("%s: %s, which is not known to be done, uses it", call, one->what.name.c_str());
        wait_for(one, lock);
    }
}

} // namespace

void forget_bytes(uintptr_t begin, uintptr_t end, const char *call, guard &lock)
{
    const use all = {use::unknown, begin, end};
    const auto uses_them = [&](const task &what) {
        return std::any_of(what.uses.begin(), what.uses.end(),
                           [&](const use &one) { return overlaps(one, all); });
    };
    forget(uses_them, call, lock);
}

void forget_owner(const void *owner, const char *call, guard &lock)
{
    forget([&](const task &what) { return what.of == owner; }, call, lock);
}

void expect_idle(const CUctx_st *context, const char *when)
{
    for (const work_ref &one : w().all)
        if (one->context == context && must_leave_nothing() && !has_failed_on_demand() &&
            context->failure == CUDA_SUCCESS)
            give_up("%s: %s is not known to be done", when, one->what.name.c_str());
}

void stop_working()
{
    guard lock(machine_mutex());
    if (!w().thread.joinable())
        return;
    w().exits = true;
    w().added.notify_all();
    lock.unlock();
    w().thread.join();
}

} // namespace fake
