#include "totals.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/log.h"
#include "common/monotonic.h"
#include "total_lists.h"
#include "waiters.h"

#define PERIOD_NS    NS_PER_S
#define SPACING_NS   (50 * NS_PER_MS)   /* between two polls */
#define PATIENCE_NS  (2500 * NS_PER_MS) /* of a request that waits */
#define WATCHED_NS   (10 * NS_PER_S)    /* since it was asked for, a place is polled */
#define FRESH_NS     (3 * NS_PER_S)     /* age of an answer to use without asking again */
#define DESCRIBED_NS (2 * NS_PER_S)     /* likewise of a description of the groups */
#define UNWATCHED    4096               /* places that are kept beside those of streams */
#define RESTART_S                                                                  \
    3 /* a collector, or its publisher, that is restarted is back within this time \
       */

/* One place in one window. */
struct total {
    TAILQ_ENTRY(total) by_age; /* of the last question */
    struct place place;
    uint32_t window_s; /* as requested */
    int64_t asked_ns;
    int64_t answered_ns; /* NEVER: not yet */
    int64_t published_ns;
    bool has_reading;
    struct engine_reading reading;
};

/* The groups of collectors, as the last poll found them. */
struct groups {
    int64_t answered_ns;              /* 0: not yet */
    struct engine_reading freshness;  /* of numbers; without a count */
    char windows[ROUND_WINDOWS_SIZE]; /* that are published, "60, 300"; "": unknown */
    json_t *described; /* all that is known of them, with their visitors; NULL: not yet */
    int64_t described_ns, asked_ns;
};

struct totals {
    struct poller *poller;
    const char *url;
    void *places; /* totals, searched by tsearch(3) */
    size_t place_count, places_max;
    TAILQ_HEAD(total_queue, total) by_age;
    struct total_lists lists;
    struct waiters waiters;
    struct groups groups;
    int64_t due_ns, sent_ns;
    uint64_t round; /* number of the last one that was sent */
    uint64_t taken; /* how many came back */
    bool is_out;    /* it has not come back */
    bool wanted;    /* something is pending that the round that is out does not ask for */
    bool reloads;   /* the next one reads the password file again */
    bool ends;
    bool is_failing;
    char problem[ENGINE_PROBLEM_SIZE];
};

#define NEVER (INT64_MIN / 2)

/* ---- places --------------------------------------------------------------------------------- */

static int compare_totals(const void *left, const void *right)
{
    const struct total *a = left, *b = right;
    int order = strcmp(a->place.room, b->place.room);

    if (order == 0)
        order = strcmp(a->place.site, b->place.site);
    if (order == 0)
        order = (a->window_s > b->window_s) - (a->window_s < b->window_s);
    return order;
}

static struct total *find_total(const struct totals *totals, const struct place *place,
                                uint32_t window_s)
{
    struct total key = {.place = *place, .window_s = window_s};
    struct total **found = tfind(&key, &totals->places, compare_totals);

    return found ? *found : NULL;
}

static void free_total(struct totals *totals, struct total *total)
{
    tdelete(total, &totals->places, compare_totals);
    TAILQ_REMOVE(&totals->by_age, total, by_age);
    totals->place_count--;
    free(total);
}

/* Add a place, in exchange for the one that nobody has asked for for longest if there are too many.
 * Return NULL if there is no memory. */
static struct total *add_total(struct totals *totals, const struct place *place, uint32_t window_s)
{
    struct total *total = calloc(1, sizeof(*total));

    if (!total)
        return NULL;
    *total = (struct total){.place = *place, .window_s = window_s, .answered_ns = NEVER};
    if (!tsearch(total, &totals->places, compare_totals)) {
        free(total);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&totals->by_age, total, by_age);
    if (++totals->place_count > totals->places_max)
        free_total(totals, TAILQ_FIRST(&totals->by_age));
    return total;
}

/* ---- numbers -------------------------------------------------------------------------------- */

/* True if an answer is too old to be shown as fresh. */
static bool is_stale(const struct totals *totals, int64_t answered_ns, int64_t now_ns)
{
    return totals->is_failing || now_ns - answered_ns > ENGINE_FRESH_MS * NS_PER_MS;
}

static struct number number_of(const struct totals *totals, const struct engine_reading *reading,
                               int64_t answered_ns)
{
    int64_t now_ns = monotonic_ns();
    bool stale = is_stale(totals, answered_ns, now_ns);
    uint64_t age_s = reading->as_of_age_s + (uint64_t)((now_ns - answered_ns) / NS_PER_S);

    return (struct number){
        .count = reading->count,
        .window_s = reading->window_s,
        .has_time = true,
        .exists = reading->exists,
        .known = reading->exists || reading->known,
        .partial = reading->partial,
        .stale = reading->stale || stale,
        .warming = reading->warming,
        .may_be_restart = reading->stale && !stale && age_s <= RESTART_S,
        .has_heartbeat = reading->exists && reading->quiet,
        .last_heartbeat_s = reading->last_heartbeat_s,
        .as_of = reading->as_of,
        .as_of_age_s = age_s,
        .published_ns = INT64_MIN,
    };
}

