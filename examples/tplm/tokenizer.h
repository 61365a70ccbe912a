/* SPDX-License-Identifier: Apache-2.0
 *
 * tokenizer.h - byte-level BPE: any bytes to ids, and back.
 *
 * A text is cut into words (a run of letters with the space before it, a run of anything else, lone
 * spaces and newlines); a word begins as its bytes, and the pair of neighbours whose merge comes
 * first in the list is merged until none is in it.
 *
 * Body of the file (frame: checked_file.h, magic "tplm-v\r\n", version 1), little-endian:
 *
 *     uint32 vocab, merges
 *     vocab times:   uint8 length, length bytes       the text of an id; id 0, "end", has none
 *     merges times:  uint32 left, right, merged       ids, the first merge first
 */
#ifndef TPLM_TOKENIZER_H
#define TPLM_TOKENIZER_H

#include "checked_file.h"

enum { TPLM_END = 0 }; /* stands before and after every text */

struct tplm_text {
    const unsigned char *bytes;
    size_t count;
};

struct tplm_merge {
    uint32_t left, right, merged;
};

struct tplm_tokenizer {
    size_t vocab, merge_count;
    struct tplm_text *texts; /* [vocab], pointing into the file */
    struct tplm_merge *merges;
    uint32_t *slots; /* hash table over (left, right): 1 + index of a merge, or 0 */
    size_t slot_mask;
    uint32_t byte_ids[256];
    struct tplm_file file;
};

/* tplm_tokenizer_load - read and check a vocabulary. RZ_E_SYS, RZ_E_ARG or RZ_E_NOMEM. */
int tplm_tokenizer_load(const char *path, struct tplm_tokenizer *tokenizer, struct rz_error *err);

void tplm_tokenizer_free(struct tplm_tokenizer *tokenizer);

/* tplm_encode - the ids of a text, without TPLM_END. `ids` has room for `count` of them, as many as
 * there can be. Returns how many there are. */
size_t tplm_encode(const struct tplm_tokenizer *tokenizer, const char *text, size_t count,
                   int32_t *ids);

/* tplm_decode - the bytes of an id below vocab; they need not end where a character does. */
struct tplm_text tplm_decode(const struct tplm_tokenizer *tokenizer, int32_t id);

#endif
