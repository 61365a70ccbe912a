/* SPDX-License-Identifier: Apache-2.0
 *
 * output.c - lines of ids, and which forms of output a run has.
 *
 * Text goes to stdout through a stream of ours: on stdout's own, a write that a signal has cut
 * short is tried again by whatever is printed next, and waits for a reader that may never come.
 */
#include "tools/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/stop.h"

/* Write all of it, or as much as there is before an error or a signal that ends the run. */
static ssize_t write_text(void *cookie, const char *bytes, size_t count)
{
    struct rz_output *output = cookie;
    size_t done = 0;
    while (done < count && output->text_error == 0) {
        const ssize_t written =
            rz_stop_requested() ? -1 : write(STDOUT_FILENO, bytes + done, count - done);
        if (written >= 0)
            done += (size_t)written;
        else if (rz_stop_requested())
            output->text_error = EINTR;
        else if (errno != EINTR)
            output->text_error = errno;
    }
    return (ssize_t)done;
}

static void close_text(struct rz_output *output)
{
    if (output->text != NULL)
        fclose(output->text);
    output->text = NULL;
    free(output->text_held);
    output->text_held = NULL;
}

int rz_output_open(bool json, const char *npy_path, uint64_t rows, uint64_t columns,
                   struct rz_output *output, struct rz_complaint *complaint)
{
    *output = (struct rz_output){.json = json};
    if (json || npy_path == NULL) {
        output->text = fopencookie(output, "w", (cookie_io_functions_t){.write = write_text});
        if (output->text == NULL)
            return rz_complain_memory(complaint);
    }
    if (npy_path == NULL)
        return RZ_EXIT_OK;
    const int status = rz_output_npy_open(npy_path, rows, columns, output, complaint);
    if (status != RZ_EXIT_OK)
        close_text(output);
    return status;
}

bool rz_output_hold(struct rz_output *output, size_t bytes)
{
    output->text_held = malloc(bytes); /* setvbuf() does not allocate as much as it is told to */
    return output->text_held != NULL &&
           setvbuf(output->text, output->text_held, _IOFBF, bytes) == 0;
}

void rz_output_lines_write(FILE *text, const struct rz_draws *draws)
{
    for (uint32_t i = 0; i < draws->count; i++)
        fprintf(text, "%s%d", draws->first + i > 0 ? " " : "", (int)draws->results[i].id);
    if (draws->first + draws->count == draws->total)
        putc('\n', text);
}

static int check_text(const struct rz_output *output, struct rz_complaint *complaint)
{
    if (output->text_error == 0)
        return RZ_EXIT_OK;
    return rz_complain(complaint, RZ_EXIT_FAILED, "cannot write to stdout: %s",
                       strerror(output->text_error));
}

int rz_output_write(struct rz_output *output, const struct rz_draws *draws,
                    struct rz_complaint *complaint)
{
    int status = RZ_EXIT_OK;
    if (output->json)
        status = rz_output_json_write(output->text, &output->held, draws, complaint);
    else if (output->text != NULL)
        rz_output_lines_write(output->text, draws);
    if (status == RZ_EXIT_OK)
        status = check_text(output, complaint);
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
    close_text(output);
    const int status = check_text(output, complaint);
    if (status != RZ_EXIT_OK) {
        rz_output_npy_abandon(output);
        return status;
    }
    return rz_output_npy_finish(output, complaint);
}

void rz_output_abandon(struct rz_output *output)
{
    free_held(output);
    close_text(output);
    rz_output_npy_abandon(output);
}
