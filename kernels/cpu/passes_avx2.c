/* SPDX-License-Identifier: Apache-2.0
 *
 * passes_avx2.c - the passes for AVX2, FMA and F16C.
 */
#include "kernels/cpu/lanes_avx2.h"

#define RZ_PASSES rz_passes_avx2
#define RZ_PASSES_NAME "avx2"

#include "kernels/cpu/passes.inc.h"
