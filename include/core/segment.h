/* segment.h - the layout of the shared segment, and the checks before any of it is trusted.
 *
 * One file in tmpfs: header, counters, directory entries, directory heads, scope rings, visitor
 * table, scope activities, histories and their minutes, events, each at an offset the header names.
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
#include "core/table.h"

#define SEGMENT_MAGIC       UINT64_C(0x3145434e45534552) /* "RESENCE1" read as little-endian */
#define SEGMENT_ABI_MAJOR   2                            /* another major: not readable */
#define SEGMENT_ABI_MINOR   0                            /* a higher minor only adds */
#define SEGMENT_WORKERS_MAX 64
#define SEGMENT_ALIGNMENT   4096
#define SEGMENT_HUGE_PAGE                                                            \
    (UINT64_C(2) << 20)          /* sections larger than this begin at its multiples \
                                  */
#define SEGMENT_STALE_AGE     3  /* seconds: a published tick older than this is stale */
#define SEGMENT_GAP           10 /* seconds without listening that make the count warm up again */
#define SEGMENT_NEVER         UINT64_MAX
#define SEGMENT_VISITORS_MAX  (UINT64_C(1) << 35)
#define SEGMENT_SCOPES_MAX    (UINT32_C(1) << 22)
#define SEGMENT_HISTORIES_MAX (UINT32_C(1) << 20)

enum segment_state {
    SEGMENT_STARTING = 1,
    SEGMENT_LISTENING = 2,
    SEGMENT_STOPPED = 3,
    SEGMENT_REPLACED = 4, /* another file has taken this one's path: open it anew */
};

enum counter {
#define X(name, help) COUNTER_##name,
#include "core/counters.def"
#undef X
    COUNTERS
};

/* One writer's counters; summed by readers. The keeper's block comes after the workers'. */
struct segment_counters {
    uint64_t values[64];
};

_Static_assert(COUNTERS <= 64, "a block has room for 64 counters");

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
    SECTIONS,
};

struct segment_section {
    uint64_t offset; /* bytes from the start of the file, a multiple of SEGMENT_ALIGNMENT */
    uint64_t size;   /* bytes */
};

/* What a segment is to hold. */
struct segment_limits {
    uint64_t max_visitors;  /* words, 1 to SEGMENT_VISITORS_MAX */
    uint32_t max_scopes;    /* 1 to SEGMENT_SCOPES_MAX */
    uint32_t max_window;    /* seconds, 1 to WINDOW_MAX */
    uint32_t max_histories; /* 0 to SEGMENT_HISTORIES_MAX */
    uint32_t max_events;    /* 0, or a power of two from EVENTS_MIN to EVENTS_MAX */
};

/* Fixed when the segment is created: whoever attaches with other settings replaces it. */
struct segment_geometry {
    uint64_t max_visitors; /* words, as asked for */
    uint64_t table_pairs;
    uint32_t max_scopes;
    uint32_t head_count; /* a power of two */
    uint32_t max_window; /* seconds */
    uint32_t max_histories;
    uint32_t max_events;
    uint32_t reserved;
    struct segment_section sections[12];
};

struct segment_header {
    uint64_t magic;
    uint16_t abi_major;
    uint16_t abi_minor;
    uint32_t header_size;
    uint64_t file_size;
    uint8_t boot_id[16];
    uint64_t secret[HASH_KEY_WORDS]; /* keys every hash of this segment */
    struct segment_geometry geometry;

    /* Below here the daemon writes while others read: aligned words, relaxed unless said. */
    uint32_t state; /* enum segment_state; release, pairs with readers' acquire */
    int32_t pid;
    uint64_t pid_start_time;  /* clock ticks since boot, /proc/PID/stat field 22 */
    uint64_t tick;            /* release; everything up to it is published, bar batches in flight */
    uint64_t listening_since; /* tick, or SEGMENT_NEVER */
    uint64_t directory_changes; /* entries freed so far: a miss is sure if it stays the same */
    uint32_t warm_up;           /* seconds */
    uint32_t workers;
    char receive[16];          /* engine; zero-terminated */
    char receive_reason[64];   /* why not io_uring; zero-terminated */
    char filter[16];           /* the XDP filter: "native", "generic" or "none"; zero-terminated */
    char filter_interface[16]; /* where it is, or was wanted; zero-terminated */
    char filter_reason[96];    /* why it is none, or idle; zero-terminated */
    uint64_t sampled;          /* tick of the last samples, or SEGMENT_NEVER */
    int64_t day; /* days of UTC since 1970: that of peaks of today; release, pairs with readers */
};

