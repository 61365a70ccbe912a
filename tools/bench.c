/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.c - `rankzero bench`: how fast things are on this machine.
 */
#include <stdio.h>
#include <string.h>

#include "tools/bench_gpu_run.h"
#include "tools/bench_report.h"
#include "tools/bench_ring.h"
#include "tools/bench_run.h"
#include "tools/commands.h"
#include "tools/launch.h"
#include "tools/mpi_bcast.h"
#include "tools/mpi_ranks.h"
#include "tools/say.h"
#include "tools/stop.h"

static const char help[] =
    "Measure how fast rankzero is on this machine.\n"
    "\n"
    "  rankzero bench sample [options]   the sampler, beside a plain maximum\n"
    "  rankzero bench ring [options]     how long a record takes from process to process\n"
    "  rankzero bench sample --help, rankzero bench ring --help\n";

static int print(const char *text)
{
    const int written = fputs(text, stdout);
    return written >= 0 && fflush(stdout) == 0 ? RZ_EXIT_OK : RZ_EXIT_FAILED;
}

/* Say what went wrong, if anything did. */
static int end(const char *prefix, int status, const struct rz_complaint *complaint)
{
    if (status == RZ_EXIT_OK)
        return status;
    rz_stop_die(); /* who has pressed Ctrl-C knows why it ends */
    rz_say(prefix, 0, complaint->text);
    return status;
}

static int bench_sample(int argc, char **argv)
{
    struct rz_bench_options options;
    struct rz_complaint complaint;
    int status = rz_bench_options_parse(argc, argv, &options, &complaint);
    if (status == RZ_EXIT_OK && options.help)
        return print(rz_bench_sample_help);
    if (status == RZ_EXIT_OK)
        rz_stop_install();
    if (status == RZ_EXIT_OK && options.on_gpu) {
        status = rz_bench_gpu_run(&options, &complaint);
    } else if (status == RZ_EXIT_OK) {
        struct rz_bench_results results;
        status = rz_bench_run(&options, &results, &complaint);
        if (status == RZ_EXIT_OK)
            status = rz_bench_report(&options, &results, &complaint);
        rz_bench_results_free(&results);
    }
    return end("rankzero bench sample", status, &complaint);
}

static int measure_ring(const struct rz_ring_options *options, struct rz_complaint *complaint)
{
    struct rz_ring_results results;
    int status = rz_ring_run(options, &results, complaint);
    if (status == RZ_EXIT_OK)
        status = rz_ring_report(options, &results, complaint);
    rz_ring_results_free(&results);
    return status;
}

/* Under mpirun rank 0 does everything, and the others are there for MPI_Bcast alone. */
static int bench_ring(int argc, char **argv)
{
    static const char prefix[] = "rankzero bench ring";
    struct rz_ring_options options;
    struct rz_complaint complaint;
    struct rz_launch launch;
    int status = rz_ring_options_parse(argc, argv, &options, &complaint);
    if (status == RZ_EXIT_OK && options.help)
        return print(rz_bench_ring_help);
    if (status == RZ_EXIT_OK)
        status = rz_launch_begin(prefix, &launch, &complaint);
    if (status != RZ_EXIT_OK)
        return end(prefix, status, &complaint);
    options.under_mpi = launch.mpi;
    if (launch.rank > 0) {
        rz_mpi_bcast_serve();
    } else {
        rz_stop_install();
        status = measure_ring(&options, &complaint);
        if (launch.mpi)
            rz_mpi_bcast_end();
    }
    if (launch.mpi)
        rz_mpi_ranks_end();
    return end(prefix, status, &complaint);
}

int rz_command_bench(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "sample") == 0)
        return bench_sample(argc - 1, argv + 1);
    if (argc >= 2 && strcmp(argv[1], "ring") == 0)
        return bench_ring(argc - 1, argv + 1);
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return print(help);
    char text[256] = "expected what to measure, sample or ring, got nothing; see --help";
    if (argc >= 2)
        snprintf(text, sizeof text,
                 "expected what to measure, sample or ring, got '%.150s'; see --help", argv[1]);
    rz_say("rankzero bench", 0, text);
    return RZ_EXIT_USAGE;
}
