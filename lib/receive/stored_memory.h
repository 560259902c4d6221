/* stored_memory.h - memory that outlives a program in the service manager's store. The main thread
 * only.
 *
 * It is a memfd whose size is sealed, so that nobody can cut it off under a program that maps it.
 * What it contains is the last program's, or anybody's who could write it: judge it.
 */
#ifndef PRESENCE_STORED_MEMORY_H
#define PRESENCE_STORED_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

struct stored_memory {
    void *bytes; /* NULL: none */
    size_t size;
    int descriptor; /* negative: it can't be stored */
};

/* Map what was stored. Returns false if it is no sealed memory of `size` bytes that can be written;
 * the descriptor stays the caller's then, and is `ret`'s otherwise. */
bool stored_memory_adopt(int descriptor, size_t size, struct stored_memory *ret);

/* Make memory of `size` zeros. Where no descriptor can be had, or unless `can_store`, it has none.
 * Errors: -ENOMEM. */
int stored_memory_create(const char *name, size_t size, bool can_store, struct stored_memory *ret);

/* Unmap and close it. */
void stored_memory_close(struct stored_memory *memory);

#endif
