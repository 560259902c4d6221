/* presence.h - read live counts and send heartbeats: the public C interface.
 *
 * Reading maps the collector's segment and never asks the daemon. Sending batches heartbeats into
 * UDP datagrams. A program may use either half alone.
 *
 * Every function returns 0 or a negative errno unless its description says otherwise; outputs are
 * untouched on failure. A handle may be used by one thread at a time; different handles are
 * independent. The library prints nothing, installs no signal handler and starts no thread. What it
 * allocates for a caller is freed with the function that is named after its type. Names come from
 * strangers: escape them for where they are shown. They are zero-terminated, valid UTF-8 without
 * control characters, and empty where there is none.
 *
 * One place has one name, in both halves: ASCII letters of a site and of a source are lower-cased,
 * those of a country upper-cased. A room that begins with `/` is a path: repeated slashes count as
 * one, and a trailing one is dropped. Names are returned in that form, and their lengths are those
 * of it. Rules such as R4 are those of docs/counting.md, which is presence-counting(7).
 */
#ifndef PRESENCE_PRESENCE_H
#define PRESENCE_PRESENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PRESENCE_API             __attribute__((visibility("default")))

#define PRESENCE_DEFAULT_SEGMENT "/dev/shm/presence/segment"
#define PRESENCE_DEFAULT_ADDRESS "127.0.0.1:9514"
#define PRESENCE_DEFAULT_WINDOW  300 /* seconds; shortened to the longest window if that is less */
#define PRESENCE_NAME_MAX        255 /* bytes of the longest name: a room */

/* ---- reading ---------------------------------------------------------------------------- */

struct presence;

enum presence_kind {
    PRESENCE_SITE = 0,
    PRESENCE_ROOM = 1,
    PRESENCE_COUNTRY = 2,
    PRESENCE_SOURCE = 3,
};

enum presence_state {
    PRESENCE_STARTING = 1,
    PRESENCE_LISTENING = 2,
    PRESENCE_STOPPED = 3,
};

/* One count and what is needed to judge it. There are three answers: a number (`exists`), nobody
 * (`known` alone: zero was measured) and unknown (neither: show no number). */
struct presence_reading {
    uint32_t count;            /* visitors active in the window, as of `as_of`; 0 unless `exists` */
    uint32_t window_s;         /* the window that was counted, rounded up to minutes above 480 s */
    uint32_t last_heartbeat_s; /* age of the last heartbeat, as of `as_of`; 0 unless `exists` */
    bool exists;               /* the scope had a heartbeat within the longest window */
    bool known;    /* it exists, or nobody is there. False: unknown, since the collector is stale or
                      warms, or refused such a scope or a visitor of one in the longest window */
    bool partial;  /* visitors of it were refused in the window: `count` is a lower bound */
    bool stale;    /* the collector is silent, stopped or starting: `count` is the last known */
    bool warming;  /* the collector began to listen recently: `count` is a lower bound */
    int64_t as_of; /* Unix seconds of the tick the count is for */
    uint64_t as_of_age_s; /* how long ago that was, seconds */
};

/* One line of a listing. */
struct presence_entry {
    char name[PRESENCE_NAME_MAX + 1];
    uint32_t count, last_heartbeat_s;
    bool partial; /* as in struct presence_reading */
};

struct presence_listing {
    struct presence_entry *entries; /* by count, most first, then by name */
    size_t length;
    bool partial; /* some scopes may be missing, or have more visitors: some were refused */
    struct presence_reading site; /* presence_top: the site's own reading; if the site does not
                                     exist there are no entries. presence_sites: only how fresh */
};

