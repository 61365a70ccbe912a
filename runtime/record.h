/* SPDX-License-Identifier: Apache-2.0
 *
 * record.h - what rank 0 puts into the ring for each step.
 */
#ifndef RZ_RUNTIME_RECORD_H
#define RZ_RUNTIME_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "internal/error.h"
#include "runtime/options.h"

enum { RZ_RECORD_IDS = 1 }; /* type of the record in the ring */

/* Slots of the ring. One record is under way at most: a rank posts step s + 1 only after it has the
 * ids of step s, so all have read them when rank 0 has the logits to draw the next. More than one
 * slot only spares rank 0 work: it looks at the cursors of all ranks once in so many steps. */
enum { RZ_RECORD_SLOTS = 16 };

struct rz_record {
    uint64_t step;
    uint32_t count;
    uint32_t reserved;
    int32_t ids[]; /* [count], -1 where no token was drawn */
};

static inline size_t rz_record_bytes(uint32_t count)
{
    return offsetof(struct rz_record, ids) + count * sizeof(int32_t);
}

/* rz_record_check - RZ_E_CORRUPT unless `record`, received with `type` and `bytes`, is one that
 * rank 0 of this job could have written for `step`. */
static inline int rz_record_check(const struct rz_record *record, uint32_t type, size_t bytes,
                                  uint64_t step, const struct rz_plan *plan, struct rz_error *err)
{
    if (type != RZ_RECORD_IDS || bytes < rz_record_bytes(0) || record->count > plan->max_rows ||
        bytes != rz_record_bytes(record->count))
        return rz_fail(err, RZ_E_CORRUPT, 0, 0,
                       "expected a record of ids, got one of type %u with %zu bytes", type, bytes);
    if (record->step != step)
        return rz_fail(err, RZ_E_CORRUPT, 0, 0, "ids: expected those of step %llu, got step %llu",
                       (unsigned long long)step, (unsigned long long)record->step);
    for (uint32_t i = 0; i < record->count; i++)
        if (record->ids[i] < -1 || record->ids[i] >= (int32_t)plan->vocab_size)
            return rz_fail(err, RZ_E_CORRUPT, 0, 0, "ids: expected -1 to %u, got %d",
                           plan->vocab_size - 1, (int)record->ids[i]);
    return RZ_OK;
}

#endif
