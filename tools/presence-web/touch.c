#include "touch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/monotonic.h"
#include "outbound.h"

#define SETTLE_NS      (2 * NS_PER_MS) /* from the table to the rings: the rest of a worker's batch */
#define SAMPLE_NS      NS_PER_MS       /* touches that begin within it share a sample */
#define JUST_SEEN_S    1 /* at this age or less, two heartbeats can't be distinguished */

#define TOTAL_CHECK_NS (100 * NS_PER_MS) /* between two checks of a total */

/* Times since a touch began at which to check whether it is counted. Most are counted by the first
 * one; the others wait for something that takes longer. */
static const int64_t check_times_ns[] = {1 * NS_PER_MS, 3 * NS_PER_MS, 7 * NS_PER_MS,
                                         15 * NS_PER_MS, TOUCH_WAIT_NS};

#define CHECKS (sizeof(check_times_ns) / sizeof(check_times_ns[0]))

struct touch {
    TAILQ_ENTRY(touch) waiting;
    struct touches *touches;
    void (*done)(void *context);
    void *context;
    struct heartbeat heartbeat;
    enum touch_outcome outcome;
    struct live_visitor before; /* as the visitor was before the heartbeat was sent */
    struct touch_sample sample;
    int64_t began_ns;
    int64_t check_at_ns;
    int64_t seen_at_ns;  /* 0: not yet */
    int64_t patience_ns; /* since it began */
    uint32_t window_s;   /* of totals; 0: the default one */
    bool waits;
    bool counted;
};

struct touches {
    struct web *web;
    struct touch_sample sample;
    int64_t sampled_at_ns;
    int64_t due_ns; /* when the first one that waits is to be checked */
    TAILQ_HEAD(, touch) waiting;
    struct touch *next; /* to be checked in this round; NULL: none */
};

/* One round of checks, which share a reading of the counter. */
struct round {
    int64_t now_ns;
    bool has_accepted;
    uint64_t accepted;
};

struct touches *touches_new(struct web *web)
{
    struct touches *touches = calloc(1, sizeof(*touches));

    if (!touches)
        return NULL;
    touches->web = web;
    TAILQ_INIT(&touches->waiting);
    return touches;
}

void touches_free(struct touches *touches)
{
    free(touches);
}

static const struct touch_sample *get_sample(struct touches *touches, int64_t now_ns)
{
    if (touches->sampled_at_ns != 0 && now_ns - touches->sampled_at_ns < SAMPLE_NS)
        return &touches->sample;
    touches->sample.lost = outbound_lost(touches->web->outbound);
    for (int i = 0; i < TOUCH_COUNTERS; i++)
        touches->sample.counters[i] = live_counter(touches->web->live, touch_counters[i]);
    touches->sampled_at_ns = now_ns;
    return &touches->sample;
}

/* ---- waiting until it is counted ------------------------------------------------------------ */

static uint64_t get_accepted(struct round *round, struct live *live)
{
    if (!round->has_accepted)
        round->accepted = live_counter(live, "datagrams_accepted");
    round->has_accepted = true;
    return round->accepted;
}

/* True if the collector has ended a batch with an accepted datagram since the touch began. */
static bool has_accepted_since(const struct touch *touch, struct round *round)
{
    return get_accepted(round, touch->touches->web->live) > touch->sample.counters[TOUCH_ACCEPTED];
}

/* True if the collector has seen the visitor since the touch began. If their last heartbeat was
 * that recent before, the ages don't differ: then any datagram that was accepted since counts as
 * theirs. */
static bool is_seen(const struct touch *touch, uint32_t age_s, struct round *round)
{
    uint32_t before_s = touch->before.age_s;

    if (age_s == LIVE_NEVER_SEEN)
        return false;
    if (before_s == LIVE_NEVER_SEEN || before_s > JUST_SEEN_S)
        return age_s < before_s;
    return has_accepted_since(touch, round);
}

static struct place site_of(const struct touch *touch)
{
    struct place site = touch->heartbeat.place;

    site.room[0] = '\0';
    return site;
}

static bool is_total(const struct touch *touch)
{
    return live_totals(touch->touches->web->live);
}

/* True if the heartbeat can be in the total of a place. */
static bool is_in_total(const struct touch *touch, const struct place *place)
{
    struct number number;

    live_count(touch->touches->web->live, place, touch->window_s, &number);
    return number_is_fresh(&number) && number.published_ns - TOUCH_LAG_NS >= touch->began_ns;
}

/* True if heartbeats were lost on the way since the touch began, perhaps this one. */
static bool is_lost(const struct touch *touch)
{
    return outbound_lost(touch->touches->web->outbound) > touch->sample.lost;
}

/* True if the count includes the visitor. The table knows of them a moment before the count does,
 * so the batch that saw them must have ended, and the count have risen, or have had the time to. */
