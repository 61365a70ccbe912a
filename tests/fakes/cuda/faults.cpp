/* SPDX-License-Identifier: Apache-2.0
 *
 * faults.cpp - what every call begins with.
 */
#include "tests/fakes/cuda/calls.h"
#include "tests/fakes/cuda/context.h"

namespace fake {

namespace {

bool started;

int check_needs(needs what)
{
    if (what != needs::nothing && !started)
        return CUDA_ERROR_NOT_INITIALIZED;
    if (what != needs::context)
        return CUDA_SUCCESS;
    const CUctx_st *context = current_context();
    if (context == nullptr)
        return CUDA_ERROR_INVALID_CONTEXT;
    return context->retained == 0 ? CUDA_ERROR_CONTEXT_IS_DESTROYED : CUDA_SUCCESS;
}

} // namespace

int current_failure()
{
    const CUctx_st *context = current_context();
    return context != nullptr ? context->failure : CUDA_SUCCESS;
}

int begin_query(needs what)
{
    const int code = check_needs(what);
    return code == CUDA_SUCCESS && what == needs::context ? current_failure() : code;
}

int begin_call(needs what)
{
    return is_its_turn() ? code_of_failure(CUDA_ERROR_UNKNOWN) : begin_query(what);
}

int begin_destroying(const void *handle)
{
    if (!is_its_turn())
        return check_needs(needs::context);
    excuse(handle);
    return code_of_failure(CUDA_ERROR_UNKNOWN);
}

void note_start()
{
    started = true;
}

} // namespace fake
