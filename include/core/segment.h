/* segment.h - the layout of the shared segment, and the checks before any of it is trusted.
 *
 * One file in tmpfs: header, counters, directory entries, directory heads, scope rings, visitor
 * table, scope activities, histories and their minutes, events, streams, each at an offset in the
 * header.
 * The daemon is the only writer. Everything is in the machine's own byte order: the segment never
 * leaves it.
 */
#ifndef PRESENCE_SEGMENT_H
#define PRESENCE_SEGMENT_H

#include <stddef.h>

#include "core/atomics.h"
#include "core/events.h"
#include "core/history.h"
#include "core/scope.h"
#include "core/stream.h"
#include "core/table.h"

#define SEGMENT_MAGIC         UINT64_C(0x3145434e45534552) /* "RESENCE1" read as little-endian */
#define SEGMENT_ABI_MAJOR     5                            /* another major: not readable */
#define SEGMENT_ABI_MINOR     0                            /* a higher minor only adds */
#define SEGMENT_WORKERS_MAX   64
#define SEGMENT_ALIGNMENT     4096
#define SEGMENT_HUGE_PAGE     (UINT64_C(2) << 20) /* larger sections begin at its multiples */
#define SEGMENT_STALE_AGE     3  /* seconds: a published tick older, or ahead by more, is stale */
#define SEGMENT_GAP           10 /* seconds without listening after which counts warm up again */
#define SEGMENT_NEVER         UINT64_MAX
#define SEGMENT_ENTRIES_MAX   (UINT64_C(1) << 35)
#define SEGMENT_SCOPES_MAX    (UINT32_C(1) << 22)
#define SEGMENT_HISTORIES_MAX (UINT32_C(1) << 20)
#define SEGMENT_STREAMS_MAX   (UINT32_C(1) << 16)

enum segment_state {
    SEGMENT_STARTING = 1,
    SEGMENT_LISTENING = 2,
    SEGMENT_STOPPED = 3,
    SEGMENT_REPLACED = 4, /* another file has this one's path now: reopen it */
};

enum counter {
#define X(name, help) COUNTER_##name,
#include "core/counters.def"
#undef X
    COUNTERS_SHOWN, /* those above are shown by name, those below yield the table's state */
    COUNTER_entries_taken = 62, /* slots that a new entry took */
    COUNTER_entries_freed = 63, /* slots that were freed */
    COUNTERS
};

/* One writer's counters; readers sum them. The maintenance thread's block follows the workers'. */
struct segment_counters {
    uint64_t values[COUNTERS];
};

_Static_assert(COUNTERS == 64 && (int)COUNTERS_SHOWN <= (int)COUNTER_entries_taken,
               "a block has room for 64 counters");

enum segment_section_kind {
    SECTION_COUNTERS,
    SECTION_ENTRIES,
    SECTION_HEADS,
    SECTION_RINGS,
    SECTION_TABLE,
    SECTION_ACTIVITIES,
    SECTION_HISTORIES,
    SECTION_MINUTES,
    SECTION_EVENTS,
    SECTION_STREAMS,
    SECTIONS,
};

struct segment_section {
    uint64_t offset; /* bytes from the start of the file, a multiple of SEGMENT_ALIGNMENT */
    uint64_t size;   /* bytes */
};

/* The settings that a segment is created with. All but the warm-up fix its geometry. */
struct segment_settings {
    uint64_t max_entries;   /* words, 1 to SEGMENT_ENTRIES_MAX */
    uint32_t max_scopes;    /* 1 to SEGMENT_SCOPES_MAX */
    uint32_t max_window;    /* seconds, 1 to WINDOW_MAX */
    uint32_t max_histories; /* 0 to SEGMENT_HISTORIES_MAX */
    uint32_t max_events;    /* 0, or a power of two from EVENTS_MIN to EVENTS_MAX */
    uint32_t max_streams;   /* 0 to SEGMENT_STREAMS_MAX */
    uint32_t warm_up;       /* seconds, up to WINDOW_MAX */
};

/* Fixed when the segment is created: a daemon with other settings replaces it. */
struct segment_geometry {
    uint64_t max_entries; /* words, as asked for */
    uint64_t table_pairs;
    uint32_t max_scopes;
    uint32_t head_count; /* a power of two */
    uint32_t max_window; /* seconds */
    uint32_t max_histories;
    uint32_t max_events;
    uint32_t max_streams;
    struct segment_section sections[12];
};

