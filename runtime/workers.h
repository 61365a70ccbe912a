/* SPDX-License-Identifier: Apache-2.0
 *
 * workers.h - the same work on many things at once: by OpenMP (workers_openmp.c), or one after the
 * other in a build without (workers_none.c).
 */
#ifndef RZ_RUNTIME_WORKERS_H
#define RZ_RUNTIME_WORKERS_H

#include <stdint.h>

#include "internal/error.h"

/* Thing `index`, by the worker of that number: two calls at once never have the same `worker`. */
typedef void rz_work(void *context, uint32_t worker, uint32_t index);

/* What starts workers, for reports: "OpenMP", or NULL if this build has nothing that could. */
extern const char *const rz_workers_kind;

/* rz_workers_start - have `workers` of them ready, so that the first run need not wait for them.
 * One is the calling thread. RZ_E_UNSUPPORTED: more than one, and this build has nothing to start
 * them. */
int rz_workers_start(uint32_t workers, struct rz_error *err);

/* rz_workers_run - call work(context, worker, index) for each index below `count`, with `worker`
 * below `workers`, and return when all calls have returned: what they wrote can be read. The
 * calling thread is worker 0. With one worker, or one thing, it is alone, and no thread is made. */
void rz_workers_run(uint32_t workers, uint32_t count, rz_work *work, void *context);

#endif
