/* SPDX-License-Identifier: Apache-2.0
 *
 * gpu_steps.h - ways to make a step of a scene with GPUs: logits in memory of the device, steps on
 * a stream of the caller's, steps that are captured and replayed.
 */
#ifndef RZ_TESTS_GPU_STEPS_H
#define RZ_TESTS_GPU_STEPS_H

#include "gpu/device.h"
#include "tests/runtime/scene.h"

/* A caller of the library that has logits on a device: its own stream, and memory for them. */
struct gpu_caller {
    struct rz_cuda cuda;
    struct rz_device device;
    rz_cuda_ptr logits;
    size_t logits_bytes;
    rz_cuda_graph graph;
    rz_cuda_graph_exec exec; /* NULL before anything was captured */
    const int32_t *ids;      /* of the step, on the device */
};

/* Ends the process if something fails. */
void gpu_caller_open(struct gpu_caller *caller, uint32_t device, uint32_t rank);
void gpu_caller_close(struct gpu_caller *caller);

/* gpu_caller_upload - the batch's logits, from memory of the host to that of the device, in the
 * order of the stream; the batch then has them there. */
void gpu_caller_upload(struct gpu_caller *caller, rz_job *job, struct rz_batch *batch,
                       size_t logit_bytes);

/* gpu_caller_ids - `count` ids from the device, once the stream is there. */
void gpu_caller_ids(struct gpu_caller *caller, int32_t *ids, uint32_t count);

/* scene_step of a scene with own_buffer; the context is a struct gpu_caller. */
scene_step gpu_step_of_device_memory; /* rz_step() */
scene_step gpu_step_enqueued;         /* rz_step_enqueue(), and what it leaves on the device */
scene_step gpu_step_synchronized;     /* the same, but that the stream is waited for first */
scene_step gpu_step_replayed;         /* captured once, then rz_step_prepare() */

#endif
