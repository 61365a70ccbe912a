/* SPDX-License-Identifier: Apache-2.0
 *
 * npy_header.c - a parser for the one dictionary that NumPy writes, its keys in any order.
 */
#include "tools/npy_header.h"

#include <string.h>

struct cursor {
    const char *at;
    const char *expected; /* what was not there; NULL: all is well */
};

static bool fail(struct cursor *c, const char *expected)
{
    if (c->expected == NULL)
        c->expected = expected;
    return false;
}

static void skip_space(struct cursor *c)
{
    c->at += strspn(c->at, " \t\n\r");
}

/* Take `token` if it is next. */
static bool take(struct cursor *c, const char *token)
{
    skip_space(c);
    const size_t length = strlen(token);
    if (strncmp(c->at, token, length) != 0)
        return false;
    c->at += length;
    return true;
}

/* A quoted string without escapes; its content goes to `to`. */
static bool parse_string(struct cursor *c, char *to, size_t capacity, const char *expected)
{
    skip_space(c);
    const char quote = *c->at;
    if (quote != '\'' && quote != '"')
        return fail(c, expected);
    const char *end = strchr(c->at + 1, quote);
    if (end == NULL)
        return fail(c, "a closing quote");
    const size_t length = (size_t)(end - c->at) - 1;
    if (length >= capacity)
        return fail(c, expected);
    memcpy(to, c->at + 1, length);
    to[length] = '\0';
    c->at = end + 1;
    return true;
}

static bool parse_bool(struct cursor *c, bool *to)
{
    const bool is_true = take(c, "True");
    if (!is_true && !take(c, "False"))
        return fail(c, "True or False");
    *to = is_true;
    return true;
}

static bool parse_extent(struct cursor *c, uint64_t *to)
{
    static const char expected[] = "a whole number that fits 64 bits";
    skip_space(c);
    const size_t digits = strspn(c->at, "0123456789");
    uint64_t value = 0;
    for (size_t i = 0; i < digits; i++)
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(c->at[i] - '0'), &value))
            return fail(c, expected);
    if (digits == 0)
        return fail(c, expected);
    c->at += digits;
    (void)take(c, "L"); /* Python 2 wrote its long integers so */
    *to = value;
    return true;
}

static bool parse_shape(struct cursor *c, struct rz_npy_header *header)
{
    header->dimensions = 0;
    if (!take(c, "("))
        return fail(c, "a tuple of dimensions");
    while (!take(c, ")")) {
        if (header->dimensions == RZ_NPY_MAX_DIMENSIONS)
            return fail(c, "at most 32 dimensions");
        if (!parse_extent(c, &header->shape[header->dimensions]))
            return false;
        header->dimensions++;
        if (!take(c, ",") && *c->at != ')')
            return fail(c, "',' or ')'");
    }
    return true;
}

static bool parse_entry(struct cursor *c, struct rz_npy_header *header, unsigned *seen)
{
    char key[32];
    if (!parse_string(c, key, sizeof key, "a key: 'descr', 'fortran_order' or 'shape'"))
        return false;
    if (!take(c, ":"))
        return fail(c, "':'");

    unsigned bit;
    bool ok;
    if (strcmp(key, "descr") == 0) {
        bit = 1;
        ok = parse_string(c, header->descr, sizeof header->descr, "a plain dtype such as '<f4'");
    } else if (strcmp(key, "fortran_order") == 0) {
        bit = 2;
        ok = parse_bool(c, &header->fortran_order);
    } else if (strcmp(key, "shape") == 0) {
        bit = 4;
        ok = parse_shape(c, header);
    } else {
        return fail(c, "no keys but 'descr', 'fortran_order' and 'shape'");
    }
    if (ok && (*seen & bit) != 0)
        return fail(c, "each key once");
    *seen |= bit;
    return ok;
}

static bool parse_dictionary(struct cursor *c, struct rz_npy_header *header)
{
    unsigned seen = 0;
    if (!take(c, "{"))
        return fail(c, "'{'");
    while (!take(c, "}")) {
        if (!parse_entry(c, header, &seen))
            return false;
        if (!take(c, ",") && *c->at != '}')
            return fail(c, "',' or '}'");
    }
    skip_space(c);
    if (*c->at != '\0')
        return fail(c, "nothing after '}'");
    if (seen != 7)
        return fail(c, "the keys 'descr', 'fortran_order' and 'shape'");
    return true;
}

const char *rz_npy_header_parse(const char *text, struct rz_npy_header *header, size_t *at)
{
    struct cursor c = {.at = text};
    *header = (struct rz_npy_header){0};
    if (parse_dictionary(&c, header))
        return NULL;
    *at = (size_t)(c.at - text);
    return c.expected;
}
