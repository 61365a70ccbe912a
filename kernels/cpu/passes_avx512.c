/* SPDX-License-Identifier: Apache-2.0
 *
 * passes_avx512.c - the passes for AVX-512 F, BW, DQ and VL.
 */
#include "kernels/cpu/lanes_avx512.h"

#define RZ_PASSES rz_passes_avx512
#define RZ_PASSES_NAME "avx512"

#include "kernels/cpu/passes.inc.h"
