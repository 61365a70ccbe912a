/* SPDX-License-Identifier: Apache-2.0
 *
 * output_npy.c - int32 [rows, draws] in a file that gets its name once it is whole: whoever sees it
 * sees all of it, and of a run that is killed nothing is left.
 */
#include "tools/output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/npy.h"

static int complain_file(const struct rz_output *output, struct rz_complaint *complaint)
{
    return rz_complain(complaint, RZ_EXIT_FAILED, "%s: cannot write: %s", output->npy_path,
                       strerror(errno));
}

/* What rename() would replace as readily as a file: /dev/null is to stay what it is. */
static int check_target(const char *path, struct rz_complaint *complaint)
{
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return rz_complain(complaint, RZ_EXIT_FAILED,
                           "%s: expected a regular file, or none yet, got a directory, pipe or "
                           "device",
                           path);
    return RZ_EXIT_OK;
}

/* A file without a name in the folder of `path`, or -1: not every file system has them. */
static int open_nameless(const char *path)
{
    char *folder = strdup(path);
    if (folder == NULL)
        return -1;
    const int fd = open(dirname(folder), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    free(folder);
    return fd;
}

static int create(struct rz_output *output, struct rz_complaint *complaint)
{
    int fd = open_nameless(output->npy_path);
    output->npy_named = fd < 0;
    if (fd < 0)
        fd = open(output->npy_temporary, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    if (fd < 0)
        return complain_file(output, complaint);
    output->npy = fdopen(fd, "w");
    if (output->npy != NULL)
        return RZ_EXIT_OK;
    const int status = complain_file(output, complaint);
    if (output->npy_named)
        unlink(output->npy_temporary);
    close(fd);
    return status;
}

int rz_output_npy_open(const char *path, uint64_t rows, uint64_t columns, struct rz_output *output,
                       struct rz_complaint *complaint)
{
    int status = check_target(path, complaint);
    if (status != RZ_EXIT_OK)
        return status;
    output->npy_path = path;
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (uint64_t)getpid();
    if (asprintf(&output->npy_temporary, "%s.%016" PRIx64, path, random) < 0) {
        output->npy_temporary = NULL;
        return rz_complain_memory(complaint);
    }
    status = create(output, complaint);
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

/* Link a file without a name to its temporary one: link() cannot replace a file, rename() can. */
static bool give_name(struct rz_output *output)
{
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fileno(output->npy));
    output->npy_named = output->npy_named || linkat(AT_FDCWD, self, AT_FDCWD, output->npy_temporary,
                                                    AT_SYMLINK_FOLLOW) == 0;
    return output->npy_named;
}

static void forget(struct rz_output *output)
{
    if (output->npy_named)
        unlink(output->npy_temporary);
    free(output->npy_temporary);
    output->npy_temporary = NULL;
}

int rz_output_npy_finish(struct rz_output *output, struct rz_complaint *complaint)
{
    if (output->npy == NULL)
        return RZ_EXIT_OK;
    const bool written = fflush(output->npy) == 0 && !ferror(output->npy) && give_name(output);
    const bool closed = fclose(output->npy) == 0;
    output->npy = NULL;
    int status = RZ_EXIT_OK;
    if (written && closed && rename(output->npy_temporary, output->npy_path) == 0)
        output->npy_named = false; /* it has its own name now */
    else
        status = complain_file(output, complaint);
    forget(output);
    return status;
}

void rz_output_npy_abandon(struct rz_output *output)
{
    if (output->npy == NULL)
        return;
    fclose(output->npy);
    output->npy = NULL;
    forget(output);
}
