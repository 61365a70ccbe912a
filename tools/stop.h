/* SPDX-License-Identifier: Apache-2.0
 *
 * stop.h - Ctrl-C and its like end a run between two steps, so that what it made is removed.
 */
#ifndef RZ_TOOLS_STOP_H
#define RZ_TOOLS_STOP_H

/* rz_stop_install - from now on SIGINT, SIGTERM and SIGHUP are only noted; a second SIGINT ends the
 * process at once. */
void rz_stop_install(void);

/* rz_stop_requested - the signal that came, or 0. */
int rz_stop_requested(void);

/* rz_stop_die - end as if the noted signal had not been caught, for the sake of who waits for us.
 */
void rz_stop_die(void);

#endif
