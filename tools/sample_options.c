/* SPDX-License-Identifier: Apache-2.0
 *
 * sample_options.c - parse the command line of `rankzero sample`, strictly.
 */
#include "tools/sample_options.h"

#include <getopt.h>
#include <string.h>

#include "runtime/words.h"
#include "tools/number.h"

/* What getopt_long() returns for an option: a field's id above this, or one of these. */
enum {
    FIELD_BASE = 1000,
    OPTION_PARAMS = 500,
    OPTION_BITMASK,
    OPTION_JSON,
    OPTION_DTYPE,
    OPTION_VOCAB_SIZE,
    OPTION_SPLIT,
    OPTION_MODE,
    OPTION_BACKEND,
    OPTION_COMM,
    OPTION_RANKS,
    OPTION_THREADS,
    OPTION_JOB,
    OPTION_DEVICE,
};

static const struct option run_options[] = {
    {"params", required_argument, NULL, OPTION_PARAMS},
    {"bitmask", required_argument, NULL, OPTION_BITMASK},
    {"json", no_argument, NULL, OPTION_JSON},
    {"dtype", required_argument, NULL, OPTION_DTYPE},
    {"vocab-size", required_argument, NULL, OPTION_VOCAB_SIZE},
    {"split", required_argument, NULL, OPTION_SPLIT},
    {"mode", required_argument, NULL, OPTION_MODE},
    {"backend", required_argument, NULL, OPTION_BACKEND},
    {"comm", required_argument, NULL, OPTION_COMM},
    {"ranks", required_argument, NULL, OPTION_RANKS},
    {"threads", required_argument, NULL, OPTION_THREADS},
    {"job", required_argument, NULL, OPTION_JOB},
    {"device", required_argument, NULL, OPTION_DEVICE},
    {"output", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},
};

enum { RUN_OPTIONS = sizeof run_options / sizeof run_options[0] };

/* The options of rows and those of the run, ended by zeros. */
static void list_options(struct option list[RUN_OPTIONS + RZ_FIELDS + 1])
{
    size_t n = 0;
    for (; n < RUN_OPTIONS; n++)
        list[n] = run_options[n];
    for (int id = 0; id < RZ_FIELDS; id++)
        if (rz_fields[id].option != NULL)
            list[n++] =
                (struct option){rz_fields[id].option, required_argument, NULL, FIELD_BASE + id};
    list[n] = (struct option){0};
}

static int set_field(enum rz_field_id id, const char *text, struct rz_sample_options *options,
                     struct rz_complaint *complaint)
{
    struct rz_field_value value;
    if (rz_field_parse(&rz_fields[id], text, &options->arena, &value)) {
        options->has_logprobs |= id == RZ_LOGPROBS;
        return rz_row_params_set(&options->row, id, &value, NULL, complaint);
    }
    char got[256];
    snprintf(got, sizeof got, "'%.200s'", text);
    return rz_field_complain(&rz_fields[id], NULL, got, complaint);
}

/* The index of `text` in a NULL-terminated list of words, which are the values of `option`. */
static int set_word(const char *option, const char *text, const char *const *words, unsigned *index,
                    struct rz_complaint *complaint)
{
    char expected[64] = "";
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], text) == 0) {
            *index = i;
            return RZ_EXIT_OK;
        }
        const size_t used = strlen(expected);
        snprintf(expected + used, sizeof expected - used, "%s%s", i > 0 ? ", " : "", words[i]);
    }
    return rz_complain(complaint, RZ_EXIT_USAGE, "--%s: expected %s%s, got '%.200s'", option,
                       words[1] != NULL ? "one of " : "", expected, text);
}

static int set_whole(const char *option, const char *text, uint32_t low, uint32_t high,
                     uint32_t *number, struct rz_complaint *complaint)
{
    uint64_t whole;
    if (!rz_number_whole(text, high, &whole) || whole < low)
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "--%s: expected a whole number from %u to %u, got '%.200s'", option, low,
                           high, text);
    *number = (uint32_t)whole;
    return RZ_EXIT_OK;
}

static int set_split(const char *text, struct rz_sample_options *options,
                     struct rz_complaint *complaint)
{
    /* The same notation as that of ids. */
    struct rz_field_value value;
    if (!rz_field_parse(&rz_fields[RZ_ALLOWED], text, &options->arena, &value))
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "--split: expected columns of each rank separated by commas, got "
                           "'%.200s'",
                           text);
    options->split_count = value.count;
    options->split = rz_arena_alloc(&options->arena, value.count, sizeof *options->split);
    if (options->split == NULL)
        return rz_complain_memory(complaint);
    for (uint32_t i = 0; i < value.count; i++)
        options->split[i] = (uint32_t)value.ids[i];
    return RZ_EXIT_OK;
}

static int set_device(const char *text, struct rz_sample_options *options,
                      struct rz_complaint *complaint)
{
    enum { MOST_DEVICES = 64 }; /* as CUDA has it */
    uint32_t number = 0;
    const int status = set_whole("device", text, 0, MOST_DEVICES - 1, &number, complaint);
    options->device = number + 1;
    return status;
}

