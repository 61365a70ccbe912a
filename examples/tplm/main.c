/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - set up the ranks, decode, say how it went.
 *
 * Until decoding begins, ranks agree after each part of the setup that can fail, so that all leave
 * together. From then on a rank that fails ends the others: they may be waiting for it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "decode.h"
#include "fail.h"
#include "rankzero/mpi.h"

enum { EXIT_USAGE = 2, PREFILL_TOKENS = 64 };

/* What a run needs, in the order in which it is made. */
struct run {
    int rank, world;
    struct tplm_options options;
    struct tplm_weights weights;
    struct tplm_tokenizer tokenizer;
    struct tplm_batch batch;
    struct tplm_model model;
    struct tplm_dump dump;
    rz_job *job;
};

/* The first rank with a failure prints it; every rank returns its status. Collective. */
static int agree(const struct run *run, int status, const struct rz_error *err)
{
    int mine = status == RZ_OK ? run->world : run->rank, first;
    MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (first == run->world)
        return RZ_OK;
    if (first == run->rank)
        fprintf(stderr, "tplm: %s\n", err->text);
    MPI_Bcast(&status, 1, MPI_INT, first, MPI_COMM_WORLD);
    return status;
}

/* Without --seed, one that is short enough to be typed again. */
static int choose_seed(struct tplm_options *options, struct rz_error *err)
{
    uint32_t seed;
    if (options->seed_given)
        return RZ_OK;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        return tplm_fail(err, RZ_E_SYS, "the operating system gave no random seed");
    options->sampling.seed = seed % 1000000;
    return RZ_OK;
}

static int load(struct run *run, struct rz_error *err)
{
    struct tplm_options *o = &run->options;
    int status = tplm_weights_load(o->weights_path, &run->weights, err);
    if (status == RZ_OK)
        status = tplm_tokenizer_load(o->vocab_path, &run->tokenizer, err);
    if (status == RZ_OK && run->tokenizer.vocab != run->weights.shape.vocab)
        status = tplm_fail(err, RZ_E_ARG, "%s has %zu tokens, %s is for %zu", o->vocab_path,
                           run->tokenizer.vocab, o->weights_path, run->weights.shape.vocab);
    return status;
}

static int read_prompts(struct run *run, struct rz_error *err)
{
    if (run->rank != 0)
        return RZ_OK;
    int status = choose_seed(&run->options, err);
    if (status == RZ_OK)
        status = tplm_batch_read(&run->options, &run->tokenizer, &run->batch, err);
    if (status == RZ_OK && run->options.dump_path != NULL)
        status = tplm_dump_open(run->options.dump_path, run->weights.shape.vocab, &run->dump, err);
    return status;
}

static int open_job(struct run *run, struct rz_error *err)
{
    struct rz_options options;
    rz_options_init(&options);
    options.vocab_size = (uint32_t)run->weights.shape.vocab;
    options.dtype = RZ_F32;
    options.max_rows = (uint32_t)run->batch.count;
    options.backend =
        run->options.device == TPLM_CUDA ? (uint32_t)RZ_BACKEND_CUDA : run->options.backend;
    options.comm = run->options.comm;
    return rz_open_mpi(MPI_COMM_WORLD, &options, &run->job, err);
}

static int set_up(struct run *run)
{
    struct rz_error err = {0};
    int status = agree(run, load(run, &err), &err);
    if (status == RZ_OK)
        status = agree(run, read_prompts(run, &err), &err);
    if (status != RZ_OK)
        return status;
    status = tplm_batch_share(MPI_COMM_WORLD, run->options.tokens, &run->batch, &err);
    status = agree(run, status, &err);
    if (status != RZ_OK)
        return status;

    const size_t count = run->batch.count;
    const size_t tokens = count > PREFILL_TOKENS ? count : PREFILL_TOKENS;
    status = tplm_model_open(&run->weights, MPI_COMM_WORLD, count, tokens, &run->model, &err);
    status = agree(run, status, &err);
    if (status == RZ_OK)
        status = agree(run, open_job(run, &err), &err);
    return status;
}

static void tear_down(struct run *run)
{
    struct rz_error ignored; /* a dump that is still open belongs to a run that has failed */
    rz_close(run->job);
    if (run->dump.path != NULL)
        (void)tplm_dump_close(&run->dump, &ignored);
    if (run->model.weights != NULL)
        tplm_model_close(&run->model);
    tplm_batch_free(&run->batch);
    tplm_tokenizer_free(&run->tokenizer);
    tplm_weights_free(&run->weights);
}

