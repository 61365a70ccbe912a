/* SPDX-License-Identifier: Apache-2.0
 *
 * output_npy.c - int32 [rows, draws] under a temporary name, renamed once it is whole: whoever sees
 * the file sees all of it.
 */
#include "tools/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/npy.h"

static int complain_file(const struct rz_output *output, struct rz_complaint *complaint)
{
    return rz_complain(complaint, RZ_EXIT_FAILED, "%s: cannot write: %s", output->npy_path,
                       strerror(errno));
}

/* mkstemp() makes files that only their owner can read; this one is like any other. */
static mode_t usual_mode(void)
{
    const mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

static int create(struct rz_output *output, struct rz_complaint *complaint)
{
    const int fd = mkostemp(output->npy_temporary, O_CLOEXEC);
    if (fd < 0)
        return complain_file(output, complaint);
    if (fchmod(fd, usual_mode()) == 0)
        output->npy = fdopen(fd, "w");
    if (output->npy != NULL)
        return RZ_EXIT_OK;
    const int status = complain_file(output, complaint);
    unlink(output->npy_temporary);
    close(fd);
    return status;
}

int rz_output_npy_open(const char *path, uint64_t rows, uint64_t columns, struct rz_output *output,
                       struct rz_complaint *complaint)
{
    output->npy_path = path;
    if (asprintf(&output->npy_temporary, "%s.XXXXXX", path) < 0) {
        output->npy_temporary = NULL;
        return rz_complain_memory(complaint);
    }
    const int status = create(output, complaint);
    if (status != RZ_EXIT_OK) {
        free(output->npy_temporary);
        output->npy_temporary = NULL;
        return status;
    }
    char header[RZ_NPY_HEADER_BYTES];
    rz_npy_header_i32(rows, columns, header);
    fwrite(header, sizeof header, 1, output->npy); /* errors stick until rz_output_npy_finish() */
    return RZ_EXIT_OK;
}

int rz_output_npy_write(struct rz_output *output, const struct rz_draws *draws,
                        struct rz_complaint *complaint)
{
    for (uint32_t i = 0; i < draws->count; i++)
        fwrite(&draws->results[i].id, sizeof draws->results[i].id, 1, output->npy);
    return ferror(output->npy) ? complain_file(output, complaint) : RZ_EXIT_OK;
}

int rz_output_npy_finish(struct rz_output *output, struct rz_complaint *complaint)
{
    if (output->npy == NULL)
        return RZ_EXIT_OK;
    const bool written = !ferror(output->npy);
    const bool closed = fclose(output->npy) == 0;
    output->npy = NULL;
    int status = RZ_EXIT_OK;
    if (!written || !closed || rename(output->npy_temporary, output->npy_path) != 0)
        status = complain_file(output, complaint);
    if (status != RZ_EXIT_OK)
        unlink(output->npy_temporary);
    free(output->npy_temporary);
    output->npy_temporary = NULL;
    return status;
}

void rz_output_npy_abandon(struct rz_output *output)
{
    if (output->npy == NULL)
        return;
    fclose(output->npy);
    output->npy = NULL;
    unlink(output->npy_temporary);
    free(output->npy_temporary);
    output->npy_temporary = NULL;
}