struct presence_status {
    enum presence_state state;
    bool stale, warming;
    bool partial;             /* scopes or visitors were refused: some counts are lower bounds */
    int64_t as_of;            /* Unix seconds of the published tick */
    uint64_t as_of_age_s;     /* how long ago that was, seconds */
    uint64_t listening_for_s; /* since the collector began to listen, or its last gap over 10 s */
    uint32_t warm_up_s, max_window_s;
    int32_t pid; /* in the collector's own pid namespace */
    uint32_t workers;
    char receive[16];        /* "io_uring" or "recvmmsg" */
    char receive_reason[64]; /* why recvmmsg is used; empty otherwise */
    uint64_t segment_bytes;
    uint64_t entries_capacity; /* that the table is made for: one per visitor and scope */
    uint64_t entries_live;     /* those that some window can still count */
    uint64_t entries_taken;    /* slots in use, including reusable ones that no window counts */
    uint32_t scopes_capacity, scopes_live;
    char filter[16];           /* the XDP filter: "native", "generic" or "none" */
    char filter_interface[16]; /* where it is attached, or was to be; empty otherwise */
    char filter_reason[96];    /* why there is none, or why it is idle; or empty */
    uint32_t histories_capacity, histories_live; /* scopes whose minutes can be, and are, kept */
    uint32_t events_capacity; /* events that are held before they are overwritten; 0: none are */
    char spread[16]; /* new senders are assigned to workers by "turn", by "hash", or "none" */
    char spread_reason[96];  /* why not in turn; empty otherwise */
    char listen_missing[96]; /* addresses of --listen that the machine lacks now, such as
                                "192.0.2.1:9514, [2001:db8::1]:9514"; ", ..." stands for more */
    uint32_t keys;           /* keys in use; 0: heartbeats need no signature */
    char keys_refused[124];  /* why those reloaded last were not taken into use; or empty */
    uint32_t streams_capacity, streams_live; /* places for streams, and those that are taken */
};

/* A counter's value, its name and one line of explanation (static strings). */
struct presence_counter {
    const char *name, *help;
    uint64_t value;
};

/* Open the segment at `path` (NULL: $PRESENCE_SEGMENT, or the default) for reading. Errors: -ENOENT
 * no such segment; -EACCES; -EBADMSG not a presence segment, or damaged; -EPROTO written by a newer
 * version; -ESTALE written before this boot; -EPERM not trusted.
 *
 * The file and its directory must belong to root, to the process's effective user, to the user
 * `presence` or to the user that $PRESENCE_SEGMENT_OWNER names (a name or a number), and be
 * writable by nobody else; the directory may instead be root's and sticky, as /dev/shm is. A
 * symbolic link is followed if its owner is one of these, and its target is judged in the same way.
 * Only the mode is checked, not access control lists. */
PRESENCE_API int presence_open(const char *path, struct presence **ret);

/* Explain in a sentence why presence_open has just failed with -EPERM on this path (not NULL), and
 * what to do. `size` is that of `ret` in bytes, of which PRESENCE_DISTRUST_SIZE are always enough;
 * the text is zero-terminated, and truncated if it does not fit. */
#define PRESENCE_DISTRUST_SIZE 9000
PRESENCE_API void presence_explain_distrust(const char *path, char *ret, size_t size);

/* Return the path of the segment that this handle reads; valid until presence_close. */
PRESENCE_API const char *presence_path(const struct presence *presence);

/* Unmap and free; NULL is fine. */
PRESENCE_API void presence_close(struct presence *presence);

/* Read the collector's state. Never fails on an open handle except -EBADMSG as presence_open. */
PRESENCE_API int presence_status(struct presence *presence, struct presence_status *ret);

/* Return how fresh a number read now would be, as a reading of the default window and of no scope.
 * As cheap as presence_count, where presence_status visits all scopes. */
PRESENCE_API struct presence_reading presence_freshness(struct presence *presence);

/* Count the visitors of a site, or of one of its rooms (NULL: the site), within the last `window_s`
 * seconds (0: the default window). No system call beyond reading the clock, unless the segment was
 * replaced and is opened again. A scope that does not exist is no error: the reading says nobody or
 * unknown. Errors: -ERANGE the window is longer than the collector keeps; -EINVAL a name is empty
 * or too long; -EAGAIN the directory kept changing, try again. */
PRESENCE_API int presence_count(struct presence *presence, const char *site, const char *room,
                                uint32_t window_s, struct presence_reading *ret);

/* Count any kind of scope. Here and elsewhere, `name` is ignored for PRESENCE_SITE. */
PRESENCE_API int presence_count_scope(struct presence *presence, enum presence_kind kind,
                                      const char *site, const char *name, uint32_t window_s,
                                      struct presence_reading *ret);

/* List a site's rooms, countries or sources, the busiest first, at most `limit` (0: all). Scopes
 * without a heartbeat within the longest window are left out. Errors as presence_count, -ENOMEM. */
PRESENCE_API int presence_top(struct presence *presence, const char *site, enum presence_kind kind,
                              uint32_t window_s, size_t limit, struct presence_listing *ret);

