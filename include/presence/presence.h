/* presence.h - the public C interface: read live counts, and send heartbeats.
 *
 * Reading maps the collector's segment and never asks the daemon. Sending batches heartbeats into
 * UDP datagrams. Both halves are independent: a program may use either one alone.
 *
 * Every function returns 0 or a negative errno unless its comment says otherwise; outputs are
 * untouched on failure. A handle may be used by one thread at a time; different handles are
 * independent. The library prints nothing, installs no signal handler and starts no thread.
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

#define PRESENCE_DEFAULT_SEGMENT "/dev/shm/presence"
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

/* One counted number and what is needed to judge it. */
struct presence_reading {
    uint32_t count;            /* visitors active in the window, as of `as_of` */
    uint32_t window_s;         /* the window that was counted, rounded up to minutes above 480 s */
    uint32_t last_heartbeat_s; /* age of the scope's last heartbeat as of `as_of`, seconds */
    bool stale;           /* the collector has stopped or is silent: `count` is the last known */
    bool warming;         /* the collector began to listen recently: `count` is a lower bound */
    int64_t as_of;        /* Unix seconds of the tick the count is for */
    uint64_t as_of_age_s; /* how long ago that was, seconds */
};

/* One line of a listing. Names come from strangers: escape them for where they are shown. */
struct presence_entry {
    char name[PRESENCE_NAME_MAX + 1]; /* zero-terminated; valid UTF-8 without control characters */
    uint32_t count;
    uint32_t last_heartbeat_s;
};

struct presence_listing {
    struct presence_entry *entries; /* by count, most first, then by name */
    size_t length;
    struct presence_reading
        site; /* presence_top: the site's own reading; presence_sites: count 0 */
};

struct presence_status {
    enum presence_state state;
    bool stale;
    bool warming;
    int64_t as_of;            /* Unix seconds of the published tick */
    uint64_t as_of_age_s;     /* how long ago that was, seconds */
    uint64_t listening_for_s; /* since the collector began to listen, or its last gap over 10 s */
    uint32_t warm_up_s;
    uint32_t max_window_s;
    int32_t pid; /* as the collector sees itself: another namespace may differ */
    uint32_t workers;
    char receive[16];        /* "io_uring" or "recvmmsg" */
    char receive_reason[64]; /* why recvmmsg was taken; empty otherwise */
    uint64_t segment_bytes;
    uint64_t visitors_capacity; /* words that fit: one a visitor and scope */
    uint64_t visitors_live;     /* words that some window can still count */
    uint32_t scopes_capacity;
    uint32_t scopes_live;
    char filter[16];           /* the XDP filter: "native", "generic" or "none" */
    char filter_interface[16]; /* where it is, or was wanted; empty otherwise */
    char filter_reason[96];    /* why there is none; empty otherwise */
};

/* A counter's value with its name and one line of explanation (static strings). */
struct presence_counter {
    const char *name;
    const char *help;
    uint64_t value;
};

/* Open the segment at `path` (NULL: $PRESENCE_SEGMENT, or the default) for reading.
 * Errors: -ENOENT no such segment; -EACCES; -EBADMSG not a presence segment, or damaged;
 * -EPROTO written by a newer version; -ESTALE written before this boot. */
PRESENCE_API int presence_open(const char *path, struct presence **ret);

/* Unmap and free; NULL is fine. */
PRESENCE_API void presence_close(struct presence *presence);

/* Path of the segment this handle reads; valid until presence_close. */
PRESENCE_API const char *presence_path(const struct presence *presence);

/* How the collector is. Never fails on an open handle except -EBADMSG as presence_open. */
PRESENCE_API int presence_status(struct presence *presence, struct presence_status *ret);

/* Count the visitors of a site, or of one of its rooms (NULL: the site), within the last
 * `window_s` seconds (0: the default window). No system call beyond reading the clock, unless the
 * segment has been replaced and is opened anew.
 * Errors: -ENOENT no heartbeat there within the longest window (look at presence_status first:
 * when it is stale nothing is known); -ERANGE the window is longer than the collector keeps;
 * -EINVAL a name is empty or too long; -EAGAIN the directory kept changing, try again. */
PRESENCE_API int presence_count(struct presence *presence, const char *site, const char *room,
                                uint32_t window_s, struct presence_reading *ret);

/* The same for any kind of scope; `name` is ignored for PRESENCE_SITE. */
PRESENCE_API int presence_count_scope(struct presence *presence, enum presence_kind kind,
                                      const char *site, const char *name, uint32_t window_s,
                                      struct presence_reading *ret);

/* List a site's rooms, countries or sources, the busiest first, at most `limit` (0: all).
 * Scopes without a heartbeat within the longest window are left out.
 * `ret` is to be released with presence_listing_free. Errors as presence_count, and -ENOMEM. */
PRESENCE_API int presence_top(struct presence *presence, const char *site, enum presence_kind kind,
                              uint32_t window_s, size_t limit, struct presence_listing *ret);

/* List all sites, the busiest first. `ret` as for presence_top. */
PRESENCE_API int presence_sites(struct presence *presence, uint32_t window_s,
                                struct presence_listing *ret);

PRESENCE_API void presence_listing_free(struct presence_listing *listing);

