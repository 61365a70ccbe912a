/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/kernels/numerics_arguments.h"

#include "kernels/numerics.h"
#include "kernels/philox.h"

enum { STREAM_CHOICE = 0, STREAM_VALUE = 1 };

static uint64_t random_bits(uint64_t seed, uint64_t index, uint32_t stream)
{
    const struct rz_philox_words words = rz_philox4x32(seed, 0, index, stream);
    return (uint64_t)words.word[0] << 32 | words.word[1];
}

/* Uniform in [low, high], both at most 2^11: exact but for one rounding of each operation. */
static double uniform(uint64_t bits, double low, double high)
{
    return low + (high - low) * ((double)(bits >> 11) * 0x1p-53);
}

/* A few doubles away from a positive or negative x other than 0. */
static double beside(double x, uint64_t bits)
{
    return rz_double_from_bits(rz_double_bits(x) + bits % 7 - 3);
}

/* Positive and finite, every exponent as likely, subnormal ones too. */
static double any_positive(uint64_t bits)
{
    return rz_double_from_bits(bits % 0x7FF0000000000000);
}

/* 1.xxx * 2^-e of either sign, e in 1 .. 70. */
static double tiny(uint64_t bits)
{
    const double fraction = 1.0 + (double)(bits >> 12) * 0x1p-52;
    const double value = fraction * rz_power_of_two(-1 - (int)(bits % 70));
    return (bits >> 11 & 1) != 0 ? -value : value;
}

static uint64_t exp2_random(uint64_t seed, uint64_t index)
{
    const uint64_t bits = random_bits(seed, index, STREAM_VALUE);
    switch (random_bits(seed, index, STREAM_CHOICE) % 6) {
    case 0: return rz_double_bits(uniform(bits, -1.0, 1.0));
    case 1: return rz_double_bits(uniform(bits, -1080.0, 1030.0));
    case 2: return rz_double_bits(uniform(bits, -64.0, 0.0));
    case 3: return rz_double_bits(uniform(bits, -1075.0, -1021.0));
    case 4: return rz_double_bits(tiny(bits));
    default: /* where a table entry hands over to the next */
        return rz_double_bits(beside(((double)(bits >> 40 & 0xFFFF) - 65472.0 + 0.5) / 32.0, bits));
    }
}

static uint64_t log_random(uint64_t seed, uint64_t index)
{
    const uint64_t bits = random_bits(seed, index, STREAM_VALUE);
    switch (random_bits(seed, index, STREAM_CHOICE) % 6) {
    case 0: return rz_double_bits(any_positive(bits));
    case 1: return rz_double_bits(1.0 + 0.5 * tiny(bits));
    case 2: return rz_double_bits(uniform(bits | 1u << 11, 0.0, 1.0));
    case 3: return rz_double_bits(uniform(bits, 0.5, 2.0));
    case 4: return bits >> 12 | 1; /* subnormal */
    default:                       /* where one k hands over to the next */
        return rz_double_bits(
            beside(0x1.6a09e667f3bcdp-1 * rz_power_of_two((int)(bits >> 32 & 0xFF) - 128), bits));
    }
}

static uint64_t log1p_random(uint64_t seed, uint64_t index)
{
    const uint64_t bits = random_bits(seed, index, STREAM_VALUE);
    switch (random_bits(seed, index, STREAM_CHOICE) % 6) {
    case 0: return rz_double_bits(tiny(bits));
    case 1: return rz_double_bits(uniform(bits, -0.75, 1.5));
    case 2: return rz_double_bits(any_positive(bits));
    case 3: return rz_double_bits(-uniform(bits, 0.0, 0.5));
    case 4: return rz_double_bits(-1.0 + (tiny(bits) < 0.0 ? -tiny(bits) : tiny(bits)) * 0.5);
    default: /* 2^e of 1 .. 2^60: where 1 + x rounds in every way */
        return rz_double_bits((1.0 + uniform(bits, 0.0, 1.0)) * rz_power_of_two((int)(bits % 60)));
    }
}

static uint64_t exponential_random(uint64_t seed, uint64_t index)
{
    const uint64_t bits = random_bits(seed, index, STREAM_VALUE);
    const uint64_t choice = random_bits(seed, index, STREAM_CHOICE);
    const uint64_t shifted = bits >> (choice >> 32) % 64;
    switch (choice % 4) {
    case 0: return bits;
    case 1: return shifted;
    case 2: return UINT64_MAX - shifted;
    default: return (UINT64_C(1) << 63) + bits % 0x4000000 - 0x2000000;
    }
}

static uint64_t exp2_result(uint64_t argument)
{
    return rz_double_bits(rz_exp2(rz_double_from_bits(argument)));
}

static uint64_t log_result(uint64_t argument)
{
    return rz_double_bits(rz_log(rz_double_from_bits(argument)));
}

