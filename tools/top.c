/* SPDX-License-Identifier: Apache-2.0
 *
 * top.c - `rankzero top`: a running job, again and again.
 *
 * The segment is opened once and read many times an interval: a rank that is behind or asleep is so
 * for microseconds, and only its share of the looks says anything.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "internal/clock.h"
#include "runtime/record.h"
#include "tools/commands.h"
#include "tools/number.h"
#include "tools/ring_find.h"
#include "tools/ring_print.h"
#include "tools/say.h"

enum { LOOKS = 25, MOST_INTERVAL_MS = 3600000 };

static const char help[] =
    "Watch a running job, or a ring of rankzero/ring.h: steps and ids a second, who lags, who "
    "waits.\n"
    "\n"
    "  rankzero top --pid PID     the one that a process has open: any rank's\n"
    "  rankzero top NAME          the job or ring of this name, of this user\n"
    "  rankzero top FILE          a path: has a '/' in it\n"
    "\n"
    "  --interval MS    milliseconds from one line, or screen, to the next (1000)\n"
    "  --count N        end after so many\n"
    "  --shm-dir DIR    where NAME is looked for first (/dev/shm)\n"
    "\n"
    "On a terminal a screen with a line for each rank, otherwise one line an interval. The job is "
    "only\n"
    "read, 25 times an interval: behind is the mean of the records that a rank has yet to take, "
    "and\n"
    "asleep the share of the looks at which it slept.\n"
    "\n"
    "Exit status: 0, also when the job ends; 1 if there is no such segment, or it is not sound; 2 "
    "if\n"
    "the command line is wrong.\n";

struct request {
    const char *name; /* or path */
    const char *pid;
    const char *dir;
    uint64_t interval_ms;
    uint64_t count; /* 0: until the job ends */
};

/* What an interval's looks have found. */
struct tally {
    uint32_t looks;
    uint32_t published; /* at its end, low 32 bits */
    uint32_t steps;
    double seconds;
    uint64_t counted, ids; /* records looked at, and the ids in them */
    uint64_t behind[RZ_RING_PLACES];
    uint32_t asleep[RZ_RING_PLACES];
};

/* ------------------------------------------------------------------------------------------------
 * Command line
 */

static int set_number(const char *word, const char *value, uint64_t most, uint64_t *number,
                      struct rz_complaint *complaint)
{
    if (rz_number_whole(value, most, number) && *number > 0)
        return RZ_EXIT_OK;
    return rz_complain(complaint, RZ_EXIT_USAGE,
                       "%s: expected a whole number from 1 to %" PRIu64 ", got '%.100s'", word,
                       most, value);
}

static int parse(int argc, char **argv, struct request *request, struct rz_complaint *complaint)
{
    *request = (struct request){.dir = "/dev/shm", .interval_ms = 1000};
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (word[0] != '-') {
            if (request->name != NULL)
                return rz_complain(complaint, RZ_EXIT_USAGE, "expected one name, got '%.200s' too",
                                   word);
            request->name = word;
            continue;
        }
        uint64_t pid = 0;
        int status = RZ_EXIT_OK;
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(word, "--pid") == 0) {
            status = set_number(word, value, INT32_MAX, &pid, complaint);
            request->pid = value;
        } else if (strcmp(word, "--interval") == 0) {
            status = set_number(word, value, MOST_INTERVAL_MS, &request->interval_ms, complaint);
        } else if (strcmp(word, "--count") == 0) {
            status = set_number(word, value, UINT64_MAX, &request->count, complaint);
        } else if (strcmp(word, "--shm-dir") == 0 && i + 1 < argc) {
            request->dir = value;
        } else {
            return rz_complain(complaint, RZ_EXIT_USAGE, "%.200s: not expected here; see --help",
                               word);
        }
        if (status != RZ_EXIT_OK)
            return status;
        i++;
    }
    if ((request->name != NULL) == (request->pid != NULL))
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "expected a name, a path or --pid PID; see --help");
    return RZ_EXIT_OK;
}

/* ------------------------------------------------------------------------------------------------
 * Looking
 */

static void count_ids(const struct rz_ring_view *view, struct tally *tally)
{
    const struct rz_record_view *record = &view->records[0];
    if (!view->job || view->record_count == 0 || !record->whole || record->type != RZ_RECORD_IDS ||
        record->bytes < rz_record_bytes(0))
        return;
    uint32_t count;
    memcpy(&count, record->payload + offsetof(struct rz_record, count), sizeof count);
    tally->counted++;
    tally->ids += count;
}

static bool is_over(const struct rz_ring_view *view)
{
    bool alive = false;
    for (uint32_t r = 0; r < view->world; r++)
        alive = alive || view->ranks[r].alive;
    return view->ended != RZ_OK || !alive;
}

static void add_look(const struct rz_ring_view *view, struct tally *tally)
{
    tally->looks++;
    for (uint32_t r = 0; r < view->world; r++) {
        const struct rz_rank_view *rank = &view->ranks[r];
        tally->asleep[r] += rank->here && rank->asleep;
        tally->behind[r] += r > 0 && rank->here ? rank->behind : 0;
    }
    count_ids(view, tally);
}

