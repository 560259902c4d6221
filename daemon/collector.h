/* collector.h - what all workers share: the segment, the directory, and the tick.
 *
 * Each worker holds its gate, a mutex nobody else wants, while it is inside a batch. Whoever takes
 * a worker's gate knows that it has passed a batch boundary.
 * Order of locks: retiring, then directory, then gates; a thread that holds its gate takes no
 * other lock but the directory's.
 */
#ifndef PRESENCED_COLLECTOR_H
#define PRESENCED_COLLECTOR_H

#include <pthread.h>

#include "clock.h"
#include "directory.h"
#include "history.h"
#include "segment_file.h"

struct admission;
struct traffic;

struct collector_gate {
    _Alignas(128) pthread_mutex_t mutex;
};

struct collector {
    struct segment_file file;
    struct directory_writer directory;
    struct history_pool histories; /* the keeper's */
    clock_function clock;
    clock_function wall_clock;
    void *clock_context;
    struct admission *admission; /* set before ingest_open; NULL: everything is admitted */
    unsigned workers;
    struct collector_gate gates[SEGMENT_WORKERS_MAX];
    struct traffic *traffics;  /* a worker's each, behind its gate */
    pthread_mutex_t advancing; /* one thread moves the tick; taken before the gates */
    uint64_t full_since;       /* tick of the last retirement that a full directory asked for */
    uint64_t swept_at;         /* tick; the keeper's, as are these two: where it goes on */
    uint64_t sweep_pair;
    uint32_t sweep_scope;
};

struct collector_settings {
    const char *path;
    struct segment_settings segment;
    unsigned workers; /* 1 to SEGMENT_WORKERS_MAX */
    clock_function clock;
    clock_function wall_clock; /* Unix seconds, for the day of a peak; NULL: CLOCK_REALTIME */
    void *clock_context;       /* of both */
};

/* Open the segment and its directory. Nothing is counted and the tick stands still until
 * collector_listen. Errors as segment_file_open (with *ret_holder), and -ENOMEM. */
int collector_open(const struct collector_settings *settings, struct collector *ret,
                   pid_t *ret_holder);

/* The sockets are open: publish the tick and the state. `engine` and `reason` (why not io_uring, or
 * "") are for readers; both are copied. Returns the seconds since an earlier daemon last listened
 * on this segment, 0 if none did. */
uint64_t collector_listen(struct collector *collector, const char *engine, const char *reason);

/* What readers are told of the XDP filter: "native", "generic" or "none", its interface, and why
 * there is none or has nothing to do; each may be "". All are copied. Before collector_listen. */
void collector_tell_filter(struct collector *collector, const char *mode, const char *interface,
                           const char *reason);

/* Move the tick to the clock's, if that is ahead. A gap of over SEGMENT_GAP seconds restarts the
 * warm-up, one in which all words expired empties the table, while no worker is inside a batch.
 * Any thread outside a batch. Returns the published tick. */
uint64_t collector_advance(struct collector *collector);

/* The published tick. */
uint64_t collector_tick(const struct collector *collector);

/* Once a second, by one thread: advance the tick, sample the counts, free expired words and idle
 * scopes, a part of them each time. */
void collector_keep(struct collector *collector);

/* Wait until every worker has passed a batch boundary. Any thread outside a batch. */
void collector_wait_for_batches(struct collector *collector);

/* May giving up idle scopes make room in a full directory? It was not tried yet at this tick.
 * Any thread. */
bool collector_may_make_room(const struct collector *collector, uint64_t now);

/* Give up all idle scopes. Any thread outside a batch. */
void collector_make_room(struct collector *collector);

/* Say that the collector has stopped, and close the segment. No worker may be running. */
void collector_close(struct collector *collector);

#endif
