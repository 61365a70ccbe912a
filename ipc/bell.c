/* SPDX-License-Identifier: Apache-2.0
 *
 * bell.c - a robust mutex across the border of two pages.
 */
#include "ipc/bell.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipc/process.h"

/* glibc's mutex begins with the word of the futex; the next 4 bytes are of use for recursive ones
 * only. Whether that is so is checked when the bell is hung. */
enum { SHARED_BYTES = 8 };

size_t rz_bell_bytes(void)
{
    return rz_segment_page_bytes();
}

static pthread_mutex_t *mutex_at(char *page)
{
    return (pthread_mutex_t *)(void *)(page + rz_bell_bytes() - SHARED_BYTES);
}

static _Atomic uint32_t *word_at(char *page)
{
    return (_Atomic uint32_t *)(void *)mutex_at(page);
}

const _Atomic uint32_t *rz_bell_word(const void *page)
{
    const char *bytes = page;
    return (const _Atomic uint32_t *)(const void *)(bytes + rz_bell_bytes() - SHARED_BYTES);
}

/* Is the mutex that this thread has just locked where the kernel looks, and its links behind the
 * border? */
static bool is_in_place(char *page)
{
    struct robust_list_head *head = NULL;
    size_t bytes = 0;
    if (syscall(SYS_get_robust_list, 0, &head, &bytes) != 0 || head == NULL)
        return false;
    char *links = (char *)head->list.next;
    return links >= page + rz_bell_bytes() && links + head->futex_offset == (char *)mutex_at(page);
}

/* The kernel wakes nobody unless the word says that somebody waits. */
static void expect_sleepers(char *page)
{
    /* release: pairs with the acquire in rz_bell_tolls(), which then reads who we are. */
    atomic_fetch_or_explicit(word_at(page), FUTEX_WAITERS, memory_order_release);
}

static bool lock_first(char *page)
{
    pthread_mutexattr_t attributes;
    if (pthread_mutexattr_init(&attributes) != 0)
        return false;
    const bool made = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0 &&
                      pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0 &&
                      pthread_mutex_init(mutex_at(page), &attributes) == 0;
    pthread_mutexattr_destroy(&attributes);
    /* Not a lock that waits: what is in shared memory may lie. */
    if (!made || pthread_mutex_trylock(mutex_at(page)) != 0)
        return false;
    if (is_in_place(page))
        return true;
    pthread_mutex_unlock(mutex_at(page));
    return false;
}

int rz_bell_hang(struct rz_bell *bell, const struct rz_segment *segment, size_t offset,
                 struct rz_error *err)
{
    const size_t page = rz_bell_bytes();
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return rz_fail(err, RZ_E_SYS, RZ_NO_RANK, errno, "mmap: %s", strerror(errno));
    if (mmap(pages, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, segment->fd,
             (off_t)offset) == MAP_FAILED) {
        const int code = errno;
        munmap(pages, 2 * page);
        return rz_fail(err, RZ_E_SYS, RZ_NO_RANK, code, "mmap: %s: %s", segment->file,
                       strerror(code));
    }
    *(struct rz_process *)(void *)pages = rz_process_self();
    if (!lock_first(pages)) {
        munmap(pages, 2 * page);
        return RZ_OK;
    }
    expect_sleepers(pages);
    *bell = (struct rz_bell){.pages = pages, .pid = getpid(), .tid = gettid()};
    return RZ_OK;
}

void rz_bell_mind(struct rz_bell *bell)
{
    /* relaxed: only a hint; who takes the mutex over is libc's to decide. */
    if (bell->pages == NULL ||
        (atomic_load_explicit(word_at(bell->pages), memory_order_relaxed) & FUTEX_OWNER_DIED) == 0)
        return;
    if (pthread_mutex_trylock(mutex_at(bell->pages)) != EOWNERDEAD)
        return;
    pthread_mutex_consistent(mutex_at(bell->pages));
    bell->tid = gettid();
    expect_sleepers(bell->pages);
}

/* Out of the list of the thread that has it? Nothing in shared memory is asked. */
static bool take_down(const struct rz_bell *bell)
{
    if (bell->tid == gettid())
        return pthread_mutex_unlock(mutex_at(bell->pages)) == 0;
    return tgkill(bell->pid, bell->tid, 0) != 0 && errno == ESRCH;
}

void rz_bell_remove(struct rz_bell *bell)
{
    if (bell->pages == NULL)
        return;
    const struct rz_bell old = *bell;
    const size_t page = rz_bell_bytes();
    *bell = (struct rz_bell){0};
    if (old.pid != getpid()) {
        munmap(old.pages, 2 * page);
        return;
    }
    const bool down = take_down(&old);
    /* release: who sees it takes nothing before it for a death. */
    atomic_store_explicit(word_at(old.pages), 0, memory_order_release);
    if (down)
        munmap(old.pages, 2 * page);
    else /* the segment is let go, the links stay */
        (void)mmap(old.pages, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

bool rz_bell_rings(const void *page)
{
    /* acquire: pairs with expect_sleepers(). */
    const uint32_t word = atomic_load_explicit(rz_bell_word(page), memory_order_acquire);
    return (word & FUTEX_OWNER_DIED) != 0;
}

bool rz_bell_tolls(const void *page)
{
    if (!rz_bell_rings(page))
        return false;
    const struct rz_process who = *(const struct rz_process *)page; /* copied, then used */
    return rz_process_is_gone(&who);
}