/* List all sites likewise. */
PRESENCE_API int presence_sites(struct presence *presence, uint32_t window_s,
                                struct presence_listing *ret);

/* One line of a listing across sites. */
struct presence_busy_scope {
    char site[PRESENCE_NAME_MAX + 1];
    char name[PRESENCE_NAME_MAX + 1]; /* of the room, country or source; empty for a site */
    uint32_t count, last_heartbeat_s;
    bool partial; /* as in struct presence_reading */
};

struct presence_busiest {
    struct presence_busy_scope *scopes; /* by count, most first, then by site and name */
    size_t length;
    size_t total;                   /* how many there are without the limit */
    struct presence_reading moment; /* how fresh; partial: some may be missing, or have more */
};

/* List the rooms, countries or sources (or the sites themselves) of all sites, the busiest first,
 * at most `limit` (0: all), in one pass over the directory. Scopes without a heartbeat within the
 * longest window are left out; of equal counts at the limit, the older scopes tend to stay. Errors:
 * -ERANGE as presence_count; -EINVAL no such kind; -ENOMEM. */
PRESENCE_API int presence_busiest(struct presence *presence, enum presence_kind kind,
                                  uint32_t window_s, size_t limit, struct presence_busiest *ret);

/* Read whether a visitor (a UUID, or any other id of 1..512 bytes) was seen on the site, or in any
 * kind of scope, within the longest window: a reading of one person. `exists`: they were,
 * `last_heartbeat_s` ago, and `count` is 1. `known` alone: they were not, or have left. Neither:
 * unknown, as for a count. The id is hashed and forgotten. Errors as presence_count, and -EINVAL
 * the id is empty, too long, or one that presence_send refuses. */
PRESENCE_API int presence_seen(struct presence *presence, const char *site, const char *visitor,
                               struct presence_reading *ret);
PRESENCE_API int presence_seen_scope(struct presence *presence, enum presence_kind kind,
                                     const char *site, const char *name, const char *visitor,
                                     struct presence_reading *ret);

/* A refusal of the collector, which may leave a visitor out of a count. */
enum presence_refusal {
    PRESENCE_REFUSED_NONE = 0,
    PRESENCE_REFUSED_SCOPE,   /* a scope: the directory or its site is full */
    PRESENCE_REFUSED_VISITOR, /* a visitor: the table is full, or their sender over its limit */
};

/* Return what was refused in the second of the published tick or the one before: a scope of this
 * kind in this site (for PRESENCE_SITE: a site), if this one does not exist; otherwise one of its
 * visitors, or of another scope of the kind in the site. */
PRESENCE_API enum presence_refusal presence_refused(struct presence *presence,
                                                    enum presence_kind kind, const char *site,
                                                    const char *name);

/* Read all counters, summed over the workers: at most `capacity`. Returns how many there are. */
PRESENCE_API size_t presence_counters(struct presence *presence, struct presence_counter *counters,
                                      size_t capacity);

/* Return one counter's value; 0 if none has that name. */
PRESENCE_API uint64_t presence_counter(struct presence *presence, const char *name);

/* The result of comparing the visitor table with the rings, by which scopes are counted. */
struct presence_verification {
    uint64_t words;      /* live words compared */
    uint64_t difference; /* visitors by which table and rings differ, summed over ticks */
    uint64_t in_flight;  /* visitors that arrived meanwhile: the difference they can explain */
    uint64_t worst_tick_age_s; /* age of the tick that differs most */
};

/* Compare, tick by tick, the histogram of the table's words with the sum of all rings. Reads the
 * whole table, which takes about a second for 100 million words. */
PRESENCE_API int presence_verify(struct presence *presence, struct presence_verification *ret);

/* ---- trends ------------------------------------------------------------------------------- */

/* The collector samples every scope's count of the default window once a second. */

struct presence_peak {
    uint32_t count; /* the highest sample; 0: nobody was there */
    int64_t at;     /* Unix seconds of the first sample that was as high; 0 with count 0 */
};

struct presence_peaks {
    uint32_t window_s;          /* the default window, which is the one sampled */
    int64_t day;                /* Unix seconds at which today, a day of UTC, began */
    struct presence_peak today; /* of that day */
    struct presence_peak ever;  /* since `since` */
    int64_t since; /* Unix seconds: this scope has been sampled without a break since then. Without
                      a history it is forgotten, with its peaks, after the longest window without a
                      heartbeat; with one, after 24 hours. */
};