_Static_assert(offsetof(struct segment_header, abi_major) == 8, "header.abi_major");
_Static_assert(offsetof(struct segment_header, abi_minor) == 10, "header.abi_minor");
_Static_assert(offsetof(struct segment_header, header_size) == 12, "header.header_size");
_Static_assert(offsetof(struct segment_header, file_size) == 16, "header.file_size");
_Static_assert(offsetof(struct segment_header, boot_id) == 24, "header.boot_id");
_Static_assert(offsetof(struct segment_header, secret) == 40, "header.secret");
_Static_assert(offsetof(struct segment_header, geometry) == 88, "header.geometry");
_Static_assert(offsetof(struct segment_geometry, max_visitors) == 0, "geometry.max_visitors");
_Static_assert(offsetof(struct segment_geometry, table_pairs) == 8, "geometry.table_pairs");
_Static_assert(offsetof(struct segment_geometry, max_scopes) == 16, "geometry.max_scopes");
_Static_assert(offsetof(struct segment_geometry, head_count) == 20, "geometry.head_count");
_Static_assert(offsetof(struct segment_geometry, max_window) == 24, "geometry.max_window");
_Static_assert(offsetof(struct segment_geometry, max_histories) == 28, "geometry.max_histories");
_Static_assert(offsetof(struct segment_geometry, max_events) == 32, "geometry.max_events");
_Static_assert(offsetof(struct segment_geometry, sections) == 40, "geometry.sections");
_Static_assert(sizeof(struct segment_geometry) == 232, "geometry");
_Static_assert(offsetof(struct segment_header, state) == 320, "header.state");
_Static_assert(offsetof(struct segment_header, pid) == 324, "header.pid");
_Static_assert(offsetof(struct segment_header, pid_start_time) == 328, "header.pid_start_time");
_Static_assert(offsetof(struct segment_header, tick) == 336, "header.tick");
_Static_assert(offsetof(struct segment_header, listening_since) == 344, "header.listening_since");
_Static_assert(offsetof(struct segment_header, directory_changes) == 352,
               "header.directory_changes");
_Static_assert(offsetof(struct segment_header, warm_up) == 360, "header.warm_up");
_Static_assert(offsetof(struct segment_header, workers) == 364, "header.workers");
_Static_assert(offsetof(struct segment_header, receive) == 368, "header.receive");
_Static_assert(offsetof(struct segment_header, receive_reason) == 384, "header.receive_reason");
_Static_assert(offsetof(struct segment_header, filter) == 448, "header.filter");
_Static_assert(offsetof(struct segment_header, filter_interface) == 464, "header.filter_interface");
_Static_assert(offsetof(struct segment_header, filter_reason) == 480, "header.filter_reason");
_Static_assert(offsetof(struct segment_header, sampled) == 576, "header.sampled");
_Static_assert(offsetof(struct segment_header, day) == 584, "header.day");
_Static_assert(sizeof(struct segment_header) == 592, "header");

#define SEGMENT_COUNTER_BLOCKS (SEGMENT_WORKERS_MAX + 1)

/* One process's view of a mapped segment. */
struct segment {
    struct segment_header *header;
    struct segment_counters *counters; /* SEGMENT_COUNTER_BLOCKS of them */
    struct directory directory;
    struct table table;
    struct histories histories;
    struct events events;
    uint64_t size;
    uint32_t max_window;
};

static inline uint64_t segment_align(uint64_t size, uint64_t alignment)
{
    return (size + alignment - 1) / alignment * alignment;
}

/* The age at which no bucket counts a word any more, and no rule asks for it. */
static inline uint64_t segment_expiry(uint32_t max_window)
{
    uint64_t longest = max_window > TABLE_ENTER_AGE ? max_window : TABLE_ENTER_AGE;
    return longest + TABLE_EXPIRY_SLACK;
}

