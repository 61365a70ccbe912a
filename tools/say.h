/* SPDX-License-Identifier: Apache-2.0
 *
 * say.h - one line on stderr.
 */
#ifndef RZ_TOOLS_SAY_H
#define RZ_TOOLS_SAY_H

/* rz_say - "PREFIX: TEXT", with "rank R: " in between if `rank` > 0. One write(2), so that lines of
 * several ranks do not mix; what would break the line or the terminal is replaced by '?'. */
void rz_say(const char *prefix, int rank, const char *text);

#endif
