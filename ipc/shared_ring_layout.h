/* SPDX-License-Identifier: Apache-2.0
 *
 * shared_ring_layout.h - where what lies in a shared ring's segment, for who only looks at it.
 */
#ifndef RZ_IPC_SHARED_RING_LAYOUT_H
#define RZ_IPC_SHARED_RING_LAYOUT_H

#include <stdbool.h>

#include "internal/size_math.h"
#include "ipc/shared_ring.h"

#define RZ_SHARED_RING_MAGIC UINT64_C(0x3130474E49525A52) /* "RZRING01" */

static inline struct rz_shared_ring_layout
rz_shared_ring_lay_out(const struct rz_shared_ring_shape *shape)
{
    const size_t page = rz_segment_page_bytes();
    struct rz_shared_ring_layout at = {.control = page};
    at.bells = at.control + rz_round_up(sizeof(struct rz_shared_ring_control), page);
    at.ring_control = at.bells + (shape->places + 1) * rz_bell_bytes();
    at.ring_data = at.ring_control + rz_round_up(rz_ring_control_bytes(shape->places + 1), page);
    at.total =
        at.ring_data + rz_round_up(rz_ring_data_bytes(shape->slots, shape->record_bytes), page);
    return at;
}

static inline bool rz_shared_ring_is_sound(const struct rz_shared_ring_shape *shape)
{
    return shape->magic == RZ_SHARED_RING_MAGIC && shape->first_sequence > 0 && shape->slots > 0 &&
           (shape->slots & (shape->slots - 1)) == 0 && shape->slots <= RZ_SHARED_RING_SLOTS &&
           shape->record_bytes > 0 && shape->record_bytes <= RZ_SHARED_RING_RECORD_BYTES &&
           shape->places > 0 && shape->places <= RZ_SHARED_RING_CONSUMERS &&
           (shape->flags & ~RZ_SHARED_RING_EVICT) == 0;
}

#endif
