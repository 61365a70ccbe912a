/* SPDX-License-Identifier: Apache-2.0
 *
 * stream_job.h - ranks that gather logits between GPUs, each a process of its own, on doubles of
 * CUDA and NCCL.
 *
 * Every step each rank hands in rows that tell who wrote them, and rank 0 looks at what it got. Who
 * fails ends the job for all, as a real one does.
 */
#ifndef RZ_TESTS_STREAM_JOB_H
#define RZ_TESTS_STREAM_JOB_H

#include "comm/stream_comm.h"

enum { JOB_WORLD = 4, JOB_ROWS = 5, JOB_COLUMNS = 40 };
#define NOBODY UINT32_MAX

/* Where one rank goes no further. */
enum job_place {
    BEFORE_TELLING,      /* in open: nobody has heard of it */
    AFTER_TELLING,       /* in open: it comes to no communicator */
    BEFORE_FIRST_GATHER, /* in open, after all that is waited for on the host */
    BEFORE_HANDING_IN,   /* in a step */
};

struct job_setting {
    const struct rz_stream_comm_ops *ops;
    uint32_t world;
    uint32_t steps;
    uint32_t columns[JOB_WORLD];
    size_t row_stride[JOB_WORLD];
    size_t logit_bytes;
    uint64_t seed;       /* of the rows: how many, what, and where they are before */
    uint64_t open_ns;    /* until the deadline; 0: far away */
    bool one_gpu;        /* for all ranks */
    bool captured;       /* each rank's part is a graph, launched again and again */
    bool without_access; /* no GPU reaches another */
    uint32_t stops;      /* rank that goes no further than `place`, or NOBODY */
    enum job_place place;
    bool stops_alive; /* and is not dead then, but does nothing */
};

/* What became of a rank: a status of the library's, and the error. */
struct job_outcome {
    int exit_status; /* as child_wait() has it */
    int status;
    struct rz_error error;
};

/* job_run - run the ranks and wait for all of them. */
void job_run(const struct job_setting *setting, struct job_outcome *outcomes);

/* job_run_well - expect that all goes well. */
void job_run_well(const struct job_setting *setting);

#endif
