/* history.h - a scope's last 24 hours, minute by minute. Free of libc.
 *
 * A history carries its scope's names, so that it outlives the scope's entry in the directory: a
 * site that sleeps at night has its day all the same. Only the keeper writes. Minutes are those of
 * the tick.
 *
 * Once a second, at tick t, the keeper takes a sample of the count, which belongs to the minute of
 * t; what came and went since the sample before, at tick p, belongs to the second and the minute of
 * p. So a minute is complete when a sample of a later one has been taken.
 *
 * Readers: a history's `version` is odd while it is given to another scope, a record's mark is 0
 * while the record is written. Whoever sees the same version, or mark, before and after has read
 * what belongs together. A daemon killed in between loses that minute, or that history.
 */
#ifndef PRESENCE_HISTORY_H
#define PRESENCE_HISTORY_H

#include "core/atomics.h"

#define HISTORY_MINUTES  1440
#define HISTORY_SECONDS  64
#define HISTORY_NEVER    UINT64_MAX
#define HISTORY_SITE_MAX 253
#define HISTORY_NAME_MAX 255

/* The window that is sampled: the default one, or the longest if that is shorter. */
static inline uint32_t history_window(uint32_t max_window)
{
    return max_window < 300 ? max_window : 300;
}

/* Mark of a minute's record: minute (40 bits), version (8), samples (8), flags (8). */
#define HISTORY_MARK_USED    UINT64_C(1)
#define HISTORY_MARK_WARMING UINT64_C(2)

static inline uint64_t history_mark_minute(uint64_t mark)
{
    return mark >> 24;
}

static inline uint32_t history_mark_samples(uint64_t mark)
{
    return (uint32_t)(mark >> 8) & 0xff;
}

struct history_minute {
    uint64_t mark;
    uint64_t sum; /* of all samples */
    uint32_t minimum, maximum;
    uint64_t heartbeats;
    uint32_t pageviews, entries, leaves, departures; /* no more than 2^32 - 1 is counted */
};

_Static_assert(sizeof(struct history_minute) == 48, "minute");
_Static_assert(__builtin_offsetof(struct history_minute, sum) == 8, "minute.sum");
_Static_assert(__builtin_offsetof(struct history_minute, minimum) == 16, "minute.minimum");
_Static_assert(__builtin_offsetof(struct history_minute, maximum) == 20, "minute.maximum");
_Static_assert(__builtin_offsetof(struct history_minute, heartbeats) == 24, "minute.heartbeats");
_Static_assert(__builtin_offsetof(struct history_minute, pageviews) == 32, "minute.pageviews");
_Static_assert(__builtin_offsetof(struct history_minute, entries) == 36, "minute.entries");
_Static_assert(__builtin_offsetof(struct history_minute, leaves) == 40, "minute.leaves");
_Static_assert(__builtin_offsetof(struct history_minute, departures) == 44, "minute.departures");

/* What came and went in one second. */
struct history_second {
    uint64_t mark; /* tick + 1; 0 while it is written */
    uint64_t heartbeats;
    uint32_t entries, leaves, departures;
    uint32_t reserved;
};

_Static_assert(sizeof(struct history_second) == 32, "second");
_Static_assert(__builtin_offsetof(struct history_second, heartbeats) == 8, "second.heartbeats");
_Static_assert(__builtin_offsetof(struct history_second, entries) == 16, "second.entries");
_Static_assert(__builtin_offsetof(struct history_second, leaves) == 20, "second.leaves");
_Static_assert(__builtin_offsetof(struct history_second, departures) == 24, "second.departures");

struct history {
    uint64_t version;    /* odd: its names change; 0: it was never given */
    uint64_t hash;       /* of the scope, see scope_name.h */
    uint64_t since;      /* tick since which its peaks are known */
    uint64_t peak_today; /* peak_word */
    uint64_t peak_ever;
    uint64_t sampled;        /* tick of the last sample; HISTORY_NEVER */
    uint64_t last_heartbeat; /* tick */
    /* The scope's totals at the last sample, and which life of which entry they are of. */
    uint64_t heartbeats, pageviews, entries, leaves;
    int64_t owed; /* departures that were counted too early; never more than 0 */
    uint64_t state;
    uint32_t scope;
    uint32_t count;      /* the last sample */
    uint8_t kind;        /* enum scope_kind */
    uint8_t site_length; /* 0: the history is free */
    uint8_t name_length;
    uint8_t site[HISTORY_SITE_MAX];
    uint8_t name[HISTORY_NAME_MAX];
    uint8_t reserved[17];
    struct history_second seconds[HISTORY_SECONDS];
};

