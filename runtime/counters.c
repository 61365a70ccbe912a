/* SPDX-License-Identifier: Apache-2.0
 *
 * counters.c - what a job has done so far.
 */
#include "runtime/job.h"

int rz_counters_read(const rz_job *job, struct rz_counters *counters)
{
    if (rz_job_is_forked(job))
        return RZ_E_STATE;
    const size_t size = counters->size;
    if (size < sizeof size)
        return RZ_E_ARG;

    struct rz_counters now = job->counters;
    now.size = size;
    now.sleeps = job->meeting.waiter.sleeps;
    const struct rz_sampler_counters drawing = rz_samplers_counters(&job->samplers);
    now.tiles_scanned = drawing.tiles_scanned;
    now.tiles_exact = drawing.tiles_exact;
    now.mass_passes = drawing.mass_passes;
    memcpy(counters, &now, size < sizeof now ? size : sizeof now);
    return RZ_OK;
}
