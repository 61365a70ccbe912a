/* SPDX-License-Identifier: Apache-2.0
 *
 * number.h - numbers from text, strictly: the whole text, in range, nothing before or after.
 */
#ifndef RZ_TOOLS_NUMBER_H
#define RZ_TOOLS_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* rz_number_whole - decimal digits only, at most `max`. */
bool rz_number_whole(const char *text, uint64_t max, uint64_t *number);

/* rz_number_float - a decimal number that is finite as a float: no "nan", "inf" or hexadecimal. */
bool rz_number_float(const char *text, float *number);

#endif
