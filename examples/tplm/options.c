/* SPDX-License-Identifier: Apache-2.0
 *
 * options.c - parse the command line.
 *
 * Ranges of sampling parameters are not checked here but by rz_sampling_check(), which words them.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

#ifndef TPLM_DATA_DIR
#error "define TPLM_DATA_DIR: where kjv.model and kjv.vocab are"
#endif

const char tplm_usage[] =
    "usage: mpirun -np RANKS tplm [options]\n"
    "\n"
    "Writes text with a small transformer that is split over the ranks; rankzero draws the "
    "tokens.\n"
    "The text is the same for every number of ranks.\n"
    "\n"
    "  --prompt TEXT            begin with this; again for more prompts, decoded as one batch\n"
    "  --prompts FILE           a prompt a line\n"
    "  --tokens N               most tokens to draw for a prompt (200)\n"
    "  --temperature T          0 takes the likeliest token (1.0)\n"
    "  --top-k K                draw from the K likeliest, 0: from all (0)\n"
    "  --top-p P                draw from the likeliest that together have probability P (1.0)\n"
    "  --min-p P                draw from those at least P times as likely as the likeliest (0)\n"
    "  --repetition-penalty R   for tokens of prompt and text, 1: none (1.0)\n"
    "  --frequency-penalty F    times the number of times that a token was drawn (0)\n"
    "  --presence-penalty P     for tokens that were drawn (0)\n"
    "  --min-tokens N           the text does not end before this many tokens (0)\n"
    "  --seed S                 prompt b, from 0, draws with seed S + b (chosen, and shown)\n"
    "  --device NAME            where tokens are drawn: cpu, or cuda: on rank 0's GPU. The model\n"
    "                           is computed on the CPU all the same, and its logits are copied to\n"
    "                           the ranks' GPUs, of which several ranks may share one (cpu)\n"
    "  --backend NAME           what draws on a CPU: auto, reference, scalar, avx2, avx512 (auto)\n"
    "  --comm NAME              how logits travel: auto, shm or mpi; with --device cuda auto,\n"
    "                           nccl or cuda_ipc (auto)\n"
    "  --weights FILE           (" TPLM_DATA_DIR "/kjv.model)\n"
    "  --vocab FILE             (" TPLM_DATA_DIR "/kjv.vocab)\n"
    "  --dump-logits FILE.npy   the logits of every draw, [draws, vocab], with FILE.jsonl (the\n"
    "                           parameters of each) and FILE.ids.npy (what was drawn); replay:\n"
    "                           rankzero sample FILE.npy --params FILE.jsonl\n"
    "  --progress               show a batch as it grows, for a terminal that mpirun hides\n"
    "  --text-only              leave out the table at the end\n"
    "  --help\n"
    "\n"
    "Exit status: 0; 2 for bad usage; 1 for anything that failed.\n";

static int parse_u64(const char *name, const char *text, uint64_t max, uint64_t *value,
                     struct rz_error *err)
{
    char *end;
    errno = 0;
    const unsigned long long parsed = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || parsed > max)
        return tplm_fail(err, RZ_E_ARG, "--%s: expected a whole number from 0 to %llu, got '%s'",
                         name, (unsigned long long)max, text);
    *value = parsed;
    return RZ_OK;
}

static int parse_u32(const char *name, const char *text, uint32_t *value, struct rz_error *err)
{
    uint64_t wide = 0;
    const int status = parse_u64(name, text, UINT32_MAX, &wide, err);
    if (status == RZ_OK)
        *value = (uint32_t)wide;
    return status;
}

/* Not-a-number and infinity pass: rz_sampling_check() refuses them and says what the range is. */
static int parse_float(const char *name, const char *text, float *value, struct rz_error *err)
{
    char *end;
    const float parsed = strtof(text, &end);
    if (end == text || *end != '\0')
        return tplm_fail(err, RZ_E_ARG, "--%s: expected a number, got '%s'", name, text);
    *value = parsed;
    return RZ_OK;
}

