/* SPDX-License-Identifier: Apache-2.0
 *
 * test_numerics.c - the bits of numerics.h, what callers rely on at the edges, and that
 * rz_exponential is exponential. Accuracy is checked by numerics_oracle.py.
 */
#include "kernels/numerics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kernels/philox.h"
#include "tests/kernels/numerics_arguments.h"

/* Hides a constant from the compiler, so that it does not compute the result itself. */
static double opaque(double x)
{
    volatile double hidden = x;
    return hidden;
}

static void assert_same(double result, double expected)
{
    if (rz_double_bits(result) != rz_double_bits(expected))
        fail_msg("%a instead of %a", result, expected);
}

/* ------------------------------------------------------------------------------------------------
 * Bits
 */

/* FNV-1a, 64 bits, of the bytes from low to high. */
static uint64_t hash_word(uint64_t hash, uint64_t word)
{
    for (int shift = 0; shift < 64; shift += 8)
        hash = (hash ^ (word >> shift & 0xFF)) * 0x100000001B3;
    return hash;
}

static uint64_t hash_results(const struct numerics_function *function)
{
    const uint64_t seed = 1, count = 100000;
    uint64_t hash = 0xCBF29CE484222325;
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t argument = numerics_argument(function, seed, i);
        hash = hash_word(hash_word(hash, argument), function->result(argument));
    }
    return hash;
}

/* The draws of every release depend on these: they change only with the contract's version. */
static void bits_are_those_of_every_machine(void **state)
{
    (void)state;
    static const uint64_t expected[NUMERICS_FUNCTIONS] = {
        0x761EF3F6D01387D0, /* exp2 */
        0x7F37383200CEC7EF, /* log */
        0x089E8505978F0286, /* log2 */
        0x67C526A1DF7816BF, /* log1p */
        0xB628C2405ED5FAB0, /* exponential */
    };
    int different = 0;
    for (int i = 0; i < NUMERICS_FUNCTIONS; i++) {
        const uint64_t hash = hash_results(&numerics_functions[i]);
        if (hash != expected[i]) {
            print_error("%s: 0x%016llX\n", numerics_functions[i].name, (unsigned long long)hash);
            different++;
        }
    }
    assert_int_equal(different, 0);
}

/* ------------------------------------------------------------------------------------------------
 * Edges
 */

static void exp2_of_integers_is_exact(void **state)
{
    (void)state;
    for (int n = -1100; n <= 1100; n++)
        assert_same(rz_exp2(opaque(n)), ldexp(1.0, n));
    assert_same(rz_exp2(opaque(-0.0)), 1.0);
}

static void exp2_of_no_more_than_zero_is_no_more_than_one(void **state)
{
    (void)state;
    for (uint64_t step = 1; step <= 1000; step++)
        assert_true(rz_exp2(-rz_double_from_bits(step)) <= 1.0);
    for (int exponent = -1022; exponent <= 10; exponent++) {
        for (uint64_t fraction = 0; fraction < 64; fraction++) {
            const double x = rz_power_of_two(exponent) * (1.0 + (double)fraction / 64.0);
            assert_true(rz_exp2(-x) <= 1.0);
        }
    }
}

/* Where rounding to 32nds goes to the next entry of the table, results still go up. */
static void exp2_does_not_fall_between_table_entries(void **state)
{
    (void)state;
    for (int n = -64 * 64; n < 64 * 64; n++) {
        double x = (n + 0.5) / 32.0;
        for (int step = 0; step < 8; step++)
            x = nextafter(x, -INFINITY);
        for (int step = 0; step < 16; step++) {
            const double next = nextafter(x, INFINITY);
            assert_true(rz_exp2(x) <= rz_exp2(next));
            x = next;
        }
    }
}

static void exp2_underflows_overflows_and_passes_nan(void **state)
{
    (void)state;
    assert_same(rz_exp2(opaque(-1075.0)), 0.0);
    assert_same(rz_exp2(opaque(nextafter(-1075.0, 0.0))), 0x1p-1074);
    assert_same(rz_exp2(opaque(-1e300)), 0.0);
    assert_same(rz_exp2(opaque(-INFINITY)), 0.0);
    assert_true(rz_exp2(opaque(nextafter(1024.0, 0.0))) <= DBL_MAX);
    assert_same(rz_exp2(opaque(1024.0)), INFINITY);
    assert_same(rz_exp2(opaque(INFINITY)), INFINITY);
    assert_true(isnan(rz_exp2(opaque(NAN))));
}

static void log2_of_powers_of_two_is_exact(void **state)
{
    (void)state;
    for (int n = -1074; n <= 1023; n++)
        assert_same(rz_log2(ldexp(1.0, n)), n);
}

static void logarithms_outside_their_domain(void **state)
{
    (void)state;
    double (*const functions[])(double) = {rz_log, rz_log2, rz_log1p};
    for (int i = 0; i < 3; i++) {
        const double pole = i < 2 ? 0.0 : -1.0;
        assert_same(functions[i](opaque(pole)), -INFINITY);
        assert_same(functions[i](opaque(INFINITY)), INFINITY);
        assert_true(isnan(functions[i](opaque(nextafter(pole, -2.0)))));
        assert_true(isnan(functions[i](opaque(-INFINITY))));
        assert_true(isnan(functions[i](opaque(NAN))));
    }
    assert_same(rz_log(opaque(-0.0)), -INFINITY);
    assert_same(rz_log2(opaque(-0.0)), -INFINITY);
    assert_same(rz_log(opaque(1.0)), 0.0);
    assert_same(rz_log1p(opaque(-0.0)), 0.0);
    assert_same(rz_log1p(opaque(0x1p-1074)), 0x1p-1074);
}

