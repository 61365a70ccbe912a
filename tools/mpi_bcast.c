/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mpi_bcast.h"

#include <mpi.h>
#include <stdlib.h>
#include <time.h>

#include "internal/clock.h"

enum { TAG = 1, NAP_NS = 1000000 };

/* What rank 0 asks for; 0 rounds: to end. */
struct order {
    uint32_t bytes, rounds;
};

static uint32_t warm_up_of(struct order order)
{
    return order.rounds / 10 + 1;
}

/* One there and one back. */
static void go_once(void *record, struct order order)
{
    MPI_Bcast(record, (int)order.bytes, MPI_BYTE, 0, MPI_COMM_WORLD);
    MPI_Bcast(record, (int)order.bytes, MPI_BYTE, 1, MPI_COMM_WORLD);
}

static void tell_all(struct order order)
{
    int world;
    MPI_Comm_size(MPI_COMM_WORLD, &world);
    for (int r = 1; r < world; r++)
        MPI_Send(&order, sizeof order, MPI_BYTE, r, TAG, MPI_COMM_WORLD);
}

int rz_mpi_bcast_time(uint32_t bytes, uint32_t rounds, uint32_t *samples,
                      struct rz_complaint *complaint)
{
    int world;
    MPI_Comm_size(MPI_COMM_WORLD, &world);
    if (world < 2)
        return rz_complain(complaint, RZ_EXIT_FAILED, "expected 2 ranks of MPI at least, got 1");
    void *record = calloc(1, bytes);
    if (record == NULL)
        return rz_complain_memory(complaint);
    const struct order order = {bytes, rounds};
    tell_all(order);
    for (uint32_t i = 0; i < warm_up_of(order); i++)
        go_once(record, order);
    uint64_t before = rz_clock_ns();
    for (uint32_t i = 0; i < rounds; i++) {
        go_once(record, order);
        const uint64_t now = rz_clock_ns();
        samples[i] = now - before < UINT32_MAX ? (uint32_t)(now - before) : UINT32_MAX;
        before = now;
    }
    free(record);
    return RZ_EXIT_OK;
}

static struct order next_order(void)
{
    struct order order;
    int there = 0;
    for (;;) {
        MPI_Iprobe(0, TAG, MPI_COMM_WORLD, &there, MPI_STATUS_IGNORE);
        if (there)
            break;
        nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    }
    MPI_Recv(&order, sizeof order, MPI_BYTE, 0, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    return order;
}

void rz_mpi_bcast_serve(void)
{
    for (struct order order = next_order(); order.rounds > 0; order = next_order()) {
        void *record = calloc(1, order.bytes);
        if (record == NULL)
            MPI_Abort(MPI_COMM_WORLD, RZ_EXIT_FAILED);
        for (uint32_t i = 0; i < warm_up_of(order) + order.rounds; i++)
            go_once(record, order);
        free(record);
    }
}

void rz_mpi_bcast_end(void)
{
    tell_all((struct order){0, 0});
}
