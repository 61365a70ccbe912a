/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_ring_options.c - the command line of `rankzero bench ring`, and its help.
 */
#include <getopt.h>
#include <string.h>

#include "tools/bench_ring.h"

enum { LEAST_BYTES = 8, MOST_BYTES = 1 << 20 };

const char *const rz_ring_measures[RZ_RING_MEASURES + 1] = {"round-trip", "one-way", "throughput",
                                                            NULL};
const char *const rz_ring_ways[RZ_RING_WAYS + 1] = {"line",   "ring-spin", "ring-sleep", "pipe",
                                                    "mqueue", "nano",      "mpi",        NULL};

const char rz_bench_ring_help[] =
    "Time how a record gets from one process to others: through rankzero's ring, and by other "
    "ways.\n"
    "\n"
    "  rankzero bench ring [options]\n"
    "\n"
    "What is timed: every combination of these. LIST is words or numbers separated by commas.\n"
    "  --measure LIST    round-trip: there and back, by the same way; one-way: from just before "
    "it\n"
    "                    is sent until a consumer has it, all consumers at once, with a pause of\n"
    "                    50 us before each record where consumers sleep; throughput: records that\n"
    "                    follow one another as fast as all consumers take them (all three)\n"
    "  --way LIST        line: 8 bytes in a bare cache line, which is the limit; ring-spin: the\n"
    "                    ring, waiting by spinning; ring-sleep: the ring, waiting by sleeping;\n"
    "                    pipe, mqueue: a pipe, or a POSIX message queue, for each consumer; nano:\n"
    "                    as nano-vLLM does it (bench/nano_shm.py: Python's SharedMemory, pickle\n"
    "                    and Event), round-trip alone, with python3; mpi: MPI_Bcast, round-trip\n"
    "                    alone, under mpirun --bind-to none -np 2 (all)\n"
    "  --bytes N,...     of a record, 4 for an id, 8 at least (16,64,256,1024,4096,16384)\n"
    "  --consumers N,... for one-way and throughput (1,2,4,7)\n"
    "\n"
    "How\n"
    "  --rounds N        round trips, or records, in a repeat; a tenth of it where consumers "
    "sleep,\n"
    "                    a fiftieth for nano (20000)\n"
    "  --repeats N       every repeat times all in turn, each right after the bare line (5)\n"
    "\n"
    "Each process has a processor of its own if there are enough. Where there are not, what spins\n"
    "is left out, and said.\n"
    "\n"
    "Output: a table. Percentiles are exact, of all samples of all repeats, less what reading the\n"
    "clock takes; x line is the median of the repeats' ratios to one way of the bare cache line.\n"
    "  --csv, --json            this in place of the table\n"
    "  --csv=FILE, --json=FILE  in addition\n"
    "bench/README.md says what the columns are.\n"
    "\n"
    "Exit status: 0, also if a way is left out; 2 if the command line is wrong; 1 if the machine\n"
    "failed.\n";

enum {
    OPTION_MEASURE = 500,
    OPTION_WAY,
    OPTION_BYTES,
    OPTION_CONSUMERS,
    OPTION_ROUNDS,
    OPTION_REPEATS,
    OPTION_JSON,
    OPTION_CSV,
};

static const struct option known_options[] = {
    {"measure", required_argument, NULL, OPTION_MEASURE},
    {"way", required_argument, NULL, OPTION_WAY},
    {"bytes", required_argument, NULL, OPTION_BYTES},
    {"consumers", required_argument, NULL, OPTION_CONSUMERS},
    {"rounds", required_argument, NULL, OPTION_ROUNDS},
    {"repeats", required_argument, NULL, OPTION_REPEATS},
    {"json", optional_argument, NULL, OPTION_JSON},
    {"csv", optional_argument, NULL, OPTION_CSV},
    {"help", no_argument, NULL, 'h'},
    {0},
};

/* A record has room for a time. */
static int set_sizes(const char *text, struct rz_ring_options *options,
                     struct rz_complaint *complaint)
{
    const int status = rz_option_numbers("bytes", text, MOST_BYTES, RZ_RING_MAX_SIZES,
                                         options->sizes, &options->size_count, complaint);
    for (uint32_t i = 0; i < options->size_count && status == RZ_EXIT_OK; i++)
        if (options->sizes[i] < LEAST_BYTES)
            return rz_complain(complaint, RZ_EXIT_USAGE, "--bytes: expected %d at least, got %u",
                               LEAST_BYTES, options->sizes[i]);
    return status;
}

static int set_option(int which, const char *text, struct rz_ring_options *options,
                      struct rz_complaint *complaint)
{
    switch (which) {
    case 'h': options->help = true; return RZ_EXIT_OK;
    case OPTION_MEASURE:
        return rz_option_words("measure", text, rz_ring_measures, &options->measures, complaint);
    case OPTION_WAY: return rz_option_words("way", text, rz_ring_ways, &options->ways, complaint);
    case OPTION_BYTES: return set_sizes(text, options, complaint);
    case OPTION_CONSUMERS:
        return rz_option_numbers("consumers", text, RZ_LINK_MAX_RECEIVERS, RZ_LINK_MAX_RECEIVERS,
                                 options->consumers, &options->consumers_count, complaint);
    case OPTION_ROUNDS:
        return rz_option_whole("rounds", text, RZ_RING_MAX_ROUNDS, &options->rounds, complaint);
    case OPTION_REPEATS:
        return rz_option_whole("repeats", text, RZ_RING_MAX_REPEATS, &options->repeats, complaint);
    case OPTION_JSON: return rz_option_sink("json", text, &options->sinks.json, complaint);
    default: return rz_option_sink("csv", text, &options->sinks.csv, complaint);
    }
}

int rz_ring_options_parse(int argc, char **argv, struct rz_ring_options *options,
                          struct rz_complaint *complaint)
{
    *options = (struct rz_ring_options){
        .measures = (1u << RZ_RING_MEASURES) - 1,
        .ways = (1u << RZ_RING_WAYS) - 1,
        .size_count = 6,
        .sizes = {16, 64, 256, 1024, 4096, 16384},
        .consumers_count = 4,
        .consumers = {1, 2, 4, 7},
        .rounds = 20000,
        .repeats = 5,
    };
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
    return rz_option_sinks_check(&options->sinks, complaint);
}
