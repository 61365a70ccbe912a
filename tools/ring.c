/* SPDX-License-Identifier: Apache-2.0
 *
 * ring.c - `rankzero ring inspect`: how the ring of a job is doing, from outside.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/commands.h"
#include "tools/complaint.h"
#include "tools/number.h"
#include "tools/ring_find.h"
#include "tools/ring_print.h"
#include "tools/ring_view.h"
#include "tools/say.h"

static const char help[] =
    "Show the ring of a job, or one of rankzero/ring.h: who is alive, who is behind.\n"
    "\n"
    "  rankzero ring inspect NAME         the job or ring of this name, of this user\n"
    "  rankzero ring inspect FILE         a path: has a '/' in it\n"
    "  rankzero ring inspect --pid PID    the segment that a process has open\n"
    "\n"
    "  --records N      the last N records, up to 64 (4)\n"
    "  --shm-dir DIR    where NAME is looked for first (/dev/shm)\n"
    "  --json           as a JSON object\n"
    "\n"
    "The name of a segment is gone as soon as all have attached. NAME then finds it among the "
    "open\n"
    "files of a process that attached; PID may be any rank's. The segment is only read: a job "
    "that\n"
    "hangs is left as it is.\n"
    "\n"
    "Exit status: 0; 1 if there is no such segment, or it is not sound; 2 if the command line is\n"
    "wrong.\n";

struct request {
    const char *name; /* or path */
    const char *pid;
    const char *dir;
    uint64_t records;
    bool json;
};

static int parse(int argc, char **argv, struct request *request, struct rz_complaint *complaint)
{
    *request = (struct request){.dir = "/dev/shm", .records = 4};
    for (int i = 2; i < argc; i++) {
        const char *word = argv[i];
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        const bool takes_value = strcmp(word, "--pid") == 0 || strcmp(word, "--shm-dir") == 0 ||
                                 strcmp(word, "--records") == 0;
        uint64_t pid = 0;
        if (takes_value && value == NULL)
            return rz_complain(complaint, RZ_EXIT_USAGE, "%s: expected a value", word);
        i += takes_value;
        if (strcmp(word, "--json") == 0)
            request->json = true;
        else if (strcmp(word, "--shm-dir") == 0)
            request->dir = value;
        else if (strcmp(word, "--pid") == 0 && rz_number_whole(value, INT32_MAX, &pid))
            request->pid = value;
        else if (strcmp(word, "--records") == 0 &&
                 rz_number_whole(value, RZ_VIEW_RECORDS, &request->records))
            continue;
        else if (takes_value)
            return rz_complain(complaint, RZ_EXIT_USAGE, "%s: expected a number%s, got '%.100s'",
                               word, strcmp(word, "--records") == 0 ? " up to 64" : "", value);
        else if (word[0] == '-' || request->name != NULL)
            return rz_complain(complaint, RZ_EXIT_USAGE, "%.200s: not expected here; see --help",
                               word);
        else
            request->name = word;
    }
    if ((request->name != NULL) == (request->pid != NULL))
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "expected a name, a path or --pid PID; see --help");
    return RZ_EXIT_OK;
}

static int inspect(const struct request *request, struct rz_complaint *complaint)
{
    struct rz_found_segment found;
    struct rz_ring_view view;
    int status = rz_ring_find(request->dir, request->name, request->pid, &found, complaint);
    if (status != RZ_EXIT_OK)
        return status;
    struct rz_complaint why;
    status = rz_ring_view(found.fd, (uint32_t)request->records, &view, &why);
    close(found.fd);
    if (status != RZ_EXIT_OK)
        return rz_complain(complaint, status, "%.200s: %.700s", found.path, why.text);
    if (!rz_ring_print(&view, found.path, request->json))
        return rz_complain(complaint, RZ_EXIT_FAILED, "cannot write to stdout, or out of memory");
    return RZ_EXIT_OK;
}

int rz_command_ring(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            return fflush(stdout) == 0 ? RZ_EXIT_OK : RZ_EXIT_FAILED;
        }
    struct rz_complaint complaint;
    struct request request;
    int status;
    if (argc < 2 || strcmp(argv[1], "inspect") != 0)
        status = rz_complain(&complaint, RZ_EXIT_USAGE, "expected 'inspect'; see --help");
    else
        status = parse(argc, argv, &request, &complaint);
    if (status == RZ_EXIT_OK)
        status = inspect(&request, &complaint);
    if (status != RZ_EXIT_OK)
        rz_say("rankzero ring", 0, complaint.text);
    return status;
}
