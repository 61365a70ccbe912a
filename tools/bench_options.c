/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_options.c - parse the command line of `rankzero bench sample`, strictly.
 */
#include "tools/bench_options.h"

#include <getopt.h>
#include <string.h>

#include "rankzero/rankzero.h"
#include "runtime/words.h"
#include "tools/bench_filters.h"
#include "tools/number.h"

const char *const rz_bench_kinds[RZ_BENCH_KINDS + 1] = {"flat", "peaked", "zipf", "file", NULL};
const char *const rz_bench_peers[RZ_BENCH_PEERS + 1] = {"torch", "llama", "flashinfer", "vllm",
                                                        NULL};

enum {
    OPTION_KIND = 500,
    OPTION_FILTER,
    OPTION_DTYPE,
    OPTION_BACKEND,
    OPTION_VOCAB,
    OPTION_ROWS,
    OPTION_LOGITS,
    OPTION_REPEATS,
    OPTION_AGAINST,
    OPTION_JSON,
    OPTION_CSV,
    OPTION_BATCH,
    OPTION_STAGES,
    OPTION_DEVICE,
};

static const struct option known_options[] = {
    {"kind", required_argument, NULL, OPTION_KIND},
    {"filter", required_argument, NULL, OPTION_FILTER},
    {"dtype", required_argument, NULL, OPTION_DTYPE},
    {"backend", required_argument, NULL, OPTION_BACKEND},
    {"vocab", required_argument, NULL, OPTION_VOCAB},
    {"rows", required_argument, NULL, OPTION_ROWS},
    {"logits", required_argument, NULL, OPTION_LOGITS},
    {"repeats", required_argument, NULL, OPTION_REPEATS},
    {"against", required_argument, NULL, OPTION_AGAINST},
    {"json", optional_argument, NULL, OPTION_JSON},
    {"csv", optional_argument, NULL, OPTION_CSV},
    {"batch", required_argument, NULL, OPTION_BATCH},
    {"stages", no_argument, NULL, OPTION_STAGES},
    {"device", required_argument, NULL, OPTION_DEVICE},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static int set_filters(const char *text, unsigned *set, struct rz_complaint *complaint)
{
    const char *names[RZ_BENCH_FILTERS + 1] = {NULL};
    for (size_t i = 0; i < RZ_BENCH_FILTERS; i++)
        names[i] = rz_bench_filters[i].name;
    return rz_option_words("filter", text, names, set, complaint);
}

static int set_backends(const char *text, struct rz_bench_options *options,
                        struct rz_complaint *complaint)
{
    options->every_backend = strcmp(text, "all") == 0;
    if (options->every_backend)
        return RZ_EXIT_OK;
    return rz_option_words("backend", text, rz_backend_words, &options->backends, complaint);
}

static int set_device(const char *text, uint32_t *device, struct rz_complaint *complaint)
{
    enum { MOST_DEVICES = 64 }; /* as CUDA has it */
    uint64_t whole;
    if (!rz_number_whole(text, MOST_DEVICES - 1, &whole))
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "--device: expected a whole number from 0 to %d, got '%.200s'",
                           MOST_DEVICES - 1, text);
    *device = 1 + (uint32_t)whole;
    return RZ_EXIT_OK;
}

static int set_option(int which, const char *text, struct rz_bench_options *options,
                      struct rz_complaint *complaint)
{
    switch (which) {
    case 'h': options->help = true; return RZ_EXIT_OK;
    case OPTION_KIND:
        return rz_option_words("kind", text, rz_bench_kinds, &options->kinds, complaint);
    case OPTION_FILTER: return set_filters(text, &options->filters, complaint);
    case OPTION_DTYPE:
        return rz_option_words("dtype", text, rz_dtype_words, &options->dtypes, complaint);
    case OPTION_BACKEND: return set_backends(text, options, complaint);
    case OPTION_VOCAB:
        return rz_option_numbers("vocab", text, RZ_MAX_VOCAB, RZ_BENCH_MAX_VOCABS, options->vocabs,
                                 &options->vocab_count, complaint);
    case OPTION_BATCH:
        return rz_option_numbers("batch", text, RZ_MAX_ROWS - 1, RZ_BENCH_MAX_BATCHES,
                                 options->batches, &options->batch_count, complaint);
    case OPTION_STAGES: options->stages = true; return RZ_EXIT_OK;
    case OPTION_DEVICE: return set_device(text, &options->device, complaint);
    case OPTION_ROWS: return rz_option_whole("rows", text, RZ_MAX_ROWS, &options->rows, complaint);
    case OPTION_REPEATS:
        return rz_option_whole("repeats", text, RZ_BENCH_MAX_REPEATS, &options->repeats, complaint);
    case OPTION_LOGITS: options->logits_path = text; return RZ_EXIT_OK;
    case OPTION_JSON: return rz_option_sink("json", text, &options->sinks.json, complaint);
    case OPTION_CSV: return rz_option_sink("csv", text, &options->sinks.csv, complaint);
    default: return rz_option_words("against", text, rz_bench_peers, &options->peers, complaint);
    }
}

