/* SPDX-License-Identifier: Apache-2.0
 *
 * row_params.c - the table of a row's parameters, and how each is set.
 *
 * Ranges of sampling parameters are the library's to know: after each change it is asked.
 */
#include "tools/row_params.h"

#include <string.h>

#include "tools/number.h"

#define WHOLE(name, option, low, high, expected)          \
    {                                                     \
        name, option, RZ_FIELD_WHOLE, low, high, expected \
    }
#define OTHER(name, option, kind, expected) \
    {                                       \
        name, option, kind, 0, 0, expected  \
    }

static const char a_number[] = "a finite number";
static const char ids_expected[] = "ids from 0 to 2147483647 separated by commas";

const struct rz_field rz_fields[RZ_FIELDS] = {
    [RZ_TEMPERATURE] = OTHER("temperature", "temperature", RZ_FIELD_FLOAT, a_number),
    [RZ_TOP_K] = WHOLE("top_k", "top-k", 0, UINT32_MAX, "a whole number from 0 to 4294967295"),
    [RZ_TOP_P] = OTHER("top_p", "top-p", RZ_FIELD_FLOAT, a_number),
    [RZ_MIN_P] = OTHER("min_p", "min-p", RZ_FIELD_FLOAT, a_number),
    [RZ_REPETITION_PENALTY] =
        OTHER("repetition_penalty", "repetition-penalty", RZ_FIELD_FLOAT, a_number),
    [RZ_FREQUENCY_PENALTY] =
        OTHER("frequency_penalty", "frequency-penalty", RZ_FIELD_FLOAT, a_number),
    [RZ_PRESENCE_PENALTY] = OTHER("presence_penalty", "presence-penalty", RZ_FIELD_FLOAT, a_number),
    [RZ_PROMPT_IDS] = OTHER("prompt_ids", "prompt-ids", RZ_FIELD_IDS, ids_expected),
    [RZ_OUTPUT_IDS] = OTHER("output_ids", "output-ids", RZ_FIELD_IDS, ids_expected),
    [RZ_LOGIT_BIAS] = OTHER("logit_bias", "logit-bias", RZ_FIELD_BIAS,
                            "ID:B pairs separated by commas, B a finite number"),
    [RZ_ALLOWED] = OTHER("allowed", "allowed", RZ_FIELD_IDS, ids_expected),
    [RZ_BANNED] = OTHER("banned", "banned", RZ_FIELD_IDS, ids_expected),
    [RZ_STOP_IDS] = OTHER("stop_ids", "stop-ids", RZ_FIELD_IDS, ids_expected),
    [RZ_MIN_TOKENS] =
        WHOLE("min_tokens", "min-tokens", 0, UINT32_MAX, "a whole number from 0 to 4294967295"),
    [RZ_SEED] = WHOLE("seed", "seed", 0, UINT64_MAX, "a whole number below 2^64"),
    [RZ_POSITION] = WHOLE("position", "position", 0, UINT64_MAX, "a whole number below 2^64"),
    [RZ_COUNT] =
        WHOLE("count", "count", 1, UINT64_C(1) << 40, "a whole number from 1 to 1099511627776"),
    [RZ_LOGPROBS] =
        WHOLE("logprobs", "logprobs", 0, RZ_MAX_TOP_LOGPROBS, "a whole number from 0 to 20"),
    [RZ_LOGPROBS_MODE] =
        OTHER("logprobs_mode", "logprobs-mode", RZ_FIELD_LOGPROBS_MODE, "raw or processed"),
    [RZ_BITMASK_WORDS] = OTHER("bitmask", NULL, RZ_FIELD_WORDS, "words from 0 to 4294967295"),
};

void rz_row_params_init(struct rz_row_params *row)
{
    *row = (struct rz_row_params){.count = 1};
    rz_sampling_init(&row->sampling);
}

/* ------------------------------------------------------------------------------------------------
 * Text
 */

static uint32_t count_items(const char *text)
{
    uint32_t items = 1;
    for (; *text != '\0'; text++)
        items += *text == ',';
    return items;
}

/* The next item of a list, in `item`; *text moves behind its comma. False at the end, or if it is
 * longer than any item that is valid. */
