/* reader.h - shared by the files of the reading half. Not installed.
 *
 * Everything mapped is hostile and may change between any two loads. Bounds come only from the copy
 * of the header that was judged when the segment was opened. An index or a length loaded from the
 * mapping is copied, checked and then used. Every retry is bounded.
 */
#ifndef PRESENCE_READER_H
#define PRESENCE_READER_H

#include <sys/types.h>
#include <time.h>

#include "core/scope_name.h"
#include "core/segment.h"
#include "core/wire.h"
#include "presence/presence.h"

#define READER_ATTEMPTS 16 /* one is lost to each change of the directory or of the tick */

/* How far the machine's clocks are ahead of our CLOCK_MONOTONIC. For the wall clock this changes
 * only when somebody sets it or the machine was suspended, and only then can it have changed for
 * CLOCK_BOOTTIME. */
struct reader_clocks {
    struct timespec boot, wall;
};

#define READER_CLOCKS_UNKNOWN ((struct reader_clocks){.wall.tv_nsec = -1})

struct presence {
    char *path;
    struct segment_header header; /* the copy that was judged; geometry and secret come from here */
    struct segment segment;
    dev_t device;
    ino_t inode;
    uint64_t checked_at; /* when the path was last compared with what is mapped, seconds */
    uint32_t checked_state;
    struct reader_clocks clocks;
    struct timespec offset; /* how far CLOCK_BOOTTIME here is ahead of the machine's */
};

/* The clocks, as of the kernel's last timer tick (1 to 10 ms ago), and the collector's tick. */
struct reader_moment {
    uint64_t now;  /* the collector's CLOCK_BOOTTIME, seconds, in which ticks are counted */
    int64_t wall;  /* Unix seconds at which that second began, rounded down */
    uint64_t tick; /* published */
    uint32_t state;
};

/* The scope that a caller asks for: checked names in their canonical form. */
struct reader_place {
    enum scope_kind kind;
    struct wire_name site, label;
    uint8_t site_bytes[WIRE_SITE_MAX];
    uint8_t label_bytes[WIRE_ROOM_MAX];
};

/* The result of a search: the entries of a place and its site, and their generations. If the place
 * was not found, `index` is SCOPE_NONE, and `site`, too, unless its site is there. */
struct reader_scope {
    uint32_t site, index;
    uint64_t site_state, state;
};

/* The result of a search: a history and its version. */
struct reader_history {
    uint32_t index;
    uint64_t version;
};

/* ---- reader.c ---- */

/* Map the path's segment if it is another one by now. True if it is. */
bool reader_reopen(struct presence *presence);

/* ---- reader_moment.c ---- */

/* Load the clocks, and state and tick of the mapped segment. */
struct reader_moment reader_load_moment(struct presence *presence);

/* Load the same, but if the segment is stale, check its path at most once a second, since the
 * collector may have made a new one. Pointers into the mapping become invalid. */
struct reader_moment reader_current_moment(struct presence *presence);

bool reader_is_stale(const struct reader_moment *moment);
bool reader_is_warming(const struct presence *presence, const struct reader_moment *moment);

/* Return the seconds since the tick was published, and its wall-clock time. */
uint64_t reader_tick_age(const struct reader_moment *moment);
int64_t reader_as_of(const struct reader_moment *moment);

/* Return when a tick began, Unix seconds by the wall clock of now. */
int64_t reader_wall(const struct reader_moment *moment, uint64_t tick);

/* ---- reader_scope.c ---- */

/* Check a reader's arguments and bring them into canonical form (canonical.h), the only place where
 * that is done. `ret` points into itself and must not be copied. -EINVAL a name is empty or, in
 * that form, too long. */
int reader_parse_place(enum presence_kind kind, const char *site, const char *name,
                       struct reader_place *ret);

/* Find a place. -ENOENT there is none, and `ret` describes its site; -EAGAIN the directory changed
 * meanwhile. */
int reader_find(const struct presence *presence, const struct reader_place *place,
                struct reader_scope *ret);

/* Copy a name, which may be empty, from the mapping and terminate it. True if it is valid. */
bool reader_copy_name(const uint8_t *from, uint8_t length, char *ret);

