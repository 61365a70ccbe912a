/* SPDX-License-Identifier: Apache-2.0
 *
 * test_emulation.cpp - blocks on the CPU do what blocks on a GPU do, and what a GPU would not stand
 * ends the program.
 */
#include <csetjmp>
#include <csignal>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

extern "C" {
#include <cmocka.h>
}

#include "tests/emulation/cuda.h"

namespace {

constexpr uint32_t kThreads = 96;

/* What the threads of a grid leave here, in the order in which they come to it. */
std::vector<uint32_t> log_of_threads;

void run(void (*kernel)(void *), uint32_t blocks, uint64_t seed)
{
    log_of_threads.clear();
    emulation::run_grid({blocks, 1, 1}, {kThreads, 1, 1}, seed, kernel, nullptr);
}

void log_own_index(void *)
{
    log_of_threads.push_back(blockIdx.x * blockDim.x + threadIdx.x);
}

void every_thread_of_every_block_runs_once(void **)
{
    run(log_own_index, 5, 1);
    assert_int_equal(log_of_threads.size(), 5 * kThreads);
    std::vector<uint32_t> times(log_of_threads.size());
    for (const uint32_t thread : log_of_threads)
        times[thread]++;
    for (const uint32_t count : times)
        assert_int_equal(count, 1);
}

void a_seed_draws_the_order(void **)
{
    run(log_own_index, 5, 1);
    const std::vector<uint32_t> order = log_of_threads;
    run(log_own_index, 5, 1);
    assert_true(log_of_threads == order);

    uint32_t other_threads = 0, other_blocks = 0; /* that come first */
    for (uint64_t seed = 2; seed < 22; seed++) {
        run(log_own_index, 5, seed);
        other_threads += log_of_threads[0] % kThreads != order[0] % kThreads;
        other_blocks += log_of_threads[0] / kThreads != order[0] / kThreads;
    }
    assert_true(other_threads > 10);
    assert_true(other_blocks > 5);
}

void sum_of_others(void *)
{
    __shared__ uint32_t parts[kThreads];
    parts[threadIdx.x] = threadIdx.x + 1;
    __syncthreads();
    uint32_t all = 0;
    for (uint32_t i = 0; i < kThreads; i++)
        all += parts[i];
    log_of_threads.push_back(all);
    __syncthreads();
    parts[threadIdx.x] = 0;
    log_of_threads.push_back(__syncthreads_or(threadIdx.x == 77) ? 1 : 0);
    log_of_threads.push_back(__syncthreads_or(0) ? 1 : 0);
}

void nobody_passes_a_barrier_before_all_are_there(void **)
{
    run(sum_of_others, 3, 3);
    uint32_t sums = 0, ones = 0, zeros = 0;
    for (const uint32_t entry : log_of_threads) {
        sums += entry == kThreads * (kThreads + 1) / 2;
        ones += entry == 1;
        zeros += entry == 0;
    }
    assert_int_equal(sums, 3 * kThreads);
    assert_int_equal(ones, 3 * kThreads);
    assert_int_equal(zeros, 3 * kThreads);
}

void exchange(void *)
{
    const uint32_t lane = threadIdx.x % 32, half = 0xFFFFu << (threadIdx.x & 16);
    const double own = threadIdx.x + 0.5;
    bool right = __shfl_xor_sync(0xFFFFFFFFu, own, 5) == (threadIdx.x ^ 5) + 0.5;
    const uint32_t up = __shfl_up_sync(half, threadIdx.x, 3u, 16);
    right = right && up == (lane % 16 < 3 ? threadIdx.x : threadIdx.x - 3);
    right = right && __ballot_sync(half, lane % 3 == 0) == (0x49249249u & half);
    log_of_threads.push_back(right);
}

void lanes_exchange_and_vote(void **)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        run(exchange, 2, seed);
        assert_int_equal(log_of_threads.size(), 2 * kThreads);
        for (const uint32_t right : log_of_threads)
            assert_int_equal(right, 1);
    }
}

/* What threads find in one variable when they add to it with atomics, and when they read, stop, and
 * write. */
void add_with_atomics(void *)
{
    __shared__ uint32_t counter;
    if (threadIdx.x == 0)
        counter = 0;
    __syncthreads();
    atomicAdd(&counter, 1u);
    __syncthreads();
    log_of_threads.push_back(counter);
}

void atomics_lose_nothing(void **)
{
    run(add_with_atomics, 4, 5);
    for (const uint32_t count : log_of_threads)
        assert_int_equal(count, kThreads);
}

/* ------------------------------------------------------------------------------------------------
 * Mistakes
 */

void leave_before_a_barrier(void *)
{
    if (threadIdx.x != 50)
        __syncthreads();
}

void exchange_at_a_barrier(void *)
{
    if (threadIdx.x < 32)
        __ballot_sync(0xFFFFFFFFu, true);
    else
        __syncthreads();
}

void name_lanes_that_do_not_come(void *)
{
    __ballot_sync(threadIdx.x % 32 < 16 ? 0xFFFFFFFFu : 0xFFFF0000u, true);
}

void read_from_a_lane_outside(void *)
{
    __shfl_xor_sync(0xFFFFu << (threadIdx.x & 16), threadIdx.x, 16);
}

void leave_oneself_out(void *)
{
    __ballot_sync(1, true);
}

/* Does the kernel end the program? */
bool is_refused(void (*kernel)(void *))
{
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        if (std::freopen("/dev/null", "w", stderr) == nullptr)
            _exit(2);
        run(kernel, 1, 1);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

void what_hangs_a_gpu_ends_the_program(void **)
{
    assert_false(is_refused(log_own_index));
    assert_true(is_refused(leave_before_a_barrier));
    assert_true(is_refused(exchange_at_a_barrier));
    assert_true(is_refused(name_lanes_that_do_not_come));
    assert_true(is_refused(read_from_a_lane_outside));
    assert_true(is_refused(leave_oneself_out));
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(every_thread_of_every_block_runs_once),
        cmocka_unit_test(a_seed_draws_the_order),
        cmocka_unit_test(nobody_passes_a_barrier_before_all_are_there),
        cmocka_unit_test(lanes_exchange_and_vote),
        cmocka_unit_test(atomics_lose_nothing),
        cmocka_unit_test(what_hangs_a_gpu_ends_the_program),
    };
    return cmocka_run_group_tests_name("emulation", tests, nullptr, nullptr);
}
