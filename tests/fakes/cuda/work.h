/* SPDX-License-Identifier: Apache-2.0
 *
 * work.h - what devices do, piece by piece, each when all that it comes after is done.
 *
 * One thread works for all devices. It draws what it does next from all that it may do, so that
 * nothing but the order that was asked for can be relied on; now and then it waits a while first,
 * unless somebody waits for it.
 */
#ifndef RZ_TESTS_FAKES_CUDA_WORK_H
#define RZ_TESTS_FAKES_CUDA_WORK_H

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/fakes/cuda/context.h"

namespace fake {

/* Bytes that work uses. How a kernel uses what its arguments point to is not known. */
struct use {
    enum { reads, writes, unknown } how;
    uintptr_t begin, end;
};

/* What to do, as often as it is asked for: a copy of `run` is called without the lock until it
 * says that it is done. */
struct task {
    std::string name;
    std::function<fake_cuda_progress()> run;
    std::vector<use> uses;
    const void *of; /* the module or the queue that it belongs to, or nullptr */
    bool is_queue;  /* whose work is done in order */
};

struct work;
using work_ref = std::shared_ptr<work>;

struct work {
    CUctx_st *context;
    task what;
    std::vector<work_ref> after;
    enum { waiting, running, done } state;
    bool is_known;      /* to be done: whoever saw it may rely on it */
    uint64_t polled_at; /* how much had happened when it last said "not yet" */
    uint64_t done_ns;
};

/* add_work - to be done after all of these. Gives up if it uses bytes that other work uses, and
 * there is no order between the two. */
work_ref add_work(CUctx_st *context, task what, std::vector<work_ref> after);

bool is_done(const work_ref &one); /* nullptr is */

/* The caller has seen that it is done, and what it came after with it. */
void know(const work_ref &one);

/* wait_for - until it is done and known. */
void wait_for(const work_ref &one, guard &lock);

/* forget_bytes, forget_owner - they are about to go. Gives up if work that is not known to be done
 * uses them; waits, as the real driver does, where calls were made to fail. */
void forget_bytes(uintptr_t begin, uintptr_t end, const char *call, guard &lock);
void forget_owner(const void *owner, const char *call, guard &lock);

/* expect_idle - give up if work of this context is not known to be done. */
void expect_idle(const CUctx_st *context, const char *when);

/* stop_working - at the exit of the process: end the thread. */
void stop_working();

} // namespace fake

#endif
