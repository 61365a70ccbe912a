/* SPDX-License-Identifier: Apache-2.0
 *
 * size_math.h - sizes that cannot wrap around, and structs that may grow.
 */
#ifndef RZ_INTERNAL_SIZE_MATH_H
#define RZ_INTERNAL_SIZE_MATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* rz_size_mul - true and *product = a * b, or false if that does not fit. */
static inline bool rz_size_mul(size_t a, size_t b, size_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

/* rz_round_up - the smallest multiple of `unit`, a power of two, that is >= n. */
static inline size_t rz_round_up(size_t n, size_t unit)
{
    return (n + unit - 1) & ~(unit - 1);
}

/* rz_struct_read - copy a caller's struct whose first field is its size in bytes as the caller was
 * compiled, into ours of `bytes`. Fields that the caller does not have read zero. Returns false if
 * the size is less than `least`, or if the caller has fields that we do not and they are not zero:
 * it asks for something that this version cannot do. */
static inline bool rz_struct_read(void *ours, size_t bytes, const void *theirs, size_t least)
{
    size_t size;
    memcpy(&size, theirs, sizeof size);
    if (size < least || size > 4096)
        return false;
    for (size_t i = bytes; i < size; i++)
        if (((const unsigned char *)theirs)[i] != 0)
            return false;
    memset(ours, 0, bytes);
    memcpy(ours, theirs, size < bytes ? size : bytes);
    memcpy(ours, &bytes, sizeof bytes);
    return true;
}

#endif