/* What times a GPU has other options than what times a processor. */
static int check_gpu(struct rz_bench_options *options, struct rz_complaint *complaint)
{
    const unsigned cuda = 1u << RZ_BACKEND_CUDA, llama = 1u << RZ_BENCH_LLAMA;
    const unsigned gpu_only = 1u << RZ_BENCH_FLASHINFER | 1u << RZ_BENCH_VLLM;
    options->on_gpu = !options->every_backend && (options->backends & cuda) != 0;
    if (!options->on_gpu) {
        if (options->batch_count > 0 || options->stages || options->device != 0)
            return rz_complain(complaint, RZ_EXIT_USAGE,
                               "--batch, --stages, --device: expected --backend cuda with them");
        if ((options->peers & gpu_only) != 0)
            return rz_complain(complaint, RZ_EXIT_USAGE,
                               "--against flashinfer, vllm: expected --backend cuda with them");
        return RZ_EXIT_OK;
    }
    if (options->backends != cuda)
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "--backend: expected cuda alone, for its times are of other things");
    if (options->rows != 0)
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "--rows: expected --batch in its place with --backend cuda");
    if ((options->peers & llama) != 0)
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "--against llama: expected a back end that is no GPU");
    if (options->stages && options->peers != 0)
        return rz_complain(complaint, RZ_EXIT_USAGE, "--against: expected without --stages");
    if (options->batch_count == 0) {
        static const uint32_t usual[] = {1, 8, 64, 128, 256, 512};
        options->batch_count = sizeof usual / sizeof usual[0];
        memcpy(options->batches, usual, sizeof usual);
    }
    return RZ_EXIT_OK;
}

static int check_together(struct rz_bench_options *options, struct rz_complaint *complaint)
{
    const unsigned file = 1u << RZ_BENCH_FILE;
    if (options->kinds == 0)
        options->kinds = options->logits_path != NULL ? 2 * file - 1 : file - 1;
    if ((options->kinds & file) != 0 && options->logits_path == NULL)
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "--kind file: expected --logits FILE.npy with it, got none");
    if ((options->kinds & file) == 0 && options->logits_path != NULL)
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "--logits: expected file among the kinds of --kind");
    const int status = rz_option_sinks_check(&options->sinks, complaint);
    return status == RZ_EXIT_OK ? check_gpu(options, complaint) : status;
}

static int parse(int argc, char **argv, struct rz_bench_options *options,
                 struct rz_complaint *complaint)
{
    optind = 0;
    opterr = 0;
    int which;
    while ((which = getopt_long(argc, argv, ":h", known_options, NULL)) != -1) {
        const int status = which == '?' || which == ':'
                               ? rz_option_complain(which, argv, complaint)
                               : set_option(which, optarg, options, complaint);
        if (status != RZ_EXIT_OK || options->help)
            return status;
    }
    if (optind < argc)
        return rz_complain(complaint, RZ_EXIT_USAGE, "expected options only, got '%.200s'",
                           argv[optind]);
    return check_together(options, complaint);
}

int rz_bench_options_parse(int argc, char **argv, struct rz_bench_options *options,
                           struct rz_complaint *complaint)
{
    *options = (struct rz_bench_options){
        .filters = (1u << RZ_BENCH_FILTERS) - 1,
        .dtypes = 1u << RZ_BF16,
        .backends = 1u << RZ_BACKEND_AUTO,
        .vocab_count = 1,
        .vocabs = {128256},
        .repeats = 7,
    };
    return parse(argc, argv, options, complaint);
}
