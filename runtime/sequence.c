/* SPDX-License-Identifier: Apache-2.0
 *
 * sequence.c - the table of sequences and their histories.
 */
#include "runtime/sequence.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "internal/size_math.h"
#include "runtime/sampling.h"

enum { DEFAULT_MAX_TOKENS = 4096 };

/* A handle is the slot's index + 1 below and its generation above: a handle of a closed sequence
 * does not name the next one in its slot. */
struct rz_sequence_slot {
    struct rz_sequence_state *state; /* NULL: free */
    uint32_t generation;
};

void rz_sequence_table_init(struct rz_sequence_table *table, uint32_t vocab_size)
{
    *table = (struct rz_sequence_table){.vocab_size = vocab_size};
}

static void state_free(struct rz_sequence_state *state)
{
    if (state == NULL)
        return;
    free((void *)(uintptr_t)state->sampling.allowed_ids);
    free((void *)(uintptr_t)state->sampling.banned_ids);
    free((void *)(uintptr_t)state->sampling.stop_ids);
    free((void *)(uintptr_t)state->sampling.bias);
    free(state->history);
    free(state->buckets);
    free(state);
}

void rz_sequence_table_free(struct rz_sequence_table *table)
{
    for (uint32_t i = 0; i < table->slot_count; i++)
        state_free(table->slots[i].state);
    free(table->slots);
    *table = (struct rz_sequence_table){0};
}

int rz_seed_random(uint64_t *seed, struct rz_error *err)
{
    ssize_t got;
    do
        got = getrandom(seed, sizeof *seed, 0);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof *seed)
        return rz_fail(err, RZ_E_SYS, RZ_NO_RANK, errno, "getrandom: no seed to be had");
    return RZ_OK;
}

/* Copy a list; true with *copy NULL for an empty one. */
static bool copy_list(const void *list, uint32_t count, size_t item_bytes, void *copy_out)
{
    void *copy = NULL;
    if (count > 0) {
        copy = malloc(count * item_bytes);
        if (copy == NULL)
            return false;
        memcpy(copy, list, count * item_bytes);
    }
    memcpy(copy_out, &copy, sizeof copy);
    return true;
}

static bool copy_lists(struct rz_sampling *to, const struct rz_sampling *from)
{
    /* None is the caller's any more, so that a failure half way frees only copies. */
    to->allowed_ids = NULL;
    to->banned_ids = NULL;
    to->stop_ids = NULL;
    to->bias = NULL;
    return copy_list(from->allowed_ids, from->allowed_count, sizeof(int32_t), &to->allowed_ids) &&
           copy_list(from->banned_ids, from->banned_count, sizeof(int32_t), &to->banned_ids) &&
           copy_list(from->stop_ids, from->stop_count, sizeof(int32_t), &to->stop_ids) &&
           copy_list(from->bias, from->bias_count, sizeof(struct rz_bias), &to->bias);
}

/* The entry of an id, made if there is none: the history has room for every distinct id. */
static struct rz_history_entry *history_entry(struct rz_sequence_state *state, int32_t id)
{
    /* Fibonacci hashing: the multiplier, 2^32 over the golden ratio, spreads ids that follow each
     * other, or lie a power of two apart, over the high bits of the product. */
    uint32_t bucket = ((uint32_t)id * UINT32_C(2654435769)) >> state->bucket_shift;
    while (state->buckets[bucket] != 0) {
        struct rz_history_entry *entry = &state->history[state->buckets[bucket] - 1];
        if (entry->id == id)
            return entry;
        bucket = (bucket + 1) & state->bucket_mask;
    }
    state->history[state->history_count] = (struct rz_history_entry){.id = id};
    state->buckets[bucket] = ++state->history_count;
    return &state->history[state->history_count - 1];
}

static bool history_reserve(struct rz_sequence_state *state, uint32_t vocab_size)
{
    const uint64_t ids = (uint64_t)state->prompt_length + state->output_limit;
    const uint32_t distinct = ids < vocab_size ? (uint32_t)ids : vocab_size;
    uint32_t buckets = 16;
    state->bucket_shift = 32 - 4;
    while (buckets < 2 * distinct) {
        buckets *= 2;
        state->bucket_shift--;
    }
    state->bucket_mask = buckets - 1;
    state->history = malloc((distinct > 0 ? distinct : 1) * sizeof *state->history);
    state->buckets = calloc(buckets, sizeof *state->buckets);
    return state->history != NULL && state->buckets != NULL;
}