static bool next_item(const char **text, char *item, size_t capacity)
{
    const size_t length = strcspn(*text, ",");
    if (length >= capacity)
        return false;
    memcpy(item, *text, length);
    item[length] = '\0';
    *text += length + ((*text)[length] == ',');
    return true;
}

static bool parse_id(const char *text, int32_t *id)
{
    uint64_t whole;
    if (!rz_number_whole(text, INT32_MAX, &whole))
        return false;
    *id = (int32_t)whole;
    return true;
}

static bool parse_ids(const char *text, struct rz_arena *arena, struct rz_field_value *value)
{
    value->count = count_items(text);
    value->ids = rz_arena_alloc(arena, value->count, sizeof *value->ids);
    if (value->ids == NULL)
        return false;
    char item[32];
    for (uint32_t i = 0; i < value->count; i++)
        if (!next_item(&text, item, sizeof item) || !parse_id(item, &value->ids[i]))
            return false;
    return true;
}

static bool parse_bias(const char *text, struct rz_arena *arena, struct rz_field_value *value)
{
    value->count = count_items(text);
    value->bias = rz_arena_alloc(arena, value->count, sizeof *value->bias);
    if (value->bias == NULL)
        return false;
    char item[128];
    for (uint32_t i = 0; i < value->count; i++) {
        if (!next_item(&text, item, sizeof item))
            return false;
        char *colon = strchr(item, ':');
        if (colon == NULL)
            return false;
        *colon = '\0';
        if (!parse_id(item, &value->bias[i].id) ||
            !rz_number_float(colon + 1, &value->bias[i].bias))
            return false;
    }
    return true;
}

static bool parse_mode(const char *text, uint64_t *mode)
{
    const bool raw = strcmp(text, "raw") == 0;
    *mode = raw ? RZ_LOGPROBS_RAW : RZ_LOGPROBS_PROCESSED;
    return raw || strcmp(text, "processed") == 0;
}

bool rz_field_parse(const struct rz_field *field, const char *text, struct rz_arena *arena,
                    struct rz_field_value *value)
{
    *value = (struct rz_field_value){0};
    switch (field->kind) {
    case RZ_FIELD_FLOAT: return rz_number_float(text, &value->number);
    case RZ_FIELD_WHOLE:
        return rz_number_whole(text, field->high, &value->whole) && value->whole >= field->low;
    case RZ_FIELD_IDS: return parse_ids(text, arena, value);
    case RZ_FIELD_BIAS: return parse_bias(text, arena, value);
    case RZ_FIELD_LOGPROBS_MODE: return parse_mode(text, &value->whole);
    case RZ_FIELD_WORDS: return false;
    }
    return false;
}

/* ------------------------------------------------------------------------------------------------
 * Set and check
 */

static void assign(struct rz_row_params *row, enum rz_field_id id, const struct rz_field_value *v)
{
    struct rz_sampling *s = &row->sampling;
    switch (id) {
    case RZ_TEMPERATURE: s->temperature = v->number; break;
    case RZ_TOP_K: s->top_k = (uint32_t)v->whole; break;
    case RZ_TOP_P: s->top_p = v->number; break;
    case RZ_MIN_P: s->min_p = v->number; break;
    case RZ_REPETITION_PENALTY: s->repetition_penalty = v->number; break;
    case RZ_FREQUENCY_PENALTY: s->frequency_penalty = v->number; break;
    case RZ_PRESENCE_PENALTY: s->presence_penalty = v->number; break;
    case RZ_PROMPT_IDS:
        row->prompt_ids = v->ids;
        row->prompt_count = v->count;
        break;
    case RZ_OUTPUT_IDS:
        row->output_ids = v->ids;
        row->output_count = v->count;
        break;
    case RZ_LOGIT_BIAS:
        s->bias = v->bias;
        s->bias_count = v->count;
        break;
    case RZ_ALLOWED:
        s->allowed_ids = v->ids;
        s->allowed_count = v->count;
        break;
    case RZ_BANNED:
        s->banned_ids = v->ids;
        s->banned_count = v->count;
        break;
    case RZ_STOP_IDS:
        s->stop_ids = v->ids;
        s->stop_count = v->count;
        break;
    case RZ_MIN_TOKENS: s->min_tokens = (uint32_t)v->whole; break;
    case RZ_SEED:
        s->seed = v->whole;
        row->has_seed = true;
        break;
    case RZ_POSITION:
        row->position = v->whole;
        row->has_position = true;
        break;
    case RZ_COUNT: row->count = v->whole; break;
    case RZ_LOGPROBS:
        s->top_logprobs = (uint32_t)v->whole;
        s->flags |= RZ_SAMPLING_LOGPROBS;
        break;
    case RZ_LOGPROBS_MODE: s->logprobs_mode = (uint32_t)v->whole; break;
    case RZ_BITMASK_WORDS:
        row->bitmask = v->words;
        row->bitmask_words = v->count;
        break;
    case RZ_FIELDS: break;
    }
}