struct segment_header {
    uint64_t magic;
    uint16_t abi_major;
    uint16_t abi_minor;
    uint32_t header_size;
    uint64_t file_size;
    uint8_t boot_id[16];
    uint64_t secret[HASH_KEY_WORDS]; /* the key of every hash in this segment */
    struct segment_geometry geometry;

    /* Below here the daemon writes while others read: aligned words, relaxed unless noted. */
    uint32_t state; /* enum segment_state; release, pairs with reader_load_moment */
    int32_t pid;
    uint64_t pid_start_time; /* clock ticks since boot, /proc/PID/stat field 22 */
    uint64_t tick; /* release; everything up to it is published, except batches in flight */
    uint64_t listening_since;   /* tick, or SEGMENT_NEVER */
    uint64_t directory_changes; /* entries freed so far: while it is unchanged, a miss is certain */
    uint32_t warm_up;           /* seconds */
    uint32_t workers;
    char receive[16];          /* the engine; zero-terminated */
    char receive_reason[64];   /* why not io_uring; zero-terminated */
    char filter[16];           /* the XDP filter: "native", "generic" or "none"; zero-terminated */
    char filter_interface[16]; /* where it is attached, or was to be; zero-terminated */
    char filter_reason[96];    /* why there is none, or it is idle; zero-terminated */
    uint64_t sampled;          /* tick of the last samples, or SEGMENT_NEVER */
    int64_t day; /* of today's peaks, in days of UTC since 1970; release, pairs with load_peaks */
    int64_t clock_offset;  /* seconds that ticks are ahead of the machine's CLOCK_BOOTTIME, by the
                              collector's time namespace */
    uint32_t site_refused; /* refusal_mark of the last site that was refused */
    uint32_t site_entry_refused; /* likewise, of the last visitor not counted in a site */
    char spread[16];         /* how new senders are assigned to workers: "turn", "hash" or "none";
                                zero-terminated */
    char spread_reason[96];  /* why not in turn; zero-terminated */
    char listen_missing[96]; /* addresses of --listen that the machine doesn't have;
                                zero-terminated. May change while it is read */
    uint32_t keys;           /* how many are in use; 0: tags are not checked */
    char keys_refused[124];  /* why the last new keys were refused; zero-terminated, empty: they
                                were not. May change while it is read */
};

SHARED_AT(struct segment_header, abi_major, 8);
SHARED_AT(struct segment_header, abi_minor, 10);
SHARED_AT(struct segment_header, header_size, 12);
SHARED_AT(struct segment_header, file_size, 16);
SHARED_AT(struct segment_header, boot_id, 24);
SHARED_AT(struct segment_header, secret, 40);
SHARED_AT(struct segment_header, geometry, 88);
SHARED_AT(struct segment_geometry, max_entries, 0);
SHARED_AT(struct segment_geometry, table_pairs, 8);
SHARED_AT(struct segment_geometry, max_scopes, 16);
SHARED_AT(struct segment_geometry, head_count, 20);
SHARED_AT(struct segment_geometry, max_window, 24);
SHARED_AT(struct segment_geometry, max_histories, 28);
SHARED_AT(struct segment_geometry, max_events, 32);
SHARED_AT(struct segment_geometry, max_streams, 36);
SHARED_AT(struct segment_geometry, sections, 40);
_Static_assert(sizeof(struct segment_geometry) == 232, "geometry");
SHARED_AT(struct segment_header, state, 320);
SHARED_AT(struct segment_header, pid, 324);
SHARED_AT(struct segment_header, pid_start_time, 328);
SHARED_AT(struct segment_header, tick, 336);
SHARED_AT(struct segment_header, listening_since, 344);
SHARED_AT(struct segment_header, directory_changes, 352);
SHARED_AT(struct segment_header, warm_up, 360);
SHARED_AT(struct segment_header, workers, 364);
SHARED_AT(struct segment_header, receive, 368);
SHARED_AT(struct segment_header, receive_reason, 384);
SHARED_AT(struct segment_header, filter, 448);
SHARED_AT(struct segment_header, filter_interface, 464);
SHARED_AT(struct segment_header, filter_reason, 480);
SHARED_AT(struct segment_header, sampled, 576);
SHARED_AT(struct segment_header, day, 584);
SHARED_AT(struct segment_header, clock_offset, 592);
SHARED_AT(struct segment_header, site_refused, 600);
SHARED_AT(struct segment_header, site_entry_refused, 604);
SHARED_AT(struct segment_header, spread, 608);
SHARED_AT(struct segment_header, spread_reason, 624);
SHARED_AT(struct segment_header, listen_missing, 720);
SHARED_AT(struct segment_header, keys, 816);
SHARED_AT(struct segment_header, keys_refused, 820);
_Static_assert(sizeof(struct segment_header) == 944, "header");

