/* SPDX-License-Identifier: Apache-2.0
 *
 * test_orders.cpp - are the memory orders of the ring enough, and is each of them needed?
 *
 * Relacy runs small programs in its model of C++'s memory, which is C11's: loads may return old
 * values, as far as the orders allow it. A program for each pair of docs/ring.md, with the
 * operations of ipc/ring.c and ipc/wait.c and their orders. As it is it must pass; with the order
 * of any one operation weakened it must fail. A test takes the same turns each time.
 */
#include <relacy/relacy.hpp>

#include <cstdio>
#include <ostream>

namespace {

using rl::memory_order;
using rl::mo_acq_rel;
using rl::mo_acquire;
using rl::mo_relaxed;
using rl::mo_release;
using rl::mo_seq_cst;

/* The order of operation `op`, or what it is weakened to if that is the one. */
template <int weakened>
memory_order order(int op, memory_order right, memory_order weak = mo_relaxed)
{
    return op == weakened ? weak : right;
}

/* Pairs 1 and 3: two records through one slot. The payload is not atomic here: Relacy reports a use
 * that does not happen after the other side's, of which a load that sees too much is one. */
template <int weakened>
struct message : rl::test_suite<message<weakened>, 2> {
    enum { TAIL_STORE, TAIL_LOAD, CURSOR_STORE, CURSOR_LOAD, OPERATIONS };
    rl::atomic<int> tail, cursor;
    rl::var<int> word;

    void before()
    {
        tail.store(0, mo_relaxed, $);
        cursor.store(0, mo_relaxed, $);
        word($) = 0;
    }
    void thread(unsigned index)
    {
        rl::linear_backoff wait;
        for (int n = 1; n <= 2; n++) {
            if (index == 0) { /* wait_for_seat(), rz_ring_publish() */
                while (cursor.load(order<weakened>(CURSOR_LOAD, mo_acquire), $) != n - 1)
                    wait.yield($);
                word($) = n;
                tail.store(n, order<weakened>(TAIL_STORE, mo_seq_cst), $);
            } else { /* rz_ring_consume() */
                while (tail.load(order<weakened>(TAIL_LOAD, mo_acquire), $) != n)
                    wait.yield($);
                RL_ASSERT(word($) == n);
                cursor.store(n, order<weakened>(CURSOR_STORE, mo_seq_cst), $);
            }
        }
    }
};

/* Pair 2: a record is overwritten while an evicted consumer reads it. */
template <int weakened>
struct overwritten : rl::test_suite<overwritten<weakened>, 2> {
    enum { STAMP_STORE, WORD_STORE, STAMP_LOAD, WORD_LOAD, OPERATIONS };
    rl::atomic<int> stamp, words[2];

    void publish(int n)
    {
        stamp.store(0, mo_relaxed, $);
        for (auto &word : words)
            word.store(n, order<weakened>(WORD_STORE, mo_release), $);
        stamp.store(n, order<weakened>(STAMP_STORE, mo_release), $);
    }
    void before()
    {
        stamp.store(0, mo_relaxed, $);
        for (auto &word : words)
            word.store(0, mo_relaxed, $);
    }
    void thread(unsigned index)
    {
        if (index == 0) {
            publish(1);
            publish(2);
            return;
        }
        const int first = stamp.load(order<weakened>(STAMP_LOAD, mo_acquire), $);
        int read[2];
        for (int i = 0; i < 2; i++)
            read[i] = words[i].load(order<weakened>(WORD_LOAD, mo_acquire), $);
        if (first != 0 && stamp.load(mo_relaxed, $) == first)
            RL_ASSERT(read[0] == first && read[1] == first);
    }
};

/* Pair 4: the waiter says that it sleeps, then looks at the word; the waker stores the word, then
 * looks who sleeps. */
template <int weakened>
struct wake : rl::test_suite<wake<weakened>, 2> {
    enum { BIT_SET, WORD_LOAD, WORD_STORE, BIT_LOAD, OPERATIONS };
    rl::atomic<int> word, sleepers;
    rl::var<int> sleeps, wakes;

    void before()
    {
        word.store(0, mo_relaxed, $);
        sleepers.store(0, mo_relaxed, $);
    }
    void thread(unsigned index)
    {
        if (index == 0) { /* sleep_on() */
            sleepers.fetch_or(1, order<weakened>(BIT_SET, mo_seq_cst, mo_acq_rel), $);
            sleeps($) = word.load(order<weakened>(WORD_LOAD, mo_seq_cst, mo_acquire), $) == 0;
        } else { /* rz_wake() */
            word.store(1, order<weakened>(WORD_STORE, mo_seq_cst, mo_release), $);
            wakes($) = sleepers.load(order<weakened>(BIT_LOAD, mo_seq_cst, mo_acquire), $) != 0;
        }
    }
    void after()
    {
        RL_ASSERT(!sleeps($) || wakes($));
    }
};

/* Pair 5: a consumer says that it comes, then reads where to start; the producer stores the tail,
 * then looks who is there before it goes on. */
template <int weakened>
struct come : rl::test_suite<come<weakened>, 2> {
    enum { SEAT_STORE, TAIL_LOAD, TAIL_STORE, SEAT_LOAD, OPERATIONS };
    rl::atomic<int> seat, tail;
    rl::var<int> start, counted;

    void before()
    {
        seat.store(0, mo_relaxed, $);
        tail.store(0, mo_relaxed, $);
    }
    void thread(unsigned index)
    {
        if (index == 0) { /* rz_ring_join() */
            seat.store(1, order<weakened>(SEAT_STORE, mo_seq_cst, mo_release), $);
            start($) = tail.load(order<weakened>(TAIL_LOAD, mo_seq_cst, mo_acquire), $);
        } else { /* rz_ring_publish(), then wait_for_consumer() */
            tail.store(1, order<weakened>(TAIL_STORE, mo_seq_cst, mo_release), $);
            counted($) = seat.load(order<weakened>(SEAT_LOAD, mo_seq_cst, mo_acquire), $);
        }
    }
    void after()
    {
        RL_ASSERT(counted($) || start($) == 1);
    }
};

template <typename Test>
bool holds()
{
    std::ostream nowhere(nullptr);
    rl::test_params params;
    params.iteration_count = 100000;
    params.output_stream = &nowhere;
    params.progress_stream = &nowhere;
    return rl::simulate<Test>(params);
}

int mistakes = 0;

void expect(bool as_expected, const char *name, int weakened, const char *outcome)
{
    if (weakened < 0)
        std::printf("%s: %s%s\n", name, outcome, as_expected ? "" : "  <-- WRONG");
    else
        std::printf("%s, operation %d weakened: %s%s\n", name, weakened, outcome,
                    as_expected ? "" : "  <-- WRONG");
    mistakes += !as_expected;
}

template <template <int> class Program, int weakened>
void try_weakened(const char *name)
{
    if constexpr (weakened < Program<-1>::OPERATIONS) {
        const bool passes = holds<Program<weakened>>();
        expect(!passes, name, weakened, passes ? "holds" : "fails");
        try_weakened<Program, weakened + 1>(name);
    }
}

template <template <int> class Program>
void try_all(const char *name)
{
    const bool passes = holds<Program<-1>>();
    expect(passes, name, -1, passes ? "holds" : "fails");
    try_weakened<Program, 0>(name);
}

} // namespace

int main()
{
    try_all<message>("message passing and the slot again");
    try_all<overwritten>("overwritten while read");
    try_all<wake>("no wake is lost");
    try_all<come>("who comes late");
    return mistakes != 0;
}
