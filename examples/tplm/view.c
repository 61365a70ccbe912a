/* SPDX-License-Identifier: Apache-2.0
 *
 * view.c - a stream of text, or a small live picture of a batch.
 */
#include "view.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "clock.h"

/* Redrawing more often than this is no help to the eye. */
static const uint64_t redraw_ns = 100 * 1000 * 1000;

enum { TAIL_BYTES = 512, BAR_COLUMNS = 20 };

/* A descriptor of the terminal that the reader sees as stderr, or -1; the caller closes it.
 * mpirun hands a rank a pipe and copies what comes out of it to its own stderr, so where stderr is
 * no terminal, that of the parent process is looked at. */
static int open_terminal(void)
{
    if (isatty(STDERR_FILENO))
        return dup(STDERR_FILENO);

    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/fd/2", (long)getppid());
    /* Non-blocking, lest a pipe without a reader be there. */
    const int fd = open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && !isatty(fd)) {
        close(fd);
        return -1;
    }
    return fd;
}

void tplm_view_open(const struct tplm_tokenizer *tokenizer, const struct tplm_batch *batch,
                    const struct tplm_options *options, struct tplm_view *view)
{
    *view = (struct tplm_view){
        .tokenizer = tokenizer,
        .batch = batch,
        .tokens = options->tokens,
        .seed = options->sampling.seed,
        .begin_ns = tplm_now_ns(),
    };

    const int terminal = open_terminal();
    if (terminal >= 0 || options->progress) {
        struct winsize size = {0};
        const bool known = terminal >= 0 && ioctl(terminal, TIOCGWINSZ, &size) == 0;
        view->columns = known && size.ws_col > 0 ? size.ws_col : 80;
        view->rows = known && size.ws_row > 0 ? size.ws_row : 24;
    }
    if (terminal >= 0)
        close(terminal);
}

static void print_ids(const struct tplm_view *view, const int32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct tplm_text text = tplm_decode(view->tokenizer, ids[i]);
        fwrite(text.bytes, 1, text.count, stdout);
    }
}

static bool is_continuation(char byte)
{
    return ((unsigned char)byte & 0xc0u) == 0x80u;
}

/* The last `columns` characters of a sequence, on one line. */
static void print_tail(const struct tplm_view *view, const struct tplm_sequence *sequence,
                       size_t columns)
{
    char tail[TAIL_BYTES];
    size_t begin = TAIL_BYTES, characters = 0;
    for (size_t i = sequence->count; i-- > 1;) { /* from the end; [0] is TPLM_END */
        const struct tplm_text text = tplm_decode(view->tokenizer, sequence->ids[i]);
        if (text.count > begin || characters >= columns)
            break;
        begin -= text.count;
        memcpy(tail + begin, text.bytes, text.count);
        for (size_t b = begin; b < begin + text.count; b++) {
            if ((unsigned char)tail[b] < ' ')
                tail[b] = ' ';
            characters += !is_continuation(tail[b]);
        }
    }
    while (begin < TAIL_BYTES && (characters > columns || is_continuation(tail[begin]))) {
        characters -= !is_continuation(tail[begin]);
        begin++;
    }
    fwrite(tail + begin, 1, TAIL_BYTES - begin, stderr);
}

static void erase(struct tplm_view *view)
{
    if (view->lines > 0)
        fprintf(stderr, "\x1b[%zuA\r\x1b[J", view->lines);
    view->lines = 0;
}

static void print_status(const struct tplm_view *view)
{
    size_t running = 0, longest = 0, drawn = 0;
    for (size_t i = 0; i < view->batch->count; i++) {
        const struct tplm_sequence *sequence = &view->batch->sequences[i];
        const size_t tokens = sequence->count - sequence->prompt_count;
        running += !sequence->ended;
        longest = tokens > longest ? tokens : longest;
        drawn += tokens;
    }
    const double seconds = (double)(tplm_now_ns() - view->begin_ns) * 1e-9;
    const size_t full = BAR_COLUMNS * longest / view->tokens;
    fprintf(stderr, "[%.*s%.*s] %zu/%zu tokens, %zu of %zu running, %.0f tokens/s\n", (int)full,
            "####################", (int)(BAR_COLUMNS - full), "....................", longest,
            view->tokens, running, view->batch->count, (double)drawn / seconds);
}

static void redraw(struct tplm_view *view)
{
    const size_t count = view->batch->count;
    const int margin = 6; /* "12 > ", and a column that keeps the cursor off the edge */
    erase(view);
    if (count + 2 <= (size_t)view->rows && view->columns > margin) {
        for (size_t i = 0; i < count; i++) {
            const struct tplm_sequence *sequence = &view->batch->sequences[i];
            fprintf(stderr, "%2zu %c ", i + 1, sequence->ended ? '.' : '>');
            print_tail(view, sequence, (size_t)(view->columns - margin));
            fputc('\n', stderr);
        }
        view->lines = count;
    }
    print_status(view);
    view->lines++;
    fflush(stderr);
}

void tplm_view_step(struct tplm_view *view)
{
    const struct tplm_sequence *first = &view->batch->sequences[0];
    if (view->batch->count == 1) {
        if (first->count == first->prompt_count)
            print_ids(view, first->ids, first->count);
        else if (!first->ended || first->count == first->prompt_count + view->tokens)
            print_ids(view, first->ids + first->count - 1, 1);
        fflush(stdout);
        return;
    }
    const uint64_t now_ns = tplm_now_ns();
    if (view->columns > 0 && now_ns - view->drawn_ns >= redraw_ns) {
        view->drawn_ns = now_ns;
        redraw(view);
    }
}

void tplm_view_close(struct tplm_view *view)
{
    const struct tplm_batch *batch = view->batch;
    erase(view);
    fflush(stderr);
    for (size_t i = 0; i < batch->count && batch->count > 1; i++) {
        const struct tplm_sequence *sequence = &batch->sequences[i];
        printf("%s[%zu] seed %llu\n", i ? "\n" : "", i + 1, (unsigned long long)(view->seed + i));
        print_ids(view, sequence->ids, sequence->count);
        putchar('\n');
    }
    if (batch->count == 1)
        putchar('\n');
    fflush(stdout);
}