#define SEGMENT_COUNTER_BLOCKS (SEGMENT_WORKERS_MAX + 1)

/* One process's view of a mapped segment. */
struct segment {
    struct segment_header *header;
    struct segment_counters *counters; /* SEGMENT_COUNTER_BLOCKS of them */
    struct directory directory;
    struct table table;
    struct histories histories;
    struct events events;
    struct streams streams;
    uint64_t size;
    uint32_t max_window;
};

static inline uint64_t segment_align(uint64_t size, uint64_t alignment)
{
    return (size + alignment - 1) / alignment * alignment;
}

/* Return the age in seconds from which on no bucket counts a word, and no rule needs it. */
static inline uint64_t segment_expiry(uint32_t max_window)
{
    uint64_t longest = max_window > TABLE_ENTER_AGE ? max_window : TABLE_ENTER_AGE;
    return longest + TABLE_EXPIRY_SLACK;
}

/* True if a segment can have these settings. */
static inline bool segment_settings_are_sound(const struct segment_settings *settings)
{
    uint32_t events = settings->max_events;

    return settings->max_entries >= 1 && settings->max_entries <= SEGMENT_ENTRIES_MAX &&
           settings->max_scopes >= 1 && settings->max_scopes <= SEGMENT_SCOPES_MAX &&
           settings->max_window >= 1 && settings->max_window <= WINDOW_MAX &&
           settings->max_histories <= SEGMENT_HISTORIES_MAX &&
           settings->max_streams <= SEGMENT_STREAMS_MAX &&
           (events == 0 ||
            (events >= EVENTS_MIN && events <= EVENTS_MAX && (events & (events - 1)) == 0));
}

/* Lay out a segment of sound settings. Returns the file's size in bytes. */
static inline uint64_t segment_layout(const struct segment_settings *settings,
                                      struct segment_geometry *ret)
{
    uint32_t max_scopes = settings->max_scopes;
    struct segment_geometry geometry = {
        .max_entries = settings->max_entries,
        .table_pairs = table_pairs_for(settings->max_entries),
        .max_scopes = max_scopes,
        .head_count = 16,
        .max_window = settings->max_window,
        .max_histories = settings->max_histories,
        .max_events = settings->max_events,
        .max_streams = settings->max_streams,
    };
    while (geometry.head_count < max_scopes * 2)
        geometry.head_count *= 2;

    const uint64_t sizes[SECTIONS] = {
        [SECTION_COUNTERS] = SEGMENT_COUNTER_BLOCKS * sizeof(struct segment_counters),
        [SECTION_ENTRIES] = (uint64_t)max_scopes * sizeof(struct scope_entry),
        [SECTION_HEADS] = (uint64_t)geometry.head_count * sizeof(uint32_t),
        [SECTION_RINGS] = (uint64_t)max_scopes * sizeof(struct ring),
        [SECTION_TABLE] = geometry.table_pairs * TABLE_PAIR_WORDS * sizeof(uint64_t),
        [SECTION_ACTIVITIES] = (uint64_t)max_scopes * sizeof(struct activity),
        [SECTION_HISTORIES] = (uint64_t)settings->max_histories * sizeof(struct history),
        [SECTION_MINUTES] =
            (uint64_t)settings->max_histories * HISTORY_MINUTES * sizeof(struct history_minute),
        [SECTION_EVENTS] = events_section_size(settings->max_events),
        [SECTION_STREAMS] = (uint64_t)settings->max_streams * sizeof(struct stream),
    };
    uint64_t end = sizeof(struct segment_header);
    for (int i = 0; i < SECTIONS; i++) {
        uint64_t alignment = sizes[i] >= SEGMENT_HUGE_PAGE ? SEGMENT_HUGE_PAGE : SEGMENT_ALIGNMENT;
        geometry.sections[i].offset = segment_align(end, alignment);
        geometry.sections[i].size = sizes[i];
        end = geometry.sections[i].offset + sizes[i];
    }
    *ret = geometry;
    return segment_align(end, SEGMENT_ALIGNMENT);
}

