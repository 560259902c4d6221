#include "rooms.h"

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "common/monotonic.h"
#include "http/http_websocket.h"
#include "limiter.h"
#include "outbound.h"
#include "touch.h"
#include "watch.h"

#define PERIOD_NS        (250 * NS_PER_MS)
#define HEARTBEAT_NS     NS_PER_S /* pings that are closer are answered, and are no heartbeats */
#define MESSAGE_NS       (NS_PER_S / 10) /* a connection's budget: a message in this time, */
#define MESSAGES_NS      (10 * NS_PER_S) /* and this time's worth at once */
#define TRIES            20             /* one in each period: a collector that is later is stale */
#define UNKNOWN_NS       (5 * NS_PER_S) /* for so long a room's number may be unknown */

#define CLOSE_GOING_AWAY 1001 /* RFC 6455, 7.4.1 */
#define CLOSE_POLICY     1008
#define CLOSE_TRY_LATER  1013

/* A connection. */
struct member {
    TAILQ_ENTRY(member) all;
    LIST_ENTRY(member) in_room;
    struct rooms *rooms;
    struct room *room; /* NULL: it was refused, and is being closed */
    struct stay *stay; /* NULL: not counted, as a bot isn't */
    struct http_websocket *socket;
    struct quota *quota;
    struct touch *touch; /* by which they join; NULL: none waits */
    unsigned tries;      /* how many there were */
    bool is_ready;       /* they are counted, or won't be */
    struct host client;
    int64_t expires;         /* Unix seconds */
    int64_t heartbeat_at_ns; /* the last one */
    int64_t budget_at_ns;    /* when the budget of messages is full again */
    uint64_t told;           /* the number that was sent last, if it has `joined` */
    bool joined, is_post, owes_pong, is_closing;
    bool is_expected; /* closed by this server: the visitor comes back */
};

/* A place with connections. */
struct room {
    LIST_ENTRY(room) all;
    struct watch *watch;
    uint64_t version;         /* of the number that the members were told */
    uint64_t warming_most;    /* the highest number of this warm-up; 0: the collector is warm */
    int64_t unknown_since_ns; /* 0: it is known */
    LIST_HEAD(, member) members;
};

struct rooms {
    struct web *web;
    struct visits *visits;
    struct watches watches;
    void *places; /* rooms, searched by tsearch(3) */
    LIST_HEAD(, room) rooms;
    TAILQ_HEAD(, member) members;
    int64_t due_ns;
    int64_t expires;            /* Unix seconds; no member does earlier */
    bool has_late, has_unknown; /* a member who is to try again; a room without a number */
    uint64_t changes;           /* of the watches: those that the members were told */
};

struct rooms *rooms_new(struct web *web)
{
    struct rooms *rooms = malloc(sizeof(*rooms));
    struct visits *visits = visits_new(web->outbound);

    if (!rooms || !visits) {
        visits_free(visits);
        free(rooms);
        return NULL;
    }
    *rooms = (struct rooms){.web = web, .visits = visits, .expires = INT64_MAX};
    TAILQ_INIT(&rooms->members);
    return rooms;
}

void rooms_free(struct rooms *rooms)
{
    if (!rooms)
        return;
    visits_free(rooms->visits);
    free(rooms);
}

/* ---- what members are told ------------------------------------------------------------------ */

/* True if a number can be told as it is. */
static bool is_good(const struct watch *watch)
{
    return watch->version && number_is_fresh(&watch->number);
}

static int send_change(struct member *member, uint64_t count)
{
    char text[64];
    int length = snprintf(text, sizeof(text), "{\"type\":\"viewer_%s\",\"viewers\":%" PRIu64 "}",
                          count > member->told ? "joined" : "left", count);

    return http_websocket_send(member->socket, text, (size_t)length);
}

/* Tell a member the number of the room if it is another one than they were told. What does not fit
 * now is sent when the connection is drained. While the collector warms, a number below one of
 * before that only means that it has not heard of everybody yet: nobody is told that they left. */
