/* SPDX-License-Identifier: Apache-2.0
 *
 * llama_chains.c - sampler chains of llama.cpp that do what rankzero's filters do.
 *
 * Python would take longer to fill llama.cpp's array of ids than some chains take to draw from it.
 * llama_sampler.py compiles this with the headers of the llama.cpp that is installed beside it, so
 * that a call that has changed is an error and not a crash.
 */
#include <llama.h>
#include <stdbool.h>

enum { PENALTY_IDS = 128 };

/* rz_llama_chain - a chain with those of these samplers that are not 0, in llama.cpp's own order;
 * temperature 0 is its greedy sampler and no other. */
struct llama_sampler *rz_llama_chain(int32_t vocab, float temperature, int32_t top_k, float top_p,
                                     float min_p, float repetition_penalty);

/* rz_llama_draw - one id from each row of `logits`, [rows][vocab]. What llama_sampler_sample() does
 * for a row, which takes its logits from a model: fill the array, apply, take, accept. `array` has
 * room for `vocab` entries, and is the same for all rows as it is there. */
void rz_llama_draw(struct llama_sampler *chain, const float *logits, int32_t rows, int32_t vocab,
                   llama_token_data *array, int32_t *ids);

struct llama_sampler *rz_llama_chain(int32_t vocab, float temperature, int32_t top_k, float top_p,
                                     float min_p, float repetition_penalty)
{
    struct llama_sampler *chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
    if (temperature <= 0.0f) {
        llama_sampler_chain_add(chain, llama_sampler_init_greedy());
        return chain;
    }
    if (repetition_penalty > 0.0f)
        llama_sampler_chain_add(
            chain, llama_sampler_init_penalties(vocab, PENALTY_IDS, repetition_penalty, 0, 0));
    if (top_k > 0)
        llama_sampler_chain_add(chain, llama_sampler_init_top_k(top_k));
    if (top_p > 0.0f)
        llama_sampler_chain_add(chain, llama_sampler_init_top_p(top_p, 1));
    if (min_p > 0.0f)
        llama_sampler_chain_add(chain, llama_sampler_init_min_p(min_p, 1));
    llama_sampler_chain_add(chain, llama_sampler_init_temp(temperature));
    llama_sampler_chain_add(chain, llama_sampler_init_dist(1));
    /* A prompt of ids that are spread over the vocabulary, for the penalties to find. */
    for (uint32_t i = 0; i < PENALTY_IDS; i++)
        llama_sampler_accept(chain, (llama_token)(i * 2654435761u % (uint32_t)vocab));
    return chain;
}

void rz_llama_draw(struct llama_sampler *chain, const float *logits, int32_t rows, int32_t vocab,
                   llama_token_data *array, int32_t *ids)
{
    for (int32_t row = 0; row < rows; row++, logits += vocab) {
        for (llama_token id = 0; id < vocab; id++)
            array[id] = (llama_token_data){id, logits[id], 0.0f};
        llama_token_data_array candidates = {array, (size_t)vocab, -1, false};
        llama_sampler_apply(chain, &candidates);
        ids[row] = candidates.data[candidates.selected].id;
        llama_sampler_accept(chain, ids[row]);
    }
}
