/* SPDX-License-Identifier: Apache-2.0
 *
 * stop.c - the one piece of state that a signal handler can reach is global.
 */
#include "tools/stop.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t noted;

static void note(int signal_number)
{
    noted = signal_number;
}

void rz_stop_install(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction old;
        struct sigaction action = {.sa_handler = note};
        sigemptyset(&action.sa_mask);
        /* Somebody at a keyboard may lose patience; mpirun sends SIGTERM twice just so. */
        if (signals[i] == SIGINT)
            action.sa_flags = (int)SA_RESETHAND;
        /* Who ignores a signal from the start, as nohup does, means it. */
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
    }
    signal(SIGPIPE, SIG_IGN); /* a reader that left is an error of write(2) */
}

int rz_stop_requested(void)
{
    return noted;
}

void rz_stop_die(void)
{
    if (noted == 0)
        return;
    signal(noted, SIG_DFL);
    raise(noted);
}
