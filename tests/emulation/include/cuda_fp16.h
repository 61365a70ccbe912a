/* SPDX-License-Identifier: Apache-2.0
 *
 * cuda_fp16.h - in place of CUDA's: the functions of pairs that the kernels use.
 */
#ifndef RZ_TESTS_EMULATION_CUDA_FP16_H
#define RZ_TESTS_EMULATION_CUDA_FP16_H

#include "tests/emulation/pair.h"

struct half_format {
    static float value(uint16_t bits)
    {
        return rz_float_from_float16(bits);
    }
    static constexpr uint16_t nan = 0x7FFF;
};

using __half2 = emulated_pair<half_format>;

#endif
