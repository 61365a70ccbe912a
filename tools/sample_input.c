/* SPDX-License-Identifier: Apache-2.0
 *
 * sample_input.c - open the files of a run and see that they fit together.
 */
#include "tools/sample_input.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/random.h>

#include "tools/params_json.h"

/* ------------------------------------------------------------------------------------------------
 * Logits
 */

static int choose_dtype(const struct rz_sample_options *options, struct rz_sample_input *input,
                        struct rz_complaint *complaint)
{
    static const struct {
        enum rz_npy_type type;
        enum rz_dtype dtype;
        const char *name, *option;
    } pairs[] = {
        {RZ_NPY_F32, RZ_F32, "float32", "f32"},
        {RZ_NPY_F16, RZ_F16, "float16", "f16"},
        {RZ_NPY_U16, RZ_BF16, "uint16", "bf16"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (pairs[i].type != input->logits.type)
            continue;
        input->dtype = pairs[i].dtype;
        if (!options->has_dtype && pairs[i].dtype == RZ_BF16)
            return rz_complain(complaint, RZ_EXIT_FAILED,
                               "%s: expected dtype float32 or float16, got uint16: if it holds "
                               "bfloat16, say --dtype bf16",
                               options->logits_path);
        if (options->has_dtype && pairs[i].dtype != options->dtype)
            return rz_complain(complaint, RZ_EXIT_FAILED,
                               "%s: expected dtype %s for --dtype %s, "
                               "got %s",
                               options->logits_path, pairs[options->dtype].name,
                               pairs[options->dtype].option, pairs[i].name);
    }
    return RZ_EXIT_OK;
}

static int open_logits(const struct rz_sample_options *options, struct rz_sample_input *input,
                       struct rz_complaint *complaint)
{
    const char *path = options->logits_path;
    int status = rz_npy_open(path, RZ_NPY_F32 | RZ_NPY_F16 | RZ_NPY_U16, &input->logits, complaint);
    if (status == RZ_EXIT_OK)
        status = choose_dtype(options, input, complaint);
    if (status != RZ_EXIT_OK)
        return status;

    if (input->logits.rows > RZ_MAX_ROWS)
        return rz_complain(complaint, RZ_EXIT_FAILED, "%s: expected at most %u rows, got %" PRIu64,
                           path, RZ_MAX_ROWS, input->logits.rows);
    if (input->logits.columns > RZ_MAX_VOCAB)
        return rz_complain(complaint, RZ_EXIT_FAILED,
                           "%s: expected a vocabulary of at most %u columns, got %" PRIu64, path,
                           RZ_MAX_VOCAB, input->logits.columns);
    input->row_count = (uint32_t)input->logits.rows;
    input->columns = (uint32_t)input->logits.columns;
    input->vocab_size = options->vocab_size != 0 ? options->vocab_size : input->columns;
    if (input->vocab_size > input->columns)
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "--vocab-size: expected at most the %u columns of %s, got %u",
                           input->columns, path, input->vocab_size);
    return RZ_EXIT_OK;
}

static int check_split(const struct rz_sample_options *options, uint32_t world,
                       const struct rz_sample_input *input, struct rz_complaint *complaint)
{
    if (options->split == NULL)
        return RZ_EXIT_OK;
    if (options->split_count != world)
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "--split: expected one number a rank, %u in all, got %u", world,
                           options->split_count);
    uint64_t sum = 0;
    for (uint32_t r = 0; r < world; r++)
        sum += options->split[r];
    if (sum != input->columns)
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "--split: expected numbers that add up to the %u columns of %s, got "
                           "%" PRIu64,
                           input->columns, options->logits_path, sum);
    return RZ_EXIT_OK;
}

/* ------------------------------------------------------------------------------------------------
 * Rows
 */

static uint64_t words_of(uint32_t bits)
{
    return (bits + 31) / 32;
}

/* A mask may cover the vocabulary or, as engines allocate it, the padding too. */
static bool words_fit(const struct rz_sample_input *input, uint64_t words)
{
    return words == words_of(input->vocab_size) || words == words_of(input->columns);
}

static int open_bitmask(const struct rz_sample_options *options, struct rz_sample_input *input,
                        struct rz_complaint *complaint)
{
    const char *path = options->bitmask_path;
    if (path == NULL)
        return RZ_EXIT_OK;
    const int status = rz_npy_open(path, RZ_NPY_U32, &input->bitmask, complaint);
    if (status != RZ_EXIT_OK)
        return status;
    if (input->bitmask.rows != input->row_count || !words_fit(input, input->bitmask.columns))
        return rz_complain(complaint, RZ_EXIT_FAILED,
                           "%s: expected shape (%u, %" PRIu64 "), a bit an id, got (%" PRIu64
                           ", %" PRIu64 ")",
                           path, input->row_count, words_of(input->vocab_size), input->bitmask.rows,
                           input->bitmask.columns);
    return RZ_EXIT_OK;
}

/* The seed that rows count from. One that was not given has 53 bits, so that every reader of JSON
 * can hand it back. */
