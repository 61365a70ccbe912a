/* SPDX-License-Identifier: Apache-2.0
 *
 * fiber.h - stacks to switch between, so that AddressSanitizer knows which one is in use.
 */
#ifndef RZ_TESTS_EMULATION_FIBER_H
#define RZ_TESTS_EMULATION_FIBER_H

#include <cstddef>
#include <ucontext.h>

namespace emulation {

struct fiber {
    ucontext_t context;
    void *stack; /* nullptr: the one that the system gave the thread */
    size_t stack_bytes;
    void *fake_stack; /* AddressSanitizer's, while the fiber does not run */
};

/* fiber_create - allocate a stack, once. */
void fiber_create(fiber *f);
void fiber_destroy(fiber *f);

/* fiber_prepare - make it begin at `entry` when it is next switched to. `entry` calls fiber_begun()
 * first, and ends with fiber_switch_for_good(). */
void fiber_prepare(fiber *f, void (*entry)());
void fiber_begun();

/* fiber_switch - leave `from`, which runs, for `to`; returns when something switches back. */
void fiber_switch(fiber *from, fiber *to);
[[noreturn]] void fiber_switch_for_good(fiber *from, fiber *to);

} // namespace emulation

#endif
