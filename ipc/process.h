/* SPDX-License-Identifier: Apache-2.0
 *
 * process.h - is a process still the one that it was, and alive? From /proc.
 */
#ifndef RZ_IPC_PROCESS_H
#define RZ_IPC_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/* Names a process: a pid is used again, but not with the same start in the same namespace. Plain
 * data, for shared memory. */
struct rz_process {
    uint64_t pid_namespace;
    uint64_t started; /* clock ticks since boot */
    int32_t pid;      /* 0: cannot be told */
};

struct rz_process rz_process_self(void);

/* rz_process_is_gone - true if there is no such process any more, or if all of its threads are
 * about to end; false also if that cannot be told from here. */
bool rz_process_is_gone(const struct rz_process *process);

#endif
