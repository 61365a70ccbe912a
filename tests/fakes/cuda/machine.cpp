/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/cuda/memory.h"

#include <map>

namespace fake {

namespace {

struct life {
    kind what;
    CUctx_st *context;
    bool excused;
};

/* Not destroyed: the thread that works may outlive main(). */
std::map<const void *, life> &alive()
{
    static auto *all = new std::map<const void *, life>;
    return *all;
}

const char *name_of(kind what)
{
    switch (what) {
    case kind::stream: return "stream";
    case kind::event: return "event";
    case kind::module: return "module";
    case kind::graph: return "graph";
    case kind::executable_graph: return "executable graph";
    case kind::device_memory: return "device memory";
    case kind::pinned_memory: return "pinned memory";
    case kind::registered_memory: return "registered memory";
    case kind::opened_memory: return "memory of another process";
    }
    return "?";
}

} // namespace

std::mutex &machine_mutex()
{
    static auto *mutex = new std::mutex;
    return *mutex;
}

void born(const void *handle, kind what, CUctx_st *context)
{
    alive()[handle] = {what, context, false};
}

void gone(const void *handle)
{
    alive().erase(handle);
}

bool is_alive(const void *handle, kind what)
{
    const auto found = alive().find(handle);
    return found != alive().end() && found->second.what == what;
}

void expect_alive(const void *handle, kind what, const char *call)
{
    if (!is_alive(handle, what))
        give_up("%s: %p is no %s, or is one no more", call, handle, name_of(what));
}

/* What another process has open is not to be freed. */
static bool must_stay(const void *handle, kind what)
{
    if (what != kind::device_memory)
        return false;
    const block *b = find_start(reinterpret_cast<uintptr_t>(handle), what);
    return b != nullptr && is_open_elsewhere(b);
}

void expect_nothing_alive(CUctx_st *context, const char *when)
{
    if (!must_leave_nothing())
        return;
    for (const auto &one : alive())
        if (!one.second.excused && !must_stay(one.first, one.second.what) &&
            (context == nullptr || one.second.context == context))
            give_up("%s: %s %p is left", when, name_of(one.second.what), one.first);
}

void excuse(const void *handle)
{
    const auto found = alive().find(handle);
    if (found != alive().end())
        found->second.excused = true;
}

} // namespace fake
