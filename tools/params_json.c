/* SPDX-License-Identifier: Apache-2.0
 *
 * params_json.c - rows' parameters from JSON, which jansson parses.
 *
 * Types are strict: a number in quotes or a 5.0 for a count is an error, as an unknown key is. One
 * exception: a seed may be a string of digits, since JSON's integers end at 2^63 here.
 */
#include "tools/params_json.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/number.h"

/* What a field expects in JSON, where that is not what it expects as text. */
static const char *expected_json(const struct rz_field *field)
{
    switch (field->kind) {
    case RZ_FIELD_IDS: return "an array of ids from 0 to 2147483647";
    case RZ_FIELD_BIAS: return "an object {\"ID\": B, ...} or an array [[ID, B], ...]";
    case RZ_FIELD_LOGPROBS_MODE: return "\"raw\" or \"processed\"";
    case RZ_FIELD_WORDS: return "an array of words from 0 to 4294967295";
    default: return field->expected;
    }
}

static bool whole_from_json(const json_t *json, uint64_t max, uint64_t *whole)
{
    if (!json_is_integer(json) || json_integer_value(json) < 0)
        return false;
    *whole = (uint64_t)json_integer_value(json);
    return *whole <= max;
}

static bool float_from_json(const json_t *json, float *number)
{
    *number = (float)json_number_value(json);
    return json_is_number(json) && isfinite(*number);
}

static bool id_from_json(const json_t *json, int32_t *id)
{
    uint64_t whole;
    if (!whole_from_json(json, INT32_MAX, &whole))
        return false;
    *id = (int32_t)whole;
    return true;
}

static bool ids_from_json(const json_t *json, struct rz_arena *arena, struct rz_field_value *value)
{
    if (!json_is_array(json))
        return false;
    value->count = (uint32_t)json_array_size(json);
    value->ids = rz_arena_alloc(arena, value->count, sizeof *value->ids);
    if (value->ids == NULL)
        return false;
    for (uint32_t i = 0; i < value->count; i++)
        if (!id_from_json(json_array_get(json, i), &value->ids[i]))
            return false;
    return true;
}

static bool words_from_json(const json_t *json, struct rz_arena *arena,
                            struct rz_field_value *value)
{
    if (!json_is_array(json))
        return false;
    value->count = (uint32_t)json_array_size(json);
    value->words = rz_arena_alloc(arena, value->count, sizeof *value->words);
    if (value->words == NULL)
        return false;
    for (uint32_t i = 0; i < value->count; i++) {
        uint64_t word;
        if (!whole_from_json(json_array_get(json, i), UINT32_MAX, &word))
            return false;
        value->words[i] = (uint32_t)word;
    }
    return true;
}

static bool bias_from_object(json_t *json, struct rz_field_value *value)
{
    const char *key;
    json_t *bias;
    uint32_t i = 0;
    json_object_foreach(json, key, bias)
    {
        uint64_t id;
        if (!rz_number_whole(key, INT32_MAX, &id) || !float_from_json(bias, &value->bias[i].bias))
            return false;
        value->bias[i++].id = (int32_t)id;
    }
    return true;
}

static bool bias_from_pairs(const json_t *json, struct rz_field_value *value)
{
    for (uint32_t i = 0; i < value->count; i++) {
        const json_t *pair = json_array_get(json, i);
        if (!json_is_array(pair) || json_array_size(pair) != 2 ||
            !id_from_json(json_array_get(pair, 0), &value->bias[i].id) ||
            !float_from_json(json_array_get(pair, 1), &value->bias[i].bias))
            return false;
    }
    return true;
}

static bool bias_from_json(json_t *json, struct rz_arena *arena, struct rz_field_value *value)
{
    if (!json_is_object(json) && !json_is_array(json))
        return false;
    const bool object = json_is_object(json);
    value->count = (uint32_t)(object ? json_object_size(json) : json_array_size(json));
    value->bias = rz_arena_alloc(arena, value->count, sizeof *value->bias);
    if (value->bias == NULL)
        return false;
    return object ? bias_from_object(json, value) : bias_from_pairs(json, value);
}

static bool value_from_json(enum rz_field_id id, json_t *json, struct rz_arena *arena,
                            struct rz_field_value *value)
{
    const struct rz_field *field = &rz_fields[id];
    *value = (struct rz_field_value){0};
    switch (field->kind) {
    case RZ_FIELD_FLOAT: return float_from_json(json, &value->number);
    case RZ_FIELD_WHOLE:
        if (id == RZ_SEED && json_is_string(json))
            return rz_number_whole(json_string_value(json), field->high, &value->whole);
        return whole_from_json(json, field->high, &value->whole) && value->whole >= field->low;
    case RZ_FIELD_IDS: return ids_from_json(json, arena, value);
    case RZ_FIELD_BIAS: return bias_from_json(json, arena, value);
    case RZ_FIELD_LOGPROBS_MODE:
        return json_is_string(json) && rz_field_parse(field, json_string_value(json), arena, value);
    case RZ_FIELD_WORDS: return words_from_json(json, arena, value);
    }
    return false;
}