static struct number no_number(uint32_t window_s, bool pending)
{
    return (struct number){.window_s = window_s ? window_s : PRESENCE_DEFAULT_WINDOW,
                           .stale = true,
                           .pending = pending,
                           .published_ns = INT64_MIN};
}

struct number totals_count(struct totals *totals, const struct place *place, uint32_t window_s)
{
    struct total *total = find_total(totals, place, window_s);

    if (!total)
        total = add_total(totals, place, window_s);
    if (!total)
        return no_number(window_s, false);
    total->asked_ns = monotonic_ns();
    TAILQ_REMOVE(&totals->by_age, total, by_age);
    TAILQ_INSERT_TAIL(&totals->by_age, total, by_age);
    bool pending = !totals->is_failing && total->asked_ns - total->answered_ns > FRESH_NS;
    totals->wanted |= pending;
    if (!total->has_reading)
        return no_number(window_s, pending);
    struct number number = number_of(totals, &total->reading, total->answered_ns);
    number.pending = pending;
    number.published_ns = total->published_ns;
    return number;
}

/* ---- lists ---------------------------------------------------------------------------------- */

int totals_list(struct totals *totals, const struct place *place, enum presence_kind kind,
                uint32_t window_s, const struct engine_list **ret, struct number *ret_number)
{
    int64_t now_ns = monotonic_ns();
    struct total_list *list = total_lists_get(&totals->lists, place, kind, window_s, now_ns);

    if (!list)
        return -ENODATA;
    if (!totals->is_failing && total_list_is_old(list, now_ns)) {
        totals->wanted = true;
        return -EAGAIN;
    }
    if (!list->has_list)
        return -ENODATA;
    *ret = &list->list;
    *ret_number = number_of(totals, &list->list.reading, list->answered_ns);
    return 0;
}

/* ---- the groups ----------------------------------------------------------------------------- */

/* True if a description is older than the last question for one allows. It costs the engine more
 * than all the rest. */
static bool wants_description(const struct groups *groups)
{
    return groups->asked_ns - groups->described_ns > DESCRIBED_NS;
}

bool totals_describe(struct totals *totals, json_t **ret)
{
    struct groups *groups = &totals->groups;

    groups->asked_ns = monotonic_ns();
    bool pending = wants_description(groups) && !totals->is_failing;
    totals->wanted |= pending;
    *ret = groups->described ? json_incref(groups->described) : json_array();
    return !pending;
}

uint64_t totals_rounds(const struct totals *totals)
{
    return totals->taken;
}

struct number totals_freshness(struct totals *totals)
{
    if (!totals->groups.answered_ns)
        return no_number(0, !totals->is_failing);
    return number_of(totals, &totals->groups.freshness, totals->groups.answered_ns);
}

bool totals_has_window(const struct totals *totals, uint32_t window_s)
{
    const char *at = totals->groups.windows;
    char *end;

    if (window_s == 0 || !*at)
        return true;
    for (; *at; at = end + strspn(end, ", ")) {
        if (strtoul(at, &end, 10) == window_s)
            return true;
        if (end == at)
            break;
    }
    return false;
}

const char *totals_windows(const struct totals *totals)
{
    return totals->groups.windows;
}

const char *totals_problem(const struct totals *totals)
{
    return totals->is_failing ? totals->problem : "";
}

/* ---- answers -------------------------------------------------------------------------------- */

/* True if a new reading says less than the one before: it is stale, and knows no number or an older
 * one. */
static bool says_less(const struct engine_reading *now, const struct engine_reading *before)
{
    return now->stale && before->known &&
           (!(now->known || now->exists) || now->as_of < before->as_of);
}

static void take_reading(struct total *total, const struct round *round,
                         const struct engine_query *query, int64_t now_ns)
{
    const struct engine_reading *reading = &query->reading;
    struct engine_reading *kept = &total->reading;

    if (query->error == 0 && !(total->has_reading && says_less(reading, kept))) {
        *kept = *reading;
        kept->known |= kept->exists;
        total->has_reading = true;
        total->published_ns = round->sent_at_ns - (int64_t)reading->published_ms * NS_PER_MS;
    } else if (total->has_reading) {
        kept->stale = true;
        kept->as_of_age_s += (uint64_t)((now_ns - total->answered_ns) / NS_PER_S);
    }
    total->answered_ns = now_ns;
}

/* Say once that the engine can't be used, and why; and that it can again. */
static void log_change(const struct totals *totals, const struct round *round)
{
    if (round->result < 0 && (!totals->is_failing || strcmp(totals->problem, round->problem) != 0))
        log_line("cannot use the engine %s: %s", totals->url, round->problem);
    else if (round->result == 0 && (totals->is_failing || totals->groups.answered_ns == 0))
        log_line("reading totals from the engine %s", totals->url);
}

static void take_groups(struct groups *groups, struct round *round, int64_t now_ns)
{
    groups->answered_ns = now_ns;
    groups->freshness = round->freshness;
    strcpy(groups->windows, round->windows);
    if (!round->groups)
        return;
    json_decref(groups->described);
    groups->described = round->groups;
    groups->described_ns = now_ns;
    round->groups = NULL;
}

