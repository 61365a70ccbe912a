/* SPDX-License-Identifier: Apache-2.0
 *
 * stream.h - streams, and what they capture.
 */
#ifndef RZ_TESTS_FAKES_CUDA_STREAM_H
#define RZ_TESTS_FAKES_CUDA_STREAM_H

#include <map>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "tests/fakes/cuda/work.h"

namespace fake {

/* Work that is not done but noted. `after`: indices of nodes before this one. */
struct node {
    task what;
    std::set<size_t> after;
    CUevent_st *event; /* that it records, outside of the graph; or nullptr */
};

struct capture {
    CUstream_st *origin; /* nullptr: it is over */
    int mode;
    std::thread::id thread;
    bool invalid;
    std::vector<node> nodes;
    std::map<const void *, size_t> queues; /* the last node of each */
};

} // namespace fake

struct CUstream_st {
    CUctx_st *context;
    bool is_legacy, blocks; /* blocks: in order with the legacy one */
    fake::work_ref last;
    std::shared_ptr<fake::capture> capture; /* while it captures */
    std::set<size_t> tips;                  /* nodes that its next one comes after */
};

struct CUevent_st {
    CUctx_st *context;
    bool timed;
    fake::work_ref record;                  /* the last; nullptr: none */
    std::shared_ptr<fake::capture> capture; /* that it was last recorded in */
    std::set<size_t> tips;
};

namespace fake {

/* find_stream - of the current context where it is NULL. Gives up if there is none of this handle.
 */
CUstream_st *find_stream(rz_cuda_stream stream, const char *call);

/* enqueue - do it in this stream's turn, or note it where that captures. A CUresult. */
int enqueue(CUstream_st *stream, task what);

/* The same, with more that it comes after. */
int enqueue_after(CUstream_st *stream, task what, std::vector<work_ref> after);

/* refuse_in_capture - for calls that must not be made while this thread, or anyone in global mode,
 * captures: the code, CUDA_SUCCESS if nobody does. */
int refuse_in_capture();

/* The same for what would need this stream's work to be done. */
int refuse_if_capturing(CUstream_st *stream);

/* The legacy stream would have to wait for a stream that captures. */
int refuse_implicit(CUstream_st *stream);

/* leave_capture - it has ended: no stream notes work in it any more. */
void leave_capture(const std::shared_ptr<capture> &c);

/* What work of a stream comes after: its own last, and where the legacy stream is concerned that of
 * all that are in order with it. */
std::vector<work_ref> last_of(const CUstream_st *stream);

/* The last work of a queue. */
work_ref &last_of_queue(const void *queue);

} // namespace fake

#endif
