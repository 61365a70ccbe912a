/* SPDX-License-Identifier: Apache-2.0
 *
 * select.c - selection by radix.
 *
 * Four passes over the values, each of which settles eight bits of the answer: of the values that
 * agree with the bits settled so far, the next eight bits are counted (or their masses summed), and
 * the digit in which the wanted one lies is found from the top.
 */
#include "kernels/select.h"

#include <stdbool.h>

#include "kernels/contract.h"
#include "kernels/row.h"

enum { DIGITS = 256, DIGIT_BITS = 8, KEY_BITS = 32 };

/* An unsigned integer in the order of the floats; -0 and +0 are the same. */
static uint32_t key_of(float value)
{
    const uint32_t bits = rz_float_bits(value + 0.0f); /* -0 + 0 is +0 */
    return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

static float value_of(uint32_t key)
{
    return rz_float_from_bits((key & 0x80000000u) != 0 ? key & 0x7FFFFFFFu : ~key);
}

/* Does `key` agree with `prefix` in the bits above `shift + 8`? */
static bool matches(uint32_t key, uint32_t prefix, int shift)
{
    return (uint64_t)key >> (shift + DIGIT_BITS) == (uint64_t)prefix >> (shift + DIGIT_BITS);
}

float rz_select_kth(const float *values, uint32_t count, uint32_t k)
{
    uint32_t prefix = 0;
    for (int shift = KEY_BITS - DIGIT_BITS; shift >= 0; shift -= DIGIT_BITS) {
        uint32_t counts[DIGITS] = {0};
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t key = key_of(values[i]);
            counts[key >> shift & (DIGITS - 1)] += matches(key, prefix, shift);
        }
        uint32_t digit = DIGITS - 1;
        while (counts[digit] < k)
            k -= counts[digit--];
        prefix |= digit << shift;
    }
    return value_of(prefix);
}

float rz_select_nucleus(const float *values, const uint64_t *masses, uint32_t count, float top_p,
                        uint64_t mass_of_all)
{
    uint32_t prefix = 0;
    uint64_t above = 0; /* mass of all values larger than any with the settled bits */
    for (int shift = KEY_BITS - DIGIT_BITS; shift >= 0; shift -= DIGIT_BITS) {
        uint64_t sums[DIGITS] = {0};
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t key = key_of(values[i]);
            sums[key >> shift & (DIGITS - 1)] += matches(key, prefix, shift) ? masses[i] : 0;
        }
        /* The last kept value lies in the first digit from the top after which the nucleus is full.
         * There is one: with all mass above, nothing more is kept. */
        uint32_t digit = DIGITS - 1;
        while (digit > 0 && rz_in_nucleus(above + sums[digit], top_p, mass_of_all))
            above += sums[digit--];
        prefix |= digit << shift;
    }
    return value_of(prefix);
}