static uint64_t log2_result(uint64_t argument)
{
    return rz_double_bits(rz_log2(rz_double_from_bits(argument)));
}

static uint64_t log1p_result(uint64_t argument)
{
    return rz_double_bits(rz_log1p(rz_double_from_bits(argument)));
}

static uint64_t exponential_result(uint64_t argument)
{
    return rz_double_bits(rz_exponential(argument));
}

static const uint64_t exp2_edges[] = {
    0x0000000000000000,                     /* 0 */
    0x8000000000000000,                     /* -0 */
    0x0000000000000001,                     /* least subnormal */
    0x8000000000000001, 0x3FF0000000000000, /* 1 */
    0xBFF0000000000000,                     /* -1 */
    0x3F90000000000000,                     /* 1/64, halfway between two table entries */
    0xBF90000000000000, 0xBFEFFFFFFFFFFFFF, /* next to -1 */
    0xBFF0000000000001, 0x408FFFFFFFFFFFFF, /* below 1024 */
    0x4090000000000000,                     /* 1024 */
    0xC08FF00000000000,                     /* -1022: least normal result */
    0xC08FF00000000001, 0xC08FEFFFFFFFFFFF, 0xC090C80000000000, /* -1074: least subnormal result */
    0xC090CBFFFFFFFFFF,                     /* above -1075: least argument whose result is not 0 */
    0xC090CC0000000000,                     /* -1075 */
    0xC090CC0000000001, 0x7FEFFFFFFFFFFFFF, /* largest finite */
    0xFFEFFFFFFFFFFFFF, 0x7FF0000000000000, /* inf */
    0xFFF0000000000000,
};

static const uint64_t log_edges[] = {
    0x0000000000000000,                     /* 0 */
    0x8000000000000000,                     /* -0 */
    0x0000000000000001,                     /* least subnormal */
    0x000FFFFFFFFFFFFF,                     /* largest subnormal */
    0x0010000000000000,                     /* least normal */
    0x3FF0000000000000,                     /* 1 */
    0x3FEFFFFFFFFFFFFF,                     /* next to 1 */
    0x3FF0000000000001, 0x3FE6A09E667F3BCC, /* either side of sqrt(1/2) */
    0x3FE6A09E667F3BCD, 0x3FF6A09E667F3BCC, /* either side of sqrt(2) */
    0x3FF6A09E667F3BCD, 0x4000000000000000, /* 2 */
    0x3FE0000000000000,                     /* 1/2 */
    0x7FEFFFFFFFFFFFFF,                     /* largest finite */
    0x7FF0000000000000,                     /* inf */
};

static const uint64_t log1p_edges[] = {
    0x0000000000000000,                     /* 0 */
    0x8000000000000000,                     /* -0 */
    0x0000000000000001,                     /* least subnormal */
    0x8000000000000001, 0xBFF0000000000000, /* -1 */
    0xBFEFFFFFFFFFFFFF,                     /* above -1 */
    0xBFE0000000000000,                     /* -1/2 */
    0xBFD28F5C28F5C28F,                     /* either side of -0.29 */
    0xBFD28F5C28F5C290, 0x3FDA3D70A3D70A3D, /* either side of 0.41 */
    0x3FDA3D70A3D70A3E, 0x3FEFFFFFFFFFFFFF, /* either side of 1 */
    0x3FF0000000000000, 0x3CA0000000000000, /* 2^-53 */
    0x4340000000000001,                     /* 2^53 and a bit */
    0x7FEFFFFFFFFFFFFF,                     /* largest finite */
    0x7FF0000000000000,                     /* inf */
};

static const uint64_t exponential_edges[] = {
    0x0000000000000000, 0x0000000000000001, 0x0010000000000000, 0x0020000000000000,
    0x001FFFFFFFFFFFFF, 0x0020000000000001, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000,
    0x8000000000000001, 0xFFEFFFFFFFFFFFFF, 0xFFDFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFE,
    0xFFFFFFFFFFFFFFFF,
};

#define EDGES(array) (array), sizeof(array) / sizeof(array)[0]

const struct numerics_function numerics_functions[NUMERICS_FUNCTIONS] = {
    {"exp2", exp2_result, exp2_random, EDGES(exp2_edges)},
    {"log", log_result, log_random, EDGES(log_edges)},
    {"log2", log2_result, log_random, EDGES(log_edges)},
    {"log1p", log1p_result, log1p_random, EDGES(log1p_edges)},
    {"exponential", exponential_result, exponential_random, EDGES(exponential_edges)},
};

uint64_t numerics_argument(const struct numerics_function *function, uint64_t seed, uint64_t index)
{
    return index < function->edge_count ? function->edges[index] : function->random(seed, index);
}
