/* SPDX-License-Identifier: Apache-2.0
 *
 * numerics_arguments.h - where the functions of numerics.h are tried: edges, then random arguments.
 *
 * Arguments and results are bits: of a double, or for rz_exponential's argument the bits
 * themselves. Integers and exact operations make them, so that they are the same on every machine.
 */
#ifndef RZ_TESTS_NUMERICS_ARGUMENTS_H
#define RZ_TESTS_NUMERICS_ARGUMENTS_H

#include <stddef.h>
#include <stdint.h>

struct numerics_function {
    const char *name;
    uint64_t (*result)(uint64_t argument);
    uint64_t (*random)(uint64_t seed, uint64_t index);
    const uint64_t *edges; /* [edge_count] */
    size_t edge_count;
};

enum { NUMERICS_FUNCTIONS = 5 };
extern const struct numerics_function numerics_functions[NUMERICS_FUNCTIONS];

/* The first arguments of a function are its edges; those after them are random. */
uint64_t numerics_argument(const struct numerics_function *function, uint64_t seed, uint64_t index);

#endif
