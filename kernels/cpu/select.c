/* SPDX-License-Identifier: Apache-2.0
 *
 * select.c - selection by radix.
 *
 * Four passes over the values, each of which settles eight bits of the answer: of the values that
 * agree with the bits settled so far, the next eight bits are counted (or their masses summed), and
 * the digit in which the wanted one lies is found from the top.
 */
#include "kernels/cpu/select.h"

#include <stdbool.h>

#include "kernels/contract.h"
#include "kernels/row.h"

enum { DIGITS = 256, DIGIT_BITS = 8, KEY_BITS = 32 };

/* Does `key` agree with `prefix` in the bits above `shift + 8`? */
static bool matches(uint32_t key, uint32_t prefix, int shift)
{
    return (uint64_t)key >> (shift + DIGIT_BITS) == (uint64_t)prefix >> (shift + DIGIT_BITS);
}

float rz_select_nucleus(const float *values, const uint64_t *masses, uint32_t count, uint64_t above,
                        float top_p, uint64_t mass_of_all)
{
    uint32_t prefix = 0;
    for (int shift = KEY_BITS - DIGIT_BITS; shift >= 0; shift -= DIGIT_BITS) {
        uint64_t sums[DIGITS] = {0};
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t key = rz_float_key(values[i]);
            if (matches(key, prefix, shift))
                sums[key >> shift & (DIGITS - 1)] += masses[i];
        }
        /* The last kept value lies in the first digit from the top after which the nucleus is full,
         * or it is the least of all, whose digit is the last that has a value. */
        uint32_t digit = DIGITS - 1, least = DIGITS - 1;
        for (uint32_t d = DIGITS; d-- > 0;)
            least = sums[d] > 0 ? d : least;
        while (digit > least && rz_in_nucleus(above + sums[digit], top_p, mass_of_all))
            above += sums[digit--];
        prefix |= digit << shift;
    }
    return rz_float_of_key(prefix);
}
