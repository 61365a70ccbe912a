/* SPDX-License-Identifier: Apache-2.0
 *
 * support.c - what the tests of ipc/ share.
 */
#include "tests/ipc/support.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "internal/clock.h"

enum { LIMIT_S = 60, LARGEST_RECORD = 4096 };

char scratch[64];

uint64_t in_seconds(uint64_t seconds)
{
    return rz_clock_ns() + seconds * SECOND_NS;
}

int scratch_setup(void **state)
{
    (void)state;
    strcpy(scratch, "/dev/shm/rz-ipc-test-XXXXXX");
    return mkdtemp(scratch) != NULL ? 0 : -1;
}

int scratch_teardown(void **state)
{
    (void)state;
    const int left = entries_of(scratch);
    if (left != 0)
        fprintf(stderr, "%d files were left in %s\n", left, scratch);
    return left == 0 && rmdir(scratch) == 0 ? 0 : -1;
}

const char *segment_path(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/rankzero-%u-%s", scratch, (unsigned)geteuid(), name);
    return path;
}

int entries_of(const char *dir)
{
    DIR *opened = opendir(dir);
    assert_non_null(opened);
    int entries = 0;
    for (const struct dirent *entry; (entry = readdir(opened)) != NULL;)
        entries += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(opened);
    return entries;
}

int open_fds(void)
{
    return entries_of("/proc/self/fd");
}

pid_t child_start(child_function *function, void *argument)
{
    fflush(NULL);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    alarm(LIMIT_S);
    _exit(function(argument) ? 0 : 1);
}

int child_wait(pid_t pid)
{
    int state = 0;
    assert_int_equal(waitpid(pid, &state, 0), pid);
    return WIFEXITED(state) ? WEXITSTATUS(state) : 1000 + WTERMSIG(state);
}

void child_fail(const char *file, int line, const char *condition, const char *text)
{
    fprintf(stderr, "%s:%d: expected %s %s\n", file, line, condition, text);
    _exit(1);
}

void *shared_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    return memory;
}

void shared_memory_free(void *memory, size_t bytes)
{
    assert_int_equal(munmap(memory, bytes), 0);
}

uint64_t random_seed(void)
{
    const char *given = getenv("RZ_TEST_SEED");
    const uint64_t seed =
        given != NULL ? strtoull(given, NULL, 0) : rz_clock_ns() ^ (uint64_t)getpid() << 40;
    print_message("RZ_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* splitmix64 */
uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

size_t record_make(uint64_t sequence, void *payload, size_t capacity, uint32_t *type)
{
    uint64_t state = sequence;
    *type = (uint32_t)random_next(&state);
    const size_t bytes = (size_t)(random_next(&state) % (capacity + 1));
    char *to = payload;
    for (size_t at = 0; at < bytes; at += sizeof(uint64_t)) {
        const uint64_t word = random_next(&state);
        const size_t rest = bytes - at;
        memcpy(to + at, &word, rest < sizeof word ? rest : sizeof word);
    }
    return bytes;
}

bool record_is(uint64_t sequence, uint32_t type, const void *payload, size_t bytes, size_t capacity)
{
    char expected[LARGEST_RECORD];
    uint32_t expected_type;
    return capacity <= sizeof expected &&
           record_make(sequence, expected, capacity, &expected_type) == bytes &&
           type == expected_type && memcmp(payload, expected, bytes) == 0;
}
