/* SPDX-License-Identifier: Apache-2.0
 *
 * graph.cpp - captures, and the graphs that they become.
 */
#include <algorithm>

#include "tests/fakes/cuda/calls.h"
#include "tests/fakes/cuda/memory.h"
#include "tests/fakes/cuda/stream.h"

struct CUgraph_st {
    std::vector<fake::node> nodes;
};

struct CUgraphExec_st {
    std::vector<fake::node> nodes;
    fake::work_ref last; /* the end of its last run: the next begins after it */
};

namespace fake {

namespace {

enum mode { global, thread_local_mode, relaxed };

std::vector<std::shared_ptr<capture>> &captures()
{
    static auto *all = new std::vector<std::shared_ptr<capture>>;
    return *all;
}

/* Has all work in it been joined by the stream where it began? */
bool has_unjoined_work(const capture &c, const std::set<size_t> &tips)
{
    std::set<size_t> joined, left = tips;
    while (!left.empty()) {
        const size_t index = *left.begin();
        left.erase(left.begin());
        if (joined.insert(index).second)
            left.insert(c.nodes[index].after.begin(), c.nodes[index].after.end());
    }
    return joined.size() != c.nodes.size();
}

/* The work of a run, in the order of the nodes: each comes after earlier ones only. */
work_ref launch(const std::vector<node> &nodes, CUstream_st *stream,
                const std::vector<work_ref> &after)
{
    std::vector<work_ref> made;
    std::vector<work_ref> ends = after;
    for (const node &n : nodes) {
        expect_usable(n.what);
        std::vector<work_ref> before = after;
        for (const size_t index : n.after)
            before.push_back(made[index]);
        if (n.what.is_queue)
            before.push_back(last_of_queue(n.what.of));
        made.push_back(add_work(stream->context, n.what, before));
        if (n.what.is_queue)
            last_of_queue(n.what.of) = made.back();
        if (n.event != nullptr) {
            expect_alive(n.event, kind::event, "cuGraphLaunch");
            n.event->record = made.back();
        }
        ends.push_back(made.back());
    }
    return add_work(stream->context,
                    {"the end of a graph", [] { return FAKE_CUDA_DONE; }, {}, nullptr, false},
                    ends);
}

} // namespace

namespace {

thread_local int mode_of_thread = global;

} // namespace

int refuse_in_capture()
{
    int code = CUDA_SUCCESS;
    if (mode_of_thread == relaxed)
        return code;
    const auto is_over = [](const std::shared_ptr<capture> &c) { return c->origin == nullptr; };
    captures().erase(std::remove_if(captures().begin(), captures().end(), is_over),
                     captures().end());
    for (const auto &c : captures()) {
        const bool own = c->thread == std::this_thread::get_id() && c->mode != relaxed;
        if (!own && c->mode != global)
            continue;
        c->invalid = true;
        code = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    return code;
}

} // namespace fake

using namespace fake;

int cuThreadExchangeStreamCaptureMode(int *mode)
{
    return call_on_stack([&](guard &) {
        if (*mode < global || *mode > relaxed)
            return CUDA_ERROR_INVALID_VALUE;
        std::swap(*mode, mode_of_thread);
        return CUDA_SUCCESS;
    });
}

int cuStreamBeginCapture_v2(rz_cuda_stream stream, int mode)
{
    return call(needs::context, [&](guard &) {
        CUstream_st *s = find_stream(stream, "cuStreamBeginCapture");
        if (mode < global || mode > relaxed)
            return CUDA_ERROR_INVALID_VALUE;
        if (s->is_legacy)
            return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
        if (s->capture != nullptr)
            return CUDA_ERROR_ILLEGAL_STATE;
        s->capture =
            std::make_shared<capture>(capture{s, mode, std::this_thread::get_id(), false, {}, {}});
        s->tips.clear();
        captures().push_back(s->capture);
        return CUDA_SUCCESS;
    });
}

/* However it ends, it has ended: also when it is made to fail, as the real one does. */
int cuStreamEndCapture(rz_cuda_stream stream, rz_cuda_graph *graph)
{
    const guard lock(machine_mutex());
    const int failure = begin_call(needs::context);
    if (current_context() == nullptr)
        return failure;
    CUstream_st *s = find_stream(stream, "cuStreamEndCapture");
    const std::shared_ptr<capture> c = s->capture;
    *graph = nullptr;
    if (c == nullptr)
        return failure != CUDA_SUCCESS ? failure : CUDA_ERROR_ILLEGAL_STATE;
    if (c->origin != s) {
        c->invalid = true;
        return failure != CUDA_SUCCESS ? failure : CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
    }
    if (c->mode != relaxed && c->thread != std::this_thread::get_id()) {
        c->invalid = true;
        return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
    }
    const bool unjoined = has_unjoined_work(*c, s->tips);
    leave_capture(c);
    if (failure != CUDA_SUCCESS)
        return failure;
    if (c->invalid)
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    if (unjoined)
        return CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
    *graph = new CUgraph_st{std::move(c->nodes)};
    born(*graph, kind::graph, s->context);
    return CUDA_SUCCESS;
}

int cuStreamIsCapturing(rz_cuda_stream stream, int *status)
{
    return call(needs::context, [&](guard &) -> int {
        CUstream_st *s = find_stream(stream, "cuStreamIsCapturing");
        if (const int code = refuse_implicit(s))
            return code;
        constexpr int kInvalid = 2; /* CU_STREAM_CAPTURE_STATUS_INVALIDATED */
        *status = s->capture == nullptr ? RZ_CUDA_NOT_CAPTURING
                  : s->capture->invalid ? kInvalid
                                        : RZ_CUDA_CAPTURING;
        return CUDA_SUCCESS;
    });
}

int cuGraphInstantiateWithFlags(rz_cuda_graph_exec *exec, rz_cuda_graph graph,
                                unsigned long long flags)
{
    return call(needs::context, [&](guard &) {
        expect_alive(graph, kind::graph, "cuGraphInstantiate");
        if (flags != 0)
            give_up("cuGraphInstantiate: the double has no flags %#llx", flags);
        *exec = new CUgraphExec_st{graph->nodes, nullptr};
        born(*exec, kind::executable_graph, current_context());
        return CUDA_SUCCESS;
    });
}

int cuGraphLaunch(rz_cuda_graph_exec exec, rz_cuda_stream stream)
{
    return call(needs::context, [&](guard &) -> int {
        expect_alive(exec, kind::executable_graph, "cuGraphLaunch");
        CUstream_st *s = find_stream(stream, "cuGraphLaunch");
        if (s->capture != nullptr)
            give_up("cuGraphLaunch: the double has no graphs in graphs");
        if (const int code = refuse_implicit(s))
            return code;
        std::vector<work_ref> after = last_of(s);
        after.push_back(exec->last);
        exec->last = s->last = launch(exec->nodes, s, after);
        return CUDA_SUCCESS;
    });
}

int cuGraphExecDestroy(rz_cuda_graph_exec exec)
{
    return destroy(exec, [&](guard &) {
        if (exec == nullptr)
            return CUDA_ERROR_INVALID_VALUE;
        expect_alive(exec, kind::executable_graph, "cuGraphExecDestroy");
        gone(exec);
        delete exec;
        return CUDA_SUCCESS;
    });
}

int cuGraphDestroy(rz_cuda_graph graph)
{
    return destroy(graph, [&](guard &) {
        if (graph == nullptr)
            return CUDA_ERROR_INVALID_VALUE;
        expect_alive(graph, kind::graph, "cuGraphDestroy");
        gone(graph);
        delete graph;
        return CUDA_SUCCESS;
    });
}
