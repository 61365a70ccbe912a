/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor_mpi.c - is there an MPI in this build, and a launcher on this machine?
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/doctor.h"
#include "tools/mpi_ranks.h"

/* The first executable `name` in PATH; false if there is none. */
static bool find_program(const char *name, char *path, size_t capacity)
{
    const char *at = getenv("PATH");
    while (at != NULL && *at != '\0') {
        const size_t length = strcspn(at, ":");
        snprintf(path, capacity, "%.*s/%s", (int)length, at, name);
        if (length > 0 && access(path, X_OK) == 0)
            return true;
        at += length + (at[length] == ':');
    }
    return false;
}

void rz_doctor_mpi(struct rz_report *report)
{
    char text[512];
    rz_report_section(report, "mpi");
    const bool built = rz_mpi_ranks_version(text, sizeof text);
    rz_report_bool(report, "in_this_build", built);
    rz_report_text(report, "library", built ? text : NULL);
    rz_report_text(report, "mpirun", find_program("mpirun", text, sizeof text) ? text : NULL);
}
