/* SPDX-License-Identifier: Apache-2.0
 *
 * device.h - a device of the double and what tests need there, for bodies that run apart.
 */
#ifndef RZ_TESTS_FAKES_DEVICE_H
#define RZ_TESTS_FAKES_DEVICE_H

#include "gpu/driver.h"
#include "tests/fakes/apart.h"

enum { WORDS = 1000, BYTES = WORDS * 4 };

static struct rz_cuda cuda;

static inline void start(void)
{
    struct rz_error err;
    if (rz_cuda_open(&cuda, &err) != RZ_OK) {
        fprintf(stderr, "%s\n", err.text);
        _exit(1);
    }
}

static inline void enter(void)
{
    rz_cuda_context context = NULL;
    start();
    ok(cuda.primary_retain(&context, 0));
    ok(cuda.context_push(context));
}

static inline void leave(void)
{
    rz_cuda_context context = NULL;
    ok(cuda.context_pop(&context));
    ok(cuda.primary_release(0));
}

/* What most tests use. The gate is a word that a stream may wait for. */
struct setup {
    rz_cuda_stream a, b;
    rz_cuda_event event;
    rz_cuda_ptr memory;
    uint32_t *host, *gate;
};

static inline void set_up(struct setup *s, unsigned flags)
{
    void *memory = NULL;
    enter();
    ok(cuda.stream_create(&s->a, flags));
    ok(cuda.stream_create(&s->b, flags));
    ok(cuda.event_create(&s->event, RZ_CUDA_EVENT_NO_TIMING));
    ok(cuda.allocate(&s->memory, BYTES));
    ok(cuda.host_allocate(&memory, BYTES + 64, RZ_CUDA_HOST_MAPPED));
    s->host = memory;
    s->gate = s->host + WORDS;
    *s->gate = 0;
}

static inline void tear_down(struct setup *s)
{
    ok(cuda.stream_destroy(s->a));
    ok(cuda.stream_destroy(s->b));
    ok(cuda.event_destroy(s->event));
    ok(cuda.free(s->memory));
    ok(cuda.host_free(s->host));
    leave();
}

static inline void open_gate(struct setup *s)
{
    __atomic_store_n(s->gate, 1, __ATOMIC_RELEASE);
}

static inline void expect_words(const struct setup *s, uint32_t value)
{
    for (uint32_t i = 0; i < WORDS; i++)
        is(s->host[i], value);
}

#endif
