/* reader.h - what the files of the reading half share. Not installed.
 *
 * Whatever is mapped is hostile and may change between any two loads. Bounds come only from the
 * copy of the header that was judged when the segment was opened; an index or a length that was
 * read from the mapping is checked, once copied, before it is used; every retry is bounded.
 */
#ifndef PRESENCE_READER_H
#define PRESENCE_READER_H

#include <sys/types.h>
#include <time.h>

#include "presence/presence.h"
#include "core/scope_name.h"
#include "core/segment.h"
#include "core/wire.h"

#define READER_ATTEMPTS 16 /* each lost to a change of the directory or of the tick */

/* How far the clocks are ahead of CLOCK_MONOTONIC. That of the wall clock moves only when somebody
 * sets it or the machine was suspended, and only then may that of CLOCK_BOOTTIME have moved. */
struct reader_clocks {
    struct timespec boot, wall;
};

#define READER_CLOCKS_UNKNOWN ((struct reader_clocks){.wall.tv_nsec = -1})

struct presence {
    char *path;
    struct segment_header header; /* the copy that was judged: geometry and secret come from here */
    struct segment segment;
    dev_t device;
    ino_t inode;
    uint64_t looked_at; /* when the path was last compared with what is mapped, seconds */
    uint32_t looked_state;
    struct reader_clocks clocks;
};

/* The clocks, as of the kernel's last timer tick (1 to 10 ms), and the collector's. */
struct reader_moment {
    uint64_t now;  /* CLOCK_BOOTTIME, seconds */
    int64_t wall;  /* Unix seconds when that second began, rounded down */
    uint64_t tick; /* published */
    uint32_t state;
};

/* The scope that a caller asks for, names checked and brought into the form they are kept in. */
struct reader_place {
    enum scope_kind kind;
    struct wire_name site, label;
    uint8_t site_bytes[WIRE_SITE_MAX];
    uint8_t country[2];
};

/* Where a place was found, and under which generations. */
struct reader_scope {
    uint32_t site, index;
    uint64_t site_state, state;
};

/* A history that was found, and under which version. */
struct reader_history {
    uint32_t index;
    uint64_t version;
};

/* ---- reader.c ---- */

/* Map the path's segment anew if that is another one by now. True if it is. */
bool reader_reopen(struct presence *presence);

/* ---- reader_moment.c ---- */

/* Read the clocks and the tick of the segment that is mapped. */
struct reader_moment reader_glance(struct presence *presence);

/* The same; but a segment that is stale is looked for at its path, at most once a second: the
 * collector may have made a new one. Pointers into the mapping do not outlive it. */
struct reader_moment reader_moment(struct presence *presence);

bool reader_is_stale(const struct reader_moment *moment);
bool reader_is_warming(const struct presence *presence, const struct reader_moment *moment);

/* Seconds since the tick was published, and its wall-clock time. */
uint64_t reader_tick_age(const struct reader_moment *moment);
int64_t reader_as_of(const struct reader_moment *moment);

/* When a tick began, Unix seconds by the wall clock of now. */
int64_t reader_wall(const struct reader_moment *moment, uint64_t tick);

/* ---- reader_scope.c ---- */

/* Check and prepare names. `ret` must not be copied. -EINVAL a name is empty or too long. */
int reader_place(enum presence_kind kind, const char *site, const char *name,
                 struct reader_place *ret);

/* Find a place. -ENOENT there is none; -EAGAIN the directory changed meanwhile. */
int reader_find(const struct presence *presence, const struct reader_place *place,
                struct reader_scope *ret);

/* Copy an entry's name if it is one. It is the scope's only if reader_is_same afterwards. */
bool reader_copy_name(const struct scope_entry *entry, char ret[PRESENCE_NAME_MAX + 1]);

bool reader_is_same(const struct presence *presence, const struct reader_scope *scope);

/* Choose the window, in seconds. -ERANGE it is longer than the segment's longest. */
int reader_window(const struct presence *presence, uint32_t wanted_s, uint32_t *ret);

/* Count a scope at the published tick, which may move meanwhile: moment->tick becomes the tick that
 * was counted at. */
uint32_t reader_count(const struct presence *presence, uint32_t index, uint32_t window_s,
                      struct reader_moment *moment);

/* Age of a scope's last heartbeat at the moment's tick, seconds. */
uint32_t reader_last_heartbeat(const struct presence *presence, uint32_t index,
                               const struct reader_moment *moment);

/* Can no window count a heartbeat of this age any more? */
bool reader_is_gone(const struct presence *presence, uint64_t age_s);

/* Count a place whose window is chosen. -ENOENT, -EAGAIN. `ret_scope` may be NULL. */
int reader_read(struct presence *presence, const struct reader_place *place, uint32_t window_s,
                struct reader_moment *moment, struct presence_reading *ret,
                struct reader_scope *ret_scope);

/* A reading of `count` at a moment. */
struct presence_reading reader_reading(const struct presence *presence,
                                       const struct reader_moment *moment, uint32_t window_s,
                                       uint32_t count, uint32_t last_heartbeat_s);

/* ---- reader_history.c ---- */

/* Find a place's history. -ENOENT it has none; -EOPNOTSUPP there are none. */
int reader_find_history(const struct presence *presence, const struct reader_place *place,
                        struct reader_history *ret);

/* Is it still that of the same place? */
bool reader_is_same_history(const struct presence *presence, const struct reader_history *history);

/* ---- reader_status.c ---- */

/* One counter, summed over all writers. */
uint64_t reader_counter(const struct presence *presence, enum counter counter);

#endif
