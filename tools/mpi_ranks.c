/* SPDX-License-Identifier: Apache-2.0
 *
 * mpi_ranks.c - the ranks of MPI_COMM_WORLD.
 */
#include "tools/mpi_ranks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "rankzero/mpi.h"
#include "tools/say.h"

/* What a rank reports to rank 0. */
struct report {
    int status;
    uint64_t rows, draws;
    struct rz_complaint complaint;
};

int rz_mpi_ranks_begin(uint32_t *rank, uint32_t *world, struct rz_complaint *complaint)
{
    int mine, all, level; /* FUNNELED: threads that draw do not call MPI */
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level) != MPI_SUCCESS ||
        MPI_Comm_rank(MPI_COMM_WORLD, &mine) != MPI_SUCCESS ||
        MPI_Comm_size(MPI_COMM_WORLD, &all) != MPI_SUCCESS)
        return rz_complain(complaint, RZ_EXIT_FAILED, "MPI does not start");
    *rank = (uint32_t)mine;
    *world = (uint32_t)all;
    return RZ_EXIT_OK;
}

static int say_reports(const struct report *reports, int count, const char *prefix)
{
    int worst = RZ_EXIT_OK;
    const char *said = "";
    for (int r = 0; r < count; r++) {
        if (reports[r].status == RZ_EXIT_OK)
            continue;
        if (reports[r].status > worst)
            worst = reports[r].status;
        if (strcmp(reports[r].complaint.text, said) == 0)
            continue;
        said = reports[r].complaint.text;
        rz_say(prefix, r, said);
    }
    return worst;
}

/* Compare what ranks are about to do with what rank 0 is. */
static int compare_reports(const struct report *reports, int count, const char *prefix)
{
    for (int r = 1; r < count; r++) {
        const bool rows = reports[r].rows != reports[0].rows;
        if (!rows && reports[r].draws == reports[0].draws)
            continue;
        struct rz_complaint complaint;
        rz_complain(&complaint, RZ_EXIT_FAILED,
                    "%s: rank 0 has %" PRIu64 ", rank %d has %" PRIu64 " (ranks disagree)",
                    rows ? "rows of logits" : "draws", rows ? reports[0].rows : reports[0].draws, r,
                    rows ? reports[r].rows : reports[r].draws);
        rz_say(prefix, 0, complaint.text);
        return RZ_EXIT_FAILED;
    }
    return RZ_EXIT_OK;
}

int rz_mpi_ranks_agree(int status, uint64_t rows, uint64_t draws,
                       const struct rz_complaint *complaint, const char *prefix)
{
    int rank, world;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &world);
    const struct report mine = {status, rows, draws, *complaint};
    struct report *reports = rank == 0 ? calloc((size_t)world, sizeof *reports) : NULL;
    if (rank == 0 && reports == NULL)
        rz_mpi_ranks_abort(RZ_EXIT_FAILED);

    MPI_Gather(&mine, sizeof mine, MPI_BYTE, reports, sizeof mine, MPI_BYTE, 0, MPI_COMM_WORLD);
    int worst = rank == 0 ? say_reports(reports, world, prefix) : RZ_EXIT_OK;
    if (rank == 0 && worst == RZ_EXIT_OK)
        worst = compare_reports(reports, world, prefix);
    free(reports);
    MPI_Bcast(&worst, 1, MPI_INT, 0, MPI_COMM_WORLD);
    return worst;
}

int rz_mpi_ranks_open(const struct rz_options *options, rz_job **job, struct rz_error *err)
{
    return rz_open_mpi(MPI_COMM_WORLD, options, job, err);
}

void rz_mpi_ranks_end(void)
{
    MPI_Finalize();
}

_Noreturn void rz_mpi_ranks_abort(int status)
{
    MPI_Abort(MPI_COMM_WORLD, status);
    _Exit(status);
}

bool rz_mpi_ranks_version(char *text, size_t capacity)
{
    char version[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;
    if (MPI_Get_library_version(version, &length) != MPI_SUCCESS)
        return false;
    const size_t end = strcspn(version, ",\n");
    snprintf(text, capacity, "%.*s", (int)end, version);
    return true;
}