/* ------------------------------------------------------------------------------------------------
 * The exponential variate
 */

static void exponential_is_positive_and_finite_at_both_ends(void **state)
{
    (void)state;
    assert_same(rz_exponential(0), 0x1p-65);
    assert_same(rz_exponential(UINT64_MAX), 0x1.686fc0af622d7p+5); /* 65 log(2) */
}

/* Where v = 1/2 one formula hands over to the other: nothing is more than a rounding apart. */
static void exponential_is_continuous_in_the_middle(void **state)
{
    (void)state;
    const uint64_t middle = UINT64_C(1) << 63;
    const double ln_2 = 0x1.62e42fefa39efp-1;
    for (uint64_t i = 0; i < 100; i++) {
        assert_true(fabs(rz_exponential(middle + i) - ln_2) <= 0x1p-52);
        assert_true(fabs(rz_exponential(middle - 1 - i) - ln_2) <= 0x1p-52);
    }
}

/* E < 2^-n for as many of the 2^64 bits as there are v < 1 - exp(-2^-n): about 2^(64-n). */
static void small_variates_are_as_frequent_as_they_should_be(void **state)
{
    (void)state;
    for (int n = 40; n <= 64; n++) {
        uint64_t below = 0, above = UINT64_C(1) << (65 - n); /* E(below) < 2^-n <= E(above) */
        while (above - below > 1) {
            const uint64_t middle = below + (above - below) / 2;
            if (rz_exponential(middle) < rz_power_of_two(-n))
                below = middle;
            else
                above = middle;
        }
        /* bits + 1/2 < 2^64 (1 - exp(-2^-n)) = 2^(64-n) - 2^(63-2n) + ..., the second term below
         * 1/2 here. */
        assert_int_equal(above, UINT64_C(1) << (64 - n));
    }
}

/* E > x for 2^64 exp(-x) of them. */
static void large_variates_are_as_frequent_as_they_should_be(void **state)
{
    (void)state;
    const double ln_2 = 0x1.62e42fefa39efp-1;
    for (int n = 20; n <= 63; n++) {
        /* 1 - v = (rest + 1/2) / 2^64 is below 2^-n for the 2^(64-n) smallest rests. */
        const uint64_t inside = (UINT64_C(1) << (64 - n)) - 1;
        assert_true(rz_exponential(UINT64_MAX - inside) >= n * ln_2);
        assert_true(rz_exponential(UINT64_MAX - inside - 1) <= n * ln_2);
    }
}

static int compare_doubles(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Kolmogorov-Smirnov against 1 - exp(-x). The statistic passes 1.9495 / sqrt(count) with
 * probability 0.001 over seeds; with the fixed seed it is 0.81 / sqrt(count) every time. */
static void exponential_of_philox_words_is_exponential(void **state)
{
    (void)state;
    enum { COUNT = 1000000 };
    const char *text = getenv("RZ_TEST_SEED");
    const uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : 1;
    printf("RZ_TEST_SEED=%llu\n", (unsigned long long)seed);

    double *values = malloc(COUNT * sizeof *values);
    assert_non_null(values);
    for (uint32_t i = 0; i < COUNT / 2; i++) {
        const struct rz_philox_words words = rz_philox4x32(seed, i, 0, 0);
        values[2 * i] = rz_exponential((uint64_t)words.word[0] << 32 | words.word[1]);
        values[2 * i + 1] = rz_exponential((uint64_t)words.word[2] << 32 | words.word[3]);
    }
    qsort(values, COUNT, sizeof *values, compare_doubles);

    double distance = 0.0;
    for (int i = 0; i < COUNT; i++) {
        const double cumulative = -expm1(-values[i]);
        distance = fmax(distance, cumulative - i / (double)COUNT);
        distance = fmax(distance, (i + 1) / (double)COUNT - cumulative);
    }
    free(values);
    printf("distance %.4f / sqrt(count)\n", distance * sqrt((double)COUNT));
    assert_true(distance * sqrt((double)COUNT) < 1.9495);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_are_those_of_every_machine),
        cmocka_unit_test(exp2_of_integers_is_exact),
        cmocka_unit_test(exp2_of_no_more_than_zero_is_no_more_than_one),
        cmocka_unit_test(exp2_does_not_fall_between_table_entries),
        cmocka_unit_test(exp2_underflows_overflows_and_passes_nan),
        cmocka_unit_test(log2_of_powers_of_two_is_exact),
        cmocka_unit_test(logarithms_outside_their_domain),
        cmocka_unit_test(exponential_is_positive_and_finite_at_both_ends),
        cmocka_unit_test(exponential_is_continuous_in_the_middle),
        cmocka_unit_test(small_variates_are_as_frequent_as_they_should_be),
        cmocka_unit_test(large_variates_are_as_frequent_as_they_should_be),
        cmocka_unit_test(exponential_of_philox_words_is_exponential),
    };
    return cmocka_run_group_tests_name("numerics", tests, NULL, NULL);
}