/* `names` end with NULL; the value is the index. */
static int parse_name(const char *name, const char *text, const char *const *names, uint32_t *value,
                      struct rz_error *err)
{
    for (uint32_t i = 0; names[i] != NULL; i++) {
        if (strcmp(text, names[i]) == 0) {
            *value = i;
            return RZ_OK;
        }
    }
    char expected[64] = "";
    for (uint32_t i = 0; names[i] != NULL; i++) {
        const char *between = i == 0 ? "" : names[i + 1] != NULL ? ", " : " or ";
        const size_t used = strlen(expected);
        snprintf(expected + used, sizeof expected - used, "%s%s", between, names[i]);
    }
    return tplm_fail(err, RZ_E_ARG, "--%s: expected %s, got '%s'", name, expected, text);
}

static int add_prompt(struct tplm_options *options, const char *text, struct rz_error *err)
{
    if (options->prompt_count == TPLM_MAX_PROMPTS)
        return tplm_fail(err, RZ_E_ARG, "--prompt: expected at most %d of them", TPLM_MAX_PROMPTS);
    options->prompts[options->prompt_count++] = text;
    return RZ_OK;
}

static int parse_tokens(const char *text, size_t *tokens, struct rz_error *err)
{
    uint64_t value = 0;
    const int status = parse_u64("tokens", text, 100000, &value, err);
    if (status == RZ_OK && value == 0)
        return tplm_fail(err, RZ_E_ARG, "--tokens: expected 1 or more, got 0");
    if (status == RZ_OK)
        *tokens = (size_t)value;
    return status;
}

static int check_dump_path(const char *path, struct rz_error *err)
{
    const size_t length = strlen(path);
    if (length > 4 && strcmp(path + length - 4, ".npy") == 0)
        return RZ_OK;
    return tplm_fail(err, RZ_E_ARG, "--dump-logits: expected a name that ends in .npy, got '%s'",
                     path);
}

enum option_code {
    PROMPT = 1000, /* past every character, so that '?' is not one of these */
    PROMPTS,
    TOKENS,
    TEMPERATURE,
    TOP_K,
    TOP_P,
    MIN_P,
    REPETITION_PENALTY,
    FREQUENCY_PENALTY,
    PRESENCE_PENALTY,
    MIN_TOKENS,
    SEED,
    DEVICE,
    BACKEND,
    COMM,
    WEIGHTS,
    VOCAB,
    DUMP_LOGITS,
    PROGRESS,
    TEXT_ONLY,
    HELP,
};

