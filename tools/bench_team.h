/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_team.h - processes that are forked for one measurement, each on a processor of its own
 * where there are enough.
 */
#ifndef RZ_TOOLS_BENCH_TEAM_H
#define RZ_TOOLS_BENCH_TEAM_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/complaint.h"

enum { RZ_TEAM_MAX = 64 };

/* How many processors this process may run on. */
uint32_t rz_team_processors(void);

/* rz_team_run - `count` processes, the i-th of which calls member(context, i) and ends. Returns
 * when all have; if one fails or a signal asks us to stop, the others are killed. */
int rz_team_run(uint32_t count, bool (*member)(void *context, uint32_t index), void *context,
                struct rz_complaint *complaint);

#endif
