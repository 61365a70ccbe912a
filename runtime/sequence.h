/* SPDX-License-Identifier: Apache-2.0
 *
 * sequence.h - sequences: sampling parameters, and which ids are in the history how often.
 *
 * The history is kept as one entry per distinct id, so that a step's penalties cost as much as
 * there are distinct ids, however long the sequence has become. All memory is taken when a sequence
 * is opened; appending cannot fail for want of it.
 */
#ifndef RZ_RUNTIME_SEQUENCE_H
#define RZ_RUNTIME_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "internal/error.h"
#include "kernels/sampler.h"
#include "rankzero/rankzero.h"

struct rz_sequence_state {
    struct rz_sampling sampling; /* owns copies of its lists */
    uint64_t seed;
    uint32_t prompt_length;
    uint32_t output_length;
    uint32_t output_limit; /* most ids that may be appended */
    uint64_t last_step;    /* the step that last drew for it, to refuse it twice in one */
    struct rz_history_entry *history; /* [history_count], room for every id that can come */
    uint32_t history_count;
    uint32_t *buckets; /* open addressing by id: index in history + 1, or 0 */
    uint32_t bucket_mask;
    uint32_t bucket_shift; /* from 32 bits down to an index of buckets */
};

struct rz_sequence_table {
    struct rz_sequence_slot *slots;
    uint32_t slot_count;
    uint32_t vocab_size;
};

void rz_sequence_table_init(struct rz_sequence_table *table, uint32_t vocab_size);
void rz_sequence_table_free(struct rz_sequence_table *table);

/* Add a sequence; `sampling` is resolved already. RZ_E_ARG, RZ_E_NOMEM, RZ_E_SYS (no seed). */
int rz_sequence_table_add(struct rz_sequence_table *table, const struct rz_sampling *sampling,
                          const int32_t *prompt_ids, uint32_t prompt_count, rz_sequence *sequence,
                          struct rz_error *err);

/* The state of a sequence, or NULL. Valid until it is removed. */
struct rz_sequence_state *rz_sequence_table_find(const struct rz_sequence_table *table,
                                                 rz_sequence sequence);

void rz_sequence_table_remove(struct rz_sequence_table *table, rz_sequence sequence);

/* Is there room for `count` more ids of output? */
bool rz_sequence_has_room(const struct rz_sequence_state *state, uint32_t count);

/* Append an id of output; there is room, and the id is in the vocabulary. */
void rz_sequence_push(struct rz_sequence_state *state, int32_t id);

/* rz_seed_random - a seed from the operating system. */
RZ_API int rz_seed_random(uint64_t *seed, struct rz_error *err);

#endif