/* Are these limits that a segment can have? */
static inline bool segment_limits_are_sound(const struct segment_limits *limits)
{
    uint32_t events = limits->max_events;

    return limits->max_visitors >= 1 && limits->max_visitors <= SEGMENT_VISITORS_MAX &&
           limits->max_scopes >= 1 && limits->max_scopes <= SEGMENT_SCOPES_MAX &&
           limits->max_window >= 1 && limits->max_window <= WINDOW_MAX &&
           limits->max_histories <= SEGMENT_HISTORIES_MAX &&
           (events == 0 ||
            (events >= EVENTS_MIN && events <= EVENTS_MAX && (events & (events - 1)) == 0));
}

/* Lay out a segment. Returns the file's size in bytes. The limits are sound. */
static inline uint64_t segment_layout(const struct segment_limits *limits,
                                      struct segment_geometry *ret)
{
    uint32_t max_scopes = limits->max_scopes;
    struct segment_geometry geometry = {
        .max_visitors = limits->max_visitors,
        .table_pairs = table_pairs_for(limits->max_visitors),
        .max_scopes = max_scopes,
        .head_count = 16,
        .max_window = limits->max_window,
        .max_histories = limits->max_histories,
        .max_events = limits->max_events,
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
        [SECTION_HISTORIES] = (uint64_t)limits->max_histories * sizeof(struct history),
        [SECTION_MINUTES] =
            (uint64_t)limits->max_histories * HISTORY_MINUTES * sizeof(struct history_minute),
        [SECTION_EVENTS] = events_section_size(limits->max_events),
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
    SEGMENT_DAMAGED, /* truncated, or its geometry does not add up */
    SEGMENT_NEWER,   /* written by a newer version */
    SEGMENT_OLDER,   /* written by a version whose layout is no longer known */
};

/* Judge a copy of a header (so that it can't change after the check) against the file's size.
 * The geometry must be exactly the one that segment_layout makes of its settings. */
static inline enum segment_verdict segment_judge(const struct segment_header *header,
                                                 uint64_t file_size)
{
    const struct segment_geometry *geometry = &header->geometry;
    struct segment_geometry expected;

    if (file_size < sizeof(*header) || header->magic != SEGMENT_MAGIC)
        return SEGMENT_FOREIGN;
    if (header->abi_major != SEGMENT_ABI_MAJOR)
        return header->abi_major > SEGMENT_ABI_MAJOR ? SEGMENT_NEWER : SEGMENT_OLDER;
    const struct segment_limits limits = {
        .max_visitors = geometry->max_visitors,
        .max_scopes = geometry->max_scopes,
        .max_window = geometry->max_window,
        .max_histories = geometry->max_histories,
        .max_events = geometry->max_events,
    };
    if (!segment_limits_are_sound(&limits))
        return SEGMENT_DAMAGED;
    if (header->header_size != sizeof(*header) || header->file_size != file_size ||
        segment_layout(&limits, &expected) != file_size ||
        __builtin_memcmp(&expected, geometry, sizeof(expected)) != 0)
        return SEGMENT_DAMAGED;
    return SEGMENT_GOOD;
}

/* Point into a mapping of `size` bytes at `base` whose header copy `header` was judged good. */
static inline struct segment segment_view(void *base, const struct segment_header *header)
{
    const struct segment_geometry *geometry = &header->geometry;
    const struct segment_section *sections = geometry->sections;
    char *start = (char *)base;

    return (struct segment){
        .header = (struct segment_header *)base,
        .counters = (struct segment_counters *)(void *)(start + sections[SECTION_COUNTERS].offset),
        .directory =
            {
                .entries = (struct scope_entry *)(void *)(start + sections[SECTION_ENTRIES].offset),
                .rings = (struct ring *)(void *)(start + sections[SECTION_RINGS].offset),
                .activities =
                    (struct activity *)(void *)(start + sections[SECTION_ACTIVITIES].offset),
                .heads = (uint32_t *)(void *)(start + sections[SECTION_HEADS].offset),
                .capacity = geometry->max_scopes,
                .head_mask = geometry->head_count - 1,
            },
        .table =
            {
                .words = (uint64_t *)(void *)(start + sections[SECTION_TABLE].offset),
                .pairs = geometry->table_pairs,
                .expiry = segment_expiry(geometry->max_window),
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
        .size = header->file_size,
        .max_window = geometry->max_window,
    };
}

#endif