static void take_round(struct totals *totals, struct round *round, int64_t now_ns)
{
    totals->is_out = false;
    totals->taken++;
    if (*round->reload_problem)
        log_line("%s; the previous password stays in use", round->reload_problem);
    log_change(totals, round);
    totals->is_failing = round->result < 0;
    strcpy(totals->problem, round->problem);
    if (!totals->is_failing) {
        for (size_t i = 0; i < round->poll.query_count; i++) {
            const struct engine_query *query = &round->queries[i];
            struct total *total = find_total(totals, &round->places[i], query->window_s);
            if (total)
                take_reading(total, round, query, now_ns);
        }
        total_lists_take(&totals->lists, round, now_ns);
    }
    if (round->has_groups)
        take_groups(&totals->groups, round, now_ns);
    waiters_resume(&totals->waiters, totals->is_failing ? WAITERS_ALL : totals->round, now_ns);
    round_free(round);
}

/* ---- polls ---------------------------------------------------------------------------------- */

/* Ask for the places that somebody has asked for of late: all of them, or those without a fresh
 * answer. */
static int ask_for_places(const struct totals *totals, struct round *round, bool all,
                          int64_t now_ns)
{
    const struct total *total;
    int r = 0;

    TAILQ_FOREACH_REVERSE(total, &totals->by_age, total_queue, by_age)
    {
        if (r < 0 || total->asked_ns < now_ns - WATCHED_NS)
            break;
        if (all || now_ns - total->answered_ns > FRESH_NS)
            r = round_add_query(round, &total->place, total->window_s);
    }
    return r;
}

/* Poll for everything, or only for what has no fresh answer. Out of memory: the next period tries
 * again. */
static void poll_now(struct totals *totals, bool all, int64_t now_ns)
{
    struct round *round = round_new();

    totals->wanted = false;
    totals->sent_ns = now_ns;
    if (all)
        totals->due_ns = now_ns + PERIOD_NS;
    if (!round)
        return;
    if (ask_for_places(totals, round, all, now_ns) < 0 ||
        total_lists_add_to_round(&totals->lists, round, now_ns - WATCHED_NS, now_ns) < 0) {
        round_free(round);
        return;
    }
    round->reloads = totals->reloads;
    totals->reloads = false;
    round->poll.visitors = wants_description(&totals->groups);
    totals->round++;
    totals->is_out = true;
    poller_send(totals->poller, round);
}

int64_t totals_run_timers(struct totals *totals, int64_t now_ns)
{
    struct round *round = poller_receive(totals->poller);

    if (round)
        take_round(totals, round, now_ns);
    waiters_resume(&totals->waiters, 0, now_ns);
    bool early = totals->wanted && now_ns - totals->sent_ns >= SPACING_NS;
    if (!totals->is_out && !totals->ends && (early || now_ns >= totals->due_ns))
        poll_now(totals, now_ns >= totals->due_ns, now_ns);
    int64_t next_ns = waiters_next(&totals->waiters);
    if (totals->is_out)
        return next_ns;
    int64_t poll_ns = totals->wanted ? totals->sent_ns + SPACING_NS : totals->due_ns;
    return poll_ns < next_ns ? poll_ns : next_ns;
}

bool totals_suspend(struct totals *totals, struct http_request *request)
{
    return !totals->ends && waiters_suspend(&totals->waiters, request, totals->round + 1,
                                            monotonic_ns() + PATIENCE_NS);
}

/* ---- begin and end -------------------------------------------------------------------------- */

int totals_open(const struct engine_options *options, size_t places, struct totals **ret,
                char ret_problem[ENGINE_PROBLEM_SIZE])
{
    struct totals *totals = calloc(1, sizeof(*totals));

    if (!totals) {
        strcpy(ret_problem, "out of memory");
        return -ENOMEM;
    }
    int r = poller_open(options, &totals->poller, ret_problem);
    if (r < 0) {
        free(totals);
        return r;
    }
    totals->url = options->url;
    totals->places_max = places + UNWATCHED;
    TAILQ_INIT(&totals->by_age);
    total_lists_init(&totals->lists);
    waiters_init(&totals->waiters);
    *ret = totals;
    return 0;
}

int totals_start(struct totals *totals, struct http_server *server)
{
    return poller_start(totals->poller, server);
}

void totals_reload(struct totals *totals)
{
    totals->reloads = true;
}

void totals_end(struct totals *totals)
{
    totals->ends = true;
    waiters_resume(&totals->waiters, WAITERS_ALL, 0);
}

void totals_stop(struct totals *totals)
{
    poller_stop(totals->poller);
}

void totals_close(struct totals *totals)
{
    if (!totals)
        return;
    poller_close(totals->poller);
    while (!TAILQ_EMPTY(&totals->by_age))
        free_total(totals, TAILQ_FIRST(&totals->by_age));
    total_lists_clear(&totals->lists);
    json_decref(totals->groups.described);
    free(totals);
}