static uint64_t first_seed(const struct rz_sample_options *options)
{
    uint64_t seed = options->row.sampling.seed;
    if (!options->row.has_seed && getrandom(&seed, sizeof seed, 0) == sizeof seed)
        seed >>= 11;
    return seed;
}

static int fill_rows(struct rz_sample_options *options, struct rz_sample_input *input,
                     struct rz_complaint *complaint)
{
    input->rows = calloc(input->row_count, sizeof *input->rows);
    if (input->rows == NULL)
        return rz_complain_memory(complaint);
    for (uint32_t r = 0; r < input->row_count; r++) {
        input->rows[r] = options->row;
        input->rows[r].has_seed = false;
    }
    if (options->params_path != NULL) {
        const int status = rz_params_read(options->params_path, input->rows, input->row_count,
                                          &options->arena, complaint);
        if (status != RZ_EXIT_OK)
            return status;
    }

    const uint64_t seed = first_seed(options);
    for (uint32_t r = 0; r < input->row_count; r++) {
        struct rz_row_params *row = &input->rows[r];
        if (!row->has_seed)
            row->sampling.seed = seed + r;
        row->sampling.flags |= RZ_SAMPLING_SEED;
        if (!row->has_position)
            row->position = (uint64_t)row->prompt_count + row->output_count;
    }
    return RZ_EXIT_OK;
}

static int check_row(const struct rz_sample_input *input, const struct rz_row_params *row,
                     const char *where, struct rz_complaint *complaint)
{
    const int status = rz_row_params_check_ids(row, input->vocab_size, where, complaint);
    if (status != RZ_EXIT_OK)
        return status;
    /* A mask of its own has only a row of --params, whose place is known. */
    if (where != NULL && row->bitmask != NULL && !words_fit(input, row->bitmask_words))
        return rz_complain(complaint, RZ_EXIT_FAILED,
                           "%s: \"bitmask\": expected %" PRIu64 " words, a bit an id, got %zu",
                           where, words_of(input->vocab_size), row->bitmask_words);
    if (row->count - 1 > UINT64_MAX - row->position) {
        char got[96];
        snprintf(got, sizeof got, "%" PRIu64 " and %" PRIu64 " draws from there", row->position,
                 row->count);
        return rz_field_complain(&rz_fields[RZ_POSITION], where, got, complaint);
    }
    return RZ_EXIT_OK;
}

/* A file of int32 [rows, draws] has as many draws in every row. */
static int check_counts(const struct rz_sample_options *options, struct rz_sample_input *input,
                        struct rz_complaint *complaint)
{
    for (uint32_t r = 0; r < input->row_count; r++) {
        input->draws += input->rows[r].count;
        if (options->output_path != NULL && input->rows[r].count != input->rows[0].count)
            return rz_complain(complaint, RZ_EXIT_FAILED,
                               "%s:%u: \"count\": expected %" PRIu64 " as in the first row, since "
                               "-o writes a rectangle, got %" PRIu64,
                               options->params_path, r + 1, input->rows[0].count,
                               input->rows[r].count);
    }
    return RZ_EXIT_OK;
}

static int check_rows(struct rz_sample_options *options, struct rz_sample_input *input,
                      struct rz_complaint *complaint)
{
    /* First what all rows have from the command line, so that it is blamed for its own. */
    int status = check_row(input, &options->row, NULL, complaint);
    if (status == RZ_EXIT_OK)
        status = fill_rows(options, input, complaint);
    for (uint32_t r = 0; status == RZ_EXIT_OK && r < input->row_count; r++) {
        char where[512];
        if (options->params_path != NULL)
            snprintf(where, sizeof where, "%.480s:%u", options->params_path, r + 1);
        status = check_row(input, &input->rows[r], options->params_path != NULL ? where : NULL,
                           complaint);
        const bool logprobs = (input->rows[r].sampling.flags & RZ_SAMPLING_LOGPROBS) != 0;
        if (status == RZ_EXIT_OK && logprobs && !options->json)
            status = rz_complain(
                complaint, RZ_EXIT_FAILED,
                "%s: \"logprobs\": expected --json with it: only there they appear", where);
    }
    return status == RZ_EXIT_OK ? check_counts(options, input, complaint) : status;
}

int rz_sample_input_open(struct rz_sample_options *options, uint32_t world,
                         struct rz_sample_input *input, struct rz_complaint *complaint)
{
    *input = (struct rz_sample_input){.logits.fd = -1, .bitmask.fd = -1};
    int status = open_logits(options, input, complaint);
    if (status == RZ_EXIT_OK)
        status = check_split(options, world, input, complaint);
    if (status == RZ_EXIT_OK)
        status = open_bitmask(options, input, complaint);
    if (status == RZ_EXIT_OK)
        status = check_rows(options, input, complaint);
    if (status != RZ_EXIT_OK)
        rz_sample_input_close(input);
    return status;
}

void rz_sample_input_close(struct rz_sample_input *input)
{
    if (input->logits.fd >= 0)
        rz_npy_close(&input->logits);
    if (input->bitmask.fd >= 0)
        rz_npy_close(&input->bitmask);
    free(input->rows);
    input->rows = NULL;
}
