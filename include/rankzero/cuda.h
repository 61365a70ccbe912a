/* SPDX-License-Identifier: Apache-2.0
 *
 * cuda.h - steps whose logits and ids stay in the memory of GPUs.
 *
 * Part of a job that was opened with options.backend = RZ_BACKEND_CUDA. Every rank then has a GPU
 * (options.device), of its own or shared with other ranks, and
 *
 *   rz_logits()    is memory of that GPU
 *   batch.logits   is memory of that GPU too; for rz_step() and rz_step_begin() it may also be
 *                  memory of the host, from which it is copied
 *   results        are in memory of the host
 *   counters       have no count of exact tiles and mass passes
 *
 * In a job of several ranks that share a GPU their kernels take turns, as those of any processes
 * do (unless CUDA's MPS is used): how long a step takes is then up to the driver's time slices.
 *
 * With RZ_COMM_CUDA_IPC the memory that rz_logits() is in stays allocated until the process ends if
 * rank 0 has not let go of it within three seconds of rz_close(). With RZ_COMM_NCCL a job that ends
 * before its communicator is done leaves ncclCommAbort() to a thread, since it may wait for graphs
 * of the caller's; graphs that hold steps are destroyed before rz_close().
 *
 * The device's primary context is used, and streams and memory of CUDA's runtime, PyTorch or cuBLAS
 * are of that context: pass a cudaStream_t, a CUstream, or what torch.cuda.Stream.cuda_stream is.
 * Needs no header of CUDA.
 */
#ifndef RANKZERO_CUDA_H
#define RANKZERO_CUDA_H

#include "rankzero.h"

#ifdef __cplusplus
extern "C" {
#endif

struct CUstream_st; /* cudaStream_t and CUstream are pointers to it */

/* rz_step_enqueue - as rz_step(), on a stream: everything is enqueued, and ids land in memory of
 * every rank's GPU. Waits for nobody.
 *
 * Collective: every rank calls it. What was enqueued on `stream` before is seen to have written the
 * logits; what is enqueued after it may read the ids. On ranks other than 0 the stream waits for
 * rank 0's GPU; that the GPUs of several ranks wait for one another needs no host. Rank 0's own
 * rows and parameters are copied before the call returns; logits stay unchanged until the stream is
 * past the step. One step at a time is under way: rz_step_finish() ends it, when the stream is
 * there or will be, and returns the ids and results to the host; rz_step_ready() tells whether it
 * would wait.
 *
 *   ids   memory of this rank's GPU, [max_rows], the job's; valid until rz_close(). Ids of a
 *         step are there until the next one. If the step fails on the way, all of them are -1 on
 *         ranks other than 0
 *
 * A stream does not wait for a dead peer: kernels that wait give up when the job ends, or
 * step_timeout_ms after they began; and what waits without an end of its own, NCCL's kernels and a
 * stream that waits for a word, is ended by a thread of the job's, which the first step on a stream
 * of a job with other ranks starts, and which looks after the step until rz_step_finish(). Then
 * nothing is published, and rz_step_finish() says why.
 *
 * On a stream that is being captured nothing begins: the step becomes part of the graph. Each
 * launch of the graph is then a step of the job, which rz_step_prepare() begins and
 * rz_step_finish() ends.
 *
 * All ranks capture a step, or none does.
 *
 * Errors as of rz_step_begin(). RZ_E_ARG: logits are not memory of this rank's GPU, or the stream
 * is another device's; RZ_E_STATE: the capture is not valid; RZ_E_UNSUPPORTED: not a job with
 * RZ_BACKEND_CUDA; RZ_E_SYS: no thread is to be had; RZ_E_NOMEM: more than 256 steps that differ in
 * shape have been captured, or, as in rz_step() with GPUs, no room for the rows' parameters: room
 * is made for more when a step needs it, which allocates, and waits for the GPU. */
RZ_API int rz_step_enqueue(rz_job *job, const struct rz_batch *batch, struct CUstream_st *stream,
                           const int32_t **ids);

/* rz_step_prepare - begin a step that was captured: rank 0's rows, with whatever parameters, seeds
 * and positions, are written to where the graph reads them. Then launch the graph, on any stream of
 * the device, once.
 *
 * Collective. The batch is like one that was captured: it has as many rows of logits, on rank 0 as
 * many rows, and the same logits. Of several graphs the one is launched that such a batch was
 * captured for: launching another fails the step. Errors as of rz_step_enqueue(); RZ_E_STATE:
 * nothing was captured. */
RZ_API int rz_step_prepare(rz_job *job, const struct rz_batch *batch);

#ifdef __cplusplus
}
#endif
#endif
