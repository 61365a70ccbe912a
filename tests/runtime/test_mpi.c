/* SPDX-License-Identifier: Apache-2.0
 *
 * test_mpi.c - a job of MPI's ranks draws the same ids as any other, whether logits travel through
 * shared memory or as messages. Run by mpirun; every rank checks, and ends with 1 if it fails.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "internal/clock.h"
#include "rankzero/mpi.h"
#include "tests/runtime/ranks.h"
#include "tests/runtime/scene.h"

static rz_job *open_job(const struct rz_options *options)
{
    rz_job *job = NULL;
    struct rz_error err;
    const int status = rz_open_mpi(MPI_COMM_WORLD, options, &job, &err);
    rank_expect(status == RZ_OK, "%s", err.text);
    return job;
}

static void same_ids_by_either_way(uint32_t comm, uint32_t dtype, bool own_buffer, bool split_step)
{
    struct scene scene;
    scene_init(&scene);
    scene.options.comm = comm;
    scene.options.dtype = dtype;
    scene.own_buffer = own_buffer;
    scene.split_step = split_step;
    rz_job *job = open_job(&scene.options);
    const struct scene_hash hash = scene_play(&scene, job);
    rank_expect(hash.ids == SCENE_IDS_HASH, "comm %u dtype %u: %llx", comm, dtype,
                (unsigned long long)hash.ids);
    rank_expect(rz_rank(job) != 0 || hash.results == SCENE_RESULTS_HASH, "comm %u dtype %u: %llx",
                comm, dtype, (unsigned long long)hash.results);
    rz_close(job);
}

/* Every rank gets the same error, of the rank that asks for something else. */
static void ranks_that_disagree_learn_it_together(uint32_t rank, uint32_t world)
{
    struct scene scene;
    scene_init(&scene);
    scene.options.max_rows = rank == world - 1 ? 7 : 8;
    rz_job *job = NULL;
    struct rz_error err;
    const int status = rz_open_mpi(MPI_COMM_WORLD, &scene.options, &job, &err);
    rank_expect(status == RZ_E_MISMATCH && err.rank == (int)world - 1, "%d: %s", status, err.text);
    rank_expect(strstr(err.text, "max_rows: rank 0 has 8") != NULL, "%s", err.text);
}

static void bad_options_of_one_rank_end_open_on_all(uint32_t rank)
{
    struct scene scene;
    scene_init(&scene);
    if (rank == 0)
        scene.options.dtype = 9;
    rz_job *job = NULL;
    struct rz_error err;
    const int status = rz_open_mpi(MPI_COMM_WORLD, &scene.options, &job, &err);
    rank_expect(status == RZ_E_ARG, "%d: %s", status, err.text);
    rank_expect(rank == 0 || err.rank == 0, "about rank %d", (int)err.rank);
    rank_expect(strstr(err.text, "dtype: expected 0 to 2, got 9") != NULL, "%s", err.text);
    rank_expect(job == NULL, "it is not opened");
}

/* Only rank 0 makes the segment, so only rank 0 sees that there is no room for it. */
static void full_memory_ends_open_on_all_at_once(uint32_t rank)
{
    char dir[] = "/tmp/rankzero-test-XXXXXX";
    int mounted = 0;
    if (rank == 0) {
        rank_expect(mkdtemp(dir) != NULL, "%s", strerror(errno));
        mounted = mount("tmpfs", dir, "tmpfs", 0, "size=1m") == 0;
        if (!mounted)
            printf("skipped: full_memory_ends_open_on_all_at_once: mount: %s\n", strerror(errno));
    }
    MPI_Bcast(dir, sizeof dir, MPI_CHAR, 0, MPI_COMM_WORLD);
    MPI_Bcast(&mounted, 1, MPI_INT, 0, MPI_COMM_WORLD);
    if (mounted) {
        struct scene scene;
        scene_init(&scene);
        scene.options.vocab_size = 100000;
        scene.options.open_timeout_ms = 60000;
        scene.options.shm_dir = dir;
        const uint64_t begin = rz_clock_ns();
        rz_job *job = NULL;
        struct rz_error err;
        const int status = rz_open_mpi(MPI_COMM_WORLD, &scene.options, &job, &err);
        rank_expect(rz_clock_ns() - begin < UINT64_C(20000000000), "rank %u: soon", rank);
        rank_expect(status == RZ_E_SYS && err.detail == ENOSPC, "rank %u got %d: %s", rank, status,
                    err.text);
        rank_expect(rank == 0 || (err.rank == 0 && strstr(err.text, "rank 0") != NULL), "%s",
                    err.text);
        rank_expect(strstr(err.text, "expected room for") != NULL, "%s", err.text);
        MPI_Barrier(MPI_COMM_WORLD);
    }
    if (rank == 0) { /* nothing is left in there */
        rank_expect(!mounted || umount(dir) == 0, "%s", strerror(errno));
        rank_expect(rmdir(dir) == 0, "%s", strerror(errno));
    }
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    int rank, world;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &world);

    for (uint32_t dtype = RZ_F32; dtype <= RZ_BF16; dtype++)
        for (uint32_t variant = 0; variant < 4; variant++) {
            same_ids_by_either_way(RZ_COMM_SHM, dtype, variant & 1, variant & 2);
            same_ids_by_either_way(RZ_COMM_MPI, dtype, variant & 1, variant & 2);
        }
    if (world > 1)
        ranks_that_disagree_learn_it_together((uint32_t)rank, (uint32_t)world);
    bad_options_of_one_rank_end_open_on_all((uint32_t)rank);
    full_memory_ends_open_on_all_at_once((uint32_t)rank);
    if (rank == 0)
        printf("hash of %d ranks: %llx\n", world, (unsigned long long)SCENE_IDS_HASH);
    MPI_Finalize();
    return 0;
}
