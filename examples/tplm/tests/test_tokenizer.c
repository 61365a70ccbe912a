/* SPDX-License-Identifier: Apache-2.0
 *
 * test_tokenizer.c - encode as the library that trained the vocabulary does, and decode again.
 *
 *   test_tokenizer VOCAB ENCODINGS     a line of ENCODINGS: a text in hex, its ids
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer.h"

enum { MAX_TEXT = 4096 };

static const char *vocab_path, *encodings_path;
static struct tplm_tokenizer tokenizer;

static int load(void **state)
{
    (void)state;
    struct rz_error err = {0};
    const int status = tplm_tokenizer_load(vocab_path, &tokenizer, &err);
    if (status != RZ_OK)
        print_error("%s\n", err.text);
    return status;
}

static int unload(void **state)
{
    (void)state;
    tplm_tokenizer_free(&tokenizer);
    return 0;
}

static size_t parse_hex(const char *hex, char *text)
{
    size_t count = 0;
    for (; hex[0] != '-' && hex[2 * count] != '\0'; count++) {
        const char digits[3] = {hex[2 * count], hex[2 * count + 1], '\0'};
        text[count] = (char)strtoul(digits, NULL, 16);
    }
    return count;
}

static void encodes_as_the_training_library(void **state)
{
    (void)state;
    static char line[16 * MAX_TEXT], text[MAX_TEXT];
    static int32_t ids[MAX_TEXT];
    size_t lines = 0;

    FILE *in = fopen(encodings_path, "r");
    assert_non_null(in);
    while (fgets(line, sizeof line, in) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *next = line + strcspn(line, " ");
        if (*next != '\0')
            *next++ = '\0';
        assert_true(strlen(line) / 2 <= MAX_TEXT);
        const size_t bytes = parse_hex(line, text);
        const size_t count = tplm_encode(&tokenizer, text, bytes, ids);

        for (size_t i = 0; i < count; i++)
            assert_int_equal(ids[i], strtol(next, &next, 10));
        assert_int_equal(*next, '\0');
        lines++;
    }
    fclose(in);
    assert_true(lines > 50);
}

static void decoding_gives_the_bytes_back(void **state)
{
    (void)state;
    static char text[MAX_TEXT], back[MAX_TEXT];
    static int32_t ids[MAX_TEXT];
    uint32_t random = 1;
    for (size_t i = 0; i < MAX_TEXT; i++) {
        random = random * 1664525u + 1013904223u;
        text[i] = (char)(random >> 24); /* any bytes at all: not UTF-8 */
    }
    const size_t count = tplm_encode(&tokenizer, text, MAX_TEXT, ids);
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const struct tplm_text token = tplm_decode(&tokenizer, ids[i]);
        assert_true(bytes + token.count <= MAX_TEXT);
        memcpy(back + bytes, token.bytes, token.count);
        bytes += token.count;
    }
    assert_int_equal(bytes, MAX_TEXT);
    assert_memory_equal(text, back, MAX_TEXT);
}

static void the_end_is_never_encoded(void **state)
{
    (void)state;
    int32_t ids[16];
    const size_t count = tplm_encode(&tokenizer, "<|end|>", 7, ids);
    for (size_t i = 0; i < count; i++)
        assert_int_not_equal(ids[i], TPLM_END);
    assert_int_equal(tplm_decode(&tokenizer, TPLM_END).count, 0);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    vocab_path = argv[1];
    encodings_path = argv[2];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_as_the_training_library),
        cmocka_unit_test(decoding_gives_the_bytes_back),
        cmocka_unit_test(the_end_is_never_encoded),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
