/* SPDX-License-Identifier: Apache-2.0
 *
 * fake.h - a libcuda.so.1 and a libnccl.so.2 for machines without a GPU.
 *
 * With LD_LIBRARY_PATH=<build>/tests/fakes/lib a program finds them as it would find the real ones.
 * Memory of a device is memory of the host, kernels are those of tests/emulation/, and one thread
 * does the work of all streams, in an order that is drawn: only what streams and events promise
 * holds. What the real driver answers with an error is answered with that error. What it would not
 * notice (work of two streams on the same bytes without an order, memory freed under work that uses
 * it, what is not destroyed when its context goes or the process exits) ends the program with a
 * message, "fake libcuda: ...". Work is known to be done once a call has said so; what the program
 * learns from memory alone does not count.
 *
 * A kernel runs to its end before anything else does, so that one that waits for work of the same
 * process waits for ever; waits for words and NCCL don't hold up other streams.
 *
 * Groups of a communicator that does not block are in their streams only when
 * ncclCommGetAsyncError() has said so, which may take several calls. What a dead peer leaves undone
 * is never done, until ncclCommAbort().
 *
 *   RZ_FAKE_CUDA_SEED=N       draws the order (default: RZ_TEST_SEED, else 1)
 *   RZ_FAKE_CUDA_DEVICES=N    how many there are (1)
 *   RZ_FAKE_CUDA_MEMORY=N     bytes of each (4 GiB)
 *   RZ_FAKE_CUDA_L2=N         bytes of L2 cache of each (64 KiB)
 *   RZ_FAKE_CUDA_DRIVER=N     the driver's version (13000)
 *   RZ_FAKE_CUDA_THREADS=N    most of a block (64; a multiple of 32): more are not run
 *   RZ_FAKE_CUDA_READ_ONLY=0  memory cannot be registered as read-only
 *   RZ_FAKE_CUDA_LEAKS=0      nothing that is left is a mistake
 *   RZ_FAKE_CUDA_FAIL=N       the Nth call of the process fails, without effect, but that a capture
 *                             or a group that is to end does. Not counted are calls that push and
 *                             pop contexts or name errors, and queries of what is not ready yet
 *   RZ_FAKE_CUDA_FAIL_CODE=N  with this code (999, CUDA_ERROR_UNKNOWN)
 *   RZ_FAKE_CUDA_FAIL_WORK=N  the Nth piece of work fails, and its context with it
 *   RZ_FAKE_CUDA_FAIL_RANK=N  both only where OMPI_COMM_WORLD_RANK or RZ_FAKE_RANK is N
 *   RZ_FAKE_CUDA_CALLS=FILE   at exit the number of calls that can fail is appended to it
 *
 *   RZ_FAKE_NCCL_VERSION=N     (22809; 21903 in lib/nccl-2.19/, which has no ncclGather)
 *   RZ_FAKE_NCCL_SHARED_GPU=1  several ranks may use one device
 *   RZ_FAKE_NCCL_FAIL=N, _FAIL_CODE=N, _FAIL_RANK=N, _CALLS=FILE   as above; the code is
 *                              ncclInternalError unless said
 *   RZ_FAKE_NCCL_ASYNC_FAIL=N  communicators report ncclRemoteError from the Nth operation on
 *
 * Below is what the second asks of the first, by dlsym().
 */
#ifndef RZ_TESTS_FAKES_CUDA_FAKE_H
#define RZ_TESTS_FAKES_CUDA_FAKE_H

#include "gpu/driver.h"

#ifdef __cplusplus
extern "C" {
#endif

enum fake_cuda_progress { FAKE_CUDA_NOT_YET, FAKE_CUDA_DONE, FAKE_CUDA_FAILED };

/* Memory that work uses. */
struct fake_cuda_range {
    const void *begin;
    size_t bytes;
    int writes;
};

/* Work of another library in a stream, which may be captured: then `poll` is called in every run of
 * the graph. */
struct fake_cuda_work {
    const char *name;
    /* Called until it has done, each time of a run with the same *run, which is NULL first. */
    int (*poll)(void *plan, void **run);
    void (*release)(void *plan); /* when neither work nor a graph has it */
    void *plan;
    const void *queue; /* work of a queue is done in the order in which it is enqueued */
    const struct fake_cuda_range *ranges;
    size_t range_count;
};

/* fake_cuda_enqueue - a CUresult, as cuLaunchKernel() would return it. It owns the plan, whatever
 * becomes of it. */
int fake_cuda_enqueue(rz_cuda_stream stream, const struct fake_cuda_work *work);

/* fake_cuda_has_device_memory - are all the bytes in one allocation of device memory? */
int fake_cuda_has_device_memory(const void *begin, size_t bytes);

/* fake_cuda_current_device - the UUID of the current context's device; a CUresult. */
int fake_cuda_current_device(struct rz_cuda_uuid *uuid);

#ifdef __cplusplus
}
#endif

#endif