/* Read when the most visitors were there, today (UTC) and ever. "Today" is the day of the
 * collector's last tick: yesterday if it has stopped since. Errors: -ENOENT no such scope within
 * the longest window, nor with a history; -EINVAL, -EAGAIN as presence_count. */
PRESENCE_API int presence_peaks(struct presence *presence, enum presence_kind kind,
                                const char *site, const char *name, struct presence_peaks *ret);

/* A scope by its names. */
struct presence_scope {
    enum presence_kind kind;
    char site[PRESENCE_NAME_MAX + 1];
    char name[PRESENCE_NAME_MAX + 1]; /* of the room, country or source; empty for a site */
};

struct presence_scopes {
    struct presence_scope *scopes; /* sites first, then by site, kind and name */
    size_t length;
};

/* List the scopes that have histories: every site (unless none was free: see histories_full), and
 * the busiest rooms, countries and sources. Errors: -ENOMEM; -EOPNOTSUPP none are kept. */
PRESENCE_API int presence_history_scopes(struct presence *presence, struct presence_scopes *ret);

/* One minute of the collector's clock, which no step of the wall clock moves. */
struct presence_minute {
    uint64_t minute; /* number of the minute since boot: unique with the boot id */
    int64_t start; /* its beginning, Unix seconds by the wall clock of now; not a multiple of 60 */
    uint32_t minimum, maximum; /* of the samples */
    double mean;
    uint32_t seconds;    /* samples taken; fewer than 60 if the collector was away */
    uint64_t heartbeats; /* visitors of heartbeats, pageviews and events */
    uint64_t pageviews;  /* of these, visitors of pageviews */
    uint64_t entries;    /* visitors who entered: R4 */
    uint64_t leaves;     /* visitors who left explicitly while they counted */
    uint64_t departures; /* visitors who left silently: the window passed */
    bool warming;        /* some of it was sampled while counts were lower bounds */
    bool running;        /* not over yet: all figures may still grow, so read it again later */
};

struct presence_history {
    uint8_t boot_id[16];             /* of the boot whose minutes these are */
    uint32_t window_s;               /* the default window, which is the one sampled */
    struct presence_minute *minutes; /* oldest first; minutes without any sample are absent */
    size_t length;                   /* at most 1440: 24 hours, the running minute included */
};

/* Read a scope's minutes that began at `since` or later and before `until` (Unix seconds by the
 * wall clock of now; 0: no bound). A scope keeps its history for 24 hours after its last heartbeat,
 * even when it no longer exists for presence_count. Errors: -ENOENT it has no history; -EOPNOTSUPP
 * the collector keeps none; -EINVAL; -ENOMEM; -EAGAIN it was reused meanwhile, try again. */
PRESENCE_API int presence_history(struct presence *presence, enum presence_kind kind,
                                  const char *site, const char *name, int64_t since, int64_t until,
                                  struct presence_history *ret);

#define PRESENCE_AGE_BANDS 8

/* Visitors whose last heartbeat is from `from_s` to `to_s` seconds old, both included. */
struct presence_age_band {
    uint32_t from_s, to_s, visitors;
};

/* A count and what made it. */
struct presence_activity {
    struct presence_reading reading;                    /* of the default window */
    struct presence_age_band bands[PRESENCE_AGE_BANDS]; /* youngest first, over the window */
    size_t bands_length;
    bool has_history; /* the following are known; false: they are 0 */
    uint32_t seconds; /* of the last 60 s, how many were sampled */
    uint64_t heartbeats, entries, leaves, departures; /* in these, as in struct presence_minute */
};

/* Explain a scope's count: how old the heartbeats are that it counts, who came and who left in the
 * last 60 s. A scope that does not exist has only the reading. Errors as presence_count. */
PRESENCE_API int presence_activity(struct presence *presence, enum presence_kind kind,
                                   const char *site, const char *name,
                                   struct presence_activity *ret);

enum presence_event_kind {
    PRESENCE_EVENT_ENTERED = 1, /* a visitor entered the site (R4), here */
    PRESENCE_EVENT_LEFT = 2,    /* left explicitly: the room, if there is one, otherwise the site */
    PRESENCE_EVENT_PAGEVIEW = 3,
    PRESENCE_EVENT_CUSTOM = 4, /* `name` says which */
};

