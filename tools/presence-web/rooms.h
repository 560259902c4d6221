/* rooms.h - GET /ws and /ws/posts/ID/live: rooms over WebSockets.
 *
 * Whoever connects is a visitor of the room. They are told how many there are once they are
 * counted, and then whenever the number changes. {"type":"ping"} is their heartbeat. The numbers
 * are the collector's, or totals, so all servers tell the same ones. A room is counted once a
 * period, however many connections are in it. A connection has no queue of numbers: a slow one
 * misses some in between, never the last.
 *
 * Nothing is sent while the number is stale or unknown. If that lasts, connections are closed with
 * 1013, so that their clients show that they reconnect; a new one gets 503.
 */
#ifndef PRESENCE_WEB_ROOMS_H
#define PRESENCE_WEB_ROOMS_H

#include "heartbeat.h"

struct http_websocket;

#define ROOMS_POSTS "/ws/posts/"

struct rooms;

/* Return NULL if there is no memory. */
struct rooms *rooms_new(struct web *web);

/* Close all connections; their visitors are expected back. They are over when the server has
 * stopped. */
void rooms_end(struct rooms *rooms);
void rooms_free(struct rooms *rooms); /* after the server; NULL is fine */

/* Handle GET /ws and /ws/posts/ID/live. */
enum MHD_Result rooms_handle(void *web, struct http_request *request);

/* Count the rooms and tell their members if it is time. Return when it is next, or INT64_MAX. */
int64_t rooms_run_timers(struct rooms *rooms, int64_t now_ns);

/* ---- rooms_request.c ------------------------------------------------------------------------ */

/* What a request asks for. */
struct room_request {
    struct heartbeat heartbeat;
    struct client client;
    int64_t expires;   /* of its token: Unix seconds */
    bool counts;       /* not a bot, nor a page that nobody looks at yet */
    bool is_post;      /* the room is post:ID */
    char refusal[160]; /* why it is closed with 1008; "": it isn't, and the rest is valid */
};

/* Parse a request, and check whether it may join and will have a number to show. False: it was
 * refused or suspended, and `*ret_result` is what its handler returns. */
bool rooms_parse_request(const struct web *web, struct http_request *request,
                         struct room_request *ret, enum MHD_Result *ret_result);

/* True if a message, of `length` bytes, is {"type":"ping"}. */
bool rooms_is_ping(const char *text, size_t length);

/* Send the message that a member has joined a room of so many viewers; in a room post:ID
 * (`is_post`) it names the post. Errors: as http_websocket_send(). */
int rooms_send_joined(struct http_websocket *socket, const struct place *place, bool is_post,
                      uint64_t viewers);

/* ---- visits.c ------------------------------------------------------------------------------- */

/* Which visitors are in rooms by connections to this server, and when they leave.
 *
 * A visitor may have many connections, of many tabs, in one room or in several of a site. When the
 * last one in a room has ended, the visitor leaves the room VISITS_GRACE_S later, unless they are
 * back by then: nobody hears of one who only reconnects. If it was their last one in the site, they
 * leave that, too. A report from elsewhere keeps them: outbound.h knows of it.
 */
struct outbound;
struct visits;

#define VISITS_GRACE_S 2

/* A visitor in a room; in the site as a whole if there is no room. */
struct stay;

/* Return NULL if there is no memory. */
struct visits *visits_new(struct outbound *outbound);

/* Send the leaves of rooms that are held, and free the set, which has no connections any more. NULL
 * is fine. */
void visits_free(struct visits *visits);

/* Begin a connection of the visitor who sends a heartbeat. This sends nothing. `country` may be
 * NULL. Return NULL if there is no memory. */
struct stay *visits_enter(struct visits *visits, const struct heartbeat *heartbeat,
                          const char *country);

/* End a connection at `now_ns` (monotonic_ns). Unless it `leaves`, the visitor is expected back, or
 * to be forgotten when the window has passed. */
void visits_exit(struct visits *visits, struct stay *stay, bool leaves, int64_t now_ns);

/* Describe a heartbeat of the visitor in the room, which is sent now; the country lives as long as
 * the stay. */
void visits_report(struct stay *stay, struct heartbeat *ret, const char **ret_country);

/* Send one. */
void visits_refresh(struct visits *visits, struct stay *stay);

/* Send the leaves that are due. Return when to call it next, or INT64_MAX. */
int64_t visits_run_timers(struct visits *visits, int64_t now_ns);

#endif
