/* SPDX-License-Identifier: Apache-2.0
 *
 * errors.cpp - what codes are called.
 */
#include "tests/fakes/cuda/calls.h"

namespace {

const struct {
    int code;
    const char *name, *text;
} codes[] = {
#define FAKE_CUDA_CODE(name, number, text) {number, "CUDA_" #name, text},
    FAKE_CUDA_CODES(FAKE_CUDA_CODE)
#undef FAKE_CUDA_CODE
};

} // namespace

int cuGetErrorName(int code, const char **name)
{
    *name = nullptr;
    for (const auto &known : codes)
        if (known.code == code)
            *name = known.name;
    return *name != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

int cuGetErrorString(int code, const char **text)
{
    *text = nullptr;
    for (const auto &known : codes)
        if (known.code == code)
            *text = known.text;
    return *text != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
