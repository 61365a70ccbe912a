/* SPDX-License-Identifier: Apache-2.0
 *
 * transfer.h - bytes from rank to rank.
 */
#ifndef RZ_TESTS_FAKES_NCCL_TRANSFER_H
#define RZ_TESTS_FAKES_NCCL_TRANSFER_H

#include <vector>

#include "tests/fakes/nccl/room.h"

namespace fake {

/* One message of a group. Its length goes ahead of it. */
struct transfer {
    bool sends;
    int peer;
    char *memory;
    size_t bytes;
    uint64_t done;      /* of the length and the message */
    uint64_t announced; /* the length, as far as it has come */
};

/* move_on - move what can be moved of a group's messages, those of a peer in their order; whether
 * all are done. Gives up if a message has another length than is expected. */
bool move_on(room *r, int rank, std::vector<transfer> *group);

} // namespace fake

#endif
