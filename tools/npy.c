/* SPDX-License-Identifier: Apache-2.0
 *
 * npy.c - read .npy files with pread(2).
 *
 * Not mapped: a file that is cut short while it is read is an error here, and a SIGBUS there. A
 * rank reads no more than its own columns, straight to where the job wants them.
 */
#include "tools/npy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/npy_header.h"

enum {
    MAX_HEADER_BYTES = 1 << 20, /* NumPy itself refuses more than 10,000 */
    PREFIX_BYTES = 8,           /* the magic string and two bytes of version */
};

static const char magic[] = "\x93NUMPY";

static const struct {
    enum rz_npy_type type;
    const char *descr;
    size_t bytes;
    const char *name;
} known_types[] = {
    {RZ_NPY_F32, "<f4", 4, "float32"}, {RZ_NPY_F16, "<f2", 2, "float16"},
    {RZ_NPY_U16, "<u2", 2, "uint16"},  {RZ_NPY_U32, "<u4", 4, "uint32"},
    {RZ_NPY_I32, "<i4", 4, "int32"},
};

enum { TYPES = sizeof known_types / sizeof known_types[0] };

/* Read `bytes` at `offset`; how many there were, or -1 with errno. */
static ssize_t read_all(int fd, void *to, size_t bytes, uint64_t offset)
{
    size_t done = 0;
    while (done < bytes) {
        const ssize_t got = pread(fd, (char *)to + done, bytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static int read_exactly(int fd, const char *path, const char *what, void *to, size_t bytes,
                        uint64_t offset, struct rz_complaint *complaint)
{
    const ssize_t got = read_all(fd, to, bytes, offset);
    if (got < 0)
        return rz_complain(complaint, RZ_EXIT_FAILED, "%s: cannot read: %s", path, strerror(errno));
    if ((size_t)got < bytes)
        return rz_complain(complaint, RZ_EXIT_FAILED,
                           "%s: truncated: expected %s of %zu bytes, got %zd", path, what, bytes,
                           got);
    return RZ_EXIT_OK;
}

static uint32_t little_endian(const unsigned char *bytes, unsigned count)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < count; i++)
        value |= (uint32_t)bytes[i] << 8 * i;
    return value;
}

/* Where the dictionary is: its length is 2 bytes in version 1, 4 in versions 2 and 3. */
static int find_header(int fd, const char *path, uint64_t *at, uint32_t *bytes,
                       struct rz_complaint *complaint)
{
    unsigned char prefix[PREFIX_BYTES + 4] = {0};
    const ssize_t got = read_all(fd, prefix, PREFIX_BYTES, 0);
    if (got < 0)
        return rz_complain(complaint, RZ_EXIT_FAILED, "%s: cannot read: %s", path, strerror(errno));
    if (got < PREFIX_BYTES || memcmp(prefix, magic, sizeof magic - 1) != 0)
        return rz_complain(complaint, RZ_EXIT_FAILED,
                           "%s: expected a .npy file, which starts with \"\\x93NUMPY\", got "
                           "something else",
                           path);

    const unsigned major = prefix[6], minor = prefix[7];
    if (major < 1 || major > 3 || minor != 0)
        return rz_complain(complaint, RZ_EXIT_FAILED,
                           "%s: expected .npy format 1.0, 2.0 or 3.0, got %u.%u", path, major,
                           minor);

    const unsigned length_bytes = major == 1 ? 2 : 4;
    const int status = read_exactly(fd, path, "a header length", prefix + PREFIX_BYTES,
                                    length_bytes, PREFIX_BYTES, complaint);
    if (status != RZ_EXIT_OK)
        return status;
    *at = PREFIX_BYTES + length_bytes;
    *bytes = little_endian(prefix + PREFIX_BYTES, length_bytes);
    if (*bytes > MAX_HEADER_BYTES)
        return rz_complain(complaint, RZ_EXIT_FAILED,
                           "%s: expected a header of at most %d bytes, got %" PRIu32, path,
                           MAX_HEADER_BYTES, *bytes);
    return RZ_EXIT_OK;
}

static int read_header(int fd, const char *path, uint64_t at, uint32_t bytes,
                       struct rz_npy_header *header, struct rz_complaint *complaint)
{
    char *text = malloc((size_t)bytes + 1);
    if (text == NULL)
        return rz_complain_memory(complaint);

    int status = read_exactly(fd, path, "a header", text, bytes, at, complaint);
    if (status == RZ_EXIT_OK) {
        text[bytes] = '\0';
        size_t offset = 0;
        const char *expected = rz_npy_header_parse(text, header, &offset);
        if (expected != NULL)
            status = rz_complain(complaint, RZ_EXIT_FAILED,
                                 "%s: .npy header: expected %s at byte %zu, got \"%.24s\"", path,
                                 expected, offset, text + offset);
        else if (strlen(text) != bytes)
            status = rz_complain(complaint, RZ_EXIT_FAILED,
                                 "%s: .npy header: expected text of %" PRIu32
                                 " bytes, got a NUL at byte %zu",
                                 path, bytes, strlen(text));
    }
    free(text);
    return status;
}

/* "float32 ('<f4') or uint32 ('<u4')" */
static void list_types(unsigned types, char *to, size_t capacity)
{
    size_t length = 0;
    to[0] = '\0';
    for (size_t i = 0; i < TYPES && length < capacity; i++)
        if ((types & known_types[i].type) != 0)
            length += (size_t)snprintf(to + length, capacity - length, "%s%s ('%s')",
                                       length > 0 ? " or " : "", known_types[i].name,
                                       known_types[i].descr);
}

static int check_type(const char *path, const struct rz_npy_header *header, unsigned types,
                      struct rz_npy *npy, struct rz_complaint *complaint)
{
    for (size_t i = 0; i < TYPES; i++) {
        if ((types & known_types[i].type) != 0 &&
            strcmp(header->descr, known_types[i].descr) == 0) {
            npy->type = known_types[i].type;
            npy->item_bytes = known_types[i].bytes;
            return RZ_EXIT_OK;
        }
    }
    char expected[160];
    list_types(types, expected, sizeof expected);
    return rz_complain(complaint, RZ_EXIT_FAILED, "%s: expected dtype %s, got '%s'%s", path,
                       expected, header->descr, header->descr[0] == '>' ? " (big-endian)" : "");
}

static int check_shape(const char *path, const struct rz_npy_header *header, struct rz_npy *npy,
                       struct rz_complaint *complaint)
{
    if (header->dimensions < 1 || header->dimensions > 2)
        return rz_complain(complaint, RZ_EXIT_FAILED, "%s: expected 1 or 2 dimensions, got %u",
                           path, header->dimensions);
    if (header->fortran_order)
        return rz_complain(complaint, RZ_EXIT_FAILED,
                           "%s: expected C order (fortran_order False), got Fortran order", path);
    npy->rows = header->dimensions == 2 ? header->shape[0] : 1;
    npy->columns = header->shape[header->dimensions - 1];
    if (npy->rows == 0 || npy->columns == 0)
        return rz_complain(complaint, RZ_EXIT_FAILED,
                           "%s: expected at least one row and one column, got shape (%" PRIu64
                           ", %" PRIu64 ")",
                           path, npy->rows, npy->columns);
    return RZ_EXIT_OK;
}

/* A file that holds more than its shape says is as suspect as one that holds less. */
static int check_size(const struct rz_npy *npy, uint64_t file_bytes, struct rz_complaint *complaint)
{
    uint64_t expected;
    if (__builtin_mul_overflow(npy->rows, npy->columns, &expected) ||
        __builtin_mul_overflow(expected, npy->item_bytes, &expected) || expected > INT64_MAX / 2)
        return rz_complain(complaint, RZ_EXIT_FAILED,
                           "%s: shape (%" PRIu64 ", %" PRIu64 ") is larger than any file",
                           npy->path, npy->rows, npy->columns);
    const uint64_t got = file_bytes > npy->data_at ? file_bytes - npy->data_at : 0;
    if (got != expected)
        return rz_complain(complaint, RZ_EXIT_FAILED,
                           "%s: %s: expected %" PRIu64 " bytes of elements for shape (%" PRIu64
                           ", %" PRIu64 "), got %" PRIu64,
                           npy->path, got < expected ? "truncated" : "too long", expected,
                           npy->rows, npy->columns, got);
    return RZ_EXIT_OK;
}

static int read_array(struct rz_npy *npy, unsigned types, struct rz_complaint *complaint)
{
    struct stat info;
    if (fstat(npy->fd, &info) != 0)
        return rz_complain(complaint, RZ_EXIT_FAILED, "%s: cannot read: %s", npy->path,
                           strerror(errno));
    if (!S_ISREG(info.st_mode))
        return rz_complain(complaint, RZ_EXIT_FAILED,
                           "%s: expected a regular file, got a directory, pipe or device",
                           npy->path);

    uint64_t at = 0;
    uint32_t bytes = 0;
    struct rz_npy_header header;
    int status = find_header(npy->fd, npy->path, &at, &bytes, complaint);
    if (status == RZ_EXIT_OK)
        status = read_header(npy->fd, npy->path, at, bytes, &header, complaint);
    if (status == RZ_EXIT_OK)
        status = check_type(npy->path, &header, types, npy, complaint);
    if (status == RZ_EXIT_OK)
        status = check_shape(npy->path, &header, npy, complaint);
    if (status != RZ_EXIT_OK)
        return status;
    npy->data_at = at + bytes;
    return check_size(npy, (uint64_t)info.st_size, complaint);
}

int rz_npy_open(const char *path, unsigned types, struct rz_npy *npy,
                struct rz_complaint *complaint)
{
    struct rz_npy opened = {.path = path};
    /* O_NONBLOCK: opening a pipe that nobody writes to would wait for ever. */
    opened.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (opened.fd < 0)
        return rz_complain(complaint, RZ_EXIT_FAILED, "%s: cannot open: %s", path, strerror(errno));

    const int status = read_array(&opened, types, complaint);
    if (status != RZ_EXIT_OK) {
        close(opened.fd);
        return status;
    }
    *npy = opened;
    return RZ_EXIT_OK;
}

int rz_npy_read(const struct rz_npy *npy, uint64_t row, uint64_t column, size_t count, void *to,
                struct rz_complaint *complaint)
{
    const uint64_t at = npy->data_at + (row * npy->columns + column) * npy->item_bytes;
    return read_exactly(npy->fd, npy->path, "elements", to, count * npy->item_bytes, at, complaint);
}

void rz_npy_close(struct rz_npy *npy)
{
    close(npy->fd);
    npy->fd = -1;
}

void rz_npy_header_i32(uint64_t rows, uint64_t columns, char header[RZ_NPY_HEADER_BYTES])
{
    enum { TEXT_AT = PREFIX_BYTES + 2, TEXT_BYTES = RZ_NPY_HEADER_BYTES - TEXT_AT };
    memset(header, ' ', RZ_NPY_HEADER_BYTES);
    memcpy(header, magic, sizeof magic - 1);
    header[6] = 1;
    header[7] = 0;
    header[8] = TEXT_BYTES;
    header[9] = 0;
    char text[TEXT_BYTES];
    const int length =
        snprintf(text, sizeof text,
                 "{'descr': '<i4', 'fortran_order': False, 'shape': (%" PRIu64 ", %" PRIu64 "), }",
                 rows, columns);
    memcpy(header + TEXT_AT, text, (size_t)length);
    header[RZ_NPY_HEADER_BYTES - 1] = '\n';
}