/* Look for an interval, or until it is over. `view` is the last one. */
static int watch(int fd, uint64_t interval_ms, struct rz_ring_view *view, struct tally *tally,
                 struct rz_complaint *complaint)
{
    const uint64_t pause_ns = interval_ms * 1000000 / LOOKS;
    const struct timespec pause = {.tv_sec = (time_t)(pause_ns / 1000000000),
                                   .tv_nsec = (long)(pause_ns % 1000000000)};
    const uint64_t begun_ns = rz_clock_ns();
    const uint32_t before = view->published;
    *tally = (struct tally){0};
    do {
        nanosleep(&pause, NULL);
        const int status = rz_ring_view(fd, 1, view, complaint);
        if (status != RZ_EXIT_OK)
            return status;
        add_look(view, tally);
    } while (tally->looks < LOOKS && !is_over(view));
    tally->published = view->published;
    tally->steps = view->published - before;
    tally->seconds = (double)(rz_clock_ns() - begun_ns) * 1e-9;
    return RZ_EXIT_OK;
}

/* ------------------------------------------------------------------------------------------------
 * Showing
 */

static double behind_of(const struct tally *tally, uint32_t rank)
{
    return (double)tally->behind[rank] / tally->looks;
}

static double asleep_of(const struct tally *tally, uint32_t rank)
{
    return 100.0 * tally->asleep[rank] / tally->looks;
}

static double steps_a_second(const struct tally *tally)
{
    return tally->steps / tally->seconds;
}

/* "-" where the records are not ids. */
static void spell_ids(const struct tally *tally, char text[32])
{
    if (tally->counted == 0)
        snprintf(text, 32, "-");
    else
        snprintf(text, 32, "%.0f",
                 steps_a_second(tally) * (double)tally->ids / (double)tally->counted);
}

/* Who lags most; 0 if nobody does. */
static uint32_t last_of(const struct rz_ring_view *view, const struct tally *tally)
{
    uint32_t last = 0;
    for (uint32_t r = 1; r < view->world; r++)
        if (tally->behind[r] > tally->behind[last])
            last = r;
    return last;
}

static void print_line(const struct rz_ring_view *view, const struct tally *tally, uint64_t line)
{
    char ids[32], last[16] = "-";
    spell_ids(tally, ids);
    const uint32_t rank = last_of(view, tally);
    double asleep = 0.0;
    uint32_t here = 0;
    for (uint32_t r = 0; r < view->world; r++) {
        here += view->ranks[r].alive;
        asleep += asleep_of(tally, r);
    }
    if (rank > 0)
        snprintf(last, sizeof last, "%u", rank);
    if (line == 0)
        printf("%10s  %10s  %10s  %6s  %5s  %7s  %7s\n", "published", "steps/s", "ids/s", "ranks",
               "last", "behind", "asleep");
    printf("%10u  %10.0f  %10s  %6u  %5s  %7.2f  %6.0f%%\n", tally->published,
           steps_a_second(tally), ids, here, last, behind_of(tally, rank),
           here > 0 ? asleep / here : 0.0);
}

static void print_screen(const struct rz_ring_view *view, const struct tally *tally,
                         const char *path)
{
    char ids[32];
    spell_ids(tally, ids);
    printf("\033[H\033[J%s\n%.0f steps/s  %s ids/s  %u published\n\n", path, steps_a_second(tally),
           ids, tally->published);
    printf("%4s  %8s  %-9s  %7s  %7s\n", "rank", "process", "state", "behind", "asleep");
    for (uint32_t r = 0; r < view->world; r++)
        if (view->ranks[r].here)
            printf("%4u  %8d  %-9s  %7.2f  %6.0f%%\n", r, view->ranks[r].pid,
                   rz_ring_rank_state(view, r), behind_of(tally, r), asleep_of(tally, r));
}

static int top(const struct request *request, struct rz_complaint *complaint)
{
    struct rz_found_segment found;
    struct rz_ring_view view;
    int status = rz_ring_find(request->dir, request->name, request->pid, &found, complaint);
    if (status != RZ_EXIT_OK)
        return status;
    const bool terminal = isatty(STDOUT_FILENO);
    struct rz_complaint why;
    status = rz_ring_view(found.fd, 1, &view, &why);
    for (uint64_t line = 0;
         status == RZ_EXIT_OK && !is_over(&view) && (request->count == 0 || line < request->count);
         line++) {
        struct tally tally;
        status = watch(found.fd, request->interval_ms, &view, &tally, &why);
        if (status != RZ_EXIT_OK)
            break;
        if (terminal)
            print_screen(&view, &tally, found.path);
        else
            print_line(&view, &tally, line);
        if (fflush(stdout) != 0)
            status = rz_complain(&why, RZ_EXIT_FAILED, "cannot write to stdout");
    }
    close(found.fd);
    if (status != RZ_EXIT_OK)
        return rz_complain(complaint, status, "%.200s: %.700s", found.path, why.text);
    return RZ_EXIT_OK;
}

int rz_command_top(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            return fflush(stdout) == 0 ? RZ_EXIT_OK : RZ_EXIT_FAILED;
        }
    struct rz_complaint complaint;
    struct request request;
    int status = parse(argc, argv, &request, &complaint);
    if (status == RZ_EXIT_OK)
        status = top(&request, &complaint);
    if (status != RZ_EXIT_OK)
        rz_say("rankzero top", 0, complaint.text);
    return status;
}
