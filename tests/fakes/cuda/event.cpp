/* SPDX-License-Identifier: Apache-2.0
 *
 * event.cpp - points in a stream.
 */
#include "tests/fakes/cuda/calls.h"
#include "tests/fakes/cuda/stream.h"

using namespace fake;

namespace {

fake_cuda_progress do_nothing()
{
    return FAKE_CUDA_DONE;
}

/* The stream goes on after the event, in the capture that the event is part of. */
int join_capture(CUstream_st *stream, CUevent_st *event)
{
    if (stream->capture != nullptr && stream->capture != event->capture) {
        stream->capture->invalid = event->capture->invalid = true;
        return CUDA_ERROR_STREAM_CAPTURE_MERGE;
    }
    if (event->capture->invalid)
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    stream->capture = event->capture;
    stream->tips.insert(event->tips.begin(), event->tips.end());
    return CUDA_SUCCESS;
}

bool is_being_captured(const CUevent_st *event)
{
    return event->capture != nullptr && event->capture->origin != nullptr;
}

} // namespace

int cuEventCreate(rz_cuda_event *event, unsigned flags)
{
    return call(needs::context, [&](guard &) {
        if (flags > 7)
            return CUDA_ERROR_INVALID_VALUE;
        CUctx_st *context = current_context();
        *event = new CUevent_st{context, (flags & RZ_CUDA_EVENT_NO_TIMING) == 0, {}, {}, {}};
        born(*event, kind::event, context);
        return CUDA_SUCCESS;
    });
}

int cuEventDestroy_v2(rz_cuda_event event)
{
    return destroy(event, [&](guard &) {
        if (event == nullptr)
            return CUDA_ERROR_INVALID_HANDLE;
        expect_alive(event, kind::event, "cuEventDestroy");
        gone(event);
        delete event;
        return CUDA_SUCCESS;
    });
}

int cuEventRecordWithFlags(rz_cuda_event event, rz_cuda_stream stream, unsigned flags)
{
    return call(needs::context, [&](guard &) -> int {
        expect_alive(event, kind::event, "cuEventRecord");
        CUstream_st *s = find_stream(stream, "cuEventRecord");
        const bool external = flags == RZ_CUDA_EVENT_RECORD_EXTERNAL;
        if (s->context != event->context)
            return CUDA_ERROR_INVALID_HANDLE;
        if (flags > RZ_CUDA_EVENT_RECORD_EXTERNAL || (external && s->capture == nullptr))
            return CUDA_ERROR_INVALID_VALUE;
        if (s->capture != nullptr && !external) {
            if (s->capture->invalid)
                return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
            event->record = nullptr;
            event->capture = s->capture;
            event->tips = s->tips;
            return CUDA_SUCCESS;
        }
        const int code = enqueue(s, {"cuEventRecord", do_nothing, {}, nullptr, false});
        if (code != CUDA_SUCCESS)
            return code;
        if (external) { /* each run of the graph records it */
            s->capture->nodes.back().event = event;
            return CUDA_SUCCESS;
        }
        event->record = s->last;
        event->capture = nullptr;
        return CUDA_SUCCESS;
    });
}

int cuEventRecord(rz_cuda_event event, rz_cuda_stream stream)
{
    return cuEventRecordWithFlags(event, stream, 0);
}

int cuStreamWaitEvent(rz_cuda_stream stream, rz_cuda_event event, unsigned flags)
{
    return call(needs::context, [&](guard &) -> int {
        expect_alive(event, kind::event, "cuStreamWaitEvent");
        CUstream_st *s = find_stream(stream, "cuStreamWaitEvent");
        if (flags != 0)
            return CUDA_ERROR_INVALID_VALUE;
        if (is_being_captured(event))
            return s->is_legacy ? refuse_implicit(s) : join_capture(s, event);
        if (event->record == nullptr)
            return CUDA_SUCCESS;
        if (s->capture != nullptr) {
            s->capture->invalid = true;
            return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
        }
        return enqueue_after(s, {"cuStreamWaitEvent", do_nothing, {}, nullptr, false},
                             {event->record});
    });
}

int cuEventQuery(rz_cuda_event event)
{
    return query([&](guard &) -> int {
        expect_alive(event, kind::event, "cuEventQuery");
        if (is_being_captured(event)) {
            event->capture->invalid = true;
            return CUDA_ERROR_CAPTURED_EVENT;
        }
        if (const int code = refuse_in_capture())
            return code;
        if (!is_done(event->record))
            return CUDA_ERROR_NOT_READY;
        know(event->record);
        return event->context->failure;
    });
}

int cuEventElapsedTime(float *milliseconds, rz_cuda_event from, rz_cuda_event to)
{
    return call(needs::context, [&](guard &) -> int {
        expect_alive(from, kind::event, "cuEventElapsedTime");
        expect_alive(to, kind::event, "cuEventElapsedTime");
        if (!from->timed || !to->timed || from->record == nullptr || to->record == nullptr)
            return CUDA_ERROR_INVALID_HANDLE;
        if (!is_done(from->record) || !is_done(to->record))
            return CUDA_ERROR_NOT_READY;
        *milliseconds = static_cast<float>(static_cast<double>(to->record->done_ns) -
                                           static_cast<double>(from->record->done_ns)) /
                        1e6F;
        return CUDA_SUCCESS;
    });
}
