/* touch.h - heartbeats from browsers that are answered with a count: POST /touch, and other
 * requests that report a visitor; GET /beacon.gif for pages without scripts. One thread.
 *
 * A touch is sent to the collector as a datagram. Whoever began it then waits until the visitor is
 * in the count, which is checked at growing intervals, or TOUCH_WAIT_NS have passed: 2 ms more if
 * the visitor was seen only then. Other requests are served meanwhile. POST /touch suspends its
 * connection for that time, and its answer says why a visitor is not counted.
 *
 * Totals don't say whom they count. A touch waits there until all shards behind the number were
 * published TOUCH_LAG_NS after it was sent, or TOUCH_TOTAL_WAIT_NS have passed.
 */
#ifndef PRESENCE_WEB_TOUCH_H
#define PRESENCE_WEB_TOUCH_H

#include "heartbeat.h"

#define TOUCH_WAIT_NS    (20 * NS_PER_MS)
#define TOUCH_INSIST_NS  NS_PER_S
#define TOUCH_BODY_BYTES 4096

/* The time that a heartbeat may take to the collectors through relays, each of which holds it for
 * up to 50 ms by default, and then a publisher to read and write all counts. */
#define TOUCH_LAG_NS        (500 * NS_PER_MS)
#define TOUCH_TOTAL_WAIT_NS (3 * NS_PER_S)

/* Allocate the set of touches, empty. Return NULL if there is no memory. */
struct touches *touches_new(struct web *web);

/* Free the set. All touches have been freed. */
void touches_free(struct touches *touches);

/* Stop waiting: all touches that wait are done, counted or not. */
void touches_end(struct touches *touches);

/* Check the touches that are due; those that are counted, or have waited for long enough, are done.
 * Return when to check next, or INT64_MAX if none waits. */
int64_t touches_run_timers(struct touches *touches, int64_t now_ns);

/* ---- one touch ------------------------------------------------------------------------------ */

struct touch;
struct touch_reason;

enum touch_outcome {
    TOUCH_SENT,
    TOUCH_BOT,      /* known bots are not counted */
    TOUCH_PREFETCH, /* nobody looks at the page yet */
    TOUCH_FAILED,   /* there is no memory */
};

/* Queue a heartbeat for the collectors, unless nobody looks at the page. Nobody waits for it. */
enum touch_outcome touch_send(struct web *web, const struct heartbeat *heartbeat,
                              const struct client *client);

/* Send a visitor's heartbeat as touch_send(), and wait until it is counted. `done` is called once,
 * from touches_run_timers or touches_end, never from within; it may free this touch and others, and
 * begin new ones. It is not called if touch_waits() is false, or if the touch is freed before. The
 * caller frees the touch. Return NULL if there is no memory. */
struct touch *touch_begin(struct web *web, const struct heartbeat *heartbeat,
                          const struct client *client, void (*done)(void *context), void *context);
void touch_free(struct touch *touch);

/* Resume a request that is suspended until its visitor is counted: a `done` of touch_begin. */
void touch_resume(void *request);

/* True until `done` is called. False from the beginning if there is nothing to wait for: the
 * heartbeat was not sent, is a leave, or numbers are stale. */
bool touch_waits(const struct touch *touch);

/* Wait for as long as TOUCH_INSIST_NS, since whoever touches has no use for a number without them;
 * of totals, for that of this window instead of the default one. For a touch that waits. */
void touch_insist(struct touch *touch, uint32_t window_s);

/* True if the visitor is in the count of their place. */
bool touch_is_counted(const struct touch *touch);

/* Explain why the visitor is not in `number`, which is read now. */
struct touch_reason touch_explain(const struct touch *touch, const struct number *number);

/* ---- requests ------------------------------------------------------------------------------- */

/* Handle POST /touch. */
enum MHD_Result touches_handle(void *web, struct http_request *request);

/* Handle GET /beacon.gif: a heartbeat as the address of a picture. */
enum MHD_Result beacon_handle(void *web, struct http_request *request);

/* ---- touch_reason.c ------------------------------------------------------------------------- */

/* Reasons why a touched visitor is not counted, as far as they are known: codes for programs,
 * sentences for a browser's console. */

/* Counters that show the cause when they rise. */
enum touch_counter {
    TOUCH_ACCEPTED,
    TOUCH_TABLE_FULL,
    TOUCH_LABEL_TABLE_FULL,
    TOUCH_SENDER_NEW,
    TOUCH_LABEL_SENDER_NEW,
    TOUCH_ROOMS_FULL,
    TOUCH_SENDER_RATE,
    TOUCH_REJECTED_SENDER,
    TOUCH_REJECTED_UNAUTHENTICATED,
    TOUCH_REJECTED_STALE,
    TOUCH_REJECTED_SITE,
    TOUCH_COUNTERS,
};

extern const char *const touch_counters[TOUCH_COUNTERS]; /* their names */

struct touch_sample {
    uint64_t lost; /* heartbeats that reached nobody */
    uint64_t counters[TOUCH_COUNTERS];
};

#define TOUCH_NOT_SEEN "not_seen" /* the code of a cause that is unknown, or guessed */

struct touch_reason {
    const char *code;
    char message[160];
    bool in_site; /* counted in the site, only not in the room */
};

/* Explain a heartbeat that was not sent. */
struct touch_reason touch_reason_unsent(enum touch_outcome outcome);

/* Explain a stale number: nobody is counted. */
struct touch_reason touch_reason_stale(const struct web *web, const struct number *number);

/* Explain a heartbeat that was sent after `before` and is not counted by `now`. Of totals this only
 * knows whether it was sent. */
struct touch_reason touch_reason_find(const struct web *web, const struct heartbeat *heartbeat,
                                      const struct touch_sample *before,
                                      const struct touch_sample *now);

#endif
