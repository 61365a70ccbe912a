/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/emulation/block.h"

#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "tests/emulation/fiber.h"

namespace emulation {

namespace {

enum class waits_for { nothing, block, exchange, vote, the_end };

struct thread {
    thread_place place;
    fiber own;
    waits_for what;
    /* Of what it waits for: lanes, its own part, whose part it wants, what it got. */
    uint32_t mask;
    uint64_t value;
    int source;
    uint64_t result;
};

struct machine {
    std::vector<thread> threads;
    std::vector<uint32_t> ready;           /* threads that can run, in no order */
    bool warps_race;                       /* one runs as far as it can before another does */
    uint64_t places[kMostThreads / kWarp]; /* of warps that race, first in that of the lowest */
    block_place place;
    uint32_t count;   /* threads of the block */
    uint32_t running; /* the thread that does */
    uint64_t random;
    fiber caller; /* of run_grid() */
    void (*kernel)(void *);
    void *arguments;
};

/* One for the process: a fiber that begins is told nothing. */
machine m;

/* splitmix64 */
uint32_t random_below(uint32_t limit)
{
    uint64_t z = m.random += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return static_cast<uint32_t>((z ^ z >> 31) % limit);
}

const char *name_of(waits_for what)
{
    switch (what) {
    case waits_for::nothing: return "nothing";
    case waits_for::block: return "a barrier of the block";
    case waits_for::exchange: return "a shuffle";
    case waits_for::vote: return "a vote";
    case waits_for::the_end: return "nothing any more: it has returned";
    }
    return "?";
}

[[noreturn]] void give_up(const char *why)
{
    std::fprintf(stderr, "emulated block %u, %u: %s\n", m.place.index.x, m.place.index.y, why);
    for (uint32_t t = 0; t < m.count; t++)
        std::fprintf(stderr, "  thread %u waits for %s, mask %08x\n", t, name_of(m.threads[t].what),
                     m.threads[t].mask);
    std::abort();
}

thread &self()
{
    return m.threads[m.running];
}

void make_ready(uint32_t t)
{
    m.threads[t].what = waits_for::nothing;
    m.ready.push_back(t);
}

/* From one barrier to the next either all threads are alike, so that warps stay close to each
 * other, or warps are ever so far apart. The second finds what lacks a barrier. */
void draw_places()
{
    m.warps_race = random_below(2) == 0;
    for (uint64_t &place : m.places)
        place = random_below(1u << 20);
}

uint32_t next_ready()
{
    uint32_t next = random_below(static_cast<uint32_t>(m.ready.size()));
    for (uint32_t i = 0; m.warps_race && i < m.ready.size(); i++)
        if (m.places[m.ready[i] / kWarp] < m.places[m.ready[next] / kWarp])
            next = i;
    return next;
}

uint32_t take_ready()
{
    if (m.ready.empty())
        give_up("no thread can go on");
    std::swap(m.ready[next_ready()], m.ready.back());
    const uint32_t taken = m.ready.back();
    m.ready.pop_back();
    return taken;
}

/* Run another thread, or this one again if it is ready and drawn. */
void go_on()
{
    thread &from = self();
    m.running = take_ready();
    if (&from != &self())
        fiber_switch(&from.own, &self().own);
}

/* All threads of the block are at the same barrier: each gets to know whether any said yes. */
void release_block()
{
    uint64_t any = 0;
    for (uint32_t t = 0; t < m.count; t++) {
        if (m.threads[t].what != waits_for::block)
            return;
        any |= m.threads[t].value;
    }
    draw_places();
    for (uint32_t t = 0; t < m.count; t++) {
        m.threads[t].result = any;
        make_ready(t);
    }
}

uint64_t votes_of(uint32_t warp, uint32_t mask)
{
    uint64_t votes = 0;
    for (uint32_t lane = 0; lane < kWarp; lane++)
        if ((mask >> lane & 1) != 0)
            votes |= m.threads[warp * kWarp + lane].value << lane;
    return votes;
}

/* The same for the lanes that this thread waits for. */
void release_lanes()
{
    const uint32_t warp = m.running / kWarp, mask = self().mask;
    const waits_for what = self().what;
    for (uint32_t lane = 0; lane < kWarp; lane++) {
        const thread &other = m.threads[warp * kWarp + lane];
        if ((mask >> lane & 1) != 0 && (other.what != what || other.mask != mask))
            return;
    }
    for (uint32_t lane = 0; lane < kWarp; lane++) {
        thread &other = m.threads[warp * kWarp + lane];
        if ((mask >> lane & 1) == 0)
            continue;
        if (what == waits_for::vote) {
            other.result = votes_of(warp, mask);
        } else {
            if (other.source < 0 || other.source >= 32 || (mask >> other.source & 1) == 0)
                give_up("a shuffle from a lane that takes no part");
            other.result = m.threads[warp * kWarp + static_cast<uint32_t>(other.source)].value;
        }
    }
    for (uint32_t lane = 0; lane < kWarp; lane++)
        if ((mask >> lane & 1) != 0)
            make_ready(warp * kWarp + lane);
}

uint64_t wait_for_lanes(waits_for what, uint32_t mask, uint64_t value, int source)
{
    thread &own = self();
    if ((mask >> (m.running % kWarp) & 1) == 0)
        give_up("a lane is not in its own mask");
    own.what = what;
    own.mask = mask;
    own.value = value;
    own.source = source;
    release_lanes();
    go_on();
    return own.result;
}

/* Where every thread begins and ends. */
void run_thread()
{
    fiber_begun();
    m.kernel(m.arguments);
    thread &own = self();
    own.what = waits_for::the_end;
    for (uint32_t t = 0; t < m.count; t++) {
        if (m.threads[t].what == waits_for::the_end)
            continue;
        m.running = take_ready();
        fiber_switch_for_good(&own.own, &self().own);
    }
    fiber_switch_for_good(&own.own, &m.caller);
}

void run_block(dimensions index)
{
    m.place.index = index;
    m.ready.clear();
    draw_places();
    for (uint32_t t = 0; t < m.count; t++) {
        m.threads[t].place.index = {t, 0, 0};
        m.threads[t].mask = 0;
        fiber_prepare(&m.threads[t].own, run_thread);
        make_ready(t);
    }
    m.running = take_ready();
    fiber_switch(&m.caller, &self().own);
}

} // namespace

const thread_place &this_thread()
{
    return self().place;
}

const block_place &this_block()
{
    return m.place;
}

bool wait_for_block(bool predicate)
{
    thread &own = self();
    own.what = waits_for::block;
    own.value = predicate;
    release_block();
    go_on();
    return own.result != 0;
}

uint64_t exchange_in_warp(uint32_t mask, uint64_t value, int source)
{
    return wait_for_lanes(waits_for::exchange, mask, value, source);
}

uint32_t vote_in_warp(uint32_t mask, bool predicate)
{
    return static_cast<uint32_t>(wait_for_lanes(waits_for::vote, mask, predicate, 0));
}

void let_others_run()
{
    if (random_below(4) != 0)
        return;
    make_ready(m.running);
    go_on();
}

void run_grid(dimensions grid, dimensions size, uint64_t seed, void (*kernel)(void *),
              void *arguments)
{
    if (size.x == 0 || size.x > kMostThreads || size.x % kWarp != 0)
        give_up("a block of no whole warps, or of too many");
    m.place = {{0, 0, 0}, size, grid};
    m.count = size.x;
    m.random = seed;
    m.kernel = kernel;
    m.arguments = arguments;
    while (m.threads.size() < m.count) {
        m.threads.emplace_back();
        fiber_create(&m.threads.back().own);
    }
    std::vector<dimensions> blocks;
    for (uint32_t y = 0; y < grid.y; y++)
        for (uint32_t x = 0; x < grid.x; x++)
            blocks.push_back({x, y, 0});
    for (auto left = static_cast<uint32_t>(blocks.size()); left > 0; left--) {
        std::swap(blocks[random_below(left)], blocks[left - 1]);
        run_block(blocks[left - 1]);
    }
}

} // namespace emulation
