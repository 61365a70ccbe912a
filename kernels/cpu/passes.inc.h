/* SPDX-License-Identifier: Apache-2.0
 *
 * passes.inc.h - all passes, for whichever lanes were included before. Defines the table RZ_PASSES,
 * named RZ_PASSES_NAME.
 */
#include "kernels/cpu/passes_ids.h"
#include "kernels/cpu/passes_scan.h"
#include "kernels/cpu/passes_tiles.h"
#include "kernels/cpu/passes_words.h"

const struct rz_passes RZ_PASSES = {
    .name = RZ_PASSES_NAME,
    .scan = scan,
    .largest = largest,
    .kth_largest = kth_largest,
    .bands = bands,
    .count = count,
    .at_least = at_least,
    .draw = draw,
    .score = score,
    .maxima = maxima,
    .best = best,
    .reach = reach,
    .reach_by_band = reach_by_band,
    .tile = tile,
    .collect = collect,
    .masses = masses,
    .sketch = sketch,
    .quantile = quantile,
    .mass_of_row = mass_of_row,
    .bound_mass = bound_mass,
    .count_above = count_above,
    .weigh = weigh,
};
