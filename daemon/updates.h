/* updates.h - queue one worker's updates of visitors in scopes, and apply them in their order.
 *
 * Updates wait in a short queue while their lines of the table are fetched from memory
 * (pending.h). Those of several places are queued by kind of scope, so that neighbours need the
 * same work; in each scope they keep the order of their places. Changes of buckets are summed
 * (tally.h) and published at the end of a batch.
 */
#ifndef PRESENCED_UPDATES_H
#define PRESENCED_UPDATES_H

#include "admission.h"
#include "event_writer.h"
#include "lookup.h"
#include "pending.h"
#include "tally.h"
#include "traffic.h"

#define UPDATES_PLACES_MAX 16 /* that are queued at once */
#define UPDATES_ORIGINS    128

/* A heartbeat or leave, and the scopes that it names: SCOPE_NONE where nothing is counted. */
struct place {
    struct wire_heartbeat heartbeat;
    struct lookup_ahead ahead;
    uint32_t scopes[SCOPE_KINDS];
    uint8_t origin; /* index of its origin, once it is queued */
};

/* Neighbouring updates of one kind. */
struct update_run {
    unsigned end;   /* number of the update after its last one; counted since the queue was empty */
    uint32_t scope; /* SCOPE_NONE: each update has its own */
    uint8_t kind;   /* enum scope_kind */
    bool is_leave;
    bool emits_event; /* some visitors are events, even if nobody enters */
};

/* A place, while its updates wait. There are more than PENDING_MAX, each with an update or more,
 * and twice UPDATES_PLACES_MAX: a place's first and last update are that far from each other. */
struct update_origin {
    enum wire_kind kind;
    struct event_place place;
};

struct updates {
    struct segment *segment;
    const struct admission_view *admission;
    struct traffic *traffic; /* the collector's; others publish it, too */
    uint64_t *counted;       /* counters since the batch began */
    uint64_t now;
    bool limited;                    /* each sender's new visitors are limited */
    struct event_share *event_share; /* NULL: no events are kept */
    uint32_t window;                 /* sampled by histories */
    struct pending pending;
    /* Of each pending update. The scope is set only in runs of several scopes; sender (admission.h)
     * and the visitor's key in the site only if `limited`. */
    uint32_t scopes[PENDING_MAX];
    uint8_t origin_of[PENDING_MAX];
    uint64_t senders[PENDING_MAX];
    struct table_key site_keys[PENDING_MAX];
    /* Runs of pending updates, at least one update each; a ring, like `pending`. */
    unsigned run_first, run_end;
    struct update_run runs[PENDING_MAX];
    unsigned origin_end; /* how many there were */
    struct update_origin origins[UPDATES_ORIGINS];
    struct tally tally;
};

/* Queue heartbeats of up to UPDATES_PLACES_MAX places, none of which is a leave. Inside a batch. */
void updates_queue(struct updates *updates, struct place *places, unsigned count);

/* Queue a leave's visitors in those of its scopes where it ends their presence (R4). Inside a
 * batch. */
void updates_queue_leave(struct updates *updates, struct place *place);

/* Apply all updates and publish their changes. Inside a batch. */
void updates_finish(struct updates *updates);

#endif
