/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.h - which bytes a device can use.
 */
#ifndef RZ_TESTS_FAKES_CUDA_MEMORY_H
#define RZ_TESTS_FAKES_CUDA_MEMORY_H

#include "tests/fakes/cuda/machine.h"
#include "tests/fakes/cuda/work.h"

namespace fake {

struct block {
    uintptr_t begin, end;
    kind what; /* one of the *_memory */
    CUctx_st *context;
    bool read_only;   /* to the device */
    int file;         /* of device_memory and opened_memory: what other processes map */
    uint64_t inode;   /* of that file */
    uint32_t opened;  /* of opened_memory: how often */
    uintptr_t mapped; /* the pages that hold it */
    size_t mapped_bytes;
};

/* The block that has all of these bytes, or nullptr. */
block *find_block(uintptr_t begin, size_t bytes);
/* The block that begins here. */
block *find_start(uintptr_t begin, kind what);
/* find_opened - the block that another process's file of this inode is mapped at. */
block *find_opened(uint64_t inode);
bool overlaps_a_block(uintptr_t begin, size_t bytes);
block *add_block(const block &b);
void remove_block(const block *b);

bool is_device_memory(const block *b);

/* Has another process opened this device memory? */
bool is_open_elsewhere(const block *b);

/* Does the address lie where device memory is, was, or will be? */
bool is_device_address(uintptr_t address);

/* place_pages - pages of device memory that nobody has had before: of a file, or PROT_NONE with -1.
 */
void *place_pages(size_t bytes, int file);
void return_pages(uintptr_t begin, size_t bytes);

size_t page_bytes();
size_t whole_pages(size_t bytes);

/* fill_with_garbage - what new memory holds. */
void fill_with_garbage(void *begin, size_t bytes);

/* allow_bytes, forbid_bytes - tell AddressSanitizer, if it is there. */
void allow_bytes(uintptr_t begin, uintptr_t end);
void forbid_bytes(uintptr_t begin, uintptr_t end);

/* expect_usable - give up if work of a graph uses what is no more. */
void expect_usable(const task &what);

} // namespace fake

#endif
