/* oracle_peaks.h - when the most visitors were in a scope, computed in the simplest way.
 *
 * A scope that had no heartbeat for the longest window may be freed, and start another life with
 * the next one: both are followed, until a reader returns since when the scope is sampled.
 */
#ifndef PRESENCE_TESTS_ORACLE_PEAKS_H
#define PRESENCE_TESTS_ORACLE_PEAKS_H

#include <stdbool.h>
#include <stdint.h>

struct oracle_peak {
    unsigned count;
    uint64_t at; /* tick */
};

/* The peaks of a scope if it was created at tick `since`. */
struct oracle_life {
    uint64_t since;
    unsigned samples;
    struct oracle_peak today, ever;
};

struct oracle_lives {
    struct oracle_life *lives; /* oldest first */
    unsigned length, capacity;
};

/* The scope is created, or continues if it is there: the oracle can't tell. */
void oracle_lives_begin(struct oracle_lives *lives, uint64_t since);

void oracle_lives_sample(struct oracle_lives *lives, unsigned count, uint64_t now, bool is_new_day);

/* Find the life that began at a tick; NULL: none can have. */
const struct oracle_life *oracle_lives_find(const struct oracle_lives *lives, uint64_t since);

/* Those that began before are known to be over. */
void oracle_lives_settle(struct oracle_lives *lives, uint64_t since);

void oracle_lives_free(struct oracle_lives *lives);

#endif
