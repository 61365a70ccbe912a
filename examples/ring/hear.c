/* SPDX-License-Identifier: Apache-2.0
 *
 * hear.c - prints what `say` publishes, until it has no more to say.
 */
#include <rankzero/ring.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND UINT64_C(1000000000)

static int hear(const char *name, struct rz_error *err)
{
    rz_shared_ring *ring;
    int status = rz_shared_ring_attach(NULL, name, 30 * SECOND, &ring, err);
    if (status != RZ_OK)
        return status;
    const size_t capacity = rz_shared_ring_record_bytes(ring);
    char *line = malloc(capacity);
    while (line != NULL) {
        uint32_t type;
        size_t bytes;
        status = rz_shared_ring_consume(ring, &type, line, capacity, &bytes, UINT64_MAX, err);
        if (status != RZ_OK)
            break;
        fwrite(line, 1, bytes, stdout);
        fflush(stdout);
    }
    free(line);
    rz_shared_ring_close(ring);
    return status == RZ_E_CLOSED ? RZ_OK : status;
}

int main(int argc, char **argv)
{
    struct rz_error err;
    if (argc != 2) {
        fprintf(stderr, "usage: hear NAME\n");
        return 2;
    }
    if (hear(argv[1], &err) == RZ_OK)
        return 0;
    fprintf(stderr, "hear: %s\n", err.text);
    return 1;
}