static bool is_counted(struct touch *touch, struct round *round)
{
    const struct heartbeat *heartbeat = &touch->heartbeat;
    const struct number *before = &touch->before.number;
    struct live_visitor now;

    if (is_total(touch)) {
        struct place site = site_of(touch);
        bool in_site = is_in_total(touch, &site); /* asks for it, too */
        return is_in_total(touch, &heartbeat->place) && in_site && !is_lost(touch);
    }
    live_observe(touch->touches->web->live, &heartbeat->place, heartbeat->visitor, 0, &now);
    if (!touch->seen_at_ns && is_seen(touch, now.age_s, round))
        touch->seen_at_ns = round->now_ns;
    /* A worker may be suspended in the middle of its batch: it counts what it has accepted when the
     * batch ends. */
    if (!touch->seen_at_ns || !has_accepted_since(touch, round))
        return false;
    return (now.number.known && before->known && now.number.count > before->count) ||
           round->now_ns - touch->seen_at_ns >= SETTLE_NS;
}

/* Return when to check next after `now_ns`: once the visitor is seen, by when the count has
 * settled. */
static int64_t next_check(const struct touch *touch, int64_t now_ns)
{
    size_t i = 0;

    if (is_total(touch))
        return now_ns + TOTAL_CHECK_NS;
    while (i < CHECKS - 1 && touch->began_ns + check_times_ns[i] <= now_ns)
        i++;
    int64_t next_ns = touch->began_ns + check_times_ns[i];
    if (next_ns <= now_ns) /* then less and less often */
        next_ns = now_ns + (now_ns - touch->began_ns);
    int64_t settled_ns = touch->seen_at_ns + SETTLE_NS;
    return touch->seen_at_ns && settled_ns > now_ns && settled_ns < next_ns ? settled_ns : next_ns;
}

static void stop_waiting(struct touch *touch)
{
    struct touches *touches = touch->touches;

    if (touches->next == touch)
        touches->next = TAILQ_NEXT(touch, waiting);
    TAILQ_REMOVE(&touches->waiting, touch, waiting);
    touch->waits = false;
}

/* True if the collector is known to have refused the visitor, or not to have heard of them. */
static bool is_refused(const struct touch *touch, const struct round *round)
{
    struct touch_reason reason =
        touch_reason_find(touch->touches->web, &touch->heartbeat, &touch->sample,
                          get_sample(touch->touches, round->now_ns));

    return strcmp(reason.code, TOUCH_NOT_SEEN) != 0;
}

/* True if the touch was seen a moment ago, so that the next check finds it counted. On a busy
 * machine the first check may come when the patience has already ended. */
static bool is_settling(const struct touch *touch, int64_t now_ns)
{
    return touch->seen_at_ns && now_ns - touch->seen_at_ns < SETTLE_NS;
}

/* True if the touch is counted, or there is no point in waiting any longer. */
static bool is_over(struct touch *touch, struct round *round)
{
    int64_t age_ns = round->now_ns - touch->began_ns;

    if (round->now_ns >= touch->check_at_ns) {
        touch->counted = is_counted(touch, round);
        touch->check_at_ns = next_check(touch, round->now_ns);
        if (!touch->counted && !is_total(touch) && age_ns >= TOUCH_WAIT_NS &&
            age_ns < touch->patience_ns && is_refused(touch, round))
            return true;
    }
    return touch->counted || (age_ns >= touch->patience_ns && !is_settling(touch, round->now_ns));
}

/* Have the touch checked in time. */
static void plan_check(struct touch *touch)
{
    if (touch->check_at_ns < touch->touches->due_ns)
        touch->touches->due_ns = touch->check_at_ns;
}

int64_t touches_run_timers(struct touches *touches, int64_t now_ns)
{
    struct round round = {.now_ns = now_ns};
    struct touch *touch;

    touches->due_ns = INT64_MAX;
    touches->next = TAILQ_FIRST(&touches->waiting);
    while ((touch = touches->next)) {
        touches->next = TAILQ_NEXT(touch, waiting);
        if (!is_over(touch, &round)) {
            plan_check(touch);
            continue;
        }
        if (touch->counted)
            outbound_record_counted(touches->web->outbound, &touch->heartbeat);
        stop_waiting(touch);
        touch->done(touch->context); /* may free any touch, and begin others */
    }
    return touches->due_ns;
}

void touches_end(struct touches *touches)
{
    struct touch *touch;

    while ((touch = TAILQ_FIRST(&touches->waiting))) {
        stop_waiting(touch);
        touch->done(touch->context);
    }
}

/* ---- one touch ------------------------------------------------------------------------------ */

