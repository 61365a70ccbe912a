/* SPDX-License-Identifier: Apache-2.0
 *
 * faults.h - some good steps of a job, and then one rank does what it should not: every other rank
 * gets an error that names it, soon.
 */
#ifndef RZ_TESTS_FAULTS_H
#define RZ_TESTS_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "rankzero/rankzero.h"
#include "tests/runtime/scene.h"

enum fault { DIES, LEAVES, STOPS, BRINGS_MORE_ROWS };

struct fault_scene {
    enum fault fault;
    uint32_t culprit;
    uint32_t comm;
    uint32_t vocab_size;
    bool polls; /* begin, ready until it says so, finish instead of rz_step */
    uint32_t backend;
    scene_step *step; /* instead of either; or NULL */
    void *context;    /* of step */
};

/* Options of a job that can play it. */
struct rz_options fault_options(const struct fault_scene *scene);

/* fault_play - play this rank's part in a new job, and close it. Ends the process if something is
 * not as it should be. A rank that stops must be continued; then it learns that it was late. */
void fault_play(const struct fault_scene *scene, rz_job *job);

#endif
