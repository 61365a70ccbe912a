/* SPDX-License-Identifier: Apache-2.0
 *
 * words.h - what the values of an option are called: in messages, on command lines, in reports.
 */
#ifndef RZ_RUNTIME_WORDS_H
#define RZ_RUNTIME_WORDS_H

enum { RZ_DTYPES = 3, RZ_MODES = 1, RZ_BACKENDS = 6, RZ_COMMS = 5 };

/* Each by its enum in rankzero.h, and ended by NULL. */
extern const char *const rz_dtype_words[RZ_DTYPES + 1];
extern const char *const rz_mode_words[RZ_MODES + 1];
extern const char *const rz_backend_words[RZ_BACKENDS + 1];
extern const char *const rz_comm_words[RZ_COMMS + 1];

#endif
