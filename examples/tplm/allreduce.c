/* SPDX-License-Identifier: Apache-2.0
 *
 * allreduce.c - gather all chunks everywhere, add them in order.
 *
 * MPI's own errors end the job: the default handler of a communicator does that.
 */
#include "allreduce.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

#include "clock.h"
#include "fail.h"

int tplm_allreduce_open(MPI_Comm comm, size_t chunks, struct tplm_allreduce *reduce,
                        struct rz_error *err)
{
    struct tplm_allreduce r = {.comm = comm, .chunks = chunks};
    MPI_Comm_rank(comm, &r.rank);
    MPI_Comm_size(comm, &r.world);

    const size_t world = (size_t)r.world, rank = (size_t)r.rank;
    if (world > chunks)
        return tplm_fail(err, RZ_E_ARG, "expected 1 to %zu ranks, one a head at most, got %zu",
                         chunks, world);
    r.first = chunks * rank / world;
    r.count = chunks * (rank + 1) / world - r.first;

    r.counts = calloc(2 * world, sizeof *r.counts);
    if (r.counts == NULL)
        return tplm_fail(err, RZ_E_NOMEM, "no memory for an all-reduce of %zu ranks", world);
    r.offsets = r.counts + world;
    *reduce = r;
    return RZ_OK;
}

void tplm_allreduce_close(struct tplm_allreduce *reduce)
{
    free(reduce->counts);
    *reduce = (struct tplm_allreduce){0};
}

void tplm_allreduce_add(struct tplm_allreduce *reduce, float *terms, size_t count, float *sum)
{
    const uint64_t begin_ns = tplm_now_ns();
    const size_t chunks = reduce->chunks, world = (size_t)reduce->world;
    assert(chunks * count <= INT_MAX);

    if (world > 1) {
        for (size_t r = 0; r < world; r++) {
            const size_t first = chunks * r / world, last = chunks * (r + 1) / world;
            reduce->offsets[r] = (int)(first * count);
            reduce->counts[r] = (int)((last - first) * count);
        }
        MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, terms, reduce->counts, reduce->offsets,
                       MPI_FLOAT, reduce->comm);
        reduce->bytes += (chunks - reduce->count) * count * sizeof *terms;
    }

    for (size_t i = 0; i < count; i++) {
        float total = terms[i];
        for (size_t c = 1; c < chunks; c++)
            total += terms[c * count + i];
        sum[i] += total;
    }
    reduce->ns += tplm_now_ns() - begin_ns;
}
