/* consistency.h - check that table and rings agree. Only while no worker is in a batch. */
#ifndef PRESENCE_TESTS_CONSISTENCY_H
#define PRESENCE_TESTS_CONSISTENCY_H

#include "fixture.h"

/* Find the word of a visitor's number in a scope; 0 if there is none, or no such scope
 * (SCOPE_NONE). Fails if there are two. */
uint64_t consistency_word(const struct segment *segment, uint32_t scope, unsigned visitor);

/* Check a scope's counts against the words of visitors 0 to `visitors` - 1. Returns how many words
 * they have; 0 if there is no such scope. */
uint64_t consistency_check_scope(const struct fixture *fixture, const char *site, const char *room,
                                 unsigned visitors);

/* Check for each tick of the last `window` seconds that all rings sum up to the number of words.
 * `window` may exceed neither 480 nor the longest window. (Older words may be of retired scopes.)
 */
void consistency_check_histogram(const struct segment *segment, uint64_t now, unsigned window);

/* Check that the counters of entries add up to the number of words. */
void consistency_check_entries(const struct segment *segment);

#endif
