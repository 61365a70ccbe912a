/* SPDX-License-Identifier: Apache-2.0
 *
 * sample_plan.c - fill steps with draws in order of rows and positions.
 */
#include "tools/sample_plan.h"

enum {
    STEP_BYTES = 32 << 20, /* of logits: half of the /dev/shm that Docker gives a container */
    STEP_ROWS = 4096,
    ROW_OVERHEAD = 64 * 64, /* bytes: each of 64 ranks rounds its row up to a cache line */
};

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint32_t rz_sample_step_size(const struct rz_sample_input *input)
{
    const uint64_t row_bytes = (uint64_t)input->columns * input->logits.item_bytes + ROW_OVERHEAD;
    const uint64_t rows = STEP_BYTES > row_bytes ? STEP_BYTES / row_bytes : 1;
    return (uint32_t)least(least(rows, STEP_ROWS), input->draws);
}

uint32_t rz_sample_step_next(const struct rz_sample_input *input, struct rz_sample_cursor *cursor,
                             uint32_t capacity, struct rz_piece *pieces)
{
    uint32_t count = 0;
    while (capacity > 0 && cursor->row < input->row_count) {
        const uint64_t left = input->rows[cursor->row].count - cursor->first;
        struct rz_piece *piece = &pieces[count++];
        *piece = (struct rz_piece){cursor->row, (uint32_t)least(left, capacity), cursor->first};
        capacity -= piece->count;
        cursor->first += piece->count;
        if (piece->count == left)
            *cursor = (struct rz_sample_cursor){cursor->row + 1, 0};
    }
    return count;
}
