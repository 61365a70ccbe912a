/* SPDX-License-Identifier: Apache-2.0
 *
 * nccl.h - what is called of NCCL, in a table that is filled in at run time: see driver.h.
 */
#ifndef RZ_GPU_NCCL_H
#define RZ_GPU_NCCL_H

#include <stdint.h>

#include "gpu/driver.h"

typedef struct ncclComm *rz_nccl_comm;

struct rz_nccl_id {
    char bytes[128];
};

/* ncclConfig_t as NCCL 2.19 has it: later ones take it by its size and version, and fill in the
 * rest. */
struct rz_nccl_config {
    size_t size;
    unsigned magic;
    unsigned version;
    int blocking;
    int cga_cluster_size;
    int min_ctas;
    int max_ctas;
    const char *net_name;
    int split_share;
};

#define RZ_NCCL_MAGIC 0xCAFEBEEFu
#define RZ_NCCL_CONFIG_VERSION 21900u /* of that layout, and the oldest NCCL that is of use */
#define RZ_NCCL_UNDEFINED INT32_MIN

/* ncclResult_t and ncclDataType_t, as far as a decision depends on it. */
enum { RZ_NCCL_SUCCESS = 0, RZ_NCCL_IN_PROGRESS = 7 };
enum { RZ_NCCL_UINT8 = 1 };

/* X(member, symbol, parameters). Every one returns an ncclResult_t. */
#define RZ_NCCL_CALLS(X)                                                      \
    X(get_version, ncclGetVersion, (int *version))                            \
    X(unique_id, ncclGetUniqueId, (struct rz_nccl_id * id))                   \
    X(comm_init, ncclCommInitRankConfig,                                      \
      (rz_nccl_comm * comm, int ranks, struct rz_nccl_id id, int rank,        \
       struct rz_nccl_config *config))                                        \
    X(comm_destroy, ncclCommDestroy, (rz_nccl_comm comm))                     \
    X(comm_finalize, ncclCommFinalize, (rz_nccl_comm comm))                   \
    X(comm_abort, ncclCommAbort, (rz_nccl_comm comm))                         \
    X(comm_error, ncclCommGetAsyncError, (rz_nccl_comm comm, int *error))     \
    X(comm_register, ncclCommRegister,                                        \
      (rz_nccl_comm comm, void *buffer, size_t bytes, void **handle))         \
    X(comm_deregister, ncclCommDeregister, (rz_nccl_comm comm, void *handle)) \
    X(group_start, ncclGroupStart, (void))                                    \
    X(group_end, ncclGroupEnd, (void))                                        \
    X(send, ncclSend,                                                         \
      (const void *from, size_t count, int type, int peer, rz_nccl_comm comm, \
       rz_cuda_stream stream))                                                \
    X(receive, ncclRecv,                                                      \
      (void *to, size_t count, int type, int peer, rz_nccl_comm comm, rz_cuda_stream stream))

struct rz_nccl {
    int version; /* 22809 is 2.28.9 */
#define RZ_NCCL_MEMBER(member, symbol, parameters) int(*member) parameters;
    RZ_NCCL_CALLS(RZ_NCCL_MEMBER)
#undef RZ_NCCL_MEMBER
    /* ncclGather, of 2.28 and later: NULL before. `count` elements from each rank. */
    int (*gather)(const void *from, void *to, size_t count, int type, int root, rz_nccl_comm comm,
                  rz_cuda_stream stream);
    const char *(*error_text)(int code);
    const char *(*last_error)(rz_nccl_comm comm); /* what NCCL says of the last failure */
};

/* rz_nccl_open - fill in the table. There is nothing to undo. RZ_E_UNSUPPORTED: no libnccl.so.2, or
 * it is too old. */
int rz_nccl_open(struct rz_nccl *nccl, struct rz_error *err);

/* rz_nccl_fail - record that `call` on `comm` (may be NULL) returned `code`: RZ_E_COMM. */
int rz_nccl_fail(const struct rz_nccl *nccl, int code, rz_nccl_comm comm, const char *call,
                 struct rz_error *err);

#endif