static struct rz_sequence_state *state_create(const struct rz_sampling *sampling,
                                              const int32_t *prompt_ids, uint32_t prompt_count,
                                              uint32_t vocab_size)
{
    struct rz_sequence_state *state = calloc(1, sizeof *state);
    if (state == NULL)
        return NULL;
    state->sampling = *sampling;
    state->prompt_length = prompt_count;
    state->output_limit = sampling->max_tokens != 0 ? sampling->max_tokens : DEFAULT_MAX_TOKENS;
    if (!copy_lists(&state->sampling, sampling) || !history_reserve(state, vocab_size)) {
        state_free(state);
        return NULL;
    }
    for (uint32_t i = 0; i < prompt_count; i++)
        history_entry(state, prompt_ids[i])->in_prompt = 1;
    return state;
}

/* A free slot, growing the table if there is none; NULL when out of memory. */
static struct rz_sequence_slot *free_slot(struct rz_sequence_table *table)
{
    for (uint32_t i = 0; i < table->slot_count; i++)
        if (table->slots[i].state == NULL)
            return &table->slots[i];
    const uint32_t count = table->slot_count == 0 ? 16 : 2 * table->slot_count;
    struct rz_sequence_slot *slots = realloc(table->slots, count * sizeof *slots);
    if (slots == NULL)
        return NULL;
    memset(slots + table->slot_count, 0, (count - table->slot_count) * sizeof *slots);
    table->slots = slots;
    struct rz_sequence_slot *slot = &slots[table->slot_count];
    table->slot_count = count;
    return slot;
}

int rz_sequence_table_add(struct rz_sequence_table *table, const struct rz_sampling *sampling,
                          const int32_t *prompt_ids, uint32_t prompt_count, rz_sequence *sequence,
                          struct rz_error *err)
{
    int status = rz_ids_check("prompt_ids", prompt_ids, prompt_count, table->vocab_size, err);
    if (status != RZ_OK)
        return status;
    uint64_t seed = sampling->seed;
    if ((sampling->flags & RZ_SAMPLING_SEED) == 0 && (status = rz_seed_random(&seed, err)) != RZ_OK)
        return status;

    struct rz_sequence_state *state =
        state_create(sampling, prompt_ids, prompt_count, table->vocab_size);
    struct rz_sequence_slot *slot = state != NULL ? free_slot(table) : NULL;
    if (slot == NULL) {
        state_free(state);
        return rz_fail(err, RZ_E_NOMEM, RZ_NO_RANK, 0,
                       "no memory for a sequence of %u prompt ids and %u more", prompt_count,
                       sampling->max_tokens);
    }
    state->seed = seed;
    slot->state = state;
    slot->generation++;
    *sequence = (uint64_t)slot->generation << 32 | (uint32_t)(slot - table->slots + 1);
    return RZ_OK;
}

static struct rz_sequence_slot *find_slot(const struct rz_sequence_table *table,
                                          rz_sequence sequence)
{
    const uint32_t index = (uint32_t)sequence;
    if (index < 1 || index > table->slot_count)
        return NULL;
    struct rz_sequence_slot *slot = &table->slots[index - 1];
    return slot->state != NULL && slot->generation == sequence >> 32 ? slot : NULL;
}

struct rz_sequence_state *rz_sequence_table_find(const struct rz_sequence_table *table,
                                                 rz_sequence sequence)
{
    struct rz_sequence_slot *slot = find_slot(table, sequence);
    return slot != NULL ? slot->state : NULL;
}

void rz_sequence_table_remove(struct rz_sequence_table *table, rz_sequence sequence)
{
    struct rz_sequence_slot *slot = find_slot(table, sequence);
    if (slot == NULL)
        return;
    state_free(slot->state);
    slot->state = NULL;
}

bool rz_sequence_has_room(const struct rz_sequence_state *state, uint32_t count)
{
    return count <= state->output_limit - state->output_length;
}

void rz_sequence_push(struct rz_sequence_state *state, int32_t id)
{
    history_entry(state, id)->output_count++;
    state->output_length++;
}
