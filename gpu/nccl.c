/* SPDX-License-Identifier: Apache-2.0 */
#include "gpu/nccl.h"

#include "gpu/library.h"

static const struct rz_library_call calls[] = {
#define CALL(member, symbol, parameters) {#symbol, offsetof(struct rz_nccl, member), 1},
    RZ_NCCL_CALLS(CALL)
#undef CALL
        {"ncclGetErrorString", offsetof(struct rz_nccl, error_text), 1},
    {"ncclGetLastError", offsetof(struct rz_nccl, last_error), 1},
    {"ncclGather", offsetof(struct rz_nccl, gather), 0},
};

int rz_nccl_open(struct rz_nccl *nccl, struct rz_error *err)
{
    const int status =
        rz_library_open("libnccl.so.2", "NCCL", calls, sizeof calls / sizeof calls[0], nccl, err);
    if (status != RZ_OK)
        return status;
    const int code = nccl->get_version(&nccl->version);
    if (code != RZ_NCCL_SUCCESS || nccl->version < (int)RZ_NCCL_CONFIG_VERSION)
        return rz_fail(err, RZ_E_UNSUPPORTED, RZ_NO_RANK, code,
                       "libnccl.so.2: expected version %u or later, got %d", RZ_NCCL_CONFIG_VERSION,
                       nccl->version);
    return RZ_OK;
}

int rz_nccl_fail(const struct rz_nccl *nccl, int code, rz_nccl_comm comm, const char *call,
                 struct rz_error *err)
{
    const char *text = nccl->error_text(code);
    const char *last = comm != NULL ? nccl->last_error(comm) : NULL;
    return rz_fail(err, RZ_E_COMM, RZ_NO_RANK, code, "%s: %.80s%s%.100s", call,
                   text != NULL ? text : "an unknown error", last != NULL && *last ? ": " : "",
                   last != NULL ? last : "");
}