bool reader_is_same(const struct presence *presence, const struct reader_scope *scope);

/* Choose the window in seconds; 0 wants the default. -ERANGE it is longer than the segment's
 * longest. */
int reader_choose_window(const struct presence *presence, uint32_t wanted_s, uint32_t *ret);

/* Count a scope at the published tick. If that moves meanwhile, count again and store the counted
 * tick in moment->tick. */
uint32_t reader_count(const struct presence *presence, uint32_t index, uint32_t window_s,
                      struct reader_moment *moment);

/* Return the age of a scope's last heartbeat at the moment's tick, seconds. */
uint32_t reader_last_heartbeat(const struct presence *presence, uint32_t index,
                               const struct reader_moment *moment);

/* True if no window counts a heartbeat of this age any more. */
bool reader_is_gone(const struct presence *presence, uint64_t age_s);

/* Load the reading of a place, for a chosen window. -EAGAIN the directory kept changing.
 * `ret_scope`, which may be NULL, is filled if the place exists. */
int reader_load(struct presence *presence, const struct reader_place *place, uint32_t window_s,
                struct reader_moment *moment, struct presence_reading *ret,
                struct reader_scope *ret_scope);

/* Fill a reading of `count` at a moment; exists, known and partial are false. */
void reader_fill_reading(const struct presence *presence, const struct reader_moment *moment,
                         uint32_t window_s, uint32_t count, uint32_t last_heartbeat_s,
                         struct presence_reading *ret);

/* ---- reader_known.c ----
 *
 * An answer about an entry holds only if the entry is still the scope's afterwards. */

/* True if a scope's count is a lower bound: visitors of it were refused within the window. `index`
 * is the scope and `site` its site; for a site both are the same. */
bool reader_visitors_refused(const struct presence *presence, uint32_t site, uint32_t index,
                             enum scope_kind kind, uint32_t window_s,
                             const struct reader_moment *moment);

/* The same, inline: nearly always nothing was ever refused, and a count has no time to check more
 * than that. */
static inline bool reader_is_partial(const struct presence *presence, uint32_t site, uint32_t index,
                                     enum scope_kind kind, uint32_t window_s,
                                     const struct reader_moment *moment)
{
    const struct scope_entry *entries = presence->segment.directory.entries;
    /* Relaxed: any recent values will do. */
    uint32_t marks = atomic_load_relaxed(&entries[site].entries_refused[SCOPE_SITE]) |
                     atomic_load_relaxed(&entries[site].entries_refused[kind]) |
                     atomic_load_relaxed(&entries[index].entries_refused[kind]);

    return __builtin_expect(marks != 0, false) &&
           reader_visitors_refused(presence, site, index, kind, window_s, moment);
}

/* True if a site, or a visitor of any site, was refused within the window. */
bool reader_sites_refused(const struct presence *presence, uint32_t window_s,
                          const struct reader_moment *moment);

/* True if a scope of this kind in this site, or a visitor of one, was refused within the window. */
bool reader_labels_refused(const struct presence *presence, uint32_t site, enum scope_kind kind,
                           uint32_t window_s, const struct reader_moment *moment);

/* True if a label of any kind in the site, or a visitor of the site or of such a label, was refused
 * within the window. */
bool reader_any_refused(const struct presence *presence, uint32_t site, uint32_t window_s,
                        const struct reader_moment *moment);

/* Load the reading of a place that does not exist: nobody or unknown (R6). `scope` comes from
 * reader_find. -EAGAIN its site was reused meanwhile. */
int reader_load_absent(const struct presence *presence, const struct reader_place *place,
                       const struct reader_scope *scope, uint32_t window_s,
                       const struct reader_moment *moment, struct presence_reading *ret);

/* ---- reader_history.c ---- */

/* Find a place's history. -ENOENT it has none; -EOPNOTSUPP the collector keeps none. */
int reader_find_history(const struct presence *presence, const struct reader_place *place,
                        struct reader_history *ret);

/* True if the history still belongs to the same place. */
bool reader_is_same_history(const struct presence *presence, const struct reader_history *history);

/* ---- reader_status.c ---- */

/* Return one counter, summed over all writers. */
uint64_t reader_counter(const struct presence *presence, enum counter counter);

#endif
