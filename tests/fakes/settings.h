/* SPDX-License-Identifier: Apache-2.0
 *
 * settings.h - what the environment asks of a double, and how it ends a program. Compiled into each
 * with the names FAKE_LIBRARY ("libcuda") and FAKE_PREFIX ("RZ_FAKE_CUDA") of its own.
 */
#ifndef RZ_TESTS_FAKES_SETTINGS_H
#define RZ_TESTS_FAKES_SETTINGS_H

#include <cstdint>
#include <cstdio>

namespace fake {

/* A variable of the environment, or `other`. */
uint64_t chosen(const char *variable, uint64_t other);

/* Do _FAIL and its like mean this process? */
bool is_rank_chosen();

/* Is what is left at the end a mistake? */
bool must_leave_nothing();

/* Drawn by RZ_FAKE_CUDA_SEED. */
uint64_t random_below(uint64_t limit);

/* give_up - say what the program did wrong, as printf() does, and end it. */
#define give_up(...) (fake::begin_message(), std::fprintf(stderr, __VA_ARGS__), fake::end_program())
void begin_message();
[[noreturn]] void end_program();

/* is_its_turn - count a call; whether it is the one that shall fail. */
bool is_its_turn();
int code_of_failure(int other);
bool has_failed_on_demand();

} // namespace fake

#endif
