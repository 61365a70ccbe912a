/* SPDX-License-Identifier: Apache-2.0
 *
 * sample_run.h - the steps of a run of `rankzero sample`, on one rank.
 */
#ifndef RZ_TOOLS_SAMPLE_RUN_H
#define RZ_TOOLS_SAMPLE_RUN_H

#include "tools/launch.h"
#include "tools/output.h"
#include "tools/sample_input.h"

/* rz_sample_run - open the job, draw everything, close it. Says what fails. `output` is rank 0's,
 * which the caller finishes or abandons; NULL on other ranks. */
int rz_sample_run(const struct rz_sample_options *options, const struct rz_sample_input *input,
                  struct rz_launch *launch, struct rz_output *output);

#endif