static void tell(struct member *member)
{
    struct room *room = member->room;
    uint64_t count = room->watch->number.count, told = member->told;

    if (!member->is_ready || member->is_closing || !is_good(room->watch))
        return;
    if (!room->watch->number.warming)
        room->warming_most = 0;
    else if (count > room->warming_most)
        room->warming_most = count;
    bool forgot = room->watch->number.warming && told > room->warming_most;
    if (member->joined && (count == told || (count < told && forgot)))
        return;
    int r = member->joined
                ? send_change(member, count)
                : rooms_send_joined(member->socket, &room->watch->place, member->is_post, count);
    if (r < 0)
        return;
    member->joined = true;
    member->told = count;
}

static void close_member(struct member *member, unsigned code, const char *reason)
{
    if (!member->is_closing)
        http_websocket_close(member->socket, code, reason);
    member->is_closing = true;
}

/* Close a connection whose visitor comes back. */
static void dismiss(struct member *member, unsigned code, const char *reason)
{
    member->is_expected = true;
    close_member(member, code, reason);
}

/* Close the connections if the number can't be told for long. One that is stale has been so for
 * longer than a collector takes to start anew. */
static void judge_silence(struct room *room, int64_t now_ns)
{
    bool is_stale = room->watch->version && room->watch->number.stale;
    struct member *member;

    if (!room->unknown_since_ns)
        room->unknown_since_ns = now_ns;
    if (!is_stale && now_ns - room->unknown_since_ns < UNKNOWN_NS)
        return;
    LIST_FOREACH(member, &room->members, in_room)
    dismiss(member, CLOSE_TRY_LATER, is_stale ? "the number is stale" : "the number is unknown");
}

static void update_room(struct room *room, int64_t now_ns)
{
    struct member *member;

    if (!is_good(room->watch)) {
        judge_silence(room, now_ns);
        return;
    }
    room->unknown_since_ns = 0;
    if (room->version == room->watch->version)
        return;
    room->version = room->watch->version;
    LIST_FOREACH(member, &room->members, in_room)
    tell(member);
}

/* ---- messages ------------------------------------------------------------------------------- */

static void send_pong(struct member *member)
{
    static const char pong[] = "{\"type\":\"pong\"}";

    member->owes_pong = http_websocket_send(member->socket, pong, strlen(pong)) == -ENOBUFS;
}

/* Count the ping as a heartbeat, unless it comes too soon. */
static void refresh(struct member *member)
{
    const struct rooms *rooms = member->rooms;
    int64_t now_ns = monotonic_ns();
    unsigned wait_s;

    if (!member->stay || !member->is_ready || now_ns - member->heartbeat_at_ns < HEARTBEAT_NS ||
        !limiter_charge(rooms->web->limiter, &member->client, now_ns, &wait_s))
        return;
    member->heartbeat_at_ns = now_ns;
    visits_refresh(rooms->visits, member->stay);
}

/* Charge a member for a message. */
static bool is_within_budget(struct member *member)
{
    int64_t now_ns = monotonic_ns();
    int64_t at_ns = member->budget_at_ns > now_ns ? member->budget_at_ns : now_ns;

    if (at_ns + MESSAGE_NS - now_ns > MESSAGES_NS)
        return false;
    member->budget_at_ns = at_ns + MESSAGE_NS;
    return true;
}

static void on_message(void *data, const char *text, size_t length)
{
    struct member *member = data;

    if (member->is_closing)
        return;
    if (!is_within_budget(member)) {
        close_member(member, CLOSE_POLICY, "too many messages");
        return;
    }
    if (!rooms_is_ping(text, length))
        return;
    refresh(member);
    send_pong(member);
}

static void on_drained(void *data)
{
    struct member *member = data;

    if (member->is_closing)
        return;
    if (member->owes_pong)
        send_pong(member);
    tell(member);
}

/* ---- rooms ---------------------------------------------------------------------------------- */

