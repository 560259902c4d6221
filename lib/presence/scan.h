/* scan.h - count all scopes of a segment in one pass, for a program that publishes them elsewhere
 * and writes only what has changed. Not installed, and not in the shared library.
 *
 * A scope is told by the index of its entry and the entry's generation: who compares two passes
 * needs no names. One thread at a time.
 */
#ifndef PRESENCE_SCAN_H
#define PRESENCE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "presence/presence.h"

#define SCAN_WINDOWS_MAX   8
#define SCAN_KINDS         4  /* of enum presence_kind */
#define SCAN_QUIET_S       60 /* a site whose last heartbeat is older is quiet */
#define SCAN_IDENTITY_SIZE 64

/* The windows to count, seconds, as they are rounded, ascending and each once. */
struct scan_windows {
    uint32_t seconds[SCAN_WINDOWS_MAX];
    unsigned count;
};

struct scan_scope {
    uint64_t generation;    /* never 0, unless there is no scope */
    int64_t last_heartbeat; /* of a quiet site, Unix seconds; otherwise 0 */
    uint32_t site;          /* index of its site, not checked; of a site its own */
    uint32_t partial;       /* of a site: scan_partial_bit */
    uint8_t kind;           /* enum presence_kind */
    uint8_t unknown;        /* of a site: bit KIND: one of this kind that isn't there is unknown */
};

/* The result of a pass. Arrays have an element for each entry of the directory. */
struct scan {
    struct scan_windows windows;
    uint32_t capacity;
    uint32_t used; /* all scopes have lower indices */
    struct scan_scope *scopes;
    uint32_t *counts[SCAN_WINDOWS_MAX]; /* by window */
    size_t scope_count;                 /* how many there are */
    uint64_t tick;                      /* of the counts, if it did not move during the pass */
    int64_t as_of;                      /* the same, Unix seconds */
    bool stale, warming;
    bool unknown; /* a site that isn't there is unknown */
};

/* Return the bit that says that counts of this kind in a site are lower bounds; of PRESENCE_SITE:
 * that the site's own is. */
static inline uint32_t scan_partial_bit(unsigned window, enum presence_kind kind)
{
    return UINT32_C(1) << (SCAN_KINDS * window + kind);
}

/* Round windows as the collector does, and leave out those that are longer than its longest; of
 * none, and if none is left, choose the default. True if some were left out. */
bool scan_choose_windows(const struct presence *presence, const uint32_t *wanted_s, size_t count,
                         struct scan_windows *ret);

/* Return the published tick. */
uint64_t scan_tick(const struct presence *presence);

/* Return the size of the directory, and of the table of streams. */
uint32_t scan_capacity(const struct presence *presence);
uint32_t scan_streams_max(const struct presence *presence);

/* Describe which segment is open: the text changes when the handle opens another one, which
 * presence_freshness may do, and no other call of this header. */
void scan_identify(const struct presence *presence, char ret[SCAN_IDENTITY_SIZE]);

/* Allocate the arrays for a segment. Release them with scan_free. Errors: -ENOMEM. */
int scan_alloc(uint32_t capacity, const struct scan_windows *windows, struct scan *ret);
void scan_free(struct scan *scan); /* zeroed is fine */

/* Count all scopes. The segment is the one for which `scan` was allocated. */
void scan_pass(struct presence *presence, struct scan *scan);

/* Copy the name of a scope that the pass has found, of a room, country or source without its
 * site's. False if there is none by now, or another one, or if the site is another. */
bool scan_copy_name(const struct presence *presence, const struct scan *scan, uint32_t index,
                    char ret[PRESENCE_NAME_MAX + 1]);

#endif
