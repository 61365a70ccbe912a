/* SPDX-License-Identifier: Apache-2.0
 *
 * say.c - one line on stderr.
 */
#include "tools/say.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void rz_say(const char *prefix, int rank, const char *text)
{
    char line[1280], who[32] = "";
    if (rank > 0)
        snprintf(who, sizeof who, "rank %d: ", rank);
    snprintf(line, sizeof line - 1, "%s: %s%s", prefix, who, text);

    size_t length = strlen(line);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[length++] = '\n';
    const ssize_t written = write(STDERR_FILENO, line, length);
    (void)written; /* there is nowhere left to say that this failed */
}