static void print_line(const char *what, double us, const char *note)
{
    printf("  %-12s %10.1f   %s\n", what, us, note);
}

static void print_report(const struct run *run, const struct tplm_times *times)
{
    struct rz_counters c;
    rz_counters_init(&c);
    rz_counters_read(run->job, &c);

    const double steps = times->steps > 0 ? (double)times->steps : 1.0;
    const double us = 1e-3 / steps;
    const double seconds = (double)times->decode_ns * 1e-9;
    const double megabyte = 1e-6;
    char note[80];

    printf("\n%d rank%s, seed %" PRIu64 ": %" PRIu64 " tokens drawn in %.2f s, %.1f tokens/s",
           run->world, run->world == 1 ? "" : "s", run->options.sampling.seed, times->drawn,
           seconds, (double)times->drawn / seconds);
    printf("; %" PRIu64 " of prompt in %.2f s\n\n", times->prompt_tokens,
           (double)times->prompt_ns * 1e-9);

    printf("  %-12s %10s\n", "", "us/step");
    snprintf(note, sizeof note, "of which all-reduce %.1f", (double)times->reduce_ns * us);
    print_line("model", (double)times->model_ns * us, note);
    print_line("gather", (double)c.gather_ns * us, "logits to rank 0");
    print_line("sampler", (double)c.sample_ns * us, "on rank 0");
    print_line("broadcast", (double)(c.publish_ns + c.wait_ns) * us, "ids to every rank");
    printf("  %-12s %10.2f MB logits, %.4f MB ids, %.2f MB all-reduce, over %" PRIu64 " steps\n",
           "moved", (double)c.bytes_gathered * megabyte, (double)c.bytes_published * megabyte,
           (double)times->reduce_bytes * megabyte, times->steps);
}

static int decode(struct run *run)
{
    struct tplm_view view;
    struct tplm_decode d = {
        .job = run->job,
        .model = &run->model,
        .options = &run->options,
        .batch = &run->batch,
        .comm = MPI_COMM_WORLD,
    };
    if (run->rank == 0) {
        tplm_view_open(&run->tokenizer, &run->batch, &run->options, &view);
        d.view = &view;
        d.dump = run->options.dump_path != NULL ? &run->dump : NULL;
    }

    struct tplm_times times;
    struct rz_error err = {0};
    int status = tplm_decode_run(&d, &times, &err);
    if (status == RZ_OK && run->rank == 0) {
        tplm_view_close(&view);
        if (!run->options.text_only)
            print_report(run, &times);
        if (d.dump != NULL)
            status = tplm_dump_close(d.dump, &err);
    }
    if (status != RZ_OK) {
        fprintf(stderr, "tplm: rank %d: %s\n", run->rank, err.text);
        MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
    }
    return status;
}

/* Every rank reads the same command line and so comes to the same verdict; rank 0 voices it. */
static int read_command_line(struct run *run, int argc, char **argv)
{
    static const int32_t stop_ids[] = {TPLM_END};
    struct rz_error err = {0};
    int status = tplm_options_parse(argc, argv, &run->options, &err);
    if (status == RZ_OK) {
        struct rz_sampling *sampling = &run->options.sampling;
        sampling->flags |= RZ_SAMPLING_SEED;
        sampling->stop_ids = stop_ids;
        sampling->stop_count = 1;
        sampling->max_tokens = (uint32_t)run->options.tokens;
        status = rz_sampling_check(sampling, RZ_MAX_VOCAB, &err);
    }
    if (status != RZ_OK && run->rank == 0)
        fprintf(stderr, "tplm: %s\n", err.text);
    if (status == RZ_OK && run->options.help && run->rank == 0)
        fputs(tplm_usage, stdout);
    return status;
}

int main(int argc, char **argv)
{
    static struct run run; /* all zero: tear_down() can undo any part of set_up() */
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &run.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &run.world);

    int exit_status = EXIT_SUCCESS;
    if (read_command_line(&run, argc, argv) != RZ_OK)
        exit_status = EXIT_USAGE;
    else if (!run.options.help && (set_up(&run) != RZ_OK || decode(&run) != RZ_OK))
        exit_status = EXIT_FAILURE;
    tear_down(&run);
    MPI_Finalize();
    return exit_status;
}
