/* SPDX-License-Identifier: Apache-2.0
 *
 * workers_none.c - a build without OpenMP: the calling thread does everything.
 */
#include "runtime/workers.h"

#include <stddef.h>

const char *const rz_workers_kind = NULL;

int rz_workers_start(uint32_t workers, struct rz_error *err)
{
    if (workers > 1)
        return rz_fail(err, RZ_E_UNSUPPORTED, RZ_NO_RANK, 0,
                       "threads: expected 0 or 1, as this build has no OpenMP, got %u", workers);
    return RZ_OK;
}

void rz_workers_run(uint32_t workers, uint32_t count, rz_work *work, void *context)
{
    (void)workers;
    for (uint32_t i = 0; i < count; i++)
        work(context, 0, i);
}