/* One event. It doesn't say which visitor. */
struct presence_event {
    uint64_t sequence; /* one more than the event before it */
    int64_t time_us;   /* Unix microseconds; strictly increasing with the sequence */
    enum presence_event_kind kind;
    char site[PRESENCE_NAME_MAX + 1];
    char room[PRESENCE_NAME_MAX + 1];
    char country[3];
    char source[PRESENCE_NAME_MAX + 1];
    char name[64]; /* of a custom event */
};

struct presence_events {
    struct presence_event *events; /* by sequence */
    size_t length;
    uint64_t missed; /* events from `from_sequence` on, of any site, that were overwritten before
                        they could be read, or whose writer was killed */
    uint64_t next;   /* where to continue: neither a gap nor a repeat */
    bool renewed;    /* `from_sequence` is of a former segment: `missed` is only of this one */
};

#define PRESENCE_EVENTS_OLDEST 0          /* the oldest event that is held */
#define PRESENCE_EVENTS_NEW    UINT64_MAX /* no event yet: only `next` is wanted */

/* Read at most `limit` (0: all) events of a site (NULL: of all), from a sequence number on: a
 * former `next`, presence_events_since, or one of the two above. Sequence numbers always rise,
 * across segments and boots, too; they fit a double. A busy site's events are thinned out before
 * they are numbered: see the counter events_thinned. Silent departures are no events. Errors:
 * -EOPNOTSUPP the collector keeps no events; -EINVAL; -ENOMEM. */
PRESENCE_API int presence_events(struct presence *presence, const char *site,
                                 uint64_t from_sequence, size_t limit, struct presence_events *ret);

/* Find the first event at or after `time_us` (Unix microseconds) that is held, and return its
 * sequence number; without one, the next number. Errors: -EOPNOTSUPP. */
PRESENCE_API int presence_events_since(struct presence *presence, int64_t time_us,
                                       uint64_t *ret_sequence);

/* ---- streams ---------------------------------------------------------------------------- */

/* The numbered datagrams of one sender to one of its targets (R7). Ages are those at the tick. */
struct presence_stream {
    uint64_t id;              /* that the sender chose at random when it started */
    uint64_t first_s, last_s; /* ages of the first and of the last datagram, seconds */
    uint64_t datagrams;       /* received and duplicates */
    uint64_t heartbeats;      /* visitors of the received ones */
    uint64_t expected;   /* datagrams sent: the sequence numbers from the lowest to the highest */
    uint64_t received;   /* datagrams, each once */
    uint64_t lost;       /* expected - received; falls when a late one comes */
    uint64_t duplicates; /* rejected: they came before, or too late to tell */
    uint16_t target;     /* which of the sender's targets it goes to, from 0 */
    uint16_t port;       /* of `address`; 0: unknown */
    uint8_t key_id;      /* 0: datagrams need no signature */
    bool silent;         /* no datagram for over 3 s, while senders send one a second */
    bool restarted;      /* silent, and its sender (by address, key, target) began another */
    char address[46];    /* of the last datagram's sender, numeric; empty: unknown */
};

struct presence_streams {
    struct presence_stream *streams; /* last heard first */
    size_t length;
    struct presence_reading moment; /* only how fresh */
};

/* List the streams that the collector knows. Errors: -EOPNOTSUPP it keeps none; -ENOMEM. */
PRESENCE_API int presence_streams(struct presence *presence, struct presence_streams *ret);

/* Free what a function of the reading half has returned, and clear it. */
PRESENCE_API void presence_listing_free(struct presence_listing *listing);
PRESENCE_API void presence_busiest_free(struct presence_busiest *busiest);
PRESENCE_API void presence_scopes_free(struct presence_scopes *scopes);
PRESENCE_API void presence_history_free(struct presence_history *history);
PRESENCE_API void presence_events_free(struct presence_events *events);
PRESENCE_API void presence_streams_free(struct presence_streams *streams);

/* ---- sending ---------------------------------------------------------------------------- */

struct presence_sender;

enum presence_heartbeat_kind {
    PRESENCE_HEARTBEAT = 1,
    PRESENCE_LEAVE = 2,
    PRESENCE_PAGEVIEW = 3,
    PRESENCE_EVENT = 4,
};