static int set_field(enum rz_field_id id, json_t *json, const char *where,
                     struct rz_row_params *row, struct rz_arena *arena,
                     struct rz_complaint *complaint)
{
    struct rz_field_value value;
    if (value_from_json(id, json, arena, &value))
        return rz_row_params_set(row, id, &value, where, complaint);

    struct rz_field field = rz_fields[id];
    field.expected = expected_json(&field);
    char *got = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
    const int status =
        rz_field_complain(&field, where, got != NULL ? got : "something else", complaint);
    free(got);
    return status;
}

static int set_by_name(const char *name, json_t *json, const char *where, struct rz_row_params *row,
                       struct rz_arena *arena, struct rz_complaint *complaint)
{
    static const char *const of_the_run[] = {"vocab_size", "split", "mode",  "backend",
                                             "comm",       "dtype", "ranks", "params"};
    for (enum rz_field_id id = 0; id < RZ_FIELDS; id++)
        if (strcmp(rz_fields[id].name, name) == 0)
            return set_field(id, json, where, row, arena, complaint);
    for (size_t i = 0; i < sizeof of_the_run / sizeof of_the_run[0]; i++)
        if (strcmp(of_the_run[i], name) == 0)
            return rz_complain(complaint, RZ_EXIT_FAILED,
                               "%s: \"%s\": expected a parameter of a row, got one of the whole "
                               "run: it belongs on the command line",
                               where, name);
    return rz_complain(complaint, RZ_EXIT_FAILED,
                       "%s: \"%.64s\": unknown key; expected an option of a row with underscores, "
                       "such as \"top_p\"",
                       where, name);
}

int rz_params_apply(const char *line, size_t length, const char *where, struct rz_row_params *row,
                    struct rz_arena *arena, struct rz_complaint *complaint)
{
    json_error_t error;
    json_t *root = json_loadb(line, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (root == NULL)
        return rz_complain(complaint, RZ_EXIT_FAILED, "%s:%d: malformed JSON: %s", where,
                           error.column, error.text);

    int status = RZ_EXIT_OK;
    if (json_is_object(root)) {
        const char *name;
        json_t *json;
        json_object_foreach(root, name, json)
        {
            status = set_by_name(name, json, where, row, arena, complaint);
            if (status != RZ_EXIT_OK)
                break;
        }
    } else {
        status = rz_complain(complaint, RZ_EXIT_FAILED,
                             "%s:1: expected an object such as {\"top_p\": 0.9}, got %.32s", where,
                             line);
    }
    json_decref(root);
    return status;
}

static int apply_lines(FILE *file, const char *path, struct rz_row_params *rows, uint64_t row_count,
                       struct rz_arena *arena, struct rz_complaint *complaint)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    uint64_t lines = 0;
    int status = RZ_EXIT_OK;
    errno = 0;
    while (status == RZ_EXIT_OK && (length = getline(&line, &capacity, file)) >= 0) {
        if (lines++ >= row_count)
            continue; /* counted, for the complaint below */
        if (length > 0 && line[length - 1] == '\n')
            line[--length] = '\0';
        char where[512];
        snprintf(where, sizeof where, "%.480s:%" PRIu64, path, lines);
        status = rz_params_apply(line, (size_t)length, where, &rows[lines - 1], arena, complaint);
        errno = 0;
    }
    if (status == RZ_EXIT_OK && errno != 0)
        status =
            rz_complain(complaint, RZ_EXIT_FAILED, "%s: cannot read: %s", path, strerror(errno));
    free(line);
    if (status == RZ_EXIT_OK && lines != row_count)
        status =
            rz_complain(complaint, RZ_EXIT_FAILED,
                        "%s: expected a line for each row of logits, %" PRIu64 ", got %" PRIu64,
                        path, row_count, lines);
    return status;
}

int rz_params_read(const char *path, struct rz_row_params *rows, uint64_t row_count,
                   struct rz_arena *arena, struct rz_complaint *complaint)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return rz_complain(complaint, RZ_EXIT_FAILED, "%s: cannot open: %s", path, strerror(errno));
    const int status = apply_lines(file, path, rows, row_count, arena, complaint);
    fclose(file);
    return status;
}