enum touch_outcome touch_send(struct web *web, const struct heartbeat *heartbeat,
                              const struct client *client)
{
    if (heartbeat->is_from_bot)
        return TOUCH_BOT;
    if (heartbeat->is_prefetch)
        return TOUCH_PREFETCH;
    return outbound_send(web->outbound, heartbeat, client->country) == 0 ? TOUCH_SENT
                                                                         : TOUCH_FAILED;
}

/* True if nobody is counted at present: there is no point in waiting. */
static bool is_stale(const struct number *number)
{
    return number->stale && !number->pending;
}

struct touch *touch_begin(struct web *web, const struct heartbeat *heartbeat,
                          const struct client *client, void (*done)(void *context), void *context)
{
    struct touches *touches = web->touches;
    struct touch *touch = calloc(1, sizeof(*touch));

    if (!touch)
        return NULL;
    touch->touches = touches;
    touch->done = done;
    touch->context = context;
    touch->heartbeat = *heartbeat;
    touch->began_ns = monotonic_ns();
    touch->patience_ns = is_total(touch) ? TOUCH_TOTAL_WAIT_NS : TOUCH_WAIT_NS;
    touch->sample = *get_sample(touches, touch->began_ns);
    live_observe(web->live, &heartbeat->place, heartbeat->visitor, 0, &touch->before);
    touch->outcome = touch_send(web, heartbeat, client);
    touch->waits = touch->outcome == TOUCH_SENT && heartbeat->kind != PRESENCE_LEAVE &&
                   !is_stale(&touch->before.number) && !web->ending;
    if (touch->waits) {
        touch->check_at_ns = next_check(touch, touch->began_ns);
        TAILQ_INSERT_TAIL(&touches->waiting, touch, waiting);
        plan_check(touch);
    }
    return touch;
}

bool touch_waits(const struct touch *touch)
{
    return touch->waits;
}

bool touch_is_counted(const struct touch *touch)
{
    return touch->counted;
}

void touch_insist(struct touch *touch, uint32_t window_s)
{
    if (touch->patience_ns < TOUCH_INSIST_NS)
        touch->patience_ns = TOUCH_INSIST_NS;
    touch->window_s = window_s;
}

void touch_free(struct touch *touch)
{
    if (!touch)
        return;
    if (touch->waits)
        stop_waiting(touch);
    free(touch);
}

struct touch_reason touch_explain(const struct touch *touch, const struct number *number)
{
    const struct web *web = touch->touches->web;

    if (touch->outcome != TOUCH_SENT)
        return touch_reason_unsent(touch->outcome);
    if (is_stale(&touch->before.number) || number->stale)
        return touch_reason_stale(web, number);
    return touch_reason_find(web, &touch->heartbeat, &touch->sample,
                             get_sample(touch->touches, monotonic_ns()));
}

/* ---- POST /touch ---------------------------------------------------------------------------- */

/* Add why the visitor is not counted, or only in the site. A leave needs no such reason. */
static void add_reason(json_t *object, const struct touch *touch, const struct number *number)
{
    if (touch->counted || touch->heartbeat.kind == PRESENCE_LEAVE)
        return;
    struct touch_reason reason = touch_explain(touch, number);
    if (reason.in_site)
        json_object_set_new(object, "counted", json_true());
    json_object_set_new(object, "reason", json_string(reason.code));
    json_object_set_new(object, "message", json_string(reason.message));
}

static enum MHD_Result answer(const struct touch *touch, struct http_request *request)
{
    const struct web *web = touch->touches->web;
    struct place site = site_of(touch);
    struct number number, site_number;
    json_t *object = json_object();

    live_count(web->live, &touch->heartbeat.place, 0, &number);
    live_count(web->live, &site, 0, &site_number);
    json_object_set_new(object, "count", build_count(&number));
    json_object_set_new(object, "site_count", build_count(&site_number));
    json_object_set_new(object, "counted", json_boolean(touch->counted));
    add_reason(object, touch, &number);
    add_number(object, &touch->heartbeat.place, &number);
    return respond_json(web, request, object);
}

void touch_resume(void *context)
{
    struct http_request *request = context;

    http_server_resume(request->server, request->connection);
}

static void release(void *touch)
{
    touch_free(touch);
}

enum MHD_Result touches_handle(void *context, struct http_request *request)
{
    struct web *web = context;
    struct client client;
    struct problem problem;
    struct heartbeat heartbeat;

    if (request->data)
        return answer(request->data, request);
    if (!request_admit(web, request, &client, &problem) ||
        !heartbeat_parse_body(web, request, &heartbeat, &problem))
        return respond_problem(web, request, &problem);
    struct touch *touch = touch_begin(web, &heartbeat, &client, touch_resume, request);
    if (!touch)
        return MHD_NO;
    request->data = touch;
    request->release = release;
    if (!touch->waits)
        return answer(touch, request);
    MHD_suspend_connection(request->connection);
    return MHD_YES;
}
