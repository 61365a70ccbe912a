/* SPDX-License-Identifier: Apache-2.0
 *
 * pair.h - two 16-bit floats in a register.
 *
 * A maximum is one of its arguments, or the NaN that CUDA documents: canonical, whatever came in.
 */
#ifndef RZ_TESTS_EMULATION_PAIR_H
#define RZ_TESTS_EMULATION_PAIR_H

#include "kernels/floats.h"

template <typename format>
struct emulated_pair {
    uint16_t x, y; /* low and high */
};

template <typename format>
uint16_t emulated_max(uint16_t a, uint16_t b, bool keep_nan)
{
    const float x = format::value(a), y = format::value(b);
    const bool x_nan = x != x, y_nan = y != y;
    if ((x_nan && y_nan) || (keep_nan && (x_nan || y_nan)))
        return format::nan;
    if (x_nan || y_nan)
        return x_nan ? b : a;
    return x > y ? a : b;
}

template <typename format>
emulated_pair<format> __hmax2(emulated_pair<format> a, emulated_pair<format> b)
{
    return {emulated_max<format>(a.x, b.x, false), emulated_max<format>(a.y, b.y, false)};
}

template <typename format>
emulated_pair<format> __hmax2_nan(emulated_pair<format> a, emulated_pair<format> b)
{
    return {emulated_max<format>(a.x, b.x, true), emulated_max<format>(a.y, b.y, true)};
}

template <typename format>
float __low2float(emulated_pair<format> both)
{
    return format::value(both.x);
}

template <typename format>
float __high2float(emulated_pair<format> both)
{
    return format::value(both.y);
}

#endif
