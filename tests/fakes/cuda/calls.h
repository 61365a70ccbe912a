/* SPDX-License-Identifier: Apache-2.0
 *
 * calls.h - every call of the driver as it is declared to those who make it, and what each begins
 * with: it is counted, and fails when its turn has come.
 */
#ifndef RZ_TESTS_FAKES_CUDA_CALLS_H
#define RZ_TESTS_FAKES_CUDA_CALLS_H

#include "tests/fakes/cuda/machine.h"

#define FAKE_CUDA_VISIBLE __attribute__((visibility("default")))

/* A definition with other parameters does not compile. */
extern "C" {
#define FAKE_CUDA_DECLARE(member, symbol, parameters) FAKE_CUDA_VISIBLE int symbol parameters;
RZ_CUDA_CALLS(FAKE_CUDA_DECLARE)
#undef FAKE_CUDA_DECLARE
}

namespace fake {

/* What a call needs to be there. */
enum class needs { nothing, start, context };

/* Count the call; the code with which it fails, before it has done anything. */
int begin_call(needs what);
int begin_query(needs what); /* the same, not counted */
void note_start();           /* cuInit() has been called */

template <typename F>
int call(needs what, F body)
{
    guard lock(machine_mutex());
    const int code = begin_call(what);
    return code != CUDA_SUCCESS ? code : body(lock);
}

/* A call on the thread's stack of contexts, which has nothing to fail with: not counted. */
template <typename F>
int call_on_stack(F body)
{
    guard lock(machine_mutex());
    const int code = begin_query(needs::start);
    return code != CUDA_SUCCESS ? code : body(lock);
}

/* A call that asks whether something is done is counted only when it is, so that the count does not
 * depend on time. */
template <typename F>
int query(F body)
{
    guard lock(machine_mutex());
    const int code = begin_query(needs::context);
    if (code != CUDA_SUCCESS)
        return code;
    const int found = body(lock);
    return found != CUDA_ERROR_NOT_READY && is_its_turn() ? code_of_failure(CUDA_ERROR_UNKNOWN)
                                                          : found;
}

/* A call that destroys: when it is made to fail its handle may stay, and what it destroys is gone
 * even if the context has failed. */
int begin_destroying(const void *handle);
int current_failure();

template <typename F>
int destroy(const void *handle, F body)
{
    guard lock(machine_mutex());
    int code = begin_destroying(handle);
    if (code == CUDA_SUCCESS)
        code = body(lock);
    return code != CUDA_SUCCESS ? code : current_failure();
}

} // namespace fake

#endif
