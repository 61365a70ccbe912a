/* SPDX-License-Identifier: Apache-2.0
 *
 * embed.c - the smallest program that draws through rankzero: one process a rank, no MPI.
 *
 *     for rank in 0 1 2; do embed $rank 3 & done; wait
 */
#include <rankzero/rankzero.h>
#include <stdio.h>
#include <stdlib.h>

static int draw(uint32_t rank, uint32_t world, int32_t ids[256], struct rz_error *err)
{
    struct rz_options options;
    rz_options_init(&options);
    options.vocab_size = 1000;
    rz_job *job;
    int status = rz_open_local(&options, "embed", rank, world, &job, err);
    if (status != RZ_OK)
        return status;

    size_t row_stride;
    uint32_t first, columns, count;
    float *logits = rz_logits(job, &row_stride); /* here the model writes this rank's columns */
    rz_shard(job, &first, &columns);
    for (uint32_t c = 0; c < columns; c++)
        logits[c] = -0.01f * (float)(first + c);
    struct rz_sampling sampling;
    rz_sampling_init(&sampling);
    sampling.top_p = 0.9f;
    const struct rz_row row = {.sampling = &sampling, .draws = 5};
    struct rz_batch batch;
    rz_batch_init(&batch);
    batch.logits_rows = 1;
    batch.rows = rank == 0 ? &row : NULL; /* only rank 0 knows what is asked for */
    batch.row_count = rank == 0 ? 1 : 0;
    status = rz_step(job, &batch, ids, &count, NULL); /* every rank gets the same ids */
    *err = *rz_last_error(job);
    rz_close(job);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: embed RANK WORLD\n");
        return 2;
    }
    const uint32_t rank = (uint32_t)strtoul(argv[1], NULL, 10);
    const uint32_t world = (uint32_t)strtoul(argv[2], NULL, 10);
    int32_t ids[256]; /* as many as options.max_rows is by default */
    struct rz_error err;
    if (draw(rank, world, ids, &err) != RZ_OK) {
        fprintf(stderr, "embed: %s\n", err.text);
        return 1;
    }
    printf("rank %u:", (unsigned)rank);
    for (uint32_t i = 0; i < 5; i++)
        printf(" %d", (int)ids[i]);
    printf("\n");
    return 0;
}
