/* SPDX-License-Identifier: Apache-2.0
 *
 * test_files.c - a file of weights or a vocabulary that is not whole is refused, and named.
 *
 *   test_files MODEL VOCAB
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tokenizer.h"
#include "weights.h"

static const char *model_path, *vocab_path;
static char scratch[] = "/tmp/tplm-test-XXXXXX";

static unsigned char *read_file(const char *path, size_t *count)
{
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    assert_int_equal(fseek(in, 0, SEEK_END), 0);
    *count = (size_t)ftell(in);
    rewind(in);
    unsigned char *bytes = malloc(*count);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *count, in), *count);
    fclose(in);
    return bytes;
}

static void write_scratch(const unsigned char *bytes, size_t count)
{
    FILE *out = fopen(scratch, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, count, out), count);
    assert_int_equal(fclose(out), 0);
}

/* Make the frame fit the body again, so that what is behind the hash is tested. */
static void seal(unsigned char *bytes, size_t count)
{
    const uint64_t body = count - 32;
    memcpy(bytes + 16, &body, sizeof body);
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < count; i += 4) {
        if (i == 24)
            i = 32;
        uint32_t word = 0;
        memcpy(&word, bytes + i, count - i < 4 ? count - i : 4);
        hash = (hash ^ word) * UINT64_C(0x100000001b3);
    }
    memcpy(bytes + 24, &hash, sizeof hash);
}

static void model_is_refused(const char *reason)
{
    static struct tplm_weights weights;
    struct rz_error err = {0};
    assert_int_equal(tplm_weights_load(scratch, &weights, &err), RZ_E_ARG);
    assert_non_null(strstr(err.text, scratch));
    if (strstr(err.text, reason) == NULL)
        fail_msg("expected '%s' in '%s'", reason, err.text);
}

static void vocab_is_refused(const char *reason)
{
    struct tplm_tokenizer tokenizer;
    struct rz_error err = {0};
    assert_int_equal(tplm_tokenizer_load(scratch, &tokenizer, &err), RZ_E_ARG);
    assert_non_null(strstr(err.text, scratch));
    if (strstr(err.text, reason) == NULL)
        fail_msg("expected '%s' in '%s'", reason, err.text);
}

static void whole_files_load(void **state)
{
    (void)state;
    static struct tplm_weights weights;
    struct tplm_tokenizer tokenizer;
    struct rz_error err = {0};
    assert_int_equal(tplm_weights_load(model_path, &weights, &err), RZ_OK);
    assert_int_equal(tplm_tokenizer_load(vocab_path, &tokenizer, &err), RZ_OK);
    assert_int_equal(weights.shape.vocab, tokenizer.vocab);
    tplm_weights_free(&weights);
    tplm_tokenizer_free(&tokenizer);
}

static void missing_file_is_named(void **state)
{
    (void)state;
    static struct tplm_weights weights;
    struct rz_error err = {0};
    assert_int_equal(tplm_weights_load("/nowhere/x.model", &weights, &err), RZ_E_SYS);
    assert_non_null(strstr(err.text, "/nowhere/x.model"));
}

static void truncation_and_damage_are_found(void **state)
{
    (void)state;
    size_t count;
    unsigned char *bytes = read_file(model_path, &count);
    const size_t lengths[] = {0, 7, 8, 31, 32, 63, count / 2, count - 1};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        write_scratch(bytes, lengths[i]);
        model_is_refused(lengths[i] < 32 ? "begins with tplm-w" : "after the header");
    }
    bytes[count / 2] ^= 1;
    write_scratch(bytes, count);
    model_is_refused("damaged");
    bytes[8] = 9;
    write_scratch(bytes, count);
    model_is_refused("version 1 of the format, got 9");
    free(bytes);

    bytes = read_file(vocab_path, &count);
    write_scratch(bytes, count);
    model_is_refused("begins with tplm-w");
    write_scratch(bytes, count - 12);
    vocab_is_refused("after the header");
    free(bytes);
}

static void impossible_shapes_are_found(void **state)
{
    (void)state;
    static const struct {
        size_t offset;
        uint32_t value;
        const char *reason;
    } cases[] = {
        {0, 0, "vocab"},      {4, 250, "dim"},     {8, 65, "layers"}, {12, 0, "heads"},
        {12, 5, "dim"},       {16, 100, "hidden"}, {20, 0, "window"}, {0, 8191, "for the shape"},
        {24, 0, "rope_base"},
    };
    size_t count;
    unsigned char *bytes = read_file(model_path, &count);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned char kept[4];
        memcpy(kept, bytes + 32 + cases[i].offset, 4);
        memcpy(bytes + 32 + cases[i].offset, &cases[i].value, 4);
        seal(bytes, count);
        write_scratch(bytes, count);
        model_is_refused(cases[i].reason);
        memcpy(bytes + 32 + cases[i].offset, kept, 4);
    }
    free(bytes);
}

static void impossible_vocabularies_are_found(void **state)
{
    (void)state;
    size_t count;
    unsigned char *bytes = read_file(vocab_path, &count);
    const size_t last_merge = count - 12;

    uint32_t *merges = (uint32_t *)(void *)(bytes + 36), merge_count = *merges;
    *merges = merge_count - 1;
    seal(bytes, count);
    write_scratch(bytes, count);
    vocab_is_refused("bytes of merges");
    *merges = merge_count;

    memcpy(bytes + last_merge, &(uint32_t){8192}, 4);
    seal(bytes, count);
    write_scratch(bytes, count);
    vocab_is_refused("to join two tokens");

    bytes[40] = 255; /* the length of the first token: all texts after it shift */
    seal(bytes, count);
    write_scratch(bytes, count);
    vocab_is_refused("expected");
    free(bytes);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    model_path = argv[1];
    vocab_path = argv[2];
    const int fd = mkstemp(scratch);
    if (fd < 0)
        return 1;
    close(fd);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_files_load),
        cmocka_unit_test(missing_file_is_named),
        cmocka_unit_test(truncation_and_damage_are_found),
        cmocka_unit_test(impossible_shapes_are_found),
        cmocka_unit_test(impossible_vocabularies_are_found),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(scratch);
    return failed;
}
