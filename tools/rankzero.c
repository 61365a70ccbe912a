/* SPDX-License-Identifier: Apache-2.0
 *
 * rankzero.c - the command: find the subcommand and run it.
 */
#include <stdio.h>
#include <string.h>

#include "rankzero/rankzero.h"
#include "tools/commands.h"
#include "tools/complaint.h"
#include "tools/say.h"

static const char help[] =
    "Draw tokens from logits that are split across processes by vocabulary.\n"
    "\n"
    "  rankzero sample LOGITS.npy [options]   draw ids from logits in a file\n"
    "  rankzero bench sample [options]        how fast that is here\n"
    "  rankzero bench ring [options]          how long a record takes from process to process\n"
    "  rankzero doctor [--json]               what this machine has, and what would be used\n"
    "  rankzero ring inspect NAME             how the ring of a running job is doing\n"
    "  rankzero top NAME                      the same again and again, with rates\n"
    "  rankzero --version\n"
    "  rankzero COMMAND --help\n";

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"sample", rz_command_sample}, {"bench", rz_command_bench}, {"doctor", rz_command_doctor},
    {"ring", rz_command_ring},     {"top", rz_command_top},
};

/* What was asked for is an answer only if it arrives. */
static int print(const char *text)
{
    const int written = fputs(text, stdout);
    return written >= 0 && fflush(stdout) == 0 ? RZ_EXIT_OK : RZ_EXIT_FAILED;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs(help, stderr);
        return RZ_EXIT_USAGE;
    }
    const char *name = argv[1];
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].name, name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
        return print(help);
    if (strcmp(name, "--version") == 0) {
        char text[64];
        snprintf(text, sizeof text, "rankzero %s\n", rz_version());
        return print(text);
    }
    char text[320];
    snprintf(text, sizeof text,
             "expected a command, sample, bench, doctor, ring or top, got '%.200s'; see --help",
             name);
    rz_say("rankzero", 0, text);
    return RZ_EXIT_USAGE;
}
