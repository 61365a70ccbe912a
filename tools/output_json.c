/* SPDX-License-Identifier: Apache-2.0
 *
 * output_json.c - an object a row, in a line of its own.
 *
 * Ids are written as they come, so a row of any number of draws takes no memory; only logprobs and
 * ranks, when they were asked for, wait for the end of their row.
 */
#include "tools/output.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* JSON has no infinities and no NaN. Nine digits tell any two floats apart. */
static void print_float(FILE *text, float value)
{
    if (isfinite(value))
        fprintf(text, "%.9g", (double)value);
    else
        fputs("null", text);
}

static const char *status_text(uint32_t status)
{
    static const char *const texts[] = {"ok", "no_token", "nan", "no_token+nan"};
    _Static_assert(RZ_ROW_NO_TOKEN == 1 && RZ_ROW_NAN == 2, "index of texts");
    return texts[status & 3];
}

static int reserve(struct rz_output_held *held, uint32_t more, struct rz_complaint *complaint)
{
    if (held->capacity - held->count >= more)
        return RZ_EXIT_OK;
    const size_t capacity = 2 * held->capacity + more;
    float *logprobs = reallocarray(held->logprobs, capacity, sizeof *logprobs);
    if (logprobs == NULL)
        return rz_complain_memory(complaint);
    held->logprobs = logprobs;
    uint32_t *ranks = reallocarray(held->ranks, capacity, sizeof *ranks);
    if (ranks == NULL)
        return rz_complain_memory(complaint);
    held->ranks = ranks;
    held->capacity = capacity;
    return RZ_EXIT_OK;
}

static int hold(struct rz_output_held *held, const struct rz_draws *draws,
                struct rz_complaint *complaint)
{
    const int status = reserve(held, draws->count, complaint);
    if (status != RZ_EXIT_OK)
        return status;
    for (uint32_t i = 0; i < draws->count; i++) {
        /* Where no id was drawn there is no logprob either: null. */
        held->logprobs[held->count] =
            draws->results[i].id >= 0 ? draws->results[i].logprob : -INFINITY;
        held->ranks[held->count++] = draws->results[i].rank;
    }
    return RZ_EXIT_OK;
}

static void print_held(FILE *text, const struct rz_output_held *held)
{
    fputs(",\"logprob\":[", text);
    for (size_t i = 0; i < held->count; i++) {
        if (i > 0)
            putc(',', text);
        print_float(text, held->logprobs[i]);
    }
    fputs("],\"rank\":[", text);
    for (size_t i = 0; i < held->count; i++)
        fprintf(text, "%s%" PRIu32, i > 0 ? "," : "", held->ranks[i]);
    putc(']', text);
}

/* The most likely ids are a matter of the row, not of the draw: once is enough. */
static void print_top(FILE *text, const struct rz_result *result)
{
    fputs(",\"top_logprobs\":[", text);
    for (uint32_t i = 0; i < result->top_count; i++) {
        fprintf(text, "%s{\"id\":%d,\"logprob\":", i > 0 ? "," : "", (int)result->top_ids[i]);
        print_float(text, result->top_logprobs[i]);
        putc('}', text);
    }
    putc(']', text);
}

int rz_output_json_write(FILE *text, struct rz_output_held *held, const struct rz_draws *draws,
                         struct rz_complaint *complaint)
{
    const struct rz_result *results = draws->results;
    /* What is too large for many a reader of JSON is a string, as --params takes it. */
    const char *quote = results[0].seed > INT64_MAX ? "\"" : "";
    if (draws->first == 0)
        fprintf(text,
                "{\"row\":%" PRIu64 ",\"seed\":%s%" PRIu64 "%s,\"position\":%" PRIu64 ",\"ids\":[",
                draws->row, quote, results[0].seed, quote, results[0].position);
    for (uint32_t i = 0; i < draws->count; i++)
        fprintf(text, "%s%d", draws->first + i > 0 ? "," : "", (int)results[i].id);
    if (draws->logprobs) {
        const int status = hold(held, draws, complaint);
        if (status != RZ_EXIT_OK)
            return status;
    }
    if (draws->first + draws->count < draws->total)
        return RZ_EXIT_OK;

    fprintf(text, "],\"status\":\"%s\"", status_text(results[0].status));
    if (draws->logprobs) {
        print_held(text, held);
        print_top(text, &results[0]);
        held->count = 0;
    }
    fputs("}\n", text);
    return RZ_EXIT_OK;
}
