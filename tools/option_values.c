/* SPDX-License-Identifier: Apache-2.0
 *
 * option_values.c - values of options, strictly.
 */
#include "tools/option_values.h"

#include <getopt.h>
#include <string.h>

#include "tools/number.h"

/* One word of a list that is separated by commas; `text` moves on to the next, or to NULL. Words
 * that do not fit are cut, and so are none that is known. */
static void next_word(const char **text, char word[64])
{
    const size_t length = strcspn(*text, ",");
    snprintf(word, 64, "%.*s", (int)(length < 63 ? length : 63), *text);
    *text = (*text)[length] == ',' ? *text + length + 1 : NULL;
}

int rz_option_words(const char *option, const char *text, const char *const *words, unsigned *set,
                    struct rz_complaint *complaint)
{
    *set = 0;
    while (text != NULL) {
        char word[64];
        next_word(&text, word);
        unsigned i = 0;
        while (words[i] != NULL && strcmp(words[i], word) != 0)
            i++;
        if (words[i] != NULL) {
            *set |= 1u << i;
            continue;
        }
        char expected[256] = "";
        for (i = 0; words[i] != NULL; i++) {
            const size_t used = strlen(expected);
            snprintf(expected + used, sizeof expected - used, "%s%s", i > 0 ? ", " : "", words[i]);
        }
        return rz_complain(complaint, RZ_EXIT_USAGE, "--%s: expected some of %s, got '%s'", option,
                           expected, word);
    }
    return RZ_EXIT_OK;
}

int rz_option_whole(const char *option, const char *text, uint32_t high, uint32_t *number,
                    struct rz_complaint *complaint)
{
    uint64_t whole;
    if (!rz_number_whole(text, high, &whole) || whole < 1)
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "--%s: expected a whole number from 1 to %u, got '%.200s'", option, high,
                           text);
    *number = (uint32_t)whole;
    return RZ_EXIT_OK;
}

int rz_option_numbers(const char *option, const char *text, uint32_t high, uint32_t room,
                      uint32_t *numbers, uint32_t *count, struct rz_complaint *complaint)
{
    *count = 0;
    while (text != NULL) {
        char word[64];
        next_word(&text, word);
        if (*count == room)
            return rz_complain(complaint, RZ_EXIT_USAGE,
                               "--%s: expected at most %u numbers, got more", option, room);
        const int status = rz_option_whole(option, word, high, &numbers[(*count)++], complaint);
        if (status != RZ_EXIT_OK)
            return status;
    }
    return RZ_EXIT_OK;
}

int rz_option_sink(const char *option, const char *path, struct rz_bench_sink *sink,
                   struct rz_complaint *complaint)
{
    if (path != NULL && path[0] == '\0')
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "--%s=FILE: expected the name of a file, got none", option);
    *sink = (struct rz_bench_sink){.wanted = true, .path = path};
    return RZ_EXIT_OK;
}

int rz_option_sinks_check(const struct rz_bench_sinks *sinks, struct rz_complaint *complaint)
{
    if (sinks->json.wanted && sinks->csv.wanted && sinks->json.path == NULL &&
        sinks->csv.path == NULL)
        return rz_complain(complaint, RZ_EXIT_USAGE,
                           "--json, --csv: expected one of them on stdout, got both: give the "
                           "other a file, --csv=FILE");
    return RZ_EXIT_OK;
}

int rz_option_complain(int which, char **argv, struct rz_complaint *complaint)
{
    const char *word = argv[optind - 1];
    if (which == ':')
        return rz_complain(complaint, RZ_EXIT_USAGE, "%.200s: expected a value, got none", word);
    if (optopt > 255 || optopt == 'h')
        return rz_complain(complaint, RZ_EXIT_USAGE, "%.200s: expected no value, got one", word);
    if (optopt != 0)
        return rz_complain(complaint, RZ_EXIT_USAGE, "-%c: unknown option; see --help", optopt);
    return rz_complain(complaint, RZ_EXIT_USAGE, "%.200s: unknown or ambiguous option; see --help",
                       word);
}
