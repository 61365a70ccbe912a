/* SPDX-License-Identifier: Apache-2.0
 *
 * dump.c - .npy and JSON lines.
 *
 * How many draws there will be is known at the end only, so the .npy headers are written twice,
 * with the same length. Errors of writing stay in the streams until close.
 */
#include "dump.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

enum { NPY_HEADER_BYTES = 128 }; /* the format wants a multiple of 64 */

static void write_npy_header(FILE *out, const char *type, size_t rows, size_t cols)
{
    unsigned char header[NPY_HEADER_BYTES];
    char shape[48], text[NPY_HEADER_BYTES];
    if (cols > 0)
        snprintf(shape, sizeof shape, "(%zu, %zu)", rows, cols);
    else
        snprintf(shape, sizeof shape, "(%zu,)", rows);
    const int length = snprintf(
        text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", type, shape);

    const size_t prefix = 10; /* magic, version 1.0, length of the rest in two bytes */
    memset(header, ' ', sizeof header);
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = NPY_HEADER_BYTES - prefix;
    header[9] = 0;
    memcpy(header + prefix, text, (size_t)length);
    header[NPY_HEADER_BYTES - 1] = '\n';
    fwrite(header, 1, sizeof header, out);
}

/* Open `path` with its last four characters, ".npy", replaced. */
static FILE *create_beside(const char *path, const char *suffix)
{
    const size_t stem = strlen(path) - 4;
    char *name = malloc(stem + strlen(suffix) + 1);
    if (name == NULL)
        return NULL;
    memcpy(name, path, stem);
    strcpy(name + stem, suffix);
    FILE *file = fopen(name, "wb");
    free(name);
    return file;
}

int tplm_dump_open(const char *path, size_t vocab, struct tplm_dump *dump, struct rz_error *err)
{
    struct tplm_dump d = {.vocab = vocab, .path = malloc(strlen(path) + 1)};
    if (d.path == NULL)
        return tplm_fail(err, RZ_E_NOMEM, "no memory for the dump to %s", path);
    strcpy(d.path, path);

    d.logits = fopen(path, "wb");
    d.params = d.logits ? create_beside(path, ".jsonl") : NULL;
    d.ids = d.params ? create_beside(path, ".ids.npy") : NULL;
    if (d.ids == NULL) {
        tplm_fail(err, RZ_E_SYS, "cannot create %s and the files beside it: %s", path,
                  strerror(errno));
        if (d.params != NULL)
            fclose(d.params);
        if (d.logits != NULL)
            fclose(d.logits);
        free(d.path);
        return RZ_E_SYS;
    }
    write_npy_header(d.logits, "<f4", 0, vocab);
    write_npy_header(d.ids, "<i4", 0, 0);
    *dump = d;
    return RZ_OK;
}

static void write_ids(FILE *out, const char *name, const int32_t *ids, size_t count)
{
    fprintf(out, ", \"%s\": [", name);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s%" PRId32, i ? ", " : "", ids[i]);
    fputc(']', out);
}

void tplm_dump_add(struct tplm_dump *dump, const float *logits, const struct rz_sampling *sampling,
                   const struct tplm_sequence *sequence, const struct rz_result *result)
{
    FILE *out = dump->params;
    /* Many a reader of JSON has no integers past 2^63; a seed may be a string. */
    const char *quote = result->seed > INT64_MAX ? "\"" : "";
    /* Nine digits tell all floats apart. */
    fprintf(out,
            "{\"temperature\": %.9g, \"top_k\": %" PRIu32 ", \"top_p\": %.9g, \"min_p\": %.9g"
            ", \"seed\": %s%" PRIu64 "%s, \"position\": %" PRIu64,
            (double)sampling->temperature, sampling->top_k, (double)sampling->top_p,
            (double)sampling->min_p, quote, result->seed, quote, result->position);

    const bool penalties =
        sampling->repetition_penalty < 1.0f || sampling->repetition_penalty > 1.0f ||
        sampling->frequency_penalty < 0.0f || sampling->frequency_penalty > 0.0f ||
        sampling->presence_penalty < 0.0f || sampling->presence_penalty > 0.0f;
    if (penalties)
        fprintf(out,
                ", \"repetition_penalty\": %.9g, \"frequency_penalty\": %.9g"
                ", \"presence_penalty\": %.9g",
                (double)sampling->repetition_penalty, (double)sampling->frequency_penalty,
                (double)sampling->presence_penalty);
    if (sampling->min_tokens > 0) {
        fprintf(out, ", \"min_tokens\": %" PRIu32, sampling->min_tokens);
        write_ids(out, "stop_ids", sampling->stop_ids, sampling->stop_count);
    }
    if (penalties || sampling->min_tokens > 0) {
        write_ids(out, "prompt_ids", sequence->ids, sequence->prompt_count);
        write_ids(out, "output_ids", sequence->ids + sequence->prompt_count,
                  sequence->count - sequence->prompt_count);
    }
    fputs("}\n", out);

    fwrite(logits, sizeof *logits, dump->vocab, dump->logits);
    fwrite(&result->id, sizeof result->id, 1, dump->ids);
    dump->draws++;
}

static bool complete(FILE *file, const char *type, size_t rows, size_t cols)
{
    if (type != NULL && fseek(file, 0, SEEK_SET) == 0)
        write_npy_header(file, type, rows, cols);
    const bool failed = ferror(file) != 0;
    return (fclose(file) == 0) && !failed;
}

int tplm_dump_close(struct tplm_dump *dump, struct rz_error *err)
{
    errno = 0;
    const bool logits = complete(dump->logits, "<f4", dump->draws, dump->vocab);
    const bool ids = complete(dump->ids, "<i4", dump->draws, 0);
    const bool params = complete(dump->params, NULL, 0, 0);
    int status = RZ_OK;
    if (!logits || !ids || !params)
        status = tplm_fail(err, RZ_E_SYS, "cannot write %s and the files beside it: %s", dump->path,
                           errno ? strerror(errno) : "an earlier write failed");
    free(dump->path);
    *dump = (struct tplm_dump){0};
    return status;
}
