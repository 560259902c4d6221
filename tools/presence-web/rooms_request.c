/* rooms_request.c - parse what the clients of rooms send, requests with their places, visitors and
 * tokens, and messages; and send the message that answers a request. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "common/json_whole.h"
#include "http/http_websocket.h"
#include "rooms.h"

#define POST         "post:" /* the room is post:ID */
#define LIVE         "/live"
#define WHOLE_DIGITS 15                   /* of a number that JavaScript reads exactly */
#define ROOM_SIZE    (PLACE_ROOM_MAX + 2) /* a byte more: a longer one is refused, not cut */

/* Write the room of /ws/posts/ID/live. False if it is no such path. */
static bool parse_post(const char *path, char ret[ROOM_SIZE])
{
    size_t skip = strlen(ROOMS_POSTS), length = strlen(path), tail = strlen(LIVE);

    if (!request_path_fits(path, ROOMS_POSTS, LIVE) || length == skip + tail)
        return false;
    snprintf(ret, ROOM_SIZE, POST "%.*s", (int)(length - skip - tail), path + skip);
    return true;
}

/* Parse the place. Applications that have posts may have but one site. */
static bool parse_place(const struct web *web, const struct http_request *request, bool is_post,
                        struct place *ret, struct problem *problem)
{
    const char *site = http_request_query(request, "site");
    const char *room = http_request_query(request, "room");
    char post[ROOM_SIZE];

    if (is_post && !parse_post(request->path, post))
        return problem_set(problem, MHD_HTTP_NOT_FOUND, "not_found", "no such resource");
    if (is_post && !site ? !request_parse_rest_site(web, ret, problem)
                         : !request_parse_site(web, site, ret, problem))
        return false;
    return request_parse_room(is_post ? post : room, ret, problem);
}

/* Check the token and find the visitor, whom it may name. False if it is refused. */
static bool check_token(const struct web *web, const struct http_request *request,
                        const struct place *place, struct room_request *ret,
                        char ret_subject[PLACE_ID_MAX + 1])
{
    struct problem problem;
    const struct token_use use = {
        .place = place,
        .visitor = http_request_query(request, "visitor"),
        .any_place = ret->is_post,
        .ret_subject = ret_subject,
    };

    *ret_subject = '\0';
    if (request_may_use(web, request, http_request_query(request, "token"), &use, &ret->expires,
                        &problem))
        return true;
    strcpy(ret->refusal, problem.message);
    return false;
}

/* Return who the visitor is, as the request or its token names them, or NULL. */
static const char *name_visitor(const struct web *web, const struct http_request *request,
                                const char *subject, struct room_request *ret)
{
    const char *visitor = http_request_query(request, "visitor");

    if (*subject || !ret->is_post)
        return *subject ? subject : visitor;
    if (web->jwt_keys.count)
        strcpy(ret->refusal, "invalid token: its sub has to name the visitor");
    else if (!visitor)
        strcpy(ret->refusal, "tokens can't be checked here: see --jwt-key-file, or send visitor");
    return visitor;
}

/* Parse a request. False fills in `problem`, which is no token's. */
static bool parse(const struct web *web, const struct http_request *request,
                  struct room_request *ret, struct problem *problem)
{
    bool is_post = strncmp(request->path, ROOMS_POSTS, strlen(ROOMS_POSTS)) == 0;
    struct heartbeat_fields fields = {.hold_s = -1};
    char subject[PLACE_ID_MAX + 1];
    struct place place;

    *ret = (struct room_request){.client = request_client(web, request), .is_post = is_post};
    if (!parse_place(web, request, is_post, &place, problem))
        return false;
    if (!check_token(web, request, &place, ret, subject))
        return true;
    fields.site = place.site;
    fields.room = place.room;
    fields.visitor = name_visitor(web, request, subject, ret);
    if (*ret->refusal)
        return true;
    if (!heartbeat_parse_permitted(web, request, &fields, &ret->heartbeat, problem))
        return false;
    ret->counts = !ret->heartbeat.is_from_bot && !ret->heartbeat.is_prefetch;
    return true;
}

/* Check who asks. A request that was suspended has been charged before. */
static bool admit(const struct web *web, const struct http_request *request,
                  struct problem *problem)
{
    struct client client;

    if (web->ending)
        return problem_set(problem, MHD_HTTP_SERVICE_UNAVAILABLE, "ending",
                           "this server is stopping: connect again");
    return request->data || request_admit(web, request, &client, problem);
}

bool rooms_parse_request(const struct web *web, struct http_request *request,
                         struct room_request *ret, enum MHD_Result *ret_result)
{
    struct problem problem;
    struct number number;

    if (!admit(web, request, &problem) || !parse(web, request, ret, &problem)) {
        *ret_result = respond_problem(web, request, &problem);
        return false;
    }
    if (*ret->refusal)
        return true;
    if (!api_count(web, request, &ret->heartbeat.place, 0, &number, ret_result))
        return false;
    if (!number.stale && (number.known || ret->counts)) /* their heartbeat will make it known */
        return true;
    api_is_fresh(web, &number, &problem); /* says what is wrong */
    *ret_result = respond_problem(web, request, &problem);
    return false;
}

/* ---- messages ------------------------------------------------------------------------------- */

bool rooms_is_ping(const char *text, size_t length)
{
    json_t *message = json_loadb(text, length, 0, NULL);
    const char *type = json_string_value(json_object_get(message, "type"));
    bool ping = type && strcmp(type, "ping") == 0;

    json_decref(message);
    return ping;
}

/* Return the post's id in JSON: a number if it is written as one. */
static json_t *build_post(const struct place *place)
{
    const char *id = strchr(place->room, ':') + 1;
    bool whole = id[strspn(id, "0123456789")] == '\0' && strlen(id) <= WHOLE_DIGITS &&
                 (*id != '0' || !id[1]);

    return whole ? json_integer(strtoll(id, NULL, 10)) : json_string(id);
}

int rooms_send_joined(struct http_websocket *socket, const struct place *place, bool is_post,
                      uint64_t viewers)
{
    json_t *object = json_pack("{s:s}", "type", "room_joined");

    if (is_post)
        json_object_set_new(object, "post_id", build_post(place));
    json_object_set_new(object, "viewers", json_of_number(viewers));
    char *text = json_whole_text(object, JSON_COMPACT | JSON_ENSURE_ASCII);
    int r = text ? http_websocket_send(socket, text, strlen(text)) : -ENOMEM;
    free(text);
    return r;
}