_Static_assert(sizeof(struct history) == 640 + HISTORY_SECONDS * 32, "history");
_Static_assert(__builtin_offsetof(struct history, hash) == 8, "history.hash");
_Static_assert(__builtin_offsetof(struct history, since) == 16, "history.since");
_Static_assert(__builtin_offsetof(struct history, peak_today) == 24, "history.peak_today");
_Static_assert(__builtin_offsetof(struct history, peak_ever) == 32, "history.peak_ever");
_Static_assert(__builtin_offsetof(struct history, sampled) == 40, "history.sampled");
_Static_assert(__builtin_offsetof(struct history, last_heartbeat) == 48, "history.last_heartbeat");
_Static_assert(__builtin_offsetof(struct history, heartbeats) == 56, "history.heartbeats");
_Static_assert(__builtin_offsetof(struct history, pageviews) == 64, "history.pageviews");
_Static_assert(__builtin_offsetof(struct history, entries) == 72, "history.entries");
_Static_assert(__builtin_offsetof(struct history, leaves) == 80, "history.leaves");
_Static_assert(__builtin_offsetof(struct history, owed) == 88, "history.owed");
_Static_assert(__builtin_offsetof(struct history, state) == 96, "history.state");
_Static_assert(__builtin_offsetof(struct history, scope) == 104, "history.scope");
_Static_assert(__builtin_offsetof(struct history, count) == 108, "history.count");
_Static_assert(__builtin_offsetof(struct history, kind) == 112, "history.kind");
_Static_assert(__builtin_offsetof(struct history, site_length) == 113, "history.site_length");
_Static_assert(__builtin_offsetof(struct history, name_length) == 114, "history.name_length");
_Static_assert(__builtin_offsetof(struct history, site) == 115, "history.site");
_Static_assert(__builtin_offsetof(struct history, name) == 368, "history.name");
_Static_assert(__builtin_offsetof(struct history, seconds) == 640, "history.seconds");

/* One process's view of all histories. */
struct histories {
    struct history *heads;
    struct history_minute *minutes; /* HISTORY_MINUTES for each head */
    uint32_t capacity;
};

static inline struct history_minute *history_minute_at(const struct histories *histories,
                                                       uint32_t index, uint64_t minute)
{
    return &histories->minutes[(uint64_t)index * HISTORY_MINUTES + minute % HISTORY_MINUTES];
}

/* How many histories were ever given: those that were come first, and have a version. */
static inline uint32_t histories_begun(const struct histories *histories)
{
    uint32_t begun = 0;

    while (begun < histories->capacity &&
           atomic_load_relaxed(&histories->heads[begun].version) != 0)
        begun++;
    return begun;
}

/* Copy a record, if it is of the minute; false if it is another's, or is being written. */
static inline bool history_read_minute(const struct history_minute *record, uint64_t minute,
                                       struct history_minute *ret)
{
    /* Acquire: pairs with the release store that ends the keeper's write. */
    uint64_t mark = atomic_load_acquire(&record->mark);

    if (!(mark & HISTORY_MARK_USED) || history_mark_minute(mark) != minute)
        return false;
    *ret = (struct history_minute){
        .mark = mark,
        .sum = atomic_load_relaxed(&record->sum),
        .minimum = atomic_load_relaxed(&record->minimum),
        .maximum = atomic_load_relaxed(&record->maximum),
        .heartbeats = atomic_load_relaxed(&record->heartbeats),
        .pageviews = atomic_load_relaxed(&record->pageviews),
        .entries = atomic_load_relaxed(&record->entries),
        .leaves = atomic_load_relaxed(&record->leaves),
        .departures = atomic_load_relaxed(&record->departures),
    };
    /* The fence orders the fields before the second look at the mark (seqlock). */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return atomic_load_relaxed(&record->mark) == mark;
}

/* The same for the second that began at `tick`. */
static inline bool history_read_second(const struct history_second *record, uint64_t tick,
                                       struct history_second *ret)
{
    uint64_t mark = atomic_load_acquire(&record->mark); /* pairs with the keeper's release */

    if (mark != tick + 1)
        return false;
    *ret = (struct history_second){
        .mark = mark,
        .heartbeats = atomic_load_relaxed(&record->heartbeats),
        .entries = atomic_load_relaxed(&record->entries),
        .leaves = atomic_load_relaxed(&record->leaves),
        .departures = atomic_load_relaxed(&record->departures),
    };
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* as above */
    return atomic_load_relaxed(&record->mark) == mark;
}

#endif