static const struct option long_options[] = {
    {"prompt", required_argument, NULL, PROMPT},
    {"prompts", required_argument, NULL, PROMPTS},
    {"tokens", required_argument, NULL, TOKENS},
    {"temperature", required_argument, NULL, TEMPERATURE},
    {"top-k", required_argument, NULL, TOP_K},
    {"top-p", required_argument, NULL, TOP_P},
    {"min-p", required_argument, NULL, MIN_P},
    {"repetition-penalty", required_argument, NULL, REPETITION_PENALTY},
    {"frequency-penalty", required_argument, NULL, FREQUENCY_PENALTY},
    {"presence-penalty", required_argument, NULL, PRESENCE_PENALTY},
    {"min-tokens", required_argument, NULL, MIN_TOKENS},
    {"seed", required_argument, NULL, SEED},
    {"device", required_argument, NULL, DEVICE},
    {"backend", required_argument, NULL, BACKEND},
    {"comm", required_argument, NULL, COMM},
    {"weights", required_argument, NULL, WEIGHTS},
    {"vocab", required_argument, NULL, VOCAB},
    {"dump-logits", required_argument, NULL, DUMP_LOGITS},
    {"progress", no_argument, NULL, PROGRESS},
    {"text-only", no_argument, NULL, TEXT_ONLY},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

static int apply(struct tplm_options *o, enum option_code code, const char *name, const char *text,
                 struct rz_error *err)
{
    static const char *const devices[] = {"cpu", "cuda", NULL};
    static const char *const backends[] = {"auto", "reference", "scalar", "avx2", "avx512", NULL};
    static const char *const comms[] = {"auto", "shm", "mpi", "nccl", "cuda_ipc", NULL};
    struct rz_sampling *s = &o->sampling;

    switch (code) {
    case PROMPT: return add_prompt(o, text, err);
    case PROMPTS: o->prompts_path = text; return RZ_OK;
    case TOKENS: return parse_tokens(text, &o->tokens, err);
    case TEMPERATURE: return parse_float(name, text, &s->temperature, err);
    case TOP_K: return parse_u32(name, text, &s->top_k, err);
    case TOP_P: return parse_float(name, text, &s->top_p, err);
    case MIN_P: return parse_float(name, text, &s->min_p, err);
    case REPETITION_PENALTY: return parse_float(name, text, &s->repetition_penalty, err);
    case FREQUENCY_PENALTY: return parse_float(name, text, &s->frequency_penalty, err);
    case PRESENCE_PENALTY: return parse_float(name, text, &s->presence_penalty, err);
    case MIN_TOKENS: return parse_u32(name, text, &s->min_tokens, err);
    case SEED: o->seed_given = true; return parse_u64(name, text, UINT64_MAX, &s->seed, err);
    case DEVICE: return parse_name(name, text, devices, &o->device, err);
    case BACKEND: return parse_name(name, text, backends, &o->backend, err);
    case COMM: return parse_name(name, text, comms, &o->comm, err);
    case WEIGHTS: o->weights_path = text; return RZ_OK;
    case VOCAB: o->vocab_path = text; return RZ_OK;
    case DUMP_LOGITS: o->dump_path = text; return check_dump_path(text, err);
    case PROGRESS: o->progress = true; return RZ_OK;
    case TEXT_ONLY: o->text_only = true; return RZ_OK;
    case HELP: o->help = true; return RZ_OK;
    }
    return RZ_OK;
}

int tplm_options_parse(int argc, char **argv, struct tplm_options *options, struct rz_error *err)
{
    *options = (struct tplm_options){
        .tokens = 200,
        .weights_path = TPLM_DATA_DIR "/kjv.model",
        .vocab_path = TPLM_DATA_DIR "/kjv.vocab",
    };
    rz_sampling_init(&options->sampling);

    int code, index = 0;
    opterr = 0;
    for (;;) {
        const int at = optind; /* of the argument that is looked at next */
        code = getopt_long(argc, argv, "", long_options, &index);
        if (code == -1)
            break;
        if (code == '?') {
            const char *got = argv[at < argc ? at : argc - 1];
            return tplm_fail(err, RZ_E_ARG, "expected an option of --help and its value, got '%s'",
                             got);
        }
        const int status =
            apply(options, (enum option_code)code, long_options[index].name, optarg, err);
        if (status != RZ_OK)
            return status;
    }
    if (optind < argc)
        return tplm_fail(err, RZ_E_ARG,
                         "expected options only, got '%s' (a prompt goes in --prompt)",
                         argv[optind]);
    if (!options->help && options->prompt_count == 0 && options->prompts_path == NULL)
        return tplm_fail(err, RZ_E_ARG, "expected --prompt TEXT or --prompts FILE");
    if (options->prompt_count != 0 && options->prompts_path != NULL)
        return tplm_fail(err, RZ_E_ARG, "expected either --prompt or --prompts, got both");
    if (options->device == TPLM_CUDA && options->backend != RZ_BACKEND_AUTO)
        return tplm_fail(err, RZ_E_ARG, "expected --device cuda or a --backend of CPUs, got both");
    return RZ_OK;
}
