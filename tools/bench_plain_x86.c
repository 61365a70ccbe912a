/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_plain_x86.c - the plain maximum in AVX2 and AVX-512: four registers of maxima, so that no
 * load waits for the comparison before.
 */
#include "tools/bench_plain.h"

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx2,avx512f,avx512bw")))

enum { REGISTERS = 4 };

/* The largest of the registers' lanes and of what is left behind their last step. */
static int16_t max16_of(const int16_t *lanes, size_t lane_count, const uint16_t *rest, size_t count)
{
    int16_t most = INT16_MIN;
    for (size_t i = 0; i < lane_count; i++)
        most = lanes[i] > most ? lanes[i] : most;
    for (size_t i = 0; i < count; i++) {
        const int16_t key = rz_bench_key16(rest[i]);
        most = key > most ? key : most;
    }
    return most;
}

static float max32_of(const float *lanes, size_t lane_count, const float *rest, size_t count)
{
    float most = -__builtin_inff();
    for (size_t i = 0; i < lane_count; i++)
        most = lanes[i] > most ? lanes[i] : most;
    for (size_t i = 0; i < count; i++)
        most = rest[i] > most ? rest[i] : most;
    return most;
}

/* ------------------------------------------------------------------------------------------------
 * 512 bits
 */

AVX512 static int16_t max16_avx512(const void *numbers, size_t count)
{
    enum { LANES = 32, STEP = LANES * REGISTERS };
    const uint16_t *x = numbers;
    const __m512i low_bits = _mm512_set1_epi16(0x7fff);
    __m512i most[REGISTERS];
    for (size_t r = 0; r < REGISTERS; r++)
        most[r] = _mm512_set1_epi16(INT16_MIN);
    size_t i = 0;
    for (; i + STEP <= count; i += STEP) {
        for (size_t r = 0; r < REGISTERS; r++) {
            const __m512i bits = _mm512_loadu_si512(x + i + r * LANES);
            const __m512i sign = _mm512_srai_epi16(bits, 15);
            const __m512i key = _mm512_ternarylogic_epi64(bits, sign, low_bits, 0x78); /* a^(b&c) */
            most[r] = _mm512_max_epi16(most[r], key);
        }
    }
    int16_t lanes[STEP];
    for (size_t r = 0; r < REGISTERS; r++)
        _mm512_storeu_si512(lanes + r * LANES, most[r]);
    return max16_of(lanes, STEP, x + i, count - i);
}

AVX512 static float max32_avx512(const void *numbers, size_t count)
{
    enum { LANES = 16, STEP = LANES * REGISTERS };
    const float *x = numbers;
    __m512 most[REGISTERS];
    for (size_t r = 0; r < REGISTERS; r++)
        most[r] = _mm512_set1_ps(-__builtin_inff());
    size_t i = 0;
    for (; i + STEP <= count; i += STEP)
        for (size_t r = 0; r < REGISTERS; r++)
            most[r] = _mm512_max_ps(_mm512_loadu_ps(x + i + r * LANES), most[r]);
    float lanes[STEP];
    for (size_t r = 0; r < REGISTERS; r++)
        _mm512_storeu_ps(lanes + r * LANES, most[r]);
    return max32_of(lanes, STEP, x + i, count - i);
}

AVX512 static uint64_t read_avx512(const void *bytes, size_t count)
{
    const char *at = bytes;
    __m512i all[REGISTERS];
    for (size_t r = 0; r < REGISTERS; r++)
        all[r] = _mm512_setzero_si512();
    for (size_t i = 0; i + REGISTERS * 64 <= count; i += REGISTERS * 64)
        for (size_t r = 0; r < REGISTERS; r++)
            all[r] = _mm512_or_si512(all[r], _mm512_loadu_si512(at + i + r * 64));
    const __m512i any =
        _mm512_or_si512(_mm512_or_si512(all[0], all[1]), _mm512_or_si512(all[2], all[3]));
    return (uint64_t)_mm512_reduce_or_epi64(any);
}

static const struct rz_bench_plain plain_avx512 = {
    .name = "avx512", .max16 = max16_avx512, .max32 = max32_avx512, .read = read_avx512};

/* ------------------------------------------------------------------------------------------------
 * 256 bits
 */

AVX2 static __m256i load256(const void *at)
{
    return _mm256_loadu_si256((const __m256i_u *)at);
}

AVX2 static int16_t max16_avx2(const void *numbers, size_t count)
{
    enum { LANES = 16, STEP = LANES * REGISTERS };
    const uint16_t *x = numbers;
    const __m256i low_bits = _mm256_set1_epi16(0x7fff);
    __m256i most[REGISTERS];
    for (size_t r = 0; r < REGISTERS; r++)
        most[r] = _mm256_set1_epi16(INT16_MIN);
    size_t i = 0;
    for (; i + STEP <= count; i += STEP) {
        for (size_t r = 0; r < REGISTERS; r++) {
            const __m256i bits = load256(x + i + r * LANES);
            const __m256i flip = _mm256_and_si256(_mm256_srai_epi16(bits, 15), low_bits);
            most[r] = _mm256_max_epi16(most[r], _mm256_xor_si256(bits, flip));
        }
    }
    int16_t lanes[STEP];
    for (size_t r = 0; r < REGISTERS; r++)
        _mm256_storeu_si256((__m256i_u *)(lanes + r * LANES), most[r]);
    return max16_of(lanes, STEP, x + i, count - i);
}

AVX2 static float max32_avx2(const void *numbers, size_t count)
{
    enum { LANES = 8, STEP = LANES * REGISTERS };
    const float *x = numbers;
    __m256 most[REGISTERS];
    for (size_t r = 0; r < REGISTERS; r++)
        most[r] = _mm256_set1_ps(-__builtin_inff());
    size_t i = 0;
    for (; i + STEP <= count; i += STEP)
        for (size_t r = 0; r < REGISTERS; r++)
            most[r] = _mm256_max_ps(_mm256_loadu_ps(x + i + r * LANES), most[r]);
    float lanes[STEP];
    for (size_t r = 0; r < REGISTERS; r++)
        _mm256_storeu_ps(lanes + r * LANES, most[r]);
    return max32_of(lanes, STEP, x + i, count - i);
}

AVX2 static uint64_t read_avx2(const void *bytes, size_t count)
{
    const char *at = bytes;
    __m256i all[REGISTERS];
    for (size_t r = 0; r < REGISTERS; r++)
        all[r] = _mm256_setzero_si256();
    for (size_t i = 0; i + REGISTERS * 32 <= count; i += REGISTERS * 32)
        for (size_t r = 0; r < REGISTERS; r++)
            all[r] = _mm256_or_si256(all[r], load256(at + i + r * 32));
    uint64_t words[4];
    _mm256_storeu_si256((__m256i_u *)words, _mm256_or_si256(_mm256_or_si256(all[0], all[1]),
                                                            _mm256_or_si256(all[2], all[3])));
    return words[0] | words[1] | words[2] | words[3];
}

static const struct rz_bench_plain plain_avx2 = {
    .name = "avx2", .max16 = max16_avx2, .max32 = max32_avx2, .read = read_avx2};

const struct rz_bench_plain *rz_bench_plain_find(void)
{
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"))
        return &plain_avx512;
    return __builtin_cpu_supports("avx2") ? &plain_avx2 : &rz_bench_plain_any;
}
