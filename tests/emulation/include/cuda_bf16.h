/* SPDX-License-Identifier: Apache-2.0
 *
 * cuda_bf16.h - in place of CUDA's: the functions of pairs that the kernels use.
 */
#ifndef RZ_TESTS_EMULATION_CUDA_BF16_H
#define RZ_TESTS_EMULATION_CUDA_BF16_H

#include "tests/emulation/pair.h"

struct bfloat16_format {
    static float value(uint16_t bits)
    {
        return rz_float_from_bfloat16(bits);
    }
    static constexpr uint16_t nan = 0x7FFF;
};

using __nv_bfloat162 = emulated_pair<bfloat16_format>;

#endif
