/* visits.c - visitors in rooms: their connections, and their leaves. */
#include "rooms.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/monotonic.h"
#include "outbound.h"

#define GRACE_NS (VISITS_GRACE_S * NS_PER_S)

/* A visitor in a site. */
struct visit {
    uint8_t id[PLACE_ID_SIZE];
    char country[3];
    size_t connections; /* in all rooms */
    LIST_HEAD(, stay) stays;
    const char *visitor; /* in `text`, behind the site */
    char site[];
};

struct stay {
    LIST_ENTRY(stay) of_visit;
    TAILQ_ENTRY(stay) by_age; /* while it is `held` */
    struct visit *visit;
    size_t connections;
    int64_t reported_ns; /* when the last heartbeat was sent */
    int64_t due_ns;      /* when the visitor has left, if there is no connection */
    bool held;           /* until then */
    char room[];         /* "": none */
};

struct visits {
    struct outbound *outbound;
    void *all; /* visits, searched by tsearch(3) */
    TAILQ_HEAD(, stay) held;
};

struct visits *visits_new(struct outbound *outbound)
{
    struct visits *visits = calloc(1, sizeof(*visits));

    if (!visits)
        return NULL;
    visits->outbound = outbound;
    TAILQ_INIT(&visits->held);
    return visits;
}

static int compare_visits(const void *left, const void *right)
{
    const struct visit *a = left, *b = right;
    int order = memcmp(a->id, b->id, sizeof(a->id));

    return order ? order : strcmp(a->site, b->site);
}

/* ---- heartbeats and leaves ------------------------------------------------------------------ */

/* Describe a heartbeat of the visitor in the room. */
static void describe(const struct stay *stay, struct heartbeat *ret, const char **ret_country)
{
    *ret = (struct heartbeat){.kind = PRESENCE_HEARTBEAT, .hold_s = VISITS_GRACE_S};
    strcpy(ret->place.site, stay->visit->site);
    strcpy(ret->place.room, stay->room);
    strcpy(ret->visitor, stay->visit->visitor);
    *ret_country = stay->visit->country;
}

void visits_report(struct stay *stay, struct heartbeat *ret, const char **ret_country)
{
    describe(stay, ret, ret_country);
    stay->reported_ns = monotonic_ns();
}

static void send_leave(struct visits *visits, const struct stay *stay, const char *room)
{
    struct heartbeat heartbeat;
    const char *country;

    describe(stay, &heartbeat, &country);
    heartbeat.kind = PRESENCE_LEAVE;
    strcpy(heartbeat.place.room, room);
    outbound_send(visits->outbound, &heartbeat, country); /* was checked */
}

void visits_refresh(struct visits *visits, struct stay *stay)
{
    struct heartbeat heartbeat;
    const char *country;

    visits_report(stay, &heartbeat, &country);
    outbound_send(visits->outbound, &heartbeat, country);
}

/* Let outbound.h hold a leave of the site, which ends no presence in a room. */
static void leave_site(struct visits *visits, const struct stay *stay)
{
    send_leave(visits, stay, "");
}

/* Leave the room, unless another server, which shares the collector, has the visitor now. */
static void leave_room(struct visits *visits, const struct stay *stay)
{
    struct heartbeat heartbeat;
    const char *country;

    describe(stay, &heartbeat, &country);
    if (stay->room[0] && !outbound_is_seen_since(visits->outbound, &heartbeat, stay->reported_ns))
        send_leave(visits, stay, stay->room);
}

/* ---- visits and stays ----------------------------------------------------------------------- */

/* Find the visit of a visitor to a site, a new one if there is none. Return NULL if there is no
 * memory. */
static struct visit *get_visit(struct visits *visits, const struct heartbeat *heartbeat,
                               const char *country)
{
    size_t site = strlen(heartbeat->place.site) + 1, visitor = strlen(heartbeat->visitor) + 1;
    struct visit *visit = calloc(1, sizeof(*visit) + site + visitor);

    if (!visit)
        return NULL;
    place_visitor_id(heartbeat->visitor, visit->id); /* was checked */
    strcpy(visit->site, heartbeat->place.site);
    visit->visitor = strcpy(visit->site + site, heartbeat->visitor);
    strncpy(visit->country, country ? country : "", sizeof(visit->country) - 1);
    struct visit **found = tsearch(visit, &visits->all, compare_visits);
    if (!found || *found != visit)
        free(visit);
    return found ? *found : NULL;
}

static void drop_unused(struct visits *visits, struct visit *visit)
{
    if (!LIST_EMPTY(&visit->stays))
        return;
    tdelete(visit, &visits->all, compare_visits);
    free(visit);
}

static struct stay *find_stay(const struct visit *visit, const char *room)
{
    struct stay *stay;

    LIST_FOREACH(stay, &visit->stays, of_visit)
    {
        if (strcmp(stay->room, room) == 0)
            return stay;
    }
    return NULL;
}

/* Find the stay in a room, a new one if there is none. Return NULL if there is no memory. */
static struct stay *get_stay(struct visit *visit, const char *room)
{
    struct stay *stay = find_stay(visit, room);

    if (stay)
        return stay;
    stay = calloc(1, sizeof(*stay) + strlen(room) + 1);
    if (!stay)
        return NULL;
    stay->visit = visit;
    strcpy(stay->room, room);
    LIST_INSERT_HEAD(&visit->stays, stay, of_visit);
    return stay;
}

static void hold(struct visits *visits, struct stay *stay, int64_t now_ns)
{
    stay->held = true;
    stay->due_ns = now_ns + GRACE_NS;
    TAILQ_INSERT_TAIL(&visits->held, stay, by_age);
}

static void release(struct visits *visits, struct stay *stay)
{
    if (stay->held)
        TAILQ_REMOVE(&visits->held, stay, by_age);
    stay->held = false;
}

struct stay *visits_enter(struct visits *visits, const struct heartbeat *heartbeat,
                          const char *country)
{
    struct visit *visit = get_visit(visits, heartbeat, country);

    if (!visit)
        return NULL;
    struct stay *stay = get_stay(visit, heartbeat->place.room);
    if (!stay) {
        drop_unused(visits, visit);
        return NULL;
    }
    release(visits, stay);
    stay->reported_ns = monotonic_ns(); /* as good as sent */
    stay->connections++;
    visit->connections++;
    return stay;
}

/* Drop a stay without connections, and its visit with the last one. */
static void drop_stay(struct visits *visits, struct stay *stay)
{
    struct visit *visit = stay->visit;

    release(visits, stay);
    LIST_REMOVE(stay, of_visit);
    free(stay);
    drop_unused(visits, visit);
}

void visits_exit(struct visits *visits, struct stay *stay, bool leaves, int64_t now_ns)
{
    stay->visit->connections--;
    if (--stay->connections)
        return;
    if (!leaves) {
        drop_stay(visits, stay);
        return;
    }
    hold(visits, stay, now_ns);
    if (stay->visit->connections == 0)
        leave_site(visits, stay);
}

static void expire(struct visits *visits, struct stay *stay)
{
    leave_room(visits, stay);
    drop_stay(visits, stay);
}

int64_t visits_run_timers(struct visits *visits, int64_t now_ns)
{
    struct stay *stay;

    while ((stay = TAILQ_FIRST(&visits->held)) && stay->due_ns <= now_ns)
        expire(visits, stay);
    return stay ? stay->due_ns : INT64_MAX;
}

void visits_free(struct visits *visits)
{
    struct stay *stay;

    if (!visits)
        return;
    while ((stay = TAILQ_FIRST(&visits->held)))
        expire(visits, stay);
    free(visits);
}
