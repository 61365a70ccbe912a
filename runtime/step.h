/* SPDX-License-Identifier: Apache-2.0
 *
 * step.h - how a step begins, whichever call begins it.
 *
 *     rz_step_read -> rz_step_start -> hand in the logits -> rz_step_post
 */
#ifndef RZ_RUNTIME_STEP_H
#define RZ_RUNTIME_STEP_H

#include "runtime/job.h"

/* rz_step_read - check and copy a caller's batch. `streamed`: its logits must be on the device.
 * RZ_E_STATE: a step is under way. */
int rz_step_read(rz_job *job, const struct rz_batch *batch, bool streamed,
                 struct rz_batch *checked);

/* rz_step_read_rows - rank 0's rows of a step that is captured and does not begin. */
int rz_step_read_rows(rz_job *job, const struct rz_batch *batch);

/* rz_step_start - read rank 0's rows and begin. A failure leaves the job as it was, unless it has
 * ended. */
int rz_step_start(rz_job *job, const struct rz_batch *batch);

/* rz_step_post - hand in logits in memory of the host, or none, and tell the others so; with
 * another status than RZ_OK, end the job. */
int rz_step_post(rz_job *job, const void *logits, size_t row_stride, int status);

#endif
