/* SPDX-License-Identifier: Apache-2.0
 *
 * checked_file.h - the frame that weights and vocabulary share on disk.
 *
 *     offset  bytes
 *          0      8   magic: what the body is
 *          8      4   version of the body's format
 *         12      4   0
 *         16      8   bytes of the body
 *         24      8   hash of bytes 0..23 and the body
 *         32          body
 *
 * All numbers are little-endian. The hash is 64-bit FNV-1a taken over 32-bit words, the last one
 * padded with zeros: it finds truncation and damage, not forgery.
 */
#ifndef TPLM_CHECKED_FILE_H
#define TPLM_CHECKED_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "rankzero/status.h"

struct tplm_file {
    unsigned char *bytes; /* the whole file */
    const unsigned char *body;
    size_t body_bytes;
};

/* tplm_file_read - read a file and check its frame. The caller frees it with tplm_file_free().
 * RZ_E_SYS if it cannot be read, RZ_E_ARG if it is not what was expected; `err` names the file. */
int tplm_file_read(const char *path, const char magic[8], uint32_t version, struct tplm_file *file,
                   struct rz_error *err);

void tplm_file_free(struct tplm_file *file);

uint32_t tplm_load_u32(const unsigned char *bytes);

#endif
