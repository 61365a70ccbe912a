/* SPDX-License-Identifier: Apache-2.0
 *
 * scene.h - one run of steps with every kind of filter and edit, which gives the same ids on any
 * number of ranks, however it is opened and stepped.
 */
#ifndef RZ_TESTS_SCENE_H
#define RZ_TESTS_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "rankzero/rankzero.h"

enum { SCENE_ROWS = 6, SCENE_STEPS = 4, SCENE_VOCAB = 1003, SCENE_SEED = 20 };

/* What every rank hashes its ids to, and rank 0 its results besides, on every machine. A change of
 * either is a change of the contract. */
#define SCENE_IDS_HASH UINT64_C(0x128c88b62e72058d)
#define SCENE_RESULTS_HASH UINT64_C(0x13e2b5a62363704b)

/* Makes a step of a batch, as rz_step() does. */
typedef int scene_step(void *context, rz_job *job, const struct rz_batch *batch, int32_t *ids,
                       uint32_t *count, struct rz_result *results);

struct scene {
    struct rz_options options; /* vocab_size is SCENE_VOCAB */
    bool own_buffer;           /* the caller's memory instead of rz_logits() */
    bool split_step;           /* begin, ready, finish instead of rz_step */
    scene_step *step;          /* instead of either; or NULL */
    void *context;             /* of step */
};

struct scene_hash {
    uint64_t ids;
    uint64_t results; /* rank 0: ids, logprobs and ranks; others: 0 */
};

/* scene_init - options of a job that can play it. */
void scene_init(struct scene *scene);

/* scene_play - all steps of it, in a job opened with its options; ends the process if one fails. */
struct scene_hash scene_play(const struct scene *scene, rz_job *job);

#endif
