/* SPDX-License-Identifier: Apache-2.0
 *
 * words.c - what the values of an option are called.
 */
#include "runtime/words.h"

#include <stddef.h>

#include "rankzero/rankzero.h"

const char *const rz_dtype_words[RZ_DTYPES + 1] = {
    [RZ_F32] = "f32", [RZ_F16] = "f16", [RZ_BF16] = "bf16"};

const char *const rz_mode_words[RZ_MODES + 1] = {[RZ_MODE_GATHER] = "gather"};

const char *const rz_backend_words[RZ_BACKENDS + 1] = {
    [RZ_BACKEND_AUTO] = "auto",     [RZ_BACKEND_REFERENCE] = "reference",
    [RZ_BACKEND_SCALAR] = "scalar", [RZ_BACKEND_AVX2] = "avx2",
    [RZ_BACKEND_AVX512] = "avx512", [RZ_BACKEND_CUDA] = "cuda",
};

const char *const rz_comm_words[RZ_COMMS + 1] = {[RZ_COMM_AUTO] = "auto",
                                                 [RZ_COMM_SHM] = "shm",
                                                 [RZ_COMM_MPI] = "mpi",
                                                 [RZ_COMM_NCCL] = "nccl",
                                                 [RZ_COMM_CUDA_IPC] = "cuda_ipc"};
