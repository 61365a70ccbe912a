/* SPDX-License-Identifier: Apache-2.0
 *
 * say.c - publishes the lines of its standard input to as many processes as it is told to wait for.
 *
 *     hear chat & hear chat & ls | say chat 2
 */
#include <rankzero/ring.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND UINT64_C(1000000000)

static int say(const char *name, uint32_t listeners, struct rz_error *err)
{
    char line[256];
    struct rz_shared_ring_options options;
    rz_shared_ring_options_init(&options);
    options.record_bytes = sizeof line;
    rz_shared_ring *ring;
    int status = rz_shared_ring_create(&options, name, &ring, err);
    if (status != RZ_OK)
        return status;
    status = rz_shared_ring_seal(ring, listeners, 30 * SECOND, err); /* wait until all are there */
    while (status == RZ_OK && fgets(line, sizeof line, stdin) != NULL)
        status = rz_shared_ring_publish(ring, 0, line, strlen(line), 30 * SECOND, err);
    rz_shared_ring_close(ring);
    return status;
}

int main(int argc, char **argv)
{
    struct rz_error err;
    if (argc != 3) {
        fprintf(stderr, "usage: say NAME LISTENERS\n");
        return 2;
    }
    if (say(argv[1], (uint32_t)strtoul(argv[2], NULL, 10), &err) == RZ_OK)
        return 0;
    fprintf(stderr, "say: %s\n", err.text);
    return 1;
}