/* When was this visitor (a UUID, or any other id of 1..128 bytes) last seen on the site?
 * `ret_age_s` is the age in seconds as of the published tick. -ENOENT: not within the longest
 * window, or left. The id is hashed and forgotten. */
PRESENCE_API int presence_seen(struct presence *presence, const char *site, const char *visitor,
                               uint32_t *ret_age_s);

/* All counters, summed over the workers. Writes at most `capacity` entries to `counters` and
 * returns how many there are. */
PRESENCE_API size_t presence_counters(struct presence *presence, struct presence_counter *counters,
                                      size_t capacity);

/* Does the visitor table agree with the rings that are counted from? */
struct presence_verification {
    uint64_t words;      /* live words looked at */
    uint64_t difference; /* visitors by which table and rings differ, summed over ticks */
    uint64_t in_flight;  /* visitors that arrived while looking: the difference they can explain */
    uint64_t worst_tick_age_s; /* age of the tick that differs most */
};

/* Compare, tick by tick, the histogram of the table's words with the sum of all rings.
 * Reads the whole table: takes about a second for 100 million words. */
PRESENCE_API int presence_verify(struct presence *presence, struct presence_verification *ret);

/* ---- sending ---------------------------------------------------------------------------- */

struct presence_sender;

enum presence_heartbeat_kind {
    PRESENCE_HEARTBEAT = 1,
    PRESENCE_LEAVE = 2,
    PRESENCE_PAGEVIEW = 3,
    PRESENCE_EVENT = 4,
};

/* Where a visitor is. Strings are UTF-8 without control characters; NULL or empty is absent. */
struct presence_place {
    enum presence_heartbeat_kind kind; /* 0 means PRESENCE_HEARTBEAT */
    const char *site;                  /* 1..253 bytes, required */
    const char *room;                  /* at most 255 bytes */
    const char *country;               /* two letters */
    const char *source;                /* at most 253 bytes */
    const char *event;                 /* 1..63 bytes, only with PRESENCE_EVENT */
};

/* Zero in any field means its default. */
struct presence_sender_options {
    uint32_t batch;          /* visitors a datagram, if they fit; default: as many as fit */
    uint32_t datagram_bytes; /* largest UDP payload to build; default 1400, 37 (signed 45)
                                to 65507 */
    uint32_t max_age_ms;     /* longest wait of a queued visitor (a timer tick more); default 100 */
    bool text;               /* text heartbeats, one a datagram, instead of native batches */
    bool no_offload;         /* never leave cutting runs of datagrams to the kernel (UDP_SEGMENT);
                                where it refuses, it is not asked again */
    uint8_t key_id;          /* 1 to 255: sign every datagram with `key`, the collector's key of
                                this id, as of its wall clock (to be within 30 s of the
                                collector's); not with `text`. 0: don't sign */
    uint8_t key[16];         /* copied */
};

struct presence_sender_totals {
    uint64_t heartbeats; /* visitors handed to the kernel */
    uint64_t datagrams;  /* that carried them */
    uint64_t bytes;      /* UDP payload of these */
    uint64_t calls;      /* system calls that sent them */
    uint64_t failed;     /* datagrams the kernel would not take: lost */
    uint64_t refused;    /* reports that a sent datagram found nobody listening, or no way there
                            (ICMP unreachable): rate-limited and late, so a lower bound */
};

/* Open a sender to `address`: a numeric HOST:PORT ("127.0.0.1:9514", "[::1]:9514"; NULL: the
 * default). `options` may be NULL. `*ret` is to be released with presence_sender_close.
 * Errors: -EINVAL an address or option that cannot be; -ENOMEM; or the socket's own. */
PRESENCE_API int presence_sender_open(const char *address,
                                      const struct presence_sender_options *options,
                                      struct presence_sender **ret);

/* Flush and free; NULL is fine. */
PRESENCE_API void presence_sender_close(struct presence_sender *sender);

/* Queue one heartbeat of `visitor` (zero-terminated, a UUID or any other id of 1..128 bytes after
 * trimming spaces) at `place`; both are copied. Full datagrams gather until one system call is
 * worth it or max_age_ms has passed; a leave and the heartbeats of its site keep their order.
 * Errors: -EINVAL, -ENAMETOOLONG or -EILSEQ for a place or id the wire cannot carry (nothing is
 * queued; `-` is no id, and in text no name). Failures of the network are counted in the totals
 * instead: a heartbeat is never worth waiting for, except 50 ms for a socket that is full. */
PRESENCE_API int presence_send(struct presence_sender *sender, const struct presence_place *place,
                               const char *visitor);

/* The same with the visitor's 16 bytes, as on the wire. */
PRESENCE_API int presence_send_id(struct presence_sender *sender,
                                  const struct presence_place *place, const uint8_t id[16]);

/* Send what is full or has waited for max_age_ms. A program whose traffic may pause calls this
 * from its event loop; presence_send does it by itself. */
PRESENCE_API void presence_sender_flush_aged(struct presence_sender *sender);

/* Send everything that is queued. */
PRESENCE_API void presence_sender_flush(struct presence_sender *sender);

/* What has been sent so far, without what is queued. Brought up to date by every sending, and by
 * presence_sender_flush even when nothing is queued. */
PRESENCE_API void presence_sender_totals(const struct presence_sender *sender,
                                         struct presence_sender_totals *ret);

#ifdef __cplusplus
}
#endif

#endif
