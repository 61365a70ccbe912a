/* SPDX-License-Identifier: Apache-2.0
 *
 * ring_holder.c - a ring for `rankzero ring inspect` to look at: `ring_holder NAME`.
 *
 * Room for three consumers, of which two are taken, by this process: one has all of twelve records,
 * one has taken two. Says "ready", and goes on to be until it can read from stdin, or that ends.
 */
#include <stdio.h>
#include <string.h>

#include "rankzero/ring.h"

static const uint64_t patience_ns = UINT64_C(10000000000);

static int take(rz_shared_ring *ring, int records, struct rz_error *err)
{
    int status = RZ_OK;
    for (int i = 0; i < records && status == RZ_OK; i++) {
        char record[64];
        uint32_t type;
        size_t bytes;
        status =
            rz_shared_ring_consume(ring, &type, record, sizeof record, &bytes, patience_ns, err);
    }
    return status;
}

int main(int argc, char **argv)
{
    struct rz_shared_ring_options options;
    rz_shared_ring_options_init(&options);
    options.record_bytes = 64;
    options.consumers = 3;
    rz_shared_ring *rings[3] = {NULL};
    struct rz_error err;
    int status = argc == 2 ? rz_shared_ring_create(&options, argv[1], &rings[0], &err) : RZ_E_ARG;
    for (int i = 1; i < 3 && status == RZ_OK; i++)
        status = rz_shared_ring_attach(NULL, argv[1], patience_ns, &rings[i], &err);
    for (uint32_t n = 1; n <= 12 && status == RZ_OK; n++)
        status = rz_shared_ring_publish(rings[0], 7, "twelve bytes", n, patience_ns, &err);
    if (status == RZ_OK)
        status = take(rings[1], 12, &err);
    if (status == RZ_OK)
        status = take(rings[2], 2, &err);
    if (status == RZ_OK) {
        puts("ready");
        fflush(stdout);
        getchar();
    }
    for (int i = 2; i >= 0; i--)
        rz_shared_ring_close(rings[i]);
    return status == RZ_OK ? 0 : 1;
}