static int compare_rooms(const void *left, const void *right)
{
    const struct room *a = left, *b = right;
    const struct place *place = &a->watch->place, *other = &b->watch->place;
    int order = strcmp(place->site, other->site);

    return order ? order : strcmp(place->room, other->room);
}

static void drop_unused(struct rooms *rooms, struct room *room)
{
    if (!LIST_EMPTY(&room->members))
        return;
    tdelete(room, &rooms->places, compare_rooms);
    LIST_REMOVE(room, all);
    watches_put(&rooms->watches, room->watch);
    free(room);
}

/* Find the room of a place, a new one if there is none. Return NULL if there is no memory. */
static struct room *get_room(struct rooms *rooms, const struct place *place)
{
    struct room *room = calloc(1, sizeof(*room));

    if (!room)
        return NULL;
    room->watch = watches_get(&rooms->watches, place, 0);
    struct room **found = room->watch ? tsearch(room, &rooms->places, compare_rooms) : NULL;
    if (found && *found == room) {
        LIST_INSERT_HEAD(&rooms->rooms, room, all);
        rooms->has_unknown = true;
        return room;
    }
    if (room->watch)
        watches_put(&rooms->watches, room->watch);
    free(room);
    return found ? *found : NULL;
}

/* ---- members -------------------------------------------------------------------------------- */

/* Free a member. The connection is over, whoever has ended it. */
static void on_closed(void *data)
{
    struct member *member = data;
    struct rooms *rooms = member->rooms;

    touch_free(member->touch);
    if (member->stay)
        visits_exit(rooms->visits, member->stay, !member->is_expected, monotonic_ns());
    if (member->room) {
        LIST_REMOVE(member, in_room);
        drop_unused(rooms, member->room);
    }
    TAILQ_REMOVE(&rooms->members, member, all);
    limiter_close_stream(rooms->web->limiter, member->quota, 1);
    free(member);
}

/* Tell a member that they have joined, with a number as of now. */
static void welcome(struct member *member)
{
    member->is_ready = true;
    watch_refresh(member->room->watch, member->rooms->web->live);
    tell(member);
}

/* Welcome a member who is counted. A collector that is slow at the moment gets a few more tries;
 * totals have been waited for. */
static void on_touched(void *data)
{
    struct member *member = data;
    bool ready = touch_is_counted(member->touch) || live_totals(member->rooms->web->live);

    touch_free(member->touch);
    member->touch = NULL;
    if (ready || member->tries == TRIES)
        welcome(member);
    else
        member->rooms->has_late = true;
}

/* Let a member join: send their heartbeat, and welcome them when it is counted. */
static void join(struct member *member)
{
    struct client client = {.host = member->client};
    struct heartbeat heartbeat;

    if (member->stay) {
        visits_report(member->stay, &heartbeat, &client.country);
        member->touch = touch_begin(member->rooms->web, &heartbeat, &client, on_touched, member);
        member->heartbeat_at_ns = monotonic_ns();
        member->tries++;
    }
    if (member->touch && touch_waits(member->touch))
        return;
    touch_free(member->touch);
    member->touch = NULL;
    welcome(member);
}

/* Bring a member into their room. False if there is no memory. */
static bool enter(struct member *member, const struct room_request *asked)
{
    struct rooms *rooms = member->rooms;
    struct room *room = get_room(rooms, &asked->heartbeat.place);

    if (!room)
        return false;
    if (asked->counts) {
        member->stay = visits_enter(rooms->visits, &asked->heartbeat, asked->client.country);
        if (!member->stay) {
            drop_unused(rooms, room);
            return false;
        }
    }
    member->room = room;
    LIST_INSERT_HEAD(&room->members, member, in_room);
    return true;
}

/* Add a member, whom the limiter knows by `quota`. Return NULL if there is no memory. */
static struct member *new_member(struct rooms *rooms, const struct room_request *asked,
                                 struct quota *quota)
{
    struct member *member = calloc(1, sizeof(*member));

