/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/cuda/stream.h"

#include "tests/fakes/cuda/calls.h"
#include "tests/fakes/cuda/memory.h"

namespace fake {

namespace {

/* CU_STREAM_LEGACY is another name of NULL. */
bool names_legacy(rz_cuda_stream stream)
{
    return stream == nullptr || reinterpret_cast<uintptr_t>(stream) == 1;
}

std::set<CUstream_st *> &streams()
{
    static auto *all = new std::set<CUstream_st *>;
    return *all;
}

int note(CUstream_st *stream, task what)
{
    capture &c = *stream->capture;
    if (c.invalid)
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    std::set<size_t> after = stream->tips;
    if (what.of != nullptr && what.is_queue) {
        const auto last = c.queues.find(what.of);
        if (last != c.queues.end())
            after.insert(last->second);
        c.queues[what.of] = c.nodes.size();
    }
    stream->tips = {c.nodes.size()};
    c.nodes.push_back({std::move(what), std::move(after), nullptr});
    return CUDA_SUCCESS;
}

} // namespace

std::vector<work_ref> last_of(const CUstream_st *stream)
{
    std::vector<work_ref> after = {stream->last};
    if (stream->is_legacy) {
        for (const CUstream_st *other : streams())
            if (other->context == stream->context && other->blocks)
                after.push_back(other->last);
    } else if (stream->blocks) {
        after.push_back(stream->context->legacy->last);
    }
    return after;
}

void leave_capture(const std::shared_ptr<capture> &c)
{
    for (CUstream_st *stream : streams()) {
        if (stream->capture != c)
            continue;
        stream->capture = nullptr;
        stream->tips.clear();
    }
    c->origin = nullptr;
}

work_ref &last_of_queue(const void *queue)
{
    static auto *last = new std::map<const void *, work_ref>;
    return (*last)[queue];
}

CUstream_st *find_stream(rz_cuda_stream stream, const char *call)
{
    if (names_legacy(stream))
        return current_context()->legacy;
    expect_alive(stream, kind::stream, call);
    return stream;
}

int refuse_implicit(CUstream_st *stream)
{
    if (!stream->is_legacy)
        return CUDA_SUCCESS;
    for (const CUstream_st *other : streams()) {
        if (other->context != stream->context || !other->blocks || other->capture == nullptr)
            continue;
        other->capture->invalid = true;
        return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    }
    return CUDA_SUCCESS;
}

int refuse_if_capturing(CUstream_st *stream)
{
    if (stream->capture == nullptr)
        return refuse_implicit(stream);
    stream->capture->invalid = true;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

int enqueue_after(CUstream_st *stream, task what, std::vector<work_ref> after)
{
    if (stream->capture != nullptr)
        return note(stream, std::move(what));
    if (const int code = refuse_implicit(stream))
        return code;
    for (const work_ref &one : last_of(stream))
        after.push_back(one);
    const void *queue = what.is_queue ? what.of : nullptr;
    if (queue != nullptr)
        after.push_back(last_of_queue(queue));
    stream->last = add_work(stream->context, std::move(what), std::move(after));
    if (queue != nullptr)
        last_of_queue(queue) = stream->last;
    return CUDA_SUCCESS;
}

int enqueue(CUstream_st *stream, task what)
{
    return enqueue_after(stream, std::move(what), {});
}

} // namespace fake

using namespace fake;

int cuStreamCreate(rz_cuda_stream *stream, unsigned flags)
{
    return call(needs::context, [&](guard &) {
        if (flags > 1)
            return CUDA_ERROR_INVALID_VALUE;
        CUctx_st *context = current_context();
        *stream = new CUstream_st{context, false, flags != RZ_CUDA_STREAM_NON_BLOCKING, {}, {}, {}};
        streams().insert(*stream);
        born(*stream, kind::stream, context);
        return CUDA_SUCCESS;
    });
}

/* Its work is done nevertheless. */
int cuStreamDestroy_v2(rz_cuda_stream stream)
{
    return destroy(stream, [&](guard &) {
        if (stream == nullptr)
            return CUDA_ERROR_INVALID_HANDLE;
        expect_alive(stream, kind::stream, "cuStreamDestroy");
        if (stream->capture != nullptr)
            give_up("cuStreamDestroy: the stream captures");
        streams().erase(stream);
        gone(stream);
        delete stream;
        return CUDA_SUCCESS;
    });
}

int cuStreamQuery(rz_cuda_stream stream)
{
    return query([&](guard &) -> int {
        CUstream_st *s = find_stream(stream, "cuStreamQuery");
        if (const int code = refuse_if_capturing(s))
            return code;
        for (const work_ref &one : last_of(s))
            if (!is_done(one))
                return CUDA_ERROR_NOT_READY;
        for (const work_ref &one : last_of(s))
            know(one);
        return s->context->failure;
    });
}

int cuStreamSynchronize(rz_cuda_stream stream)
{
    return call(needs::context, [&](guard &lock) -> int {
        CUstream_st *s = find_stream(stream, "cuStreamSynchronize");
        if (const int code = refuse_if_capturing(s))
            return code;
        CUctx_st *context = s->context;
        for (const work_ref &one : last_of(s))
            wait_for(one, lock);
        return context->failure;
    });
}

int cuStreamGetCtx(rz_cuda_stream stream, rz_cuda_context *context)
{
    return call(needs::context, [&](guard &) {
        *context = find_stream(stream, "cuStreamGetCtx")->context;
        return CUDA_SUCCESS;
    });
}

int cuStreamWaitValue32_v2(rz_cuda_stream stream, rz_cuda_ptr address, uint32_t value,
                           unsigned flags)
{
    return call(needs::context, [&](guard &) -> int {
        CUstream_st *s = find_stream(stream, "cuStreamWaitValue32");
        if (address % 4 != 0 || find_block(address, 4) == nullptr)
            return CUDA_ERROR_INVALID_VALUE;
        if (flags != RZ_CUDA_WAIT_AT_LEAST)
            give_up("cuStreamWaitValue32: the double has no flags %#x", flags);
        const auto *word = reinterpret_cast<const uint32_t *>(address);
        const auto poll = [word, value] {
            const uint32_t now = __atomic_load_n(word, __ATOMIC_ACQUIRE);
            return static_cast<int32_t>(now - value) >= 0 ? FAKE_CUDA_DONE : FAKE_CUDA_NOT_YET;
        };
        return enqueue(
            s,
            {"cuStreamWaitValue32", poll, {{use::unknown, address, address + 4}}, nullptr, false});
    });
}

namespace {

/* A plan of another library, released with the last copy of the work. */
struct foreign {
    fake_cuda_work work;
    explicit foreign(const fake_cuda_work &w) : work(w) {}
    foreign(const foreign &) = delete;
    foreign &operator=(const foreign &) = delete;
    ~foreign()
    {
        work.release(work.plan);
    }
};

} // namespace

extern "C" FAKE_CUDA_VISIBLE int fake_cuda_enqueue(rz_cuda_stream stream,
                                                   const fake_cuda_work *work)
{
    const auto owned = std::make_shared<foreign>(*work);
    const guard lock(machine_mutex());
    if (current_context() == nullptr)
        return CUDA_ERROR_INVALID_CONTEXT;
    CUstream_st *s = find_stream(stream, work->name);
    task what = {work->name, {}, {}, work->queue, true};
    for (size_t i = 0; i < work->range_count; i++) {
        const fake_cuda_range &r = work->ranges[i];
        const auto begin = reinterpret_cast<uintptr_t>(r.begin);
        what.uses.push_back({r.writes != 0 ? use::writes : use::reads, begin, begin + r.bytes});
    }
    what.run = [owned, run = static_cast<void *>(nullptr)]() mutable {
        return static_cast<fake_cuda_progress>(owned->work.poll(owned->work.plan, &run));
    };
    return s->context->failure != CUDA_SUCCESS ? s->context->failure : enqueue(s, std::move(what));
}
