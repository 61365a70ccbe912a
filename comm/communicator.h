/* SPDX-License-Identifier: Apache-2.0
 *
 * communicator.h - a communicator of NCCL that nobody hangs in.
 *
 * It does not block: whatever takes NCCL its time is waited for here, with a deadline and an eye on
 * the job, as NCCL itself does not notice that a process is gone.
 */
#ifndef RZ_COMM_COMMUNICATOR_H
#define RZ_COMM_COMMUNICATOR_H

#include "comm/comm.h"
#include "gpu/nccl.h"

struct rz_communicator_ending;

struct rz_communicator {
    struct rz_nccl nccl;
    struct rz_comm_peers peers;
    rz_nccl_comm handle; /* NULL before it is begun, and once it is ended */
    bool failed;         /* only to be ended */
    struct rz_communicator_ending *ending;
};

/* rz_communicator_begin - collective: become `rank` of `world` in the communicator with this id.
 * `nccl` and `peers` are filled in; rz_communicator_end() is due after a failure too. */
int rz_communicator_begin(struct rz_communicator *communicator, uint32_t rank, uint32_t world,
                          struct rz_nccl_id id, uint64_t deadline_ns, struct rz_error *err);

/* rz_communicator_fail - record that `call` returned `code`, or why the job has ended. */
int rz_communicator_fail(struct rz_communicator *communicator, int code, const char *call,
                         struct rz_error *err);

/* rz_communicator_settle - wait until `call`, which returned `code`, is done. */
int rz_communicator_settle(struct rz_communicator *communicator, int code, const char *call,
                           uint64_t deadline_ns, struct rz_error *err);

/* rz_communicator_late - RZ_E_TIMEOUT if the deadline of `call` has passed. */
int rz_communicator_late(struct rz_communicator *communicator, const char *call,
                         uint64_t deadline_ns, struct rz_error *err);

/* rz_communicator_check - RZ_OK, or why what it does will not succeed. */
int rz_communicator_check(struct rz_communicator *communicator, struct rz_error *err);

/* rz_communicator_abort - make whatever it does end; returns at once. */
void rz_communicator_abort(struct rz_communicator *communicator);

/* rz_communicator_end - end it together with the others if they come, without them otherwise. */
void rz_communicator_end(struct rz_communicator *communicator);

/* rz_communicator_pause - between two looks at what is waited for; `looks` counts them from 0. */
void rz_communicator_pause(unsigned looks);

#endif
