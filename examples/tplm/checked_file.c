/* SPDX-License-Identifier: Apache-2.0
 *
 * checked_file.c - read a file and check its frame.
 */
#include "checked_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

enum { FRAME_BYTES = 32, HASHED_FRAME_BYTES = 24, MAX_FILE_BYTES = 1 << 30 };

uint32_t tplm_load_u32(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

static uint64_t load_u64(const unsigned char *bytes)
{
    return (uint64_t)tplm_load_u32(bytes + 4) << 32 | tplm_load_u32(bytes);
}

static uint64_t hash_words(uint64_t hash, const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i += 4) {
        unsigned char word[4] = {0};
        memcpy(word, bytes + i, count - i < 4 ? count - i : 4);
        hash = (hash ^ tplm_load_u32(word)) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static int read_all(const char *path, unsigned char **bytes, size_t *count, struct rz_error *err)
{
    FILE *in = fopen(path, "rb");
    if (in == NULL)
        return tplm_fail(err, RZ_E_SYS, "cannot open %s: %s", path, strerror(errno));

    size_t room = (size_t)1 << 20, used = 0;
    unsigned char *data = malloc(room);
    while (data != NULL) {
        used += fread(data + used, 1, room - used, in);
        if (used < room || room >= MAX_FILE_BYTES)
            break;
        room *= 2;
        unsigned char *more = realloc(data, room);
        if (more == NULL)
            free(data);
        data = more;
    }
    const int failed = ferror(in) ? errno : 0;
    fclose(in);

    if (data == NULL)
        return tplm_fail(err, RZ_E_NOMEM, "no memory for %s", path);
    if (failed != 0) {
        free(data);
        return tplm_fail(err, RZ_E_SYS, "cannot read %s: %s", path, strerror(failed));
    }
    *bytes = data;
    *count = used;
    return RZ_OK;
}

int tplm_file_read(const char *path, const char magic[8], uint32_t version, struct tplm_file *file,
                   struct rz_error *err)
{
    unsigned char *bytes = NULL;
    size_t count = 0;
    int status = read_all(path, &bytes, &count, err);
    if (status != RZ_OK)
        return status;

    status = RZ_E_ARG;
    if (count < FRAME_BYTES || memcmp(bytes, magic, 8) != 0) {
        tplm_fail(err, status, "%s: expected a file that begins with %.6s and a header of %d bytes",
                  path, magic, FRAME_BYTES);
        goto err_free;
    }
    if (tplm_load_u32(bytes + 8) != version) {
        tplm_fail(err, status, "%s: expected version %u of the format, got %u", path,
                  (unsigned)version, (unsigned)tplm_load_u32(bytes + 8));
        goto err_free;
    }
    if (load_u64(bytes + 16) != count - FRAME_BYTES) {
        tplm_fail(err, status, "%s: expected %llu bytes after the header, got %zu", path,
                  (unsigned long long)load_u64(bytes + 16), count - FRAME_BYTES);
        goto err_free;
    }
    uint64_t hash = hash_words(UINT64_C(0xcbf29ce484222325), bytes, HASHED_FRAME_BYTES);
    hash = hash_words(hash, bytes + FRAME_BYTES, count - FRAME_BYTES);
    if (load_u64(bytes + 24) != hash) {
        tplm_fail(err, status, "%s: expected hash %016llx, got %016llx: the file is damaged", path,
                  (unsigned long long)load_u64(bytes + 24), (unsigned long long)hash);
        goto err_free;
    }

    *file = (struct tplm_file){
        .bytes = bytes, .body = bytes + FRAME_BYTES, .body_bytes = count - FRAME_BYTES};
    return RZ_OK;

err_free:
    free(bytes);
    return status;
}

void tplm_file_free(struct tplm_file *file)
{
    free(file->bytes);
    *file = (struct tplm_file){0};
}
