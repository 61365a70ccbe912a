/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/settings.h"

#include <cstdlib>

namespace fake {

namespace {

uint64_t calls;
bool failed;

uint64_t seed()
{
    return chosen("RZ_FAKE_CUDA_SEED", chosen("RZ_TEST_SEED", 1));
}

__attribute__((destructor)) void report_calls()
{
    const char *name = std::getenv(FAKE_PREFIX "_CALLS");
    if (name == nullptr || !is_rank_chosen())
        return;
    std::FILE *file = std::fopen(name, "a");
    if (file == nullptr)
        give_up("%s_CALLS=%s cannot be written to", FAKE_PREFIX, name);
    std::fprintf(file, "%llu\n", static_cast<unsigned long long>(calls));
    std::fclose(file);
}

} // namespace

uint64_t chosen(const char *variable, uint64_t other)
{
    const char *text = std::getenv(variable);
    return text == nullptr || *text == '\0' ? other : std::strtoull(text, nullptr, 0);
}

bool is_rank_chosen()
{
    const uint64_t any = UINT64_MAX, asked = chosen(FAKE_PREFIX "_FAIL_RANK", any);
    const uint64_t own = chosen("RZ_FAKE_RANK", chosen("OMPI_COMM_WORLD_RANK", any - 1));
    return asked == any || asked == own;
}

bool must_leave_nothing()
{
    return chosen("RZ_FAKE_CUDA_LEAKS", 1) != 0;
}

/* splitmix64 */
uint64_t random_below(uint64_t limit)
{
    static uint64_t state = seed();
    uint64_t z = state += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return (z ^ z >> 31) % limit;
}

void begin_message()
{
    std::fprintf(stderr, "fake %s: ", FAKE_LIBRARY);
}

void end_program()
{
    std::fprintf(stderr, " (RZ_FAKE_CUDA_SEED=%llu)\n", static_cast<unsigned long long>(seed()));
    std::abort();
}

bool is_its_turn()
{
    calls++;
    if (calls != chosen(FAKE_PREFIX "_FAIL", 0) || !is_rank_chosen())
        return false;
    failed = true;
    return true;
}

int code_of_failure(int other)
{
    return static_cast<int>(chosen(FAKE_PREFIX "_FAIL_CODE", static_cast<uint64_t>(other)));
}

bool has_failed_on_demand()
{
    return failed;
}

} // namespace fake
