/* SPDX-License-Identifier: Apache-2.0
 *
 * status.h - what rankzero's calls return, and the record of what went wrong.
 *
 * A call that can fail returns RZ_OK (0) or one of the negative codes below. They are grouped by
 * the largest thing that the failure breaks:
 *
 *   the call      nothing happened; the job goes on and the call may be made again, corrected
 *   the job       this job is over on every rank; all that is left to do is rz_close()
 *
 * What concerns a single row (no logit left to draw from, a NaN) is not a failure of the call: see
 * rz_result.status in rankzero.h. The numbers are part of the ABI and never change.
 */
#ifndef RANKZERO_STATUS_H
#define RANKZERO_STATUS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define RZ_API __attribute__((visibility("default")))
#else
#define RZ_API
#endif

/* X(name, value, text) */
#define RZ_STATUS_LIST(X)                                                      \
    X(RZ_OK, 0, "success")                                                     \
    /* the call */                                                             \
    X(RZ_E_ARG, -1, "an argument is out of range")                             \
    X(RZ_E_STATE, -2, "the call is not allowed now")                           \
    X(RZ_E_NOMEM, -3, "out of memory")                                         \
    X(RZ_E_UNSUPPORTED, -4, "not supported by this build or machine")          \
    X(RZ_E_SYS, -5, "a system call failed")                                    \
    X(RZ_E_EXISTS, -6, "a live job already has this name")                     \
    X(RZ_E_SEQUENCE, -7, "no such sequence, or its history is full")           \
    /* the job */                                                              \
    X(RZ_E_TIMEOUT, -33, "a deadline passed")                                  \
    X(RZ_E_PEER_DIED, -34, "the process of a rank is gone")                    \
    X(RZ_E_CLOSED, -35, "a rank left the job")                                 \
    X(RZ_E_MISMATCH, -36, "ranks disagree")                                    \
    X(RZ_E_COMM, -37, "communication between ranks failed")                    \
    X(RZ_E_CORRUPT, -38, "shared memory holds what this library never writes") \
    X(RZ_E_GPU, -39, "a GPU or its driver failed")                             \
    X(RZ_E_EVICTED, -40, "a consumer was late and is not waited for any more")

enum rz_status {
#define RZ_STATUS_ENUM(name, value, text) name = value,
    RZ_STATUS_LIST(RZ_STATUS_ENUM)
#undef RZ_STATUS_ENUM
};

/* Which call failed, whom it is about, what was expected and what was got. */
struct rz_error {
    int32_t status; /* enum rz_status */
    int32_t rank;   /* the rank that the failure is about; -1 where it is about none */
    int32_t detail; /* errno or the library's own code (MPI), 0 where there is none */
    char text[244]; /* one sentence in English, NUL-terminated, no newline */
};

/* rz_status_text - the short text of a status, in English; static, never NULL. Any thread. */
RZ_API const char *rz_status_text(int status);

#ifdef __cplusplus
}
#endif
#endif
