/* SPDX-License-Identifier: Apache-2.0
 *
 * test_mpi_faults.c - the scenes of test_faults.c among ranks of mpirun, with logits in shared
 * memory and as messages, small ones that leave at once and large ones that wait for their
 * receiver.
 *
 *     test_mpi_faults                        all scenes in which every rank lives
 *     test_mpi_faults CULPRIT VARIANT        one rank dies; the others print "as expected"
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "rankzero/mpi.h"
#include "tests/runtime/faults.h"
#include "tests/runtime/ranks.h"

enum { VARIANTS = 6, LIMIT_S = 100, NAP_US = 10000 };

static struct fault_scene variant_of(uint32_t variant, enum fault fault, uint32_t culprit)
{
    const uint32_t comms[] = {RZ_COMM_SHM, RZ_COMM_MPI, RZ_COMM_MPI};
    const uint32_t vocab_sizes[] = {500, 500, 60000}; /* a row of 60000 is no eager message */
    return (struct fault_scene){.fault = fault,
                                .culprit = culprit,
                                .comm = comms[variant / 2],
                                .vocab_size = vocab_sizes[variant / 2],
                                .polls = variant % 2 != 0};
}

static rz_job *open_job(const struct fault_scene *scene)
{
    const struct rz_options options = fault_options(scene);
    rz_job *job = NULL;
    struct rz_error err;
    const int status = rz_open_mpi(MPI_COMM_WORLD, &options, &job, &err);
    rank_expect(status == RZ_OK, "%s", err.text);
    return job;
}

/* Meet all ranks after a scene. The culprit may have stopped: it is let go. */
static void meet_again(long culprit_pid)
{
    MPI_Request request;
    MPI_Ibarrier(MPI_COMM_WORLD, &request);
    for (int all = 0; !all;) {
        kill((pid_t)culprit_pid, SIGCONT);
        usleep(NAP_US);
        MPI_Test(&request, &all, MPI_STATUS_IGNORE);
    }
}

static void play(enum fault fault, uint32_t culprit)
{
    long pid = getpid();
    MPI_Bcast(&pid, 1, MPI_LONG, (int)culprit, MPI_COMM_WORLD);
    for (uint32_t variant = 0; variant < VARIANTS; variant++) {
        const struct fault_scene scene = variant_of(variant, fault, culprit);
        fault_play(&scene, open_job(&scene));
        meet_again(pid);
    }
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    alarm(LIMIT_S);
    if (argc == 3) {
        const struct fault_scene scene = variant_of((uint32_t)strtoul(argv[2], NULL, 10), DIES,
                                                    (uint32_t)strtoul(argv[1], NULL, 10));
        fault_play(&scene, open_job(&scene));
        puts("as expected");
        fflush(stdout);
        _exit(0); /* MPI_Finalize() would wait for the dead */
    }
    for (uint32_t culprit = 0; culprit < 3; culprit += 2) {
        play(LEAVES, culprit);
        play(STOPS, culprit);
    }
    play(BRINGS_MORE_ROWS, 1);
    MPI_Finalize();
    return 0;
}
