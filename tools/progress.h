/* SPDX-License-Identifier: Apache-2.0
 *
 * progress.h - how far a long run is, on a terminal.
 */
#ifndef RZ_TOOLS_PROGRESS_H
#define RZ_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/output.h"

struct rz_progress {
    bool on;
    bool shown;
    const char *what; /* is counted: "draws" */
    uint64_t total;
    uint64_t started_ns;
    uint64_t updated_ns;
};

/* rz_progress_start - for `total` of `what`, shown on stderr if that is a terminal. If stdout is
 * one too, the text of `output` is held back until the run is over, so that the two do not mix. */
void rz_progress_start(struct rz_progress *progress, uint64_t total, const char *what,
                       struct rz_output *output);

/* rz_progress_update - `done` of them are done. Cheap; shows something ten times a second at most.
 */
void rz_progress_update(struct rz_progress *progress, uint64_t done);

/* rz_progress_end - take the line away. */
void rz_progress_end(struct rz_progress *progress);

/* rz_progress_format - "  412,000 of 1,000,000 draws  41%  206,000/s  2.9 s left". */
void rz_progress_format(uint64_t done, uint64_t total, const char *what, double seconds,
                        char text[128]);

#endif
