/* history.h - keep a scope's last 24 hours, minute by minute. Free of libc.
 *
 * A history has its scope's names, so that it outlives the scope's entry in the directory: a site
 * without visitors at night keeps its day. Only the maintenance thread writes. Minutes are those of
 * the tick.
 *
 * Once a second, at tick t, the maintenance thread samples the count. The sample belongs to the
 * minute of t; changes since the sample before, at tick p, are credited to the second and the
 * minute of p. So a minute is complete once a sample of a later minute was taken.
 *
 * A history's `version` is odd while it is reused for another scope, and a record's mark is 0 while
 * the record is written. A reader that loads the same version, or mark, before and after has a
 * consistent copy. A daemon killed in between loses that minute, or that history.
 */
#ifndef PRESENCE_HISTORY_H
#define PRESENCE_HISTORY_H

#include "core/atomics.h"

#define HISTORY_MINUTES     1440
#define HISTORY_SECONDS     64
#define HISTORY_NEVER       UINT64_MAX
#define HISTORY_VERSION_MAX (UINT64_C(1) << 62) /* then versions begin again */
#define HISTORY_SITE_MAX    253
#define HISTORY_NAME_MAX    255

/* Return the window that is sampled: the default one, or the longest if that is shorter. */
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
SHARED_AT(struct history_minute, sum, 8);
SHARED_AT(struct history_minute, minimum, 16);
SHARED_AT(struct history_minute, maximum, 20);
SHARED_AT(struct history_minute, heartbeats, 24);
SHARED_AT(struct history_minute, pageviews, 32);
SHARED_AT(struct history_minute, entries, 36);
SHARED_AT(struct history_minute, leaves, 40);
SHARED_AT(struct history_minute, departures, 44);

/* Changes within one second. */
struct history_second {
    uint64_t mark; /* tick + 1; 0 while it is written */
    uint64_t heartbeats;
    uint32_t entries, leaves, departures;
    uint32_t reserved;
};

_Static_assert(sizeof(struct history_second) == 32, "second");
SHARED_AT(struct history_second, heartbeats, 8);
SHARED_AT(struct history_second, entries, 16);
SHARED_AT(struct history_second, leaves, 20);
SHARED_AT(struct history_second, departures, 24);

struct history {
    uint64_t version;    /* odd: its names change; 0: never used */
    uint64_t hash;       /* of the scope, see scope_name.h */
    uint64_t since;      /* tick from which on its peaks are known */
    uint64_t peak_today; /* peak_word */
    uint64_t peak_ever;
    uint64_t sampled;        /* tick of the last sample; HISTORY_NEVER */
    uint64_t last_heartbeat; /* tick */
    /* The scope's totals at the last sample, and the entry and its state they belong to. */
    uint64_t heartbeats, pageviews, entries, leaves;
    int64_t departure_deficit; /* minus the visitors who were counted before their enters */
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
SHARED_AT(struct history, hash, 8);
SHARED_AT(struct history, since, 16);
SHARED_AT(struct history, peak_today, 24);
SHARED_AT(struct history, peak_ever, 32);
SHARED_AT(struct history, sampled, 40);
SHARED_AT(struct history, last_heartbeat, 48);
SHARED_AT(struct history, heartbeats, 56);
SHARED_AT(struct history, pageviews, 64);
SHARED_AT(struct history, entries, 72);
SHARED_AT(struct history, leaves, 80);
SHARED_AT(struct history, departure_deficit, 88);
SHARED_AT(struct history, state, 96);
SHARED_AT(struct history, scope, 104);
SHARED_AT(struct history, count, 108);
SHARED_AT(struct history, kind, 112);
SHARED_AT(struct history, site_length, 113);
SHARED_AT(struct history, name_length, 114);
SHARED_AT(struct history, site, 115);
SHARED_AT(struct history, name, 368);
SHARED_AT(struct history, seconds, 640);

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

/* Return how many histories were ever used. They come first, and have a version. */
static inline uint32_t histories_high_water(const struct histories *histories)
{
    uint32_t high_water = 0;

    while (high_water < histories->capacity &&
           atomic_load_relaxed(&histories->heads[high_water].version) != 0)
        high_water++;
    return high_water;
}

/* Copy a minute's record. False if the record belongs to another minute or is being written. */
static inline bool history_load_minute(const struct history_minute *record, uint64_t minute,
                                       struct history_minute *ret)
{
    /* Acquire: pairs with end_record. */
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
    /* Order every load of a field before the second load of the mark (seqlock). */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return atomic_load_relaxed(&record->mark) == mark;
}

/* Copy the record of the second that began at `tick`, likewise. */
static inline bool history_load_second(const struct history_second *record, uint64_t tick,
                                       struct history_second *ret)
{
    uint64_t mark = atomic_load_acquire(&record->mark); /* pairs with end_record */

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