/* "--top-p" or "rows.jsonl:3: \"top_p\"" */
static void label_field(const struct rz_field *field, const char *where, char label[512])
{
    if (where == NULL)
        snprintf(label, 512, "--%s", field->option);
    else
        snprintf(label, 512, "%s: \"%s\"", where, field->name);
}

static int blame(const char *where)
{
    return where == NULL ? RZ_EXIT_USAGE : RZ_EXIT_FAILED;
}

int rz_field_complain(const struct rz_field *field, const char *where, const char *got,
                      struct rz_complaint *complaint)
{
    char label[512];
    label_field(field, where, label);
    return rz_complain(complaint, blame(where), "%s: expected %s, got %.200s", label,
                       field->expected, got);
}

int rz_row_params_set(struct rz_row_params *row, enum rz_field_id id,
                      const struct rz_field_value *value, const char *where,
                      struct rz_complaint *complaint)
{
    assign(row, id, value);

    /* All that was set before passed, so what fails now is this. The lists stay out of it: their
     * ids are checked when the vocabulary is known. */
    struct rz_sampling numbers = row->sampling;
    numbers.allowed_count = numbers.banned_count = numbers.stop_count = numbers.bias_count = 0;
    struct rz_error err;
    if (rz_sampling_check(&numbers, RZ_MAX_VOCAB, &err) == RZ_OK)
        return RZ_EXIT_OK;

    char label[512];
    label_field(&rz_fields[id], where, label);
    const char *why = strstr(err.text, ": "); /* behind the library's name of the field */
    return rz_complain(complaint, blame(where), "%s: %s", label, why != NULL ? why + 2 : err.text);
}

static int check_id(enum rz_field_id field, int32_t id, uint32_t vocab_size, const char *where,
                    struct rz_complaint *complaint)
{
    if (id >= 0 && (uint32_t)id < vocab_size)
        return RZ_EXIT_OK;
    char label[512];
    label_field(&rz_fields[field], where, label);
    return rz_complain(complaint, blame(where),
                       "%s: expected ids of the vocabulary, 0 to %u, got %d", label, vocab_size - 1,
                       (int)id);
}

int rz_row_params_check_ids(const struct rz_row_params *row, uint32_t vocab_size, const char *where,
                            struct rz_complaint *complaint)
{
    const struct rz_sampling *s = &row->sampling;
    const struct {
        enum rz_field_id field;
        const int32_t *ids;
        uint32_t count;
    } lists[] = {
        {RZ_PROMPT_IDS, row->prompt_ids, row->prompt_count},
        {RZ_OUTPUT_IDS, row->output_ids, row->output_count},
        {RZ_ALLOWED, s->allowed_ids, s->allowed_count},
        {RZ_BANNED, s->banned_ids, s->banned_count},
        {RZ_STOP_IDS, s->stop_ids, s->stop_count},
    };
    int status = RZ_EXIT_OK;
    for (size_t l = 0; l < sizeof lists / sizeof lists[0]; l++)
        for (uint32_t i = 0; status == RZ_EXIT_OK && i < lists[l].count; i++)
            status = check_id(lists[l].field, lists[l].ids[i], vocab_size, where, complaint);
    for (uint32_t i = 0; status == RZ_EXIT_OK && i < s->bias_count; i++)
        status = check_id(RZ_LOGIT_BIAS, s->bias[i].id, vocab_size, where, complaint);
    return status;
}
