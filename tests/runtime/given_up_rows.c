/* SPDX-License-Identifier: Apache-2.0
 *
 * given_up_rows.c - rows that are on their way when a job ends stay with the process, as MPI may
 * still read them: not a leak.
 */

/* Called by LeakSanitizer, if there is one. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
    return "leak:open_rank\n";
}
