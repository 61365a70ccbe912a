/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor.c - `rankzero doctor`: what this machine has, and what would be used.
 */
#include "tools/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/complaint.h"
#include "tools/say.h"

static const char help[] =
    "Show what this machine has for rankzero, and what would be used.\n"
    "\n"
    "  rankzero doctor           in columns\n"
    "  rankzero doctor --json    the same as a JSON object; sizes in bytes\n"
    "\n"
    "Exit status: 0; 1 if something essential is broken (listed under problems); 2 if the command\n"
    "line is wrong.\n";

/* Under mpirun one look is enough. */
static bool is_first(void)
{
    static const char *const variables[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        const char *rank = getenv(variables[i]);
        if (rank != NULL)
            return strcmp(rank, "0") == 0;
    }
    return true;
}

static int examine(bool json)
{
    struct rz_report report;
    rz_report_begin(&report);
    rz_doctor_library(&report);
    rz_doctor_cpu(&report);
    rz_doctor_shared_memory(&report);
    rz_doctor_kernel(&report);
    rz_doctor_mpi(&report);
    rz_doctor_gpu(&report);
    const bool healthy = rz_report_problems(&report) == 0;
    if (!rz_report_print(&report, json)) {
        rz_say("rankzero doctor", 0, "cannot write to stdout, or out of memory");
        return RZ_EXIT_FAILED;
    }
    return healthy ? RZ_EXIT_OK : RZ_EXIT_FAILED;
}

int rz_command_doctor(int argc, char **argv)
{
    bool json = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            return fflush(stdout) == 0 ? RZ_EXIT_OK : RZ_EXIT_FAILED;
        }
        if (strcmp(argv[i], "--json") != 0) {
            char text[256];
            snprintf(text, sizeof text, "%.200s: unknown option; see --help", argv[i]);
            rz_say("rankzero doctor", 0, text);
            return RZ_EXIT_USAGE;
        }
        json = true;
    }
    return is_first() ? examine(json) : RZ_EXIT_OK;
}