    if (!member)
        return NULL;
    member->rooms = rooms;
    member->quota = quota;
    member->client = asked->client.host;
    member->expires = asked->expires;
    member->is_post = asked->is_post;
    if (!*asked->refusal && !enter(member, asked)) {
        free(member);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&rooms->members, member, all);
    if (member->expires < rooms->expires)
        rooms->expires = member->expires;
    if (TAILQ_FIRST(&rooms->members) == member)
        rooms->due_ns = monotonic_ns() + PERIOD_NS;
    return member;
}

/* Go on as a WebSocket. */
static enum MHD_Result open_member(struct rooms *rooms, struct http_request *request,
                                   const struct room_request *asked, struct quota *quota)
{
    static const struct http_websocket_events events = {on_message, on_drained, on_closed};
    struct member *member = new_member(rooms, asked, quota);

    if (!member) {
        limiter_close_stream(rooms->web->limiter, quota, 1);
        return MHD_NO;
    }
    enum MHD_Result result = http_websocket_accept(request, &events, member, &member->socket);
    if (!member->socket) {
        member->is_expected = true; /* was never here */
        on_closed(member);
        return result;
    }
    if (*asked->refusal)
        close_member(member, CLOSE_POLICY, asked->refusal);
    else
        join(member);
    return result;
}

enum MHD_Result rooms_handle(void *context, struct http_request *request)
{
    struct web *web = context;
    struct http_websocket *none;
    struct room_request asked;
    struct problem problem;
    struct quota *quota;
    enum MHD_Result result;

    if (!http_websocket_is_asked(request))
        return http_websocket_accept(request, NULL, NULL, &none); /* refuses it */
    if (!rooms_parse_request(web, request, &asked, &result))
        return result;
    if (!request_open_stream(web, &asked.client, 1, &quota, &problem))
        return respond_problem(web, request, &problem);
    return open_member(web->rooms, request, &asked, quota);
}

/* ---- timers --------------------------------------------------------------------------------- */

/* Close those whose tokens have expired, and let those join who are late. */
static void check_members(struct rooms *rooms)
{
    time_t now = time(NULL);
    struct member *member;

    if (!rooms->has_late && rooms->expires > now)
        return;
    rooms->has_late = false;
    rooms->expires = INT64_MAX;
    TAILQ_FOREACH(member, &rooms->members, all)
    {
        if (member->expires <= now)
            close_member(member, CLOSE_POLICY, "the token has expired");
        else if (member->expires < rooms->expires)
            rooms->expires = member->expires;
        if (!member->is_ready && !member->touch && !member->is_closing)
            join(member);
    }
}

/* Tell the members what has changed, unless nothing has and all numbers are known. */
static void update_rooms(struct rooms *rooms, int64_t now_ns)
{
    struct room *room;

    watches_poll(&rooms->watches, rooms->web->live);
    if (!rooms->has_unknown && rooms->changes == rooms->watches.changes)
        return;
    rooms->changes = rooms->watches.changes;
    rooms->has_unknown = false;
    LIST_FOREACH(room, &rooms->rooms, all)
    {
        update_room(room, now_ns);
        rooms->has_unknown |= room->unknown_since_ns != 0;
    }
}

int64_t rooms_run_timers(struct rooms *rooms, int64_t now_ns)
{
    int64_t visits_ns = visits_run_timers(rooms->visits, now_ns);

    if (TAILQ_EMPTY(&rooms->members))
        return visits_ns;
    if (now_ns >= rooms->due_ns) {
        rooms->due_ns = now_ns + PERIOD_NS;
        check_members(rooms);
        update_rooms(rooms, now_ns);
    }
    return visits_ns < rooms->due_ns ? visits_ns : rooms->due_ns;
}

void rooms_end(struct rooms *rooms)
{
    struct member *member;

    TAILQ_FOREACH(member, &rooms->members, all)
    dismiss(member, CLOSE_GOING_AWAY, "this server is stopping: connect again");
}
