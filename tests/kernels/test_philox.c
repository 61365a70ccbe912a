/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/philox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void expect_words(struct rz_philox_words words, uint32_t w0, uint32_t w1, uint32_t w2,
                         uint32_t w3)
{
    assert_int_equal(words.word[0], w0);
    assert_int_equal(words.word[1], w1);
    assert_int_equal(words.word[2], w2);
    assert_int_equal(words.word[3], w3);
}

/* kat_vectors of Random123 1.14, its lines "philox4x32 10". */
static void known_answers_of_random123(void **state)
{
    (void)state;
    expect_words(rz_philox4x32(0, 0, 0, 0), 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
    expect_words(rz_philox4x32(UINT64_MAX, UINT32_MAX, UINT64_MAX, UINT32_MAX), 0x408f276d,
                 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd);
    expect_words(rz_philox4x32(0x299f31d0a4093822, 0x243f6a88, 0x13198a2e85a308d3, 0x03707344),
                 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1);
}

/* Each call below differs from the first in one bit, the least or the greatest of an argument. */
static void every_end_of_every_argument_counts(void **state)
{
    (void)state;
    const struct rz_philox_words words[] = {
        rz_philox4x32(5, 6, 7, 8),
        rz_philox4x32(5 ^ 1, 6, 7, 8),
        rz_philox4x32(5 ^ UINT64_C(1) << 63, 6, 7, 8),
        rz_philox4x32(5, 6 ^ 1, 7, 8),
        rz_philox4x32(5, 6 ^ 1u << 31, 7, 8),
        rz_philox4x32(5, 6, 7 ^ 1, 8),
        rz_philox4x32(5, 6, 7 ^ UINT64_C(1) << 63, 8),
        rz_philox4x32(5, 6, 7, 8 ^ 1),
        rz_philox4x32(5, 6, 7, 8 ^ 1u << 31),
    };
    const size_t count = sizeof words / sizeof words[0];
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(&words[i], &words[j], sizeof words[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers_of_random123),
        cmocka_unit_test(every_end_of_every_argument_counts),
    };
    return cmocka_run_group_tests_name("philox", tests, NULL, NULL);
}