/* The place of a visitor. Strings are UTF-8 without control characters; NULL or empty is absent. */
struct presence_place {
    enum presence_heartbeat_kind kind; /* 0 means PRESENCE_HEARTBEAT */
    const char *site;                  /* 1..253 bytes, required */
    const char *room;                  /* at most 255 bytes */
    const char *country;               /* two letters; XX, ZZ, T1, A1, A2 and O1 are none */
    const char *source;                /* at most 253 bytes */
    const char *event;                 /* 1..63 bytes, only with PRESENCE_EVENT */
};

/* Zero in any field means its default. */
struct presence_sender_options {
    uint32_t batch;          /* visitors per datagram, if they fit; default: as many as fit */
    uint32_t datagram_bytes; /* largest UDP payload; default 1400, 54 (signed 62) to 65507 */
    uint32_t max_age_ms;     /* longest wait, and a tick more; default 100; UINT32_MAX: any */
    bool text;               /* text heartbeats, one per datagram, instead of native ones */
    bool no_offload;         /* never let the kernel segment runs of datagrams (UDP_SEGMENT) */
    uint8_t key_id;  /* 1 to 255: sign with the collector's key of this id; not with `text` */
    uint8_t key[16]; /* copied; the wall clock has to be within 30 s of the collector's */
    bool one_shot;   /* no stream: for a program that sends once and ends */
    bool no_wait;    /* drop at once what can't be sent now; open even if there is no route yet */
    uint16_t target; /* which of the program's targets this is, from 0 */
    uint64_t stream; /* random, the same for all targets; 0: draw one. A child draws its own */
};

struct presence_sender_totals {
    uint64_t heartbeats; /* visitors handed to the kernel */
    uint64_t datagrams;  /* that carried them, and empty ones */
    uint64_t bytes;      /* UDP payload of these */
    uint64_t calls;      /* system calls that sent them */
    uint64_t failed;     /* datagrams the kernel did not accept: the collector misses them, too */
    uint64_t refused;    /* ICMP reports that nobody listens or of no route: late, a lower bound */
};

/* Open a sender to `address`: a numeric HOST:PORT ("127.0.0.1:9514", "[::1]:9514"; NULL: the
 * default). `options` may be NULL. Release `*ret` with presence_sender_close. Errors: -EINVAL a
 * malformed address or option; -ENOMEM; the socket's own, also of a route that is missing (not with
 * `no_wait`). Later, routes and the machine's addresses may come, go and change. */
PRESENCE_API int presence_sender_open(const char *address,
                                      const struct presence_sender_options *options,
                                      struct presence_sender **ret);

/* Flush and free; NULL is fine. */
PRESENCE_API void presence_sender_close(struct presence_sender *sender);

/* Queue one heartbeat of `visitor` (zero-terminated, a UUID or any other id of 1..512 bytes after
 * trimming spaces; neither the UUID of zeros nor `undefined`, `null` or `NaN` in any case, which
 * failed scripts send) at `place`; both are copied, and all keep their order. Full datagrams gather
 * until a system call is worth it or max_age_ms has passed. Errors: -EINVAL, -ENAMETOOLONG or
 * -EILSEQ for a place or id the wire cannot carry (nothing is queued; `-` is no id, and in text no
 * name). Failures of the network are counted in the totals; only a full socket is waited for, 50 ms
 * (not with `no_wait`). */
PRESENCE_API int presence_send(struct presence_sender *sender, const struct presence_place *place,
                               const char *visitor);

/* Likewise for the visitor with these 16 bytes, as on the wire; zeros are -EINVAL in text. */
PRESENCE_API int presence_send_id(struct presence_sender *sender,
                                  const struct presence_place *place, const uint8_t id[16]);

/* Send what is full or has waited for max_age_ms, and an empty datagram if none was sent for a
 * second. Call this at least once a second to be seen alive and to let nobody wait. */
PRESENCE_API void presence_sender_flush_aged(struct presence_sender *sender);

/* Send everything that is queued. */
PRESENCE_API void presence_sender_flush(struct presence_sender *sender);

/* Return what was sent so far. Every sending updates it, and presence_sender_flush always does. */
PRESENCE_API void presence_sender_totals(const struct presence_sender *sender,
                                         struct presence_sender_totals *ret);

#ifdef __cplusplus
}
#endif

#endif