enum segment_verdict {
    SEGMENT_GOOD,
    SEGMENT_FOREIGN, /* not a presence segment at all */
    SEGMENT_DAMAGED, /* truncated, or its geometry is inconsistent */
    SEGMENT_NEWER,   /* written by a newer version */
    SEGMENT_OLDER,   /* written by an older version whose layout is not supported any more */
};

/* Judge a copy of a header, which can't change after the check, against the file's size. The
 * geometry must be exactly what segment_layout computes from its settings. */
static inline enum segment_verdict segment_judge(const struct segment_header *header,
                                                 uint64_t file_size)
{
    const struct segment_geometry *geometry = &header->geometry;
    struct segment_geometry expected;

    if (file_size < sizeof(*header) || header->magic != SEGMENT_MAGIC)
        return SEGMENT_FOREIGN;
    if (header->abi_major != SEGMENT_ABI_MAJOR)
        return header->abi_major > SEGMENT_ABI_MAJOR ? SEGMENT_NEWER : SEGMENT_OLDER;
    const struct segment_settings settings = {
        .max_entries = geometry->max_entries,
        .max_scopes = geometry->max_scopes,
        .max_window = geometry->max_window,
        .max_histories = geometry->max_histories,
        .max_events = geometry->max_events,
        .max_streams = geometry->max_streams,
    };
    if (!segment_settings_are_sound(&settings))
        return SEGMENT_DAMAGED;
    if (header->header_size != sizeof(*header) || header->file_size != file_size ||
        segment_layout(&settings, &expected) != file_size ||
        __builtin_memcmp(&expected, geometry, sizeof(expected)) != 0)
        return SEGMENT_DAMAGED;
    return SEGMENT_GOOD;
}

/* Point into the sections of the directory. */
static inline struct directory segment_directory(char *start,
                                                 const struct segment_geometry *geometry)
{
    const struct segment_section *sections = geometry->sections;

    return (struct directory){
        .entries = (struct scope_entry *)(void *)(start + sections[SECTION_ENTRIES].offset),
        .rings = (struct ring *)(void *)(start + sections[SECTION_RINGS].offset),
        .activities = (struct activity *)(void *)(start + sections[SECTION_ACTIVITIES].offset),
        .heads = (uint32_t *)(void *)(start + sections[SECTION_HEADS].offset),
        .capacity = geometry->max_scopes,
        .head_mask = geometry->head_count - 1,
    };
}

/* Point into a mapping of `size` bytes at `base` whose header, copied to `header`, was judged
 * good. */
static inline struct segment segment_view(void *base, const struct segment_header *header)
{
    const struct segment_geometry *geometry = &header->geometry;
    const struct segment_section *sections = geometry->sections;
    char *start = (char *)base;

    return (struct segment){
        .header = (struct segment_header *)base,
        .counters = (struct segment_counters *)(void *)(start + sections[SECTION_COUNTERS].offset),
        .directory = segment_directory(start, geometry),
        .table =
            {
                .words = (uint64_t *)(void *)(start + sections[SECTION_TABLE].offset),
                .pairs = geometry->table_pairs,
                .expiry = segment_expiry(geometry->max_window),
                .longest = window_rounded(geometry->max_window),
                .enter_age = table_enter_age(geometry->max_window),
            },
        .histories =
            {
                .heads = (struct history *)(void *)(start + sections[SECTION_HISTORIES].offset),
                .minutes =
                    (struct history_minute *)(void *)(start + sections[SECTION_MINUTES].offset),
                .capacity = geometry->max_histories,
            },
        .events =
            {
                .head = (struct events_head *)(void *)(start + sections[SECTION_EVENTS].offset),
                .slots = (struct event_slot *)(void *)(start + sections[SECTION_EVENTS].offset +
                                                       sizeof(struct events_head)),
                .capacity = geometry->max_events,
            },
        .streams =
            {
                .slots = (struct stream *)(void *)(start + sections[SECTION_STREAMS].offset),
                .capacity = geometry->max_streams,
            },
        .size = header->file_size,
        .max_window = geometry->max_window,
    };
}

#endif
