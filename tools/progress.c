/* SPDX-License-Identifier: Apache-2.0
 *
 * progress.c - one line on stderr that is written over, and gone at the end.
 */
#include "tools/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "internal/clock.h"

enum {
    FIRST_NS = 300000000, /* shorter runs show nothing */
    PERIOD_NS = 100000000,
    BYTES_PER_ID = 8,    /* of text: an id has 6 digits at most, and a separator */
    MAX_HELD = 64 << 20, /* bytes of ids that wait for the end of a run on a terminal */
};

void rz_progress_start(struct rz_progress *progress, uint64_t total, const char *what,
                       struct rz_output *output)
{
    *progress = (struct rz_progress){.what = what, .total = total, .started_ns = rz_clock_ns()};
    progress->on = isatty(STDERR_FILENO);
    if (progress->on && isatty(STDOUT_FILENO))
        progress->on = output->text == NULL ||
                       (total <= MAX_HELD / BYTES_PER_ID && rz_output_hold(output, MAX_HELD));
}

/* Thousands apart: 1,234,567. */
static void group_digits(uint64_t number, char text[32])
{
    char digits[24];
    const int count = snprintf(digits, sizeof digits, "%" PRIu64, number);
    int n = 0;
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0)
            text[n++] = ',';
        text[n++] = digits[i];
    }
    text[n] = '\0';
}

void rz_progress_format(uint64_t done, uint64_t total, const char *what, double seconds,
                        char text[128])
{
    char done_text[32], total_text[32], rate_text[32];
    const double rate = seconds > 0 ? (double)done / seconds : 0;
    group_digits(done, done_text);
    group_digits(total, total_text);
    group_digits((uint64_t)rate, rate_text);
    const int length = snprintf(text, 128, "  %s of %s %s  %d%%  %s/s", done_text, total_text, what,
                                (int)(100.0 * (double)done / (double)total), rate_text);
    if (rate > 0 && length > 0 && length < 128)
        snprintf(text + length, (size_t)(128 - length), "  %.1f s left",
                 (double)(total - done) / rate);
}

void rz_progress_update(struct rz_progress *progress, uint64_t done)
{
    if (!progress->on)
        return;
    const uint64_t now = rz_clock_ns();
    if (now - progress->started_ns < FIRST_NS || now - progress->updated_ns < PERIOD_NS)
        return;
    char text[128];
    rz_progress_format(done, progress->total, progress->what,
                       (double)(now - progress->started_ns) * 1e-9, text);
    fprintf(stderr, "\r%s\033[K", text);
    fflush(stderr);
    progress->updated_ns = now;
    progress->shown = true;
}

void rz_progress_end(struct rz_progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->on = progress->shown = false;
}
