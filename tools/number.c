/* SPDX-License-Identifier: Apache-2.0
 *
 * number.c - strtod() and strtoull() accept more than a parameter should be: white space, signs
 * that wrap around, hexadecimal, "nan". What they must not see is refused first.
 */
#include "tools/number.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool only(const char *text, const char *characters)
{
    return text[0] != '\0' && text[strspn(text, characters)] == '\0';
}

bool rz_number_whole(const char *text, uint64_t max, uint64_t *number)
{
    if (!only(text, "0123456789"))
        return false;
    errno = 0;
    const unsigned long long value = strtoull(text, NULL, 10);
    if (errno != 0 || value > max)
        return false;
    *number = value;
    return true;
}

bool rz_number_float(const char *text, float *number)
{
    if (!only(text, "0123456789+-.eE"))
        return false;
    char *end;
    const double value = strtod(text, &end);
    const float rounded = (float)value;
    if (end == text || *end != '\0' || !isfinite(rounded))
        return false;
    *number = rounded;
    return true;
}
