/* consistency.h - do the table and the rings say the same? Only while no worker is in a batch. */
#ifndef PRESENCE_TESTS_CONSISTENCY_H
#define PRESENCE_TESTS_CONSISTENCY_H

#include "fixture.h"

/* The word of a visitor's number in a scope, 0 if there is none. Fails if there are two. */
uint64_t consistency_word(const struct segment *segment, uint32_t scope, unsigned visitor);

/* A scope's counts must be what the words of visitors 0 to `visitors` - 1 say. Returns how many
 * words they have; 0 if there is no such scope. */
uint64_t consistency_check_scope(const struct fixture *fixture, const char *site, const char *room,
                                 unsigned visitors);

/* Tick by tick, the table's words of the last `window` seconds, at most 480 and the longest window,
 * must be the sum of all rings. (Older words may be those of scopes that were given up.) */
void consistency_check_histogram(const struct segment *segment, uint64_t now, unsigned window);

#endif
