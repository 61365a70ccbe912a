/* SPDX-License-Identifier: Apache-2.0
 *
 * output.c - lines of ids, and which forms of output a run has.
 */
#include "tools/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int rz_output_open(bool json, const char *npy_path, uint64_t rows, uint64_t columns,
                   struct rz_output *output, struct rz_complaint *complaint)
{
    *output = (struct rz_output){.json = json, .lines = !json && npy_path == NULL};
    if (npy_path == NULL)
        return RZ_EXIT_OK;
    return rz_output_npy_open(npy_path, rows, columns, output, complaint);
}

void rz_output_lines_write(const struct rz_draws *draws)
{
    for (uint32_t i = 0; i < draws->count; i++)
        printf("%s%d", draws->first + i > 0 ? " " : "", (int)draws->results[i].id);
    if (draws->first + draws->count == draws->total)
        putchar('\n');
}

static int complain_stdout(struct rz_complaint *complaint)
{
    return rz_complain(complaint, RZ_EXIT_FAILED, "cannot write to stdout: %s", strerror(errno));
}

int rz_output_write(struct rz_output *output, const struct rz_draws *draws,
                    struct rz_complaint *complaint)
{
    int status = RZ_EXIT_OK;
    errno = 0;
    if (output->lines)
        rz_output_lines_write(draws);
    if (output->json)
        status = rz_output_json_write(&output->held, draws, complaint);
    if (status == RZ_EXIT_OK && ferror(stdout))
        status = complain_stdout(complaint);
    if (status == RZ_EXIT_OK && output->npy != NULL)
        status = rz_output_npy_write(output, draws, complaint);
    return status;
}

static void free_held(struct rz_output *output)
{
    free(output->held.logprobs);
    free(output->held.ranks);
    output->held = (struct rz_output_held){0};
}

int rz_output_finish(struct rz_output *output, struct rz_complaint *complaint)
{
    free_held(output);
    if (fflush(stdout) != 0) {
        rz_output_npy_abandon(output);
        return complain_stdout(complaint);
    }
    return rz_output_npy_finish(output, complaint);
}

void rz_output_abandon(struct rz_output *output)
{
    free_held(output);
    rz_output_npy_abandon(output);
}
