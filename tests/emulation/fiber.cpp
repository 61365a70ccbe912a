/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/emulation/fiber.h"

#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define RZ_HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RZ_HAVE_ASAN 1
#endif
#endif

#ifdef RZ_HAVE_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulation {

namespace {

constexpr size_t kStackBytes = size_t{128} << 10; /* sanitizers make frames large */

/* The stack that was left last, as it is told to AddressSanitizer, which wants to know the bounds
 * of the system's: it says them itself when that one is first left. */
#ifdef RZ_HAVE_ASAN
fiber *left_last;

void announce(fiber *from, const fiber *to, bool for_good)
{
    left_last = from;
    __sanitizer_start_switch_fiber(for_good ? nullptr : &from->fake_stack, to->stack,
                                   to->stack_bytes);
}

void arrived(void *fake_stack)
{
    const void *bottom = nullptr;
    size_t bytes = 0;
    __sanitizer_finish_switch_fiber(fake_stack, &bottom, &bytes);
    if (left_last->stack == nullptr) {
        left_last->stack = const_cast<void *>(bottom);
        left_last->stack_bytes = bytes;
    }
}
#else
void announce(fiber *, const fiber *, bool) {}

void arrived(void *) {}
#endif

[[noreturn]] void give_up(const char *what)
{
    std::perror(what);
    std::abort();
}

} // namespace

/* With a page below that nobody may touch. */
void fiber_create(fiber *f)
{
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    void *memory = mmap(nullptr, kStackBytes + page, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, page, PROT_NONE) != 0)
        give_up("mmap of a fiber's stack");
    *f = {};
    f->stack = static_cast<char *>(memory) + page;
    f->stack_bytes = kStackBytes;
}

void fiber_destroy(fiber *f)
{
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    munmap(static_cast<char *>(f->stack) - page, f->stack_bytes + page);
    *f = {};
}

void fiber_prepare(fiber *f, void (*entry)())
{
    if (getcontext(&f->context) != 0)
        give_up("getcontext");
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = f->stack_bytes;
    f->context.uc_link = nullptr;
    f->fake_stack = nullptr;
    makecontext(&f->context, entry, 0);
}

void fiber_begun()
{
    arrived(nullptr);
}

void fiber_switch(fiber *from, fiber *to)
{
    announce(from, to, false);
    if (swapcontext(&from->context, &to->context) != 0)
        give_up("swapcontext");
    arrived(from->fake_stack);
}

void fiber_switch_for_good(fiber *from, fiber *to)
{
    announce(from, to, true);
    setcontext(&to->context);
    give_up("setcontext");
}

} // namespace emulation
