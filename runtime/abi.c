/* SPDX-License-Identifier: Apache-2.0
 *
 * abi.c - what the compiler checks of the layout of public structs.
 *
 * A caller's struct is told from ours by its size, and what lies beyond the end of the shorter one
 * reads zero. That works only if every byte of a struct belongs to a field: padding would hold
 * whatever the caller's stack held, and a field that is added there would not change the size.
 */
#include <assert.h>
#include <stddef.h>

#include "rankzero/rankzero.h"

/* Field `next` begins where `field` ends. */
#define FOLLOWS(type, next, field)                                                   \
    static_assert(offsetof(struct type, next) ==                                     \
                      offsetof(struct type, field) + sizeof((struct type){0}.field), \
                  #type ": padding between " #field " and " #next)

/* The struct ends where `field` does, and has `bytes` bytes where pointers have 64 bits. */
#define ENDS(type, field, bytes)                                                             \
    static_assert(sizeof(struct type) ==                                                     \
                      offsetof(struct type, field) + sizeof((struct type){0}.field),         \
                  #type ": padding behind " #field);                                         \
    static_assert(sizeof(void *) != 8 || sizeof(struct type) == (bytes), #type ": its size " \
                                                                               "changed")

FOLLOWS(rz_options, vocab_size, size);
FOLLOWS(rz_options, vocab_padded, vocab_size);
FOLLOWS(rz_options, split, vocab_padded);
FOLLOWS(rz_options, dtype, split);
FOLLOWS(rz_options, max_rows, dtype);
FOLLOWS(rz_options, mode, max_rows);
FOLLOWS(rz_options, backend, mode);
FOLLOWS(rz_options, comm, backend);
FOLLOWS(rz_options, open_timeout_ms, comm);
FOLLOWS(rz_options, step_timeout_ms, open_timeout_ms);
FOLLOWS(rz_options, threads, step_timeout_ms);
FOLLOWS(rz_options, shm_dir, threads);
FOLLOWS(rz_options, device, shm_dir);
FOLLOWS(rz_options, reserved, device);
ENDS(rz_options, reserved, 72);

FOLLOWS(rz_sampling, temperature, size);
FOLLOWS(rz_sampling, top_k, temperature);
FOLLOWS(rz_sampling, top_p, top_k);
FOLLOWS(rz_sampling, min_p, top_p);
FOLLOWS(rz_sampling, repetition_penalty, min_p);
FOLLOWS(rz_sampling, frequency_penalty, repetition_penalty);
FOLLOWS(rz_sampling, presence_penalty, frequency_penalty);
FOLLOWS(rz_sampling, flags, presence_penalty);
FOLLOWS(rz_sampling, seed, flags);
FOLLOWS(rz_sampling, min_tokens, seed);
FOLLOWS(rz_sampling, max_tokens, min_tokens);
FOLLOWS(rz_sampling, top_logprobs, max_tokens);
FOLLOWS(rz_sampling, logprobs_mode, top_logprobs);
FOLLOWS(rz_sampling, allowed_count, logprobs_mode);
FOLLOWS(rz_sampling, banned_count, allowed_count);
FOLLOWS(rz_sampling, stop_count, banned_count);
FOLLOWS(rz_sampling, bias_count, stop_count);
FOLLOWS(rz_sampling, allowed_ids, bias_count);
FOLLOWS(rz_sampling, banned_ids, allowed_ids);
FOLLOWS(rz_sampling, stop_ids, banned_ids);
FOLLOWS(rz_sampling, bias, stop_ids);
ENDS(rz_sampling, bias, 112);

FOLLOWS(rz_row, draws, logits_row);
FOLLOWS(rz_row, flags, draws);
FOLLOWS(rz_row, reserved, flags);
FOLLOWS(rz_row, sequence, reserved);
FOLLOWS(rz_row, sampling, sequence);
FOLLOWS(rz_row, prompt_ids, sampling);
FOLLOWS(rz_row, output_ids, prompt_ids);
FOLLOWS(rz_row, prompt_count, output_ids);
FOLLOWS(rz_row, output_count, prompt_count);
FOLLOWS(rz_row, position, output_count);
FOLLOWS(rz_row, bitmask, position);
ENDS(rz_row, bitmask, 72);

FOLLOWS(rz_result, status, id);
FOLLOWS(rz_result, row, status);
FOLLOWS(rz_result, rank, row);
FOLLOWS(rz_result, seed, rank);
FOLLOWS(rz_result, position, seed);
FOLLOWS(rz_result, logprob, position);
FOLLOWS(rz_result, top_count, logprob);
FOLLOWS(rz_result, top_ids, top_count);
FOLLOWS(rz_result, top_logprobs, top_ids);
ENDS(rz_result, top_logprobs, 200);

FOLLOWS(rz_batch, row_size, size);
FOLLOWS(rz_batch, result_size, row_size);
FOLLOWS(rz_batch, logits_rows, result_size);
FOLLOWS(rz_batch, row_count, logits_rows);
FOLLOWS(rz_batch, logits, row_count);
FOLLOWS(rz_batch, row_stride, logits);
FOLLOWS(rz_batch, rows, row_stride);
ENDS(rz_batch, rows, 56);

FOLLOWS(rz_counters, steps, size);
FOLLOWS(rz_counters, ids, steps);
FOLLOWS(rz_counters, tiles_scanned, ids);
FOLLOWS(rz_counters, tiles_exact, tiles_scanned);
FOLLOWS(rz_counters, mass_passes, tiles_exact);
FOLLOWS(rz_counters, bytes_gathered, mass_passes);
FOLLOWS(rz_counters, bytes_published, bytes_gathered);
FOLLOWS(rz_counters, gather_ns, bytes_published);
FOLLOWS(rz_counters, sample_ns, gather_ns);
FOLLOWS(rz_counters, publish_ns, sample_ns);
FOLLOWS(rz_counters, wait_ns, publish_ns);
FOLLOWS(rz_counters, sleeps, wait_ns);
ENDS(rz_counters, sleeps, 104);