static int set_job(const char *text, struct rz_sample_options *options,
                   struct rz_complaint *complaint)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const size_t length = strlen(text);
    if (length < 1 || length >= RZ_MAX_NAME || text[0] == '.' || strspn(text, allowed) != length)
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "--job: expected 1 to %u characters of [A-Za-z0-9._-] that do not start "
                           "with '.', got '%.200s'",
                           RZ_MAX_NAME - 1, text);
    options->job_name = text;
    return RZ_EXIT_OK;
}

static int set_run_option(int which, const char *text, struct rz_sample_options *options,
                          struct rz_complaint *complaint)
{
    switch (which) {
    case 'h': options->help = true; return RZ_EXIT_OK;
    case 'o': options->output_path = text; return RZ_EXIT_OK;
    case OPTION_PARAMS: options->params_path = text; return RZ_EXIT_OK;
    case OPTION_BITMASK: options->bitmask_path = text; return RZ_EXIT_OK;
    case OPTION_JSON: options->json = true; return RZ_EXIT_OK;
    case OPTION_DTYPE:
        options->has_dtype = true;
        return set_word("dtype", text, rz_dtype_words, &options->dtype, complaint);
    case OPTION_MODE: return set_word("mode", text, rz_mode_words, &options->mode, complaint);
    case OPTION_BACKEND:
        return set_word("backend", text, rz_backend_words, &options->backend, complaint);
    case OPTION_COMM: return set_word("comm", text, rz_comm_words, &options->comm, complaint);
    case OPTION_VOCAB_SIZE:
        return set_whole("vocab-size", text, 1, RZ_MAX_VOCAB, &options->vocab_size, complaint);
    case OPTION_RANKS: return set_whole("ranks", text, 1, RZ_MAX_WORLD, &options->ranks, complaint);
    case OPTION_THREADS:
        return set_whole("threads", text, 1, RZ_MAX_THREADS, &options->threads, complaint);
    case OPTION_SPLIT: return set_split(text, options, complaint);
    case OPTION_DEVICE: return set_device(text, options, complaint);
    default: return set_job(text, options, complaint);
    }
}

static int complain_option(int which, char **argv, struct rz_complaint *complaint)
{
    const char *word = argv[optind - 1];
    if (which == ':')
        return rz_complain(complaint, RZ_EXIT_USAGE, "%.200s: expected a value, got none", word);
    if (optopt > 255)
        return rz_complain(complaint, RZ_EXIT_USAGE, "%.200s: expected no value, got one", word);
    if (optopt != 0)
        return rz_complain(complaint, RZ_EXIT_USAGE, "-%c: unknown option; see --help", optopt);
    return rz_complain(complaint, RZ_EXIT_USAGE,
                       "%.200s: unknown or ambiguous option%s; see --help", word,
                       strchr(word, '_') != NULL ? " (options have dashes)" : "");
}

/* What no option can know of itself. */
static int check_together(const struct rz_sample_options *o, struct rz_complaint *complaint)
{
    if (o->logits_path == NULL)
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "expected LOGITS.npy, got no file; see --help");
    if (o->has_logprobs && !o->json)
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "--logprobs: expected --json with it: only there they appear");
    const bool cuda = o->backend == RZ_BACKEND_CUDA;
    const bool between_gpus = o->comm == RZ_COMM_NCCL || o->comm == RZ_COMM_CUDA_IPC;
    if (o->comm != RZ_COMM_AUTO && between_gpus != cuda)
        return rz_complain(
            complaint, RZ_EXIT_USAGE, "--comm: expected auto, %s --backend cuda, got %s",
            cuda ? "nccl or cuda_ipc with" : "shm or mpi without", rz_comm_words[o->comm]);
    if (o->device != 0 && !cuda)
        return rz_complain(complaint, RZ_EXIT_USAGE, "--device: expected --backend cuda with it");
    return RZ_EXIT_OK;
}

static int parse(int argc, char **argv, struct rz_sample_options *options,
                 struct rz_complaint *complaint)
{
    struct option list[RUN_OPTIONS + RZ_FIELDS + 1];
    list_options(list);
    optind = 0; /* start afresh, also when a test parses a second time */
    opterr = 0;

    int which;
    while ((which = getopt_long(argc, argv, ":o:h", list, NULL)) != -1) {
        int status;
        if (which == '?' || which == ':')
            status = complain_option(which, argv, complaint);
        else if (which >= FIELD_BASE)
            status = set_field((enum rz_field_id)(which - FIELD_BASE), optarg, options, complaint);
        else
            status = set_run_option(which, optarg, options, complaint);
        if (status != RZ_EXIT_OK || options->help)
            return status;
    }
    if (optind < argc)
        options->logits_path = argv[optind++];
    if (optind < argc)
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "expected one file of logits, got also '%.200s'", argv[optind]);
    return check_together(options, complaint);
}

int rz_sample_options_parse(int argc, char **argv, struct rz_sample_options *options,
                            struct rz_complaint *complaint)
{
    *options = (struct rz_sample_options){0};
    rz_row_params_init(&options->row);
    const int status = parse(argc, argv, options, complaint);
    if (status != RZ_EXIT_OK)
        rz_sample_options_free(options);
    return status;
}

void rz_sample_options_free(struct rz_sample_options *options)
{
    rz_arena_free(&options->arena);
}
