/* collector.h - shared by all workers: the segment, the directory and the tick.
 *
 * A worker holds its gate, a mutex of its own, while it is inside a batch. A thread that gets a
 * worker's gate knows that the worker has passed a batch boundary.
 * Order of locks: retiring, advancing, holding, gates, the directory's mutex or those of the
 * streams; a thread that holds one of these locks nothing else.
 */
#ifndef PRESENCED_COLLECTOR_H
#define PRESENCED_COLLECTOR_H

#include <pthread.h>

#include "clock.h"
#include "directory.h"
#include "event_share.h"
#include "sampler.h"
#include "segment_file.h"

struct admission;
struct stream_table;
struct traffic;

struct collector_gate {
    _Alignas(128) pthread_mutex_t mutex;
};

struct collector {
    struct segment_file file;
    struct directory_writer directory;
    struct history_pool histories; /* the maintenance thread's */
    struct stream_table *streams;
    struct event_share event_share;
    clock_function clock;
    clock_function wall_clock;
    void *clock_context;
    struct admission *admission; /* set before ingest_open; NULL: admit everything */
    unsigned workers;
    struct collector_gate gates[SEGMENT_WORKERS_MAX];
    struct traffic *traffics;  /* one per worker, behind its gate */
    pthread_mutex_t advancing; /* locked to move the tick, before the gates */
    pthread_mutex_t holding;   /* locked by the thread that wants or has all gates */
    uint32_t held;             /* 1 while `holding` is locked; relaxed: see collector_pass */
    uint64_t full_since;       /* tick of the last collector_make_room */
    uint64_t swept_at;   /* tick of the last sweep; like the next two the maintenance thread's */
    uint64_t sweep_pair; /* where the sweep continues */
    uint32_t sweep_scope;
};

struct collector_settings {
    const char *path;
    struct segment_settings segment;
    unsigned workers; /* 1 to SEGMENT_WORKERS_MAX */
    clock_function clock;
    clock_function wall_clock; /* Unix seconds, for the day of a peak; NULL: CLOCK_REALTIME */
    void *clock_context;       /* passed to both clocks */
};

/* Open the segment and its directory. Nothing is counted and the tick does not move before
 * collector_listen. Errors: those of segment_file_open (with *ret_holder); -ENOMEM. */
int collector_open(const struct collector_settings *settings, struct collector *ret,
                   pid_t *ret_holder);

/* Publish the tick and the state, once the sockets are open. If the last daemon was killed, this
 * sweeps the table and counts its entries again; otherwise the first maintenance sweeps it all.
 * `engine` and `reason` (why not io_uring, or "") are for readers; both are copied. Returns the
 * seconds since an earlier daemon last listened on this segment, 0 if none did. */
uint64_t collector_listen(struct collector *collector, const char *engine, const char *reason);

/* Publish the state of the XDP filter: "native", "generic" or "none", its interface, and why there
 * is none or it has nothing to do; each may be "". All are copied. Before collector_listen. */
void collector_publish_filter(struct collector *collector, const char *mode, const char *interface,
                              const char *reason);

/* Publish how senders are spread over workers (spread_name), and why not in turn, or "". Both are
 * copied. Before collector_listen. */
void collector_publish_spread(struct collector *collector, const char *spread, const char *reason);

/* Publish the listen addresses that the machine does not have, or "". Copied. The main thread. */
void collector_publish_missing(struct collector *collector, const char *addresses);

/* Publish how many keys are in use, 0 without --keys, and why later ones were refused, or "". The
 * end of a long text is kept. The main thread. */
void collector_publish_keys(struct collector *collector, uint32_t count, const char *refused);

/* Move the tick to the clock's, if that is ahead, and return it. A gap of over SEGMENT_GAP seconds
 * restarts the warm-up; one in which all words expired clears the table, between batches of all
 * workers. Any thread outside a batch. */
uint64_t collector_advance(struct collector *collector);

/* Return the published tick. */
uint64_t collector_tick(const struct collector *collector);

/* Yield to a thread that wants all gates: a worker under full load would re-lock its own before the
 * thread gets it. A worker calls it before it locks its gate. */
void collector_pass(struct collector *collector);

/* Continue in a copy of the segment at `path`, which must not exist, and mark the old file as
 * replaced. Workers wait for about 50 ms per 200 MB; pointers into the segment stay valid. On
 * failure counting goes on as before. The maintenance thread. Errors: those of segment_file_reserve
 * and segment_file_link; -ENOMEM. */
int collector_move(struct collector *collector, const char *path);

/* Advance the tick, share out the ring of events, sample the counts, and free a part of the expired
 * words and idle scopes. Once a second, by one thread. */
void collector_maintain(struct collector *collector);

/* Wait until every worker has passed a batch boundary. Any thread outside a batch. */
void collector_wait_for_batches(struct collector *collector);

/* True if retiring idle scopes may make room in a full directory: it was not tried at this tick.
 * Any thread. */
bool collector_may_make_room(const struct collector *collector, uint64_t now);

/* Retire all idle scopes. Any thread outside a batch. */
void collector_make_room(struct collector *collector);

/* Publish that the collector has stopped, and close the segment. No worker may be running. */
void collector_close(struct collector *collector);

#endif
