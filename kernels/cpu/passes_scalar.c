/* SPDX-License-Identifier: Apache-2.0
 *
 * passes_scalar.c - the passes for any machine.
 */
#include "kernels/cpu/lanes_scalar.h"

#define RZ_PASSES rz_passes_scalar
#define RZ_PASSES_NAME "scalar"

#include "kernels/cpu/passes.inc.h"
