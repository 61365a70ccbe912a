/* SPDX-License-Identifier: Apache-2.0
 *
 * machine.h - what all parts of the double share: one lock, and what is alive.
 */
#ifndef RZ_TESTS_FAKES_CUDA_MACHINE_H
#define RZ_TESTS_FAKES_CUDA_MACHINE_H

#include <mutex>

#include "tests/fakes/cuda/codes.h"
#include "tests/fakes/cuda/fake.h"
#include "tests/fakes/settings.h"

namespace fake {

/* Everything below and all that the other parts know is read and written under this lock. */
std::mutex &machine_mutex();
using guard = std::unique_lock<std::mutex>;

/* What is alive, by its handle or address. A handle that is not is a mistake of the caller's, for
 * the real driver would crash or do worse. */
enum class kind {
    stream,
    event,
    module,
    graph,
    executable_graph,
    device_memory,
    pinned_memory,
    registered_memory,
    opened_memory
};
void born(const void *handle, kind what, CUctx_st *context);
void gone(const void *handle);
bool is_alive(const void *handle, kind what);
void expect_alive(const void *handle, kind what, const char *call);

/* expect_nothing - give up if anything of this context (nullptr: of any) is alive that the caller
 * could have destroyed. */
void expect_nothing_alive(CUctx_st *context, const char *when);

/* excuse - its destruction was asked for and was made to fail. */
void excuse(const void *handle);

} // namespace fake

#endif
