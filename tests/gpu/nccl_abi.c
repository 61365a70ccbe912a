/* SPDX-License-Identifier: Apache-2.0
 *
 * nccl_abi.c - gpu/nccl.h says what nccl.h says. It is enough that this compiles.
 */
#include <nccl.h>
#include <stdio.h>

#include "gpu/nccl.h"

static_assert((int)RZ_NCCL_SUCCESS == (int)ncclSuccess, "");
static_assert((int)RZ_NCCL_IN_PROGRESS == (int)ncclInProgress, "");
static_assert((int)RZ_NCCL_UINT8 == (int)ncclUint8, "");
static_assert(NCCL_VERSION_CODE >= RZ_NCCL_CONFIG_VERSION, "");
static_assert(sizeof(int) == sizeof(ncclResult_t) && sizeof(int) == sizeof(ncclDataType_t), "");
static_assert(sizeof(struct rz_nccl_id) == sizeof(ncclUniqueId), "");

/* Later versions have more fields behind these. */
#define SAME_CONFIG(ours, theirs)                                                            \
    static_assert(offsetof(struct rz_nccl_config, ours) == offsetof(ncclConfig_t, theirs) && \
                      sizeof(((struct rz_nccl_config *)0)->ours) ==                          \
                          sizeof(((ncclConfig_t *)0)->theirs),                               \
                  #ours)
SAME_CONFIG(size, size);
SAME_CONFIG(magic, magic);
SAME_CONFIG(version, version);
SAME_CONFIG(blocking, blocking);
SAME_CONFIG(cga_cluster_size, cgaClusterSize);
SAME_CONFIG(min_ctas, minCTAs);
SAME_CONFIG(max_ctas, maxCTAs);
SAME_CONFIG(net_name, netName);
SAME_CONFIG(split_share, splitShare);

/* Every symbol that is looked up is declared. */
#define DECLARED(member, symbol, parameters) \
    static_assert(sizeof &(symbol) == sizeof((struct rz_nccl *)0)->member, #symbol);
RZ_NCCL_CALLS(DECLARED)
DECLARED(error_text, ncclGetErrorString, )
DECLARED(last_error, ncclGetLastError, )
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 28, 0)
DECLARED(gather, ncclGather, )
#endif

int main(void)
{
    const ncclConfig_t theirs = NCCL_CONFIG_INITIALIZER;
    if (theirs.magic != RZ_NCCL_MAGIC || theirs.blocking != RZ_NCCL_UNDEFINED) {
        printf("magic, undefined: expected %x, %d, got %x, %d\n", theirs.magic, theirs.blocking,
               RZ_NCCL_MAGIC, RZ_NCCL_UNDEFINED);
        return 1;
    }
    printf("gpu/nccl.h is as nccl.h of NCCL %d.%d.%d\n", NCCL_MAJOR, NCCL_MINOR, NCCL_PATCH);
    return 0;
}
