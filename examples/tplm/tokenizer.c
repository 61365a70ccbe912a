/* SPDX-License-Identifier: Apache-2.0
 *
 * tokenizer.c - load a vocabulary, encode, decode.
 */
#include "tokenizer.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

enum { VOCAB_VERSION = 1, COUNTS_BYTES = 8, MERGE_BYTES = 12 };

static const uint32_t no_id = UINT32_MAX;

static size_t slot_of(const struct tplm_tokenizer *t, uint32_t left, uint32_t right)
{
    const uint64_t pair = (uint64_t)left << 32 | right;
    return (size_t)((pair * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & t->slot_mask;
}

/* Index of the merge of a pair, or merge_count. The table is never full: see reserve(). */
static size_t find_merge(const struct tplm_tokenizer *t, uint32_t left, uint32_t right)
{
    for (size_t slot = slot_of(t, left, right);; slot = (slot + 1) & t->slot_mask) {
        if (t->slots[slot] == 0)
            return t->merge_count;
        const struct tplm_merge *merge = &t->merges[t->slots[slot] - 1];
        if (merge->left == left && merge->right == right)
            return t->slots[slot] - 1;
    }
}

static bool is_concatenation(struct tplm_text whole, struct tplm_text left, struct tplm_text right)
{
    return left.count > 0 && right.count > 0 && whole.count == left.count + right.count &&
           memcmp(whole.bytes, left.bytes, left.count) == 0 &&
           memcmp(whole.bytes + left.count, right.bytes, right.count) == 0;
}

static int read_texts(struct tplm_tokenizer *t, const char *path, const unsigned char **at,
                      struct rz_error *err)
{
    const unsigned char *end = t->file.body + t->file.body_bytes;
    memset(t->byte_ids, 0xff, sizeof t->byte_ids);
    for (size_t id = 0; id < t->vocab; id++) {
        if (*at == end || (size_t)(end - *at) < 1u + **at)
            return tplm_fail(err, RZ_E_ARG, "%s: expected %zu tokens, got %zu", path, t->vocab, id);
        t->texts[id] = (struct tplm_text){.bytes = *at + 1, .count = **at};
        if (t->texts[id].count == 1)
            t->byte_ids[t->texts[id].bytes[0]] = (uint32_t)id;
        *at += 1 + **at;
    }
    for (size_t byte = 0; byte < 256; byte++) {
        if (t->byte_ids[byte] == no_id)
            return tplm_fail(err, RZ_E_ARG, "%s: expected a token for each byte, got none for %zu",
                             path, byte);
    }
    return RZ_OK;
}

static int read_merges(struct tplm_tokenizer *t, const char *path, const unsigned char *at,
                       struct rz_error *err)
{
    for (size_t i = 0; i < t->merge_count; i++, at += MERGE_BYTES) {
        const struct tplm_merge merge = {
            .left = tplm_load_u32(at),
            .right = tplm_load_u32(at + 4),
            .merged = tplm_load_u32(at + 8),
        };
        if (merge.left >= t->vocab || merge.right >= t->vocab || merge.merged >= t->vocab ||
            !is_concatenation(t->texts[merge.merged], t->texts[merge.left], t->texts[merge.right]))
            return tplm_fail(err, RZ_E_ARG,
                             "%s: expected merge %zu to join two tokens into a third", path, i);
        t->merges[i] = merge;

        size_t slot = slot_of(t, merge.left, merge.right);
        while (t->slots[slot] != 0)
            slot = (slot + 1) & t->slot_mask;
        t->slots[slot] = (uint32_t)i + 1;
    }
    return RZ_OK;
}

static int reserve(struct tplm_tokenizer *t, const char *path, struct rz_error *err)
{
    size_t slots = 16;
    while (slots < 2 * t->merge_count) /* at most half full, so that searches end soon */
        slots *= 2;
    t->slot_mask = slots - 1;
    t->texts = calloc(t->vocab, sizeof *t->texts);
    t->merges = calloc(t->merge_count + 1, sizeof *t->merges);
    t->slots = calloc(slots, sizeof *t->slots);
    if (t->texts == NULL || t->merges == NULL || t->slots == NULL)
        return tplm_fail(err, RZ_E_NOMEM, "no memory for the vocabulary of %s", path);
    return RZ_OK;
}

int tplm_tokenizer_load(const char *path, struct tplm_tokenizer *tokenizer, struct rz_error *err)
{
    struct tplm_tokenizer t = {0};
    int status = tplm_file_read(path, "tplm-v\r\n", VOCAB_VERSION, &t.file, err);
    if (status != RZ_OK)
        return status;

    if (t.file.body_bytes < COUNTS_BYTES) {
        status = tplm_fail(err, RZ_E_ARG, "%s: expected counts of %d bytes, got %zu", path,
                           COUNTS_BYTES, t.file.body_bytes);
        goto err_free;
    }
    const unsigned char *at = t.file.body;
    t.vocab = tplm_load_u32(at);
    t.merge_count = tplm_load_u32(at + 4);
    at += COUNTS_BYTES;
    /* Bounds what is allocated by what the file can hold. */
    if (t.vocab < 257 || t.vocab > t.file.body_bytes ||
        t.merge_count > t.file.body_bytes / MERGE_BYTES) {
        status = tplm_fail(err, RZ_E_ARG, "%s: expected 257 tokens or more, got %zu and %zu merges",
                           path, t.vocab, t.merge_count);
        goto err_free;
    }

    status = reserve(&t, path, err);
    if (status == RZ_OK)
        status = read_texts(&t, path, &at, err);
    const size_t left = (size_t)(t.file.body + t.file.body_bytes - at);
    if (status == RZ_OK && left != t.merge_count * MERGE_BYTES)
        status = tplm_fail(err, RZ_E_ARG, "%s: expected %zu bytes of merges, got %zu", path,
                           t.merge_count * MERGE_BYTES, left);
    if (status == RZ_OK)
        status = read_merges(&t, path, at, err);
    if (status != RZ_OK)
        goto err_free;

    *tokenizer = t;
    return RZ_OK;

err_free:
    tplm_tokenizer_free(&t);
    return status;
}

void tplm_tokenizer_free(struct tplm_tokenizer *tokenizer)
{
    free(tokenizer->texts);
    free(tokenizer->merges);
    free(tokenizer->slots);
    tplm_file_free(&tokenizer->file);
    *tokenizer = (struct tplm_tokenizer){0};
}

static bool is_letter(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '\'';
}

static bool is_other(unsigned char c)
{
    return !is_letter(c) && c != ' ' && c != '\n';
}

/* Length of the first word of a text that is not empty. The classes are ASCII: a character of
 * several bytes is "other" from its first byte to its last, so no word cuts it. */
static size_t word_length(const unsigned char *text, size_t count)
{
    size_t i = text[0] == ' ' ? 1 : 0;
    if (i < count && is_letter(text[i])) {
        while (i < count && is_letter(text[i]))
            i++;
    } else if (i < count && is_other(text[i])) {
        while (i < count && is_other(text[i]))
            i++;
    } else {
        i = 1;
    }
    return i;
}

/* Merge in place until no neighbours can be; returns how many ids are left. Quadratic in the length
 * of a word, which is a few letters. */
static size_t merge_word(const struct tplm_tokenizer *t, int32_t *ids, size_t count)
{
    for (;;) {
        size_t best = t->merge_count, where = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            const size_t merge = find_merge(t, (uint32_t)ids[i], (uint32_t)ids[i + 1]);
            if (merge < best) {
                best = merge;
                where = i;
            }
        }
        if (best == t->merge_count)
            return count;
        ids[where] = (int32_t)t->merges[best].merged;
        memmove(ids + where + 1, ids + where + 2, (count - where - 2) * sizeof *ids);
        count--;
    }
}

size_t tplm_encode(const struct tplm_tokenizer *tokenizer, const char *text, size_t count,
                   int32_t *ids)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t used = 0;
    while (count > 0) {
        const size_t length = word_length(bytes, count);
        for (size_t i = 0; i < length; i++)
            ids[used + i] = (int32_t)tokenizer->byte_ids[bytes[i]];
        used += merge_word(tokenizer, ids + used, length);
        bytes += length;
        count -= length;
    }
    return used;
}

struct tplm_text tplm_decode(const struct tplm_tokenizer *tokenizer, int32_t id)
{
    return tokenizer->texts[id];
}
